"""Columns that are not those of PostgreSQL's table: which types widen, and that nothing else changes."""

from __future__ import annotations

import dataclasses
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datastores import Datastore, copy, plan_copy
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.writing import DriftKind, WriteRequest
from datastores.errors import (
    ConflictError,
    PermissionDeniedError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.testing.table_case import read, write
from datastores.values import Drift, TableName, Unfit, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database, Login, PostgreSQL

ORDERS = TableName("orders", "public")
CATALOGUE = (Path(__file__).parents[2] / "examples" / "shop" / "catalogue.sql").read_bytes()
either_way = pytest.mark.parametrize("parts", [None, 1], ids=["staged", "one part"])

# Of a column: the table's type, the source's, how that differs, and the type once it has evolved.
TYPES = [
    ("smallint", "bigint", "widened", "bigint"),
    ("integer", "numeric(12,2)", "widened", "numeric(12,2)"),
    ("bigint", "numeric", "widened", "numeric"),
    ("numeric(10,2)", "numeric(12,2)", "widened", "numeric(12,2)"),
    ("numeric(10,2)", "numeric(12,3)", "widened", "numeric(12,3)"),
    ("numeric(10,2)", "numeric(10,3)", "changed", "numeric(10,2)"),
    ("real", "double precision", "widened", "double precision"),
    ("varchar(5)", "varchar(9)", "widened", "character varying(9)"),
    ("varchar(5)", "text", "widened", "text"),
    ("varchar", "text", None, "character varying"),
    ("char(3)", "varchar(9)", "changed", "character(3)"),
    ("varchar(5)", "char(3)", "changed", "character varying(5)"),
    ("bit varying(3)", "bit varying(9)", "widened", "bit varying(9)"),
    ("timestamp(0)", "timestamp(3)", "widened", "timestamp(3) without time zone"),
    ("timestamptz(3)", "timestamptz", "widened", "timestamp with time zone"),
    ("timestamp", "timestamp(6)", None, "timestamp without time zone"),
    ("time(0)", "time", "widened", "time without time zone"),
    ("json", "jsonb", "changed", "json"),
    ("integer[]", "bigint[]", "widened", "bigint[]"),
    ("bigint", "integer", "narrowed", "bigint"),
    ("text", "varchar(5)", "narrowed", "text"),
    ("numeric(3,-2)", "numeric(5,0)", "widened", "numeric(5,0)"),
    ("numeric(5,0)", "numeric(3,-2)", "narrowed", "numeric(5,0)"),
    ("numeric", "numeric(10,2)", "narrowed", "numeric"),
    ("uuid", "uuid", None, "uuid"),
]
VALUES = {
    "json": "'{}'",
    "uuid": "'00000000-0000-0000-0000-000000000001'",
    "bit": "'101'",
    "time": "'2026-01-02 03:04:05'",
    "char": "'abc'",
    "varchar": "'abc'",
    "text": "'abc'",
    "numeric(3,-2)": "700",
    "numeric(5,0)": "700",
}


def value_of(type_: str) -> str:
    """Return an SQL value that each side's type holds."""
    text = next((one for name, one in VALUES.items() if type_.startswith(name)), "7")
    return f"'{{{text}}}'" if type_.endswith("[]") else text


def store_of(login: Login) -> Datastore:
    config = config_of(login)
    fields = {one.name: getattr(config, one.name) for one in dataclasses.fields(config)}
    return Datastore(type="azure_postgresql", **{k: v for k, v in fields.items() if v is not None})


@pytest.fixture
def store(database: Database) -> Iterator[Datastore]:
    with store_of(database.owner) as store:
        yield store


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def catalogue(database: Database) -> set[Any]:
    """Return all that hangs on tables; an index that was built anew is the same but for its number."""
    with database.owner.connect() as connection:
        rows = connection.execute(CATALOGUE, {"schema": "public"}).fetchall()
    return {(kind, name, re.sub(r"^\d+ \| ", "", fact)) for kind, name, fact in rows}


def types_of(database: Database, table: str = "orders") -> list[str]:
    return [
        type_
        for (type_,) in database.run(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            (table,),
        )
    ]


def evolving(data: pa.Table, **options: Any) -> WriteRequest:
    return WriteRequest(
        table=ORDERS, schema=data.schema, mode=WriteMode.APPEND, drift=Drift.EVOLVE, **options
    )


def columns(types: list[str]) -> str:
    return ", ".join(f"c{at} {type_}" for at, type_ in enumerate(types))


def test_which_types_widen(database: Database, store: Datastore) -> None:
    there, given = [row[0] for row in TYPES], [row[1] for row in TYPES]
    values = ", ".join(map(value_of, given))
    database.run(f"CREATE TABLE orders ({columns(there)}); INSERT INTO orders VALUES ({values})")
    database.run(f"CREATE TABLE source ({columns(given)}); INSERT INTO source VALUES ({values})")
    ends = store / "public/source", store / "public/orders"
    kinds = {row: kind for row, (_, _, kind, _) in enumerate(TYPES) if kind is not None}
    with pytest.raises(SchemaMismatchError) as caught:
        copy(*ends, mode="append", drift="refuse")
    for at, kind in kinds.items():
        assert f"'c{at}' is {kind} from" in caught.value.message
    plan = plan_copy(*ends, mode="append", drift="evolve")
    assert {int(one.column[1:]): one.kind for one in plan.drifted} == kinds
    assert len(plan.statements) == sum(kind == DriftKind.WIDENED for kind in kinds.values())
    report = copy(*ends, mode="append", drift="evolve")
    assert report.plan.drifted == plan.drifted
    assert types_of(database) == [row[3] for row in TYPES]
    first, second = database.run("SELECT * FROM orders")
    assert first == second


def test_a_copy_that_alters_its_target_is_verified(database: Database, store: Datastore) -> None:
    database.run(
        "CREATE TABLE orders (id bigint, half real); INSERT INTO orders VALUES (1, 0.5), (2, NULL);"
        "CREATE TABLE source (id numeric, half double precision, extra text);"
        "INSERT INTO source VALUES (3.25, 0.1, 'x'), (4, 1e300, NULL)"
    )
    ends = store / "public/source", store / "public/orders"
    report = copy(*ends, mode="append", drift="evolve", verify=True, workers=2)
    assert report.digest is not None
    assert types_of(database) == ["numeric", "double precision", "text"]
    assert database.run("SELECT count(*), sum(id) FROM orders") == [(4, Decimal("10.25"))]


def test_an_added_column_is_as_create_would_make_it(database: Database, store: Datastore) -> None:
    database.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE DOMAIN positive AS integer CHECK (VALUE > 0);"
        "CREATE TABLE orders (id bigint); INSERT INTO orders VALUES (1);"
        "CREATE TABLE source (id bigint, mood mood, code char(3), of_domain positive, n numeric NOT NULL);"
        "INSERT INTO source VALUES (2, 'sad', 'ab', 3, 1.50)"
    )
    copy(store / "public/source", store / "public/orders", mode="append", drift="evolve")
    assert types_of(database) == ["bigint", "mood", "character(3)", "positive", "numeric"]
    assert database.run("SELECT * FROM orders ORDER BY id") == [
        (1, None, None, None, None),
        *database.run("SELECT * FROM source"),
    ]
    tagged = pa.table({"id": [3], "small": pa.array([7], pa.uint8())})
    store.write_table("orders", tagged, mode="append", drift="evolve")
    assert store.schema("orders").field("small").type == pa.uint8()


def test_an_enum_that_is_missing_is_created_with_its_column(
    database: Database, store: Datastore, tmp_path: Path
) -> None:
    database.run(
        "CREATE TYPE mood AS ENUM ('sad', 'happy'); CREATE TABLE source (id bigint, mood mood);"
        "INSERT INTO source VALUES (2, 'sad'); CREATE TABLE orders (id bigint)"
    )
    with Datastore(type="local", path=str(tmp_path)) as files:
        copy(store / "public/source", files / "moods.parquet")
        database.run("DROP TABLE source; DROP TYPE mood")
        copy(files / "moods.parquet", store / "public/orders", mode="append", drift="evolve")
    assert types_of(database) == ["bigint", "mood"]


LIVELY = """
CREATE TABLE orders (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    word varchar(5) COLLATE "C" NOT NULL DEFAULT 'none' CHECK (word <> ''),
    number serial UNIQUE,
    size bigint GENERATED ALWAYS AS (id * 2) STORED
);
INSERT INTO orders (word) VALUES ('a');
CREATE INDEX by_word ON orders (word);
COMMENT ON COLUMN orders.word IS 'in a word';
CREATE VIEW numbers AS SELECT id, number FROM orders;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
GRANT SELECT (word), INSERT ON orders TO {clerk};
"""


@either_way
@pytest.mark.parametrize("mode", [WriteMode.APPEND, WriteMode.REPLACE, WriteMode.UPSERT])
def test_nothing_else_of_a_table_changes(
    database: Database, driver: AzurePostgreSQLDriver, mode: WriteMode, parts: int | None
) -> None:
    database.run(LIVELY.replace("{clerk}", f'"{database.clerk.username}"'))
    before = catalogue(database)
    data = pa.table({"id": [7], "word": ["longer than five"], "extra": [1.5]})
    keys = ("id",) if mode == WriteMode.UPSERT else ()
    write(driver, ORDERS, data, mode, drift=Drift.EVOLVE, keys=keys, parts=parts)
    added, *words = sorted(catalogue(database) ^ before)
    assert added[:2] == ("column", "orders.extra")
    # The server prints its CHECK with a cast less.
    names = ["orders.word", "orders.word", *["orders.orders_word_check"] * 2]
    assert [name for _, name, _ in words] == names
    assert words[1][2] == words[0][2].replace("character varying(5)", "text", 1)
    [(word, extra, number)] = database.run("SELECT word, extra, number FROM orders WHERE id = 7")
    assert (word, extra) == ("longer than five", 1.5)
    assert number == 2
    assert database.run(
        "SELECT collation_name FROM information_schema.columns WHERE column_name = 'word'"
    )
    assert not staged(database)


def test_a_view_keeps_the_type_of_its_column(database: Database, store: Datastore) -> None:
    database.run("CREATE TABLE orders (id integer); CREATE VIEW ids AS SELECT id FROM orders")
    wide = pa.table({"id": [1 << 40]})
    with pytest.raises(
        PreconditionFailedError, match=r"view ids uses column 'id'.*drift=\"ignore\""
    ):
        store.write_table("orders", wide, mode="append", drift="evolve")
    store.write_table("orders", pa.table({"id": [1]}), mode="append", drift="ignore")
    assert types_of(database) == ["integer"]


@either_way
def test_what_the_server_refuses_leaves_the_old_table(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    database.run(
        "CREATE TABLE orders (id integer); INSERT INTO orders VALUES (1);"
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
        "CREATE TRIGGER touched BEFORE UPDATE OF id ON orders EXECUTE FUNCTION touch()"
    )
    before = catalogue(database)
    data = pa.table({"id": [1 << 40], "extra": ["x"]})
    with pytest.raises(UnsupportedOperationError, match=r"trigger touched.*depends on column"):
        write(driver, ORDERS, data, WriteMode.APPEND, drift=Drift.EVOLVE, parts=parts)
    assert catalogue(database) == before
    assert database.run("SELECT * FROM orders") == [(1,)]
    assert not staged(database)


@either_way
def test_rows_that_are_refused_leave_the_old_columns(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    database.run("CREATE TABLE orders (id bigint CHECK (id < 9)); INSERT INTO orders VALUES (1)")
    before = catalogue(database)
    data = pa.table({"id": [9], "extra": ["x"]})
    with pytest.raises(PreconditionFailedError, match="orders_id_check"):
        write(driver, ORDERS, data, WriteMode.REPLACE, drift=Drift.EVOLVE, parts=parts)
    assert catalogue(database) == before
    assert database.run("SELECT * FROM orders") == [(1,)]


def test_only_its_owner_alters_a_table(database: Database) -> None:
    database.run(
        f'CREATE TABLE orders (id bigint); GRANT INSERT ON orders TO "{database.clerk.username}"'
    )
    data = pa.table({"id": [1], "extra": ["x"]})
    with store_of(database.clerk) as store:
        with pytest.raises(PermissionDeniedError, match=r"no right to alter orders.*GRANT .* TO"):
            store.write_table("orders", data, mode="append", drift="evolve")
        store.write_table("orders", data, mode="append", drift="ignore")
    assert database.run("SELECT * FROM orders") == [(1,)]


def test_a_default_is_what_rows_get_that_bring_no_value(
    database: Database, store: Datastore
) -> None:
    database.run(
        "CREATE TABLE orders (id bigint, day date NOT NULL DEFAULT '2026-01-01', n serial)"
    )
    data = pa.table({"id": [1]})
    report = copy(_written(store, data), store / "public/orders", mode="append", drift="ignore")
    assert [one.outcome for one in report.plan.drifted] == ["its default in new rows"] * 2
    assert database.run("SELECT id, day::text, n FROM orders") == [(1, "2026-01-01", 1)]


def test_what_is_left_out_is_not_even_read(database: Database, store: Datastore) -> None:
    database.run(
        "CREATE TABLE orders (id bigint); CREATE TABLE source (id bigint, day date);"
        "INSERT INTO source VALUES (1, 'infinity'), (2, NULL)"
    )
    report = copy(
        *(store / "public/source", store / "public/orders"),
        mode="append",
        drift="ignore",
        rename={"day": "extra"},
        on_unfit={"extra": "reject"},
        filters=[("day", "is not null")],
        verify=True,
    )
    assert (report.rows, report.unfit) == (1, Unfit())


def _written(store: Datastore, data: pa.Table) -> Any:
    store.write_table("source", data)
    return store / "public/source"


def test_writes_at_once_add_the_same_column(database: Database) -> None:
    database.run("CREATE TABLE orders (id integer)")
    data = pa.table({"id": [1 << 40], "extra": ["x"]})
    together = threading.Barrier(4)

    def written(parts: int | None) -> None:
        with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
            session = driver.begin(evolving(data, parts=parts))
            receipt = session.write("0", data.to_reader())
            together.wait(30)
            session.publish([receipt])
            session.discard()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(written, [None, 1, None, 1]))
    assert database.run("SELECT id, extra, count(*) FROM orders GROUP BY 1, 2") == [
        (1 << 40, "x", 4)
    ]
    assert not staged(database)


@either_way
def test_of_two_types_for_a_column_one_wins(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    database.run("CREATE TABLE orders (id integer)")
    first, second = (pa.table({"id": [1], "extra": [one]}) for one in ("x", 1.5))
    sessions = [driver.begin(evolving(one, parts=parts)) for one in (first, second)]
    receipts = [
        session.write("0", one.to_reader())
        for session, one in zip(sessions, (first, second), strict=True)
    ]
    sessions[0].publish([receipts[0]])
    with pytest.raises(ConflictError, match=r"orders was altered.*'extra'"):
        sessions[1].publish([receipts[1]])
    for session in sessions:
        session.discard()
    assert read(driver, ORDERS).to_pylist() == [{"id": 1, "extra": "x"}]
    assert not staged(database)


def test_a_foreign_table_is_not_altered(database: Database, postgresql: PostgreSQL) -> None:
    admin = replace(postgresql.admin, database=database.owner.database)
    with admin.connect() as connection:
        connection.execute(
            b"CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
            b"CREATE FOREIGN TABLE orders (id integer) SERVER files OPTIONS (program 'seq 3');"
            + f'ALTER FOREIGN TABLE orders OWNER TO "{database.owner.username}"'.encode()
        )
    with (
        AzurePostgreSQLDriver(config_of(database.owner)) as driver,
        pytest.raises(UnsupportedOperationError, match="foreign table"),
    ):
        driver.plan_write(evolving(pa.table({"id": [1], "extra": ["x"]})))
