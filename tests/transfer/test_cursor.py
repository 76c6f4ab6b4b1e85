"""Copies by cursor: each takes what the ones before it have not, once, whatever the column's type."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import datastores
from datastores import Workspace
from datastores.datastore import StorePath
from datastores.errors import (
    ConfigurationError,
    DataError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.transfer import CopyReport
from tests.services.postgresql import Database

# In the words of both databases: three values, ascending, that a float or a second does not tell apart.
CURSORS = {
    "bigint": ("9007199254740992", "9007199254740993", "9007199254740994"),
    "numeric(38, 10)": ("1.0000000001", "1.0000000002", "1.1"),
    "timestamp": (
        "2026-05-01 00:00:00.000001",
        "2026-05-01 00:00:00.000002",
        "2026-05-01 00:00:01",
    ),
    "timestamptz": (
        "2026-05-01 00:00:00.000001+00",
        "2026-05-01 00:00:00.000002+00",
        "2026-05-01 00:00:01+00",
    ),
    "uuid": (
        "00000000-0000-0000-0000-000000000001",
        "7fffffff-0000-0000-0000-000000000000",
        "80000000-0000-0000-0000-000000000000",
    ),
    "text": ("", "a'b", "b\\"),
    "date": ("2026-05-01", "2026-05-02", "2026-05-03"),
    "double precision": ("-1e300", "0.1", "0.30000000000000004"),
}
DATABASES = ("azure_postgresql", "duckdb")
TARGETS = (*DATABASES, "local")


@dataclass(frozen=True)
class Stores:
    """A store of each kind, and SQL in two of them."""

    workspace: Workspace
    statements: dict[str, Callable[[str], object]]

    def run(self, kind: str, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        for one in statements:
            self.workspace[kind].close()
            self.statements[kind](one)

    def place(self, kind: str, name: str) -> StorePath:
        """Return a table in a store."""
        schema = {"azure_postgresql": "public/", "duckdb": "main/"}
        path = f"{schema[kind]}{name}" if kind in schema else f"{name}/"
        return self.workspace[kind] / path

    def ids(self, kind: str, name: str) -> list[int]:
        """Return the ids in a table, in order."""
        path = self.place(kind, name).path
        table = path.replace("/", ".") if kind in DATABASES else path
        return sorted(self.workspace[kind].scan(table).to_arrow()["id"].to_pylist())


@pytest.fixture
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    """Of PostgreSQL only where a test is for it, since a database takes a while."""
    file = tmp_path / "t.duckdb"
    described: dict[str, Any] = {
        "duckdb": {"type": "duckdb", "path": str(file)},
        "local": {"type": "local", "path": str(tmp_path / "files")},
    }

    def in_duckdb(statement: str) -> None:
        with duckdb.connect(file) as connection:
            connection.execute(statement)

    statements: dict[str, Callable[[str], object]] = {"duckdb": in_duckdb}
    if "azure_postgresql" in request.node.name:
        database: Database = request.getfixturevalue("database")
        login, statements["azure_postgresql"] = database.owner, database.run
        described["azure_postgresql"] = {
            "type": "azure_postgresql",
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": login.password},
        }
    with Workspace.from_mapping({"datastores": described}) as workspace:
        yield Stores(workspace, statements)


def copied(stores: Stores, source: str, target: str, **options: Any) -> CopyReport:
    """Copy the orders by their cursor, unless another is named."""
    words = {"mode": "create_append", "cursor": "changed", **options}
    return datastores.copy(stores.place(source, "orders"), stores.place(target, "copies"), **words)


def filled(stores: Stores, source: str, *rows: tuple[int, int | None]) -> None:
    """Add orders: an id, and when it was changed."""
    listed = ", ".join(f"({one}, {'NULL' if at is None else at})" for one, at in rows)
    statements = [
        "CREATE TABLE IF NOT EXISTS orders (id integer PRIMARY KEY, changed bigint)",
        f"INSERT INTO orders VALUES {listed}",
    ]
    stores.run(source, *statements)


@pytest.mark.parametrize("type_", CURSORS)
@pytest.mark.parametrize("source", DATABASES)
def test_each_copy_takes_what_is_new(stores: Stores, source: str, type_: str) -> None:
    low, middle, high = (f"'{one.replace(chr(39), chr(39) * 2)}'" for one in CURSORS[type_])
    target = "duckdb" if source == "azure_postgresql" else "local"
    stores.run(
        source,
        f"CREATE TABLE orders (id integer, changed {type_})",
        f"INSERT INTO orders VALUES (1, {low}), (2, {middle})",
    )
    assert copied(stores, source, target).rows == 2
    assert copied(stores, source, target).rows == 0
    stores.run(source, f"INSERT INTO orders VALUES (3, {high}), (4, {high})")
    assert copied(stores, source, target).rows == 2
    again = copied(stores, source, target)
    assert (again.rows, again.bytes_written, again.parts) == (0, 0, 0)
    assert "nothing new: changed is at" in str(again)
    assert stores.ids(target, "copies") == [1, 2, 3, 4]


@pytest.mark.parametrize(("source", "target"), [("duckdb", one) for one in TARGETS])
def test_every_kind_of_target_remembers(stores: Stores, source: str, target: str) -> None:
    filled(stores, source, (1, 10), (2, 20))
    assert copied(stores, source, target, verify=True).rows == 2
    filled(stores, source, (3, 30), (4, 15))
    report = copied(stores, source, target, verify=True)
    # What comes below the greatest value that was taken is not new.
    assert report.rows == 1
    assert report.plan.cursor == "changed above 20 up to 30"
    assert stores.ids(target, "copies") == [1, 2, 3]


@pytest.mark.parametrize("target", TARGETS)
def test_rows_of_files_are_new_by_a_column(stores: Stores, target: str) -> None:
    orders = stores.place("local", "orders")
    values = pa.array([10, 2**53, 2**53 + 1], pa.int64())
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "changed": values})
    files = stores.workspace["local"]
    files.write_table(orders.path, rows.slice(0, 2))
    assert copied(stores, "local", target).rows == 2
    files.write_table(orders.path, rows.slice(2), mode="append")
    plan = datastores.plan_copy(
        orders, stores.place(target, "copies"), mode="append", cursor="changed"
    )
    # The first file's statistics say that nothing in it is new.
    assert plan.rows is None
    assert copied(stores, "local", target).rows == 1
    assert copied(stores, "local", target).rows == 0
    assert stores.ids(target, "copies") == [1, 2, 3]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1_000_001, 1_000_002], pa.timestamp("us")),
        pa.array([1_000_001, 1_000_002], pa.timestamp("us", "UTC")),
        pa.array([1_000_000_001, 1_000_000_002], pa.timestamp("ns")),
        pa.array([1, 2], pa.date32()),
        pa.array(["1.10", "1.11"]).cast(pa.decimal128(30, 2)),
        pa.array(["a", "ü"]),
        pa.array([0.1, 0.30000000000000004]),
    ],
    ids=lambda one: str(one.type),
)
def test_the_types_of_cursors_in_files(stores: Stores, values: pa.Array) -> None:
    rows = pa.table({"id": [1, 2], "changed": values})
    files = stores.workspace["local"]
    files.write_table("orders/", rows.slice(0, 1))
    assert copied(stores, "local", "duckdb").rows == 1
    files.write_table("orders/", rows.slice(1), mode="append")
    assert copied(stores, "local", "duckdb").rows == 1
    assert copied(stores, "local", "duckdb").rows == 0
    assert stores.ids("duckdb", "copies") == [1, 2]


@pytest.mark.parametrize("source", ["azure_postgresql", "local"])
def test_a_type_without_an_order_is_no_cursor(stores: Stores, source: str) -> None:
    if source == "local":
        stores.workspace[source].write_table("orders/", pa.table({"changed": [{"a": 1}]}))
    else:
        stores.run(source, "CREATE TABLE orders AS SELECT '{}'::json AS changed")
    with pytest.raises(SchemaMismatchError, match="changed"):
        copied(stores, source, "duckdb")


@pytest.mark.parametrize("source", [*DATABASES, "local"])
def test_rows_without_a_value_are_refused_and_counted(stores: Stores, source: str) -> None:
    if source == "local":
        rows = pa.table({"id": [1, 2, 3], "changed": [10, None, None]})
        stores.workspace["local"].write_table("orders/", rows)
    else:
        filled(stores, source, (1, 10), (2, None), (3, None))
    with pytest.raises(DataError, match="NULL in 2 rows") as caught:
        copied(stores, source, "duckdb")
    assert "('changed', 'is not null')" in str(caught.value.advice)
    assert copied(stores, source, "duckdb", filters=[("changed", "is not null")]).rows == 1
    if source == "local":
        stores.workspace["local"].write_table("orders/", rows.slice(1, 1), mode="append")
    else:
        filled(stores, source, (4, None))
    # A later one is found though no value is new.
    with pytest.raises(DataError, match="NULL in 3 rows"):
        copied(stores, source, "duckdb")


@pytest.mark.parametrize("source", [*DATABASES, "local"])
@pytest.mark.parametrize("value", ["NaN", "infinity"])
def test_a_value_above_all_others_is_refused(stores: Stores, source: str, value: str) -> None:
    if source == "local":
        rows = pa.table({"id": [1, 2], "changed": [1.0, float(value)]})
        stores.workspace["local"].write_table("orders/", rows)
    else:
        values = f"SELECT 1 AS id, CAST('{value}' AS double precision) AS changed"
        stores.run(source, f"CREATE TABLE orders AS {values}")
    with pytest.raises(DataError, match=r"(?i)nan|inf"):
        copied(stores, source, "duckdb")


@pytest.mark.parametrize(("source", "target"), [DATABASES, DATABASES[::-1]])
def test_an_upsert_takes_the_greatest_value_again(stores: Stores, source: str, target: str) -> None:
    filled(stores, source, (1, 10), (2, 20))
    words = {"mode": "upsert", "keys": ["id"]}
    stores.run(target, "CREATE TABLE copies (id integer PRIMARY KEY, changed bigint)")
    assert copied(stores, source, target, **words).rows == 2
    filled(stores, source, (3, 20))
    # Nothing is greater yet: it comes with the next that is.
    assert copied(stores, source, target, **words).rows == 0
    filled(stores, source, (4, 30))
    assert copied(stores, source, target, **words).rows == 3
    stores.run(source, "UPDATE orders SET changed = 40 WHERE id = 1")
    assert copied(stores, source, target, **words).rows == 2
    assert stores.ids(target, "copies") == [1, 2, 3, 4]


@pytest.mark.parametrize("source", [*DATABASES, "local"])
def test_rows_that_come_while_it_runs_are_the_next_ones(stores: Stores, source: str) -> None:
    def add(*rows: int) -> None:
        if source == "local":
            table = pa.table({"id": pa.array(rows, pa.int32()), "changed": rows})
            stores.workspace["local"].write_table("orders/", table, mode="create_append")
        else:
            stores.statements[source](
                "INSERT INTO orders VALUES " + ", ".join(f"({one}, {one})" for one in rows)
            )

    if source != "local":
        stores.run(source, "CREATE TABLE orders (id integer, changed bigint)")
    add(1, 2)
    report = copied(stores, source, "local", on_plan=lambda _: add(3, 4))
    assert report.rows == 2
    assert copied(stores, source, "local").rows == 2
    assert stores.ids("local", "copies") == [1, 2, 3, 4]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_that_is_gone_or_replaced_begins_anew(stores: Stores, target: str) -> None:
    filled(stores, "duckdb", (1, 10), (2, 20))
    assert copied(stores, "duckdb", target).rows == 2
    if target == "local":
        stores.workspace["local"].filesystem.rm("copies", recursive=True)
    else:
        stores.run(target, "DROP TABLE copies")
    assert copied(stores, "duckdb", target).rows == 2
    assert copied(stores, "duckdb", target, mode="replace").rows == 2
    assert copied(stores, "duckdb", target).rows == 0
    assert stores.ids(target, "copies") == [1, 2]


@pytest.mark.parametrize("target", TARGETS)
def test_of_two_copies_at_once_one_is_refused(stores: Stores, target: str) -> None:
    filled(stores, "duckdb", (1, 10))
    copied(stores, "duckdb", target)
    filled(stores, "duckdb", (2, 20))

    def meanwhile(_: Any) -> None:
        assert copied(stores, "duckdb", target, job="other").rows == 1

    with pytest.raises(PreconditionFailedError, match="meanwhile"):
        copied(stores, "duckdb", target, on_plan=meanwhile)
    assert copied(stores, "duckdb", target).rows == 0
    assert stores.ids(target, "copies") == [1, 2]


@pytest.mark.parametrize("source", DATABASES)
def test_other_rows_and_other_targets_have_a_bookmark_each(stores: Stores, source: str) -> None:
    filled(stores, source, (1, 10), (2, 20))
    low, high = [("id", "<", 2)], [("id", ">=", 2)]
    for filters in (low, high):
        assert copied(stores, source, "duckdb", filters=filters).rows == 1
    assert copied(stores, source, "local").rows == 2
    query = stores.workspace[source].query("select * from orders")
    end = stores.place("local", "queried")
    assert datastores.copy(query, end, cursor="changed", columns=["id"]).rows == 2
    words: Any = {"cursor": "changed", "columns": ["id"]}
    assert datastores.copy(query, end, mode="append", **words).rows == 0


def test_a_cursor_of_another_type_is_refused(stores: Stores) -> None:
    filled(stores, "duckdb", (1, 10))
    copied(stores, "duckdb", "local")
    stores.run("duckdb", "ALTER TABLE orders ALTER changed TYPE varchar")
    with pytest.raises(ConfigurationError, match="was BIGINT and is VARCHAR") as caught:
        copied(stores, "duckdb", "local", types={"changed": "int64"})
    assert 'mode="replace"' in str(caught.value.advice)


def test_what_leaves_open_which_rows_come_next_is_refused(stores: Stores) -> None:
    filled(stores, "duckdb", (1, 10))
    with pytest.raises(ConfigurationError, match="replace_partitions"):
        copied(stores, "duckdb", "local", mode="replace_partitions", partition_by=["id"])
    limited = stores.workspace["duckdb"].scan("orders", limit=1)
    with pytest.raises(ConfigurationError, match="limit"):
        datastores.copy(limited, stores.place("local", "copies"), cursor="changed")
    with pytest.raises(SchemaMismatchError, match="nowhere"):
        copied(stores, "duckdb", "local", cursor="nowhere")
    query = stores.workspace["local"].query("select 1 as id")
    with pytest.raises(UnsupportedOperationError, match="cursor"):
        datastores.copy(query, stores.place("duckdb", "copies"), cursor="id")


@pytest.mark.parametrize("source", ["azure_postgresql"])
def test_a_copy_that_goes_on_ends_where_it_was_to_end(stores: Stores, source: str) -> None:
    stores.run(
        source,
        "CREATE TABLE orders (id integer, changed bigint, word text)",
        "INSERT INTO orders SELECT n, n, repeat('x', 500) FROM generate_series(1, 2000) AS n",
        "ANALYZE orders",
    )

    def stop(part: Any) -> None:
        if part.done and part.rows:
            signal.raise_signal(signal.SIGINT)

    words = {"workers": 4}
    with pytest.raises(KeyboardInterrupt):
        copied(stores, source, "local", progress=stop, **words)
    stores.run(source, "INSERT INTO orders VALUES (2001, 2001)")
    report = copied(stores, source, "local", **words)
    assert report.parts_kept >= 1
    assert report.plan.cursor == "changed from the beginning up to 2000"
    assert copied(stores, source, "local", **words).rows == 1
    assert stores.ids("local", "copies") == list(range(1, 2002))
