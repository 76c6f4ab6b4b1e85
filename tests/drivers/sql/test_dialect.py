# the SQL is built by what is tested
from __future__ import annotations

import duckdb
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from datastores.drivers.sql.dialect import Dialect, literal
from datastores.drivers.sql.statements import Publish, SQLColumn, create_table, duplicate_keys
from datastores.errors import ConfigurationError
from datastores.values import TableName, WriteMode

DIALECT = Dialect(engine="test", max_identifier_bytes=63)
BRACKETS = Dialect(engine="test", quote=("[", "]"))
TABLE = TableName('or"ders', "my.schema")


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=15))
def test_a_quoted_name_means_exactly_this_name(name: str) -> None:
    assume("\0" not in name)
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE t ({DIALECT.identifier(name)} INTEGER)")
        found = connection.execute(
            f"SELECT column_name, {literal(name)} FROM duckdb_columns() WHERE table_name = 't'"
        ).fetchall()
    assert found == [(name, name)]


@pytest.mark.parametrize("name", ["", "a\0b", "ä" * 32])
def test_a_name_that_would_change_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError):
        DIALECT.identifier(name)


def test_the_closing_quote_is_doubled() -> None:
    assert DIALECT.identifier('a"b') == '"a""b"'
    assert BRACKETS.identifier("a[b]c") == "[a[b]]c]"
    assert DIALECT.table(TABLE) == '"my.schema"."or""ders"'
    assert DIALECT.table(TableName("t")) == '"t"'
    assert DIALECT.identifier("ä" * 31) == '"' + "ä" * 31 + '"'


def test_statements_of_each_mode() -> None:
    columns = (SQLColumn(name="id", type="INT", nullable=False), SQLColumn(name="v", type="TEXT"))
    table = TableName("t")
    assert create_table(table, columns, ("id",), DIALECT) == (
        'CREATE TABLE "t" ("id" INT NOT NULL, "v" TEXT, PRIMARY KEY ("id"))'
    )

    def publish(mode: WriteMode, keys: tuple[str, ...] = ()) -> Publish:
        return Publish(table=table, columns=("id", "v"), mode=mode, keys=keys, partition_by=("v",))

    assert publish(WriteMode.APPEND).clear("p", DIALECT) is None
    assert publish(WriteMode.REPLACE).clear("p", DIALECT) == 'DELETE FROM "t"'
    assert publish(WriteMode.REPLACE_PARTITIONS).clear("p", DIALECT) == (
        'DELETE FROM "t" AS target WHERE EXISTS '
        '(SELECT 1 FROM p AS incoming WHERE target."v" IS NOT DISTINCT FROM incoming."v")'
    )
    assert publish(WriteMode.APPEND).insert("SELECT 1", DIALECT) == (
        'INSERT INTO "t" ("id", "v") SELECT 1'
    )
    assert publish(WriteMode.UPSERT, ("id",)).insert("SELECT 1", DIALECT) == (
        'INSERT INTO "t" ("id", "v") SELECT 1 ON CONFLICT ("id") DO UPDATE SET "v" = excluded."v"'
    )
    assert (
        publish(WriteMode.UPSERT, ("id", "v"))
        .insert("SELECT 1", DIALECT)
        .endswith('ON CONFLICT ("id", "v") DO NOTHING')
    )


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([(1, "a"), (1, "b")], None),
        ([(1, "a"), (1, "a")], (1, "a")),
        ([(1, "a"), (2, None)], (2, None)),
    ],
)
def test_duplicate_keys_are_found_by_value(
    rows: list[tuple[int, str | None]], found: tuple[int, str | None] | None
) -> None:
    data = pa.table({"a": [one for one, _ in rows], "b": [other for _, other in rows]})
    with duckdb.connect() as connection:
        connection.register("data", data)
        sql = duplicate_keys("SELECT * FROM data", ("a", "b"), DIALECT)
        assert connection.execute(sql).fetchone() == found
