"""Types that a database names: enums and composites of one in another, and what is said if it has none."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from datastores import Datastore, copy
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.azure_postgresql.type_table import type_table
from datastores.drivers.writing import Verdict, WriteRequest
from datastores.errors import DataError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.types.fields import SourceType, source_of, with_source
from datastores.types.text import describe_type
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database, PostgreSQL

SOURCE, COPY = TableName("source", "public"), TableName("copy", "public")
LABELS = ("so-so", "", "o'k", "bad")
MOOD = '"My shop"."Mood"'
# The order of the labels is not that of their letters.
SHOP = f"""
    CREATE SCHEMA "My shop";
    CREATE TYPE {MOOD} AS ENUM ('so-so', '', 'o''k', 'bad');
    CREATE TABLE source (id integer PRIMARY KEY, mood {MOOD}, moods {MOOD}[], deep {MOOD}[][]);
    INSERT INTO source VALUES (1, 'bad', '{{so-so,NULL,""}}', '{{{{o''k}},{{bad}}}}'), (2, NULL, NULL, NULL)
"""


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


@pytest.fixture
def other(postgresql: PostgreSQL) -> Iterator[Database]:
    """Another database of the server, which has none of the types."""
    with postgresql.database() as other:
        yield other


@pytest.fixture
def there(other: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(other.owner)) as driver:
        yield driver


def noted(type_: pa.DataType, note: SourceType) -> pa.Schema:
    """Return a schema of one column that was of another type."""
    return pa.schema([with_source(pa.field("v", type_), note)])


def test_an_enum_is_created_where_it_is_not(
    database: Database, driver: AzurePostgreSQLDriver, other: Database, there: AzurePostgreSQLDriver
) -> None:
    database.run(SHOP)
    data = read(driver, SOURCE)
    notes = [source_of(data.schema.field(name)) for name in ("mood", "moods", "deep")]
    assert [note and note.labels for note in notes] == [LABELS] * 3
    request = WriteRequest(table=COPY, schema=data.schema)
    plan = there.plan_write(request)
    assert plan.statements[:2] == (
        'CREATE SCHEMA "My shop"',
        f"CREATE TYPE {MOOD} AS ENUM ('so-so', '', 'o''k', 'bad')",
    )
    assert not any("CREATE TYPE" in statement for statement in plan.statements[2:])
    assert [column.note for column in plan.columns[1:]] == [f"creates the enum {MOOD}"] * 3
    write(there, COPY, data)
    assert other.run(f"SELECT enum_range(NULL::{MOOD})::text[]") == [(list(LABELS),)]
    columns = "id, mood::text, moods::text, deep::text"
    assert other.run(f"SELECT {columns} FROM copy") == database.run(f"SELECT {columns} FROM source")
    assert_same_table(read(there, COPY), data)
    # Now it is there, with the same labels.
    again = there.plan_write(WriteRequest(table=TableName("again"), schema=data.schema))
    assert not any("CREATE TYPE" in statement for statement in again.statements)
    assert [column.target_type for column in again.columns[1:]] == [
        MOOD,
        f"{MOOD}[]",
        f"{MOOD}[][]",
    ]


def test_an_enum_of_other_labels_is_not_taken_for_it(
    database: Database, driver: AzurePostgreSQLDriver, other: Database, there: AzurePostgreSQLDriver
) -> None:
    database.run(SHOP)
    other.run(SHOP.replace("'so-so', '', ", "'', 'so-so', ").replace("source", "target"))
    data = read(driver, SOURCE)
    plan = there.plan_write(WriteRequest(table=COPY, schema=data.schema))
    assert [column.target_type for column in plan.columns] == [
        "integer",
        "text",
        "text[]",
        "text[][]",
    ]
    for column in plan.columns[1:]:
        assert "has other labels here: , so-so, o'k, bad" in (column.note or "")
    write(there, COPY, data)
    assert other.run("SELECT mood, moods FROM copy") == [("bad", ["so-so", None, ""]), (None, None)]
    assert_same_table(read(there, COPY), data)


def test_two_writes_at_once_create_one_enum(
    database: Database, driver: AzurePostgreSQLDriver, other: Database, there: AzurePostgreSQLDriver
) -> None:
    database.run(SHOP)
    data = read(driver, SOURCE)
    sessions = [
        there.begin(WriteRequest(table=TableName(name, "public"), schema=data.schema))
        for name in ("one", "two", "three")
    ]
    receipts = [session.write("0", data.to_reader()) for session in sessions]
    sessions[0].publish([receipts[0]])
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(sessions[at].publish, [receipts[at]]) for at in (1, 2)]
        for one in done:
            one.result()
    for session in sessions:
        session.discard()
    assert other.run("SELECT count(*) FROM one, two, three") == [(8,)]
    assert not staged(other)


@pytest.mark.parametrize(
    ("note", "labels"),
    [
        ("public.mood", ()),
        ("mood", ("a",)),
        ("public.mood; drop table canary", ("a",)),
        ("public.mood AS ENUM ()", ("a",)),
        ("Public.Mood", ("a",)),
        ("other.public.mood", ("a",)),
        (f"public.{'m' * 64}", ("a",)),
        ("public.mood", ("a", "a")),
        ("public.mood", ("a\0b",)),
        ("public.mood", ("é" * 32,)),
        ("public.mood[]", ("a",)),
    ],
)
def test_a_note_that_is_none_of_an_enum_creates_nothing(
    driver: AzurePostgreSQLDriver, note: str, labels: tuple[str, ...]
) -> None:
    schema = noted(
        pa.dictionary(pa.int32(), pa.string()),
        SourceType(engine="azure_postgresql", type=note, labels=labels),
    )
    plan = driver.plan_write(WriteRequest(table=COPY, schema=schema))
    assert plan.columns[0].target_type == "text"
    assert not any("TYPE" in statement for statement in plan.statements)


@pytest.mark.parametrize(
    "bad", ["numeric(5000, 1)", "no such type", "no.such.type", "bigint) AS x, (", "bigint --", ""]
)
def test_a_note_that_is_no_type_leaves_the_others_alone(
    driver: AzurePostgreSQLDriver, bad: str
) -> None:
    columns = {"smallint": pa.int16(), bad: pa.int32(), "oid": pa.uint32(), "citext": pa.string()}
    schema = pa.schema(
        [
            with_source(pa.field(f"c{at}", type_), SourceType(engine="azure_postgresql", type=note))
            for at, (note, type_) in enumerate(columns.items())
        ]
    )
    plan = driver.plan_write(WriteRequest(table=COPY, schema=schema))
    # A uint32 that was no oid would be a bigint.
    assert [one.target_type for one in plan.columns] == ["smallint", "integer", "oid", "text"]


PAIRS = """
    CREATE TYPE pair AS (a integer, b text);
    CREATE TABLE source (id integer PRIMARY KEY, one pair, several pair[]);
    INSERT INTO source VALUES (1, (1, 'x'), array[(2, NULL)::pair, NULL]), (2, NULL, '{}'), (3, (NULL, NULL), NULL)
"""


def test_a_composite_needs_its_type(
    database: Database, driver: AzurePostgreSQLDriver, other: Database, there: AzurePostgreSQLDriver
) -> None:
    database.run(PAIRS)
    data = read(driver, SOURCE)
    for name in ("one", "several"):
        with pytest.raises(SchemaMismatchError, match=f"'{name}'.*public.pair") as caught:
            write(there, COPY, data.select([name]))
        advice = caught.value.advice or ""
        assert 'CREATE TYPE public.pair AS ("a" integer, "b" text), and write again' in advice
    # Other fields are another type, and this one's numbers are none of the other database's.
    other.run("CREATE TYPE pair AS (a integer, b bytea)")
    with pytest.raises(SchemaMismatchError, match="'one'"):
        write(there, COPY, data)
    other.run("DROP TYPE pair")
    found = re.search(r"CREATE TYPE .*\)", advice)
    assert found is not None
    other.run(found[0])
    write(there, COPY, data)
    shown = "SELECT id, one::text, one IS DISTINCT FROM NULL, several::text FROM"
    assert other.run(f"{shown} copy") == database.run(f"{shown} source")
    assert_same_table(read(there, COPY), data)


def test_every_mode_writes_composites(database: Database, driver: AzurePostgreSQLDriver) -> None:
    database.run(PAIRS)
    database.run(
        "CREATE TABLE copy (LIKE source INCLUDING ALL); INSERT INTO copy VALUES (1, (9, 'z'), NULL)"
    )
    data = read(driver, SOURCE)
    write(driver, COPY, data, WriteMode.UPSERT, keys=("id",))
    assert_same_table(read(driver, COPY), data)
    write(driver, COPY, data.slice(1), WriteMode.REPLACE)
    assert_same_table(read(driver, COPY), data.slice(1))
    write(driver, COPY, data, WriteMode.REPLACE_PARTITIONS, partition_by=("id", "one"))
    assert_same_table(read(driver, COPY), data)
    # A composite whose fields are all NULL is not NULL.
    for words, ids in (("is null", [2]), ("is not null", [1, 3])):
        found = read(driver, COPY, filters=[("one", words)])
        assert sorted(found["id"].to_pylist()) == ids
    database.run("CREATE TABLE keyed (one pair PRIMARY KEY, id integer)")
    rows = data.select(["one", "id"]).filter(data["one"].is_valid())
    for _ in range(2):
        write(driver, TableName("keyed"), rows, WriteMode.UPSERT, keys=("one",))
    assert_same_table(read(driver, TableName("keyed")), rows)
    with pytest.raises(DataError, match="more than once"):
        write(
            driver,
            TableName("keyed"),
            pa.concat_tables([rows, rows]),
            WriteMode.UPSERT,
            keys=("one",),
        )


def test_a_struct_without_a_note_is_nothing_by_guess(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    data = pa.table(
        {
            "v": pa.array(
                [{"time": 1, "offset": 0}],
                pa.struct([("time", pa.time64("us")), ("offset", pa.int32())]),
            )
        }
    )
    with pytest.raises(SchemaMismatchError, match="'v'"):
        write(driver, COPY, data)
    database.run("CREATE TABLE copy (v timetz)")
    write(driver, COPY, data, WriteMode.APPEND)
    assert database.run("SELECT v::text FROM copy") == [("00:00:00.000001+00",)]


@pytest.mark.parametrize(("scale", "declared"), [(2, "money"), (3, "numeric(19,3)")])
def test_money_is_restored_with_the_servers_scale_only(
    driver: AzurePostgreSQLDriver, scale: int, declared: str
) -> None:
    note = SourceType(engine="azure_postgresql", type="money")
    schema = noted(pa.decimal128(19, scale), note)
    plan = driver.plan_write(WriteRequest(table=COPY, schema=schema))
    assert plan.columns[0].target_type == declared


def test_the_table_of_types_says_what_is_so(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    made = {"an enum": "mood", "a domain over integer": "positive", "a composite": "pair"}
    database.run(
        "CREATE EXTENSION hstore; CREATE TYPE mood AS ENUM ('sad', 'happy'); "
        "CREATE DOMAIN positive AS integer; CREATE TYPE pair AS (a integer, b mood)"
    )
    rows = type_table()
    listed = ", ".join(
        f"c{at} {made.get(row.postgresql, row.postgresql)}" for at, row in enumerate(rows)
    )
    database.run(f"CREATE TABLE source ({listed})")
    schema = driver.schema(SOURCE)
    assert [describe_type(field.type) for field in schema] == [row.arrow for row in rows]
    # A struct says nothing of a type by itself.
    plain = [field.remove_metadata() for field in schema if not pa.types.is_struct(field.type)]
    plan = driver.plan_write(WriteRequest(table=COPY, schema=pa.schema(plain)))
    declared = {column.name: column.target_type for column in plan.columns}
    for row, field in zip(rows, schema, strict=True):
        source = source_of(field)
        assert source is not None
        same = declared.get(field.name) == source.type
        assert row.verdict == (Verdict.EXACT if same else Verdict.TAGGED), row.postgresql


def warehouse_of(database: Database) -> Datastore:
    config = config_of(database.owner)
    fields = {one.name: getattr(config, one.name) for one in dataclasses.fields(config)}
    return Datastore(type="azure_postgresql", **fields)


def test_a_table_goes_to_files_and_comes_back(database: Database, tmp_path: Path) -> None:
    database.run(SHOP)
    database.run(
        "CREATE TYPE pair AS (a integer, b text); ALTER TABLE source ADD one pair, "
        "ADD several pair[], ADD at timetz, ADD paid money, ADD ats timetz[]; "
        "UPDATE source SET one = (1, NULL), several = array[(2, 'x')::pair, NULL], "
        "at = '12:00-01', paid = '$-1.25', ats = '{00:00:00.000001+15:59:59}' WHERE id = 1"
    )
    with warehouse_of(database) as warehouse, Datastore(type="local", path=str(tmp_path)) as lake:
        for name in ("file.parquet", "file.arrow", "file.jsonl", "file.csv"):
            copy(warehouse / "public/source", lake / name)
            copy(lake / name, warehouse / "public/copy")
            differ = "SELECT * FROM {} EXCEPT ALL SELECT * FROM {}"
            for one, two in (("source", "copy"), ("copy", "source")):
                assert database.run(differ.format(one, two)) == [], name
            declared = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.{}'::regclass AND attnum > 0 ORDER BY attnum"
            assert database.run(declared.format("source")) == database.run(declared.format("copy"))
            database.run("DROP TABLE copy")


def test_a_numeric_without_precision_becomes_a_decimal_if_it_fits(
    database: Database, tmp_path: Path
) -> None:
    database.run("CREATE TABLE source AS SELECT '12345678901234567890.1234567890'::numeric AS n")
    with warehouse_of(database) as warehouse, Datastore(type="local", path=str(tmp_path)) as lake:
        copy(warehouse / "public/source", lake / "n.parquet", types={"n": "decimal(38,10)"})
        [found] = lake.scan("n.parquet").to_arrow()["n"].to_pylist()
        assert found == Decimal("12345678901234567890.1234567890")
        for value in ("NaN", "0.00000000001", "1e28", "-Infinity"):
            database.run("INSERT INTO source VALUES (%s::numeric)", (value,))
            with pytest.raises(DataError, match="'n', row 2"):
                copy(warehouse / "public/source", lake / "m.parquet", types={"n": "decimal(38,10)"})
            database.run("DELETE FROM source WHERE n = %s::numeric", (value,))
