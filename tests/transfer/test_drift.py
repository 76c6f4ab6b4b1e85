"""Copies into targets whose columns are others: what plan and report say, and folders that grow columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from datastores import Datastore, Workspace, copy, copy_all, plan_copy
from datastores.datastore import StorePath
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    ConfigurationError,
    ConflictError,
    DataError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.testing.arrow import assert_same_table
from datastores.values import Drift, TableName, WriteMode

from .conftest import staging_of

OLD = pa.table({"id": pa.array([1, 2], pa.int32()), "word": ["a", None], "gone": [1.5, 2.5]})
NEW = pa.table({"id": [3, 1 << 40], "word": ["c", "d"], "extra": [True, None]})
GROWN = pa.table(
    {
        "id": [1, 2, 3, 1 << 40],
        "word": ["a", None, "c", "d"],
        "gone": [1.5, 2.5, None, None],
        "extra": [None, None, True, None],
    }
)
OUTCOMES = {
    "ignore": {
        "id": ("widened", "stays INTEGER; each value is checked to fit"),
        "extra": ("added", "left out"),
        "gone": ("dropped", "NULL in new rows"),
    },
    "evolve": {
        "id": ("widened", "becomes BIGINT"),
        "extra": ("added", "the table gets it as BOOLEAN"),
        "gone": ("dropped", "stays, NULL in new rows"),
    },
}


@pytest.fixture
def ends(workspace: Workspace) -> tuple[StorePath, StorePath]:
    """Rows in files, and a table of DuckDB that has other columns."""
    workspace["files"].write_table("new.parquet", NEW)
    workspace["warehouse"].write_table("main.orders", OLD)
    return workspace["files"] / "new.parquet", workspace["warehouse"] / "main/orders"


@pytest.mark.parametrize("policy", ["ignore", "evolve"])
def test_plan_and_report_say_what_becomes_of_each_column(
    ends: tuple[StorePath, StorePath], policy: str
) -> None:
    source, target = ends
    words: Any = {"mode": "append", "drift": policy, "filters": [("id", "<", 9)]}
    plan = plan_copy(source, target, **words)
    assert {one.column: (str(one.kind), one.outcome) for one in plan.drifted} == OUTCOMES[policy]
    altering = [one for one in plan.statements if one.startswith("ALTER TABLE")]
    assert len(altering) == (2 if policy == "evolve" else 0)
    report = copy(source, target, verify=True, **words)
    lines = [
        f"drift {policy} · column {name!r} is {kind}: {outcome}"
        for name, (kind, outcome) in OUTCOMES[policy].items()
    ]
    for told in (str(plan), str(report)):
        assert [line for line in told.splitlines() if line.startswith("drift")] == lines
    found = json.loads(report.to_json())["plan"]
    assert (found["drift"], [one["kind"] for one in found["drifted"]]) == (
        policy,
        ["widened", "added", "dropped"],
    )
    page = report.to_html()
    assert all(outcome in page for _, outcome in OUTCOMES[policy].values())
    kept = GROWN.slice(0, 3)
    if policy == "ignore":
        kept = kept.drop_columns(["extra"]).cast(OLD.schema)
    assert_same_table(target.store.scan("main.orders").to_arrow(), kept)


def test_what_is_left_out_has_no_policy_and_no_type_to_fit(
    ends: tuple[StorePath, StorePath],
) -> None:
    source, target = ends
    copy(
        source,
        target,
        mode="append",
        drift="ignore",
        rename={"extra": "more", "word": "gone"},
        types={"gone": "double", "id": "int32", "more": "string"},
        on_unfit={"gone": "null", "id": "reject", "more": "reject"},
    )
    rows = target.store.scan("main.orders").to_arrow().sort_by("id").to_pylist()
    assert rows[2:] == [{"id": 3, "word": None, "gone": None}]


def test_the_column_of_paths_may_be_left_out_or_added(workspace: Workspace) -> None:
    workspace["files"].write_table("in/", OLD)
    target = workspace["warehouse"] / "main/orders"
    workspace["warehouse"].write_table("main.orders", OLD.slice(0, 0))
    for policy, columns in (("ignore", 3), ("evolve", 4)):
        copy(workspace["files"] / "in/", target, mode="append", drift=policy, path_column="_path")
        assert len(workspace["warehouse"].schema("main.orders")) == columns


def test_a_value_that_does_not_fit_what_is_ignored_is_refused(
    ends: tuple[StorePath, StorePath], workspace: Workspace
) -> None:
    source, target = ends
    with pytest.raises(DataError, match=f"'id'.*{1 << 40}"):
        copy(source, target, mode="append", drift="ignore")
    assert_same_table(target.store.scan("main.orders").to_arrow(), OLD)
    assert staging_of(workspace) == []


def test_without_a_policy_the_ways_on_are_named(ends: tuple[StorePath, StorePath]) -> None:
    for mode in ("append", "replace"):
        with pytest.raises(SchemaMismatchError, match=r'"ignore".*--drift ignore.*"evolve"'):
            copy(*ends, mode=mode)
    with pytest.raises(ConfigurationError, match=r"no policy 'evolv'.*evolve"):
        copy(*ends, mode="append", drift="evolv")


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        ("CREATE TABLE t (id integer PRIMARY KEY)", "it is in a PRIMARY KEY constraint"),
        ("CREATE TABLE t (id integer CHECK (id < 9))", "it is in a CHECK constraint"),
        ("CREATE TABLE t (id integer, n integer); CREATE INDEX i ON t (n)", "the index 'i'"),
        (
            "CREATE TABLE t (id integer, n integer UNIQUE); CREATE TABLE u (n integer REFERENCES t (n))",
            "a foreign key of 'u'",
        ),
    ],
)
def test_what_keeps_a_type_of_duckdb_is_named_in_the_plan(
    tmp_path: Path, statements: str, why: str
) -> None:
    path = str(tmp_path / "pinned.duckdb")
    with duckdb.connect(path) as database:
        database.execute(statements)
        with pytest.raises(duckdb.Error):
            database.execute("ALTER TABLE t ALTER id TYPE bigint")
    data = pa.table({"id": [1], "extra": ["x"]})
    with Datastore(type="duckdb", path=path) as store:
        with pytest.raises(PreconditionFailedError, match=f"'id' of main.t, since {why}"):
            store.write_table("t", data, mode="append", drift="evolve")
        narrow = data.set_column(0, "id", pa.array([1], pa.int32()))
        store.write_table("t", narrow, mode="append", drift="evolve")
        assert store.scan("t", columns=["extra"]).to_arrow().to_pylist() == [{"extra": "x"}]


def test_names_that_differ_by_case_alone_are_no_new_columns(workspace: Workspace) -> None:
    warehouse = workspace["warehouse"]
    warehouse.write_table("main.orders", OLD)
    data = OLD.rename_columns(["id", "Word", "gone"])
    with pytest.raises(SchemaMismatchError, match="'Word' is 'word'"):
        warehouse.write_table("main.orders", data, mode="append", drift="evolve")


def test_many_tables_have_one_policy(
    ends: tuple[StorePath, StorePath], workspace: Workspace
) -> None:
    workspace["files"].write_table("main/orders/", NEW)
    report = copy_all(
        workspace["files"] / "main", workspace["warehouse"] / "main", mode="append", drift="evolve"
    )
    line = "main.orders: drift evolve · column 'extra' is added: the table gets it as BOOLEAN"
    assert line in str(report)
    assert line in str(report.plan)
    assert_same_table(ends[1].store.scan("main.orders").to_arrow(), GROWN)


# Folders


@pytest.fixture
def folder(workspace: Workspace) -> StorePath:
    """A folder whose later files have other columns than the first."""
    files = workspace["files"]
    files.write_table("orders/", OLD)
    files.write_table("orders/", NEW, mode="append", drift="evolve")
    return files / "orders/"


def test_a_folder_grows_columns(folder: StorePath) -> None:
    assert folder.store.schema("orders/").types == GROWN.schema.types
    assert_same_table(folder.store.scan("orders/").to_arrow(), GROWN)
    # From now on they are its columns, without a policy.
    folder.store.write_table("orders/", GROWN, mode="append")
    with pytest.raises(SchemaMismatchError, match="extra"):
        folder.store.write_table("orders/", GROWN.drop_columns(["extra"]), mode="append")
    assert folder.store.scan("orders/").count() == 2 * GROWN.num_rows


@pytest.mark.parametrize(
    ("columns", "filters", "ids"),
    [
        (["extra"], None, 4),
        (["extra", "id"], [("extra", "is null")], 3),
        (["id"], [("extra", "=", True)], 1),
        (["word"], [("id", ">", 1 << 33)], 1),
        (["word"], [("id", "<", 3)], 2),
        (["gone"], [[("extra", "=", True)], [("gone", ">", 2)]], 2),
    ],
)
def test_columns_that_older_files_lack_are_null(
    folder: StorePath, columns: list[str], filters: Any, ids: int
) -> None:
    found = folder.store.scan("orders/", columns=columns, filters=filters).to_arrow()
    assert (found.column_names, found.num_rows) == (columns, ids)


def test_a_grown_folder_is_copied_and_replaced_as_any(
    folder: StorePath, workspace: Workspace
) -> None:
    copy(folder, workspace["other"] / "copied/")
    assert_same_table(workspace["other"].scan("copied/").to_arrow(), GROWN)
    copy(folder, workspace["warehouse"] / "main/grown", workers=2, verify=True)
    folder.store.write_table("orders/", OLD, mode="replace")
    assert folder.store.schema("orders/").types == OLD.schema.types
    assert_same_table(folder.store.scan("orders/").to_arrow(), OLD)


def test_a_folder_that_is_replaced_evolves_in_any_format(workspace: Workspace) -> None:
    files = workspace["files"]
    words: Any = {"mode": "replace", "drift": "evolve"}
    files.write_table("orders/", OLD, format="csv")
    with pytest.raises(UnsupportedOperationError, match=r"csv files.*'extra'.*drift=\"ignore\""):
        files.write_table("orders/", NEW, mode="append", drift="evolve")
    files.write_table("orders/", NEW, format="csv", **words)
    expected = GROWN.slice(2)
    assert_same_table(files.scan("orders/").to_arrow(), expected)
    files.write_table("one.parquet", OLD)
    files.write_table("one.parquet", NEW, **words)
    assert_same_table(files.scan("one.parquet").to_arrow(), expected)
    files.write_table("one.parquet", NEW.slice(0, 1), mode="replace", drift="ignore")
    assert files.scan("one.parquet").to_arrow().num_rows == 1


def test_a_type_in_the_names_of_folders_stays(workspace: Workspace) -> None:
    files = workspace["files"]
    files.write_table("orders/", OLD, partition_by=["id"])
    wide = OLD.set_column(0, "id", pa.array([3, 4], pa.int64()))
    with pytest.raises(SchemaMismatchError, match="'id' is in the names of folders"):
        files.write_table("orders/", wide, mode="append", drift="evolve")
    files.write_table("orders/", wide, mode="append", drift="ignore")
    grown = wide.append_column("extra", pa.array(["x", "y"]))
    added = grown.set_column(0, "id", pa.array([5, 6], pa.int32()))
    files.write_table("orders/", added, mode="append", drift="evolve")
    found = files.scan("orders/", columns=["id", "extra"]).to_arrow().sort_by("id")
    assert found["extra"].to_pylist() == [None] * 4 + ["x", "y"]


def test_of_two_types_for_a_column_of_a_folder_one_wins(workspace: Workspace) -> None:
    files = workspace["files"]
    files.write_table("orders/", OLD)
    sessions = []
    for extra in (pa.array(["x", "y"]), pa.array([1.5, 2.5])):
        data = OLD.append_column("extra", extra)
        request = WriteRequest(
            table=TableName("orders/"),
            schema=data.schema,
            mode=WriteMode.APPEND,
            drift=Drift.EVOLVE,
        )
        session = files.tabular.begin(request)
        sessions.append((session, session.write("0", data.to_reader())))
    (first, receipt), (second, other) = sessions
    first.publish([receipt])
    with pytest.raises(ConflictError, match="'extra'"):
        second.publish([other])
    second.discard()
    assert files.scan("orders/").to_arrow()["extra"].null_count == OLD.num_rows


def test_files_that_others_put_beside_are_still_refused(
    folder: StorePath, write_file: Callable[[StorePath, pa.Table], None]
) -> None:
    write_file(folder.store / "orders/part-z.parquet", pa.table({"id": [1], "other": ["x"]}))
    with pytest.raises(SchemaMismatchError, match=r"part-z.parquet.*'other'"):
        folder.store.scan("orders/").to_arrow()


@pytest.fixture
def write_file(workspace: Workspace) -> Callable[[StorePath, pa.Table], None]:
    def write(place: StorePath, data: pa.Table) -> None:
        workspace["cache"].write_table("alone.parquet", data)
        place.store.write(place.path, workspace["cache"].read("alone.parquet"))

    return write
