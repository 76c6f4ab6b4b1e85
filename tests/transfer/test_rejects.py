"""Rows that a copy leaves out: each at a place of its own, once, with the reason; and none is lost."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typing_extensions import override

import datastores
from datastores import Datastore, Workspace
from datastores.cli import main
from datastores.datastore import StorePath
from datastores.drivers.base import TableDriver
from datastores.drivers.writing import Receipt
from datastores.errors import (
    ConfigurationError,
    DataError,
    PermissionDeniedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.rejected import RejectedRows
from datastores.scan import Scan
from datastores.secrets import SecretRef
from datastores.transfer import CopyReport, PartProgress
from datastores.transfer.journal import PartNote, check_rows
from datastores.transfer.rejects import SCHEMA
from datastores.types.unfit import Refusal
from datastores.values import Unfit
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database

TYPES = {"id": "int64", "n": "int64", "day": "date32"}
CSV = b"id,n,day\n1,7,2020-01-01\n2,x,2020-01-02\n3,9,soon\n4,y,later\n"
# What a table of rejected rows says of them, without what differs between calls.
REJECTED = [
    ("0", "n", "'x' has no exact form as int64", "x", "id = '2'", ["2", "x", "2020-01-02"]),
    ("0", "day", "'soon' has no exact form as date32", "soon", "id = '3'", ["3", "9", "soon"]),
    ("0", "n", "'y' has no exact form as int64", "y", "id = '4'", ["4", "y", "later"]),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a workspace file and a file to copy."""
    stores: dict[str, Any] = {
        "files": {"type": "local", "path": "./files"},
        "duck": {"type": "duckdb", "path": "./duck.duckdb"},
        "cache": {"type": "memory"},
    }
    (tmp_path / "datastores.yaml").write_text(json.dumps({"datastores": stores}))
    (tmp_path / "files").mkdir()
    (tmp_path / "files/a.csv").write_bytes(CSV)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Iterator[Workspace]:
    with Workspace.load() as workspace:
        yield workspace


@pytest.fixture
def server(database: Database) -> Iterator[Datastore]:
    with Datastore.from_config(config_of(database.owner), name="server") as server:
        yield server


def scan_of(place: StorePath) -> Scan:
    """Return what is at a place, of a store of either kind."""
    is_table = isinstance(place.store.driver, TableDriver)
    return place.store.scan(place.path.replace("/", ".") if is_table else place.path)


def rows_at(place: StorePath) -> list[dict[str, Any]]:
    """Return the rejected rows at a place, by part and key."""
    rows: list[dict[str, Any]] = scan_of(place).to_arrow().to_pylist()
    return sorted(rows, key=lambda row: (row["rejected_at"], row["part"], row["row_key"] or ""))


def told(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what rejected rows say, without what differs between calls."""
    names = ("part", "column_name", "reason", "value", "row_key")
    return [
        (*(row[name] for name in names), [*json.loads(row["row_values"]).values()]) for row in rows
    ]


def copied(workspace: Workspace, rejects: Any, **words: Any) -> CopyReport:
    """Copy the file, with its types, in place of what there is."""
    ends = workspace["files"] / "a.csv", workspace["duck"] / "main/a"
    options: Any = {"mode": "replace", "keys": ["id"], "types": TYPES, "rejects": rejects, **words}
    return datastores.copy(*ends, **options)


# Where they go


PLACES: list[Callable[[Workspace], StorePath]] = [
    lambda workspace: workspace["files"] / "rejects/",
    lambda workspace: workspace["files"] / "rejects.csv",
    lambda workspace: workspace["files"] / "rejects.jsonl",
    lambda workspace: workspace["duck"] / "main/rejects",
    lambda workspace: workspace["cache"] / "rejects/",
]


@pytest.mark.parametrize("place", PLACES)
def test_each_place_has_each_row_with_its_reason(
    workspace: Workspace, place: Callable[[Workspace], StorePath]
) -> None:
    rejects = place(workspace)
    report = copied(workspace, rejects, verify=True)
    rows = rows_at(rejects)
    assert told(rows) == REJECTED
    assert scan_of(rejects).schema.equals(SCHEMA)
    assert {row["job"] for row in rows} == {report.job}
    assert {(row["source"], row["target"]) for row in rows} == {("files/a.csv", "duck/main.a")}
    assert {row["rejected_at"] for row in rows} != {None}
    assert report.rows == 1
    assert report.unfit is not None
    assert report.unfit.rows_rejected == len(rows)
    assert not [job for name in workspace for job in workspace[name].jobs()]


def test_a_table_of_postgresql(workspace: Workspace, server: Datastore, database: Database) -> None:
    for _ in range(2):
        copied(workspace, server / "public/rejects")
    rows = rows_at(server / "public/rejects")
    assert told(rows) == REJECTED * 2
    # No name needs quotes.
    assert database.run(
        "SELECT job, column_name, count(*), min(row_values::json ->> 'id') FROM rejects "
        "WHERE rejected_at > now() - interval '1 hour' GROUP BY 1, 2 HAVING count(*) > 2"
    ) == [(rows[0]["job"], "n", 4, "2")]
    assert not staged(database)


def test_the_next_run_adds_to_a_folder_and_not_to_a_file(workspace: Workspace) -> None:
    files = workspace["files"]
    for _ in range(2):
        copied(workspace, files / "rejects/")
    assert told(rows_at(files / "rejects/")) == REJECTED * 2
    copied(workspace, files / "one.csv")
    with pytest.raises(UnsupportedOperationError, match=r"one file.*or a folder to add to"):
        copied(workspace, files / "one.csv")
    assert told(rows_at(files / "one.csv")) == REJECTED


def test_without_a_rejected_row_the_place_stays_as_it_is(workspace: Workspace) -> None:
    files = workspace["files"]
    report = copied(workspace, files / "rejects/", columns=["id"], types={"id": "int64"})
    assert report.rows == 4
    assert "no row was rejected; files/rejects/ is as it was" in str(report)
    assert not files.exists("rejects")
    assert list(files.jobs()) == []


def test_several_parts_make_one_for_a_file(workspace: Workspace) -> None:
    files = workspace["files"]
    files.write_table("in/", pa.table({"v": ["1", "x", "2", "y"]}), rows_per_file=1)
    ends = files / "in/", workspace["duck"] / "main/v"
    for place, parts in (("rejects/", 4), ("rejects.csv", 1)):
        report = datastores.copy(
            *ends, types={"v": "int8"}, mode="replace", workers=4, rejects=files / place
        )
        assert (report.rows, report.parts) == (2, parts)
        assert [row["value"] for row in rows_at(files / place)] == ["x", "y"]


# What PostgreSQL leaves out as a source, and what it cannot take as a target


@pytest.mark.parametrize("workers", [1, 3])
def test_rows_that_the_source_leaves_out(
    database: Database, server: Datastore, workspace: Workspace, workers: int
) -> None:
    database.run("CREATE TYPE pair AS (a integer, b text)")
    database.run(
        "CREATE TABLE visits (id integer PRIMARY KEY, day date, price numeric(6,2), tags integer[], "
        "raw bytea, doc json, fixed char(4), one pair, other pair)"
    )
    database.run(
        "INSERT INTO visits SELECT n, CASE n % 100 WHEN 0 THEN 'infinity' ELSE '2020-01-01' END::date, "
        "CASE n % 150 WHEN 0 THEN 'NaN' ELSE 1.5 END, '{1,NULL}', '\\x00ff', '{\"a\":  1}', 'ab', "
        "(NULL, NULL)::pair, NULL FROM generate_series(1, 3000) n"
    )
    files = workspace["files"]
    options: Any = {"rename": {"day": "on_day"}, "workers": workers, "rejects": files / "rejects/"}
    report = datastores.copy(server / "public/visits", files / "visits/", **options)
    rows = rows_at(files / "rejects/")
    assert report.rows is not None
    assert report.unfit is not None
    assert len(rows) == report.unfit.rows_rejected == 40
    assert len(rows) + report.rows == 3000
    assert {row["part"] for row in rows} <= {str(part) for part in range(report.parts)}
    found = {row["row_key"]: row for row in rows}
    assert set(found) == {f"id = {n}" for n in range(1, 3001) if n % 100 == 0 or n % 150 == 0}
    both, price = found["id = 300"], found["id = 150"]
    assert (both["column_name"], both["value"], both["reason"]) == (
        *("on_day", "infinity"),
        "the date infinity has no equal in date32",
    )
    assert (price["column_name"], price["value"], price["reason"]) == (
        *("price", "NaN"),
        "the numeric(6,2) NaN has no equal in decimal(6,2)",
    )
    assert json.loads(price["row_values"]) == {
        "id": "150",
        "on_day": "2020-01-01",
        "price": "NaN",
        "tags": "{1,NULL}",
        "raw": r"\x00ff",
        "doc": '{"a":  1}',
        "fixed": "ab  ",
        "one": "(,)",
        "other": None,
    }


def test_rows_that_the_target_cannot_take(
    database: Database, server: Datastore, workspace: Workspace
) -> None:
    data = pa.table(
        {
            "id": [1, 2, 3, 4, 5],
            "note": ["fine", "a\0b", None, "fine", "fine"],
            "day": pa.array([0, 1, 2, 2**31 - 1, None], pa.int32()).view(pa.date32()),
        }
    )
    files = workspace["files"]
    files.write_table("visits/", data)
    database.run("CREATE TABLE visits (id bigint PRIMARY KEY, note text NOT NULL, day date)")
    for rejects in (server / "public/rejects", files / "rejects/"):
        report = datastores.copy(
            *(files / "visits/", server / "public/visits"),
            mode="upsert",
            keys=["id"],
            rejects=rejects,
        )
        assert report.rows == 2
        assert told(rows_at(rejects)) == [
            # U+0000, which PostgreSQL's text does not take, as JSON writes it.
            (
                *("0", "note", r"'a\x00b' holds U+0000, which PostgreSQL's text cannot"),
                *("a\\u0000b", "id = 2", ["2", "a\0b", "1970-01-02"]),
            ),
            (
                *("0", "note", "a NULL, and the table's column is NOT NULL", None, "id = 3"),
                ["3", None, "1970-01-03"],
            ),
            (
                *("0", "day", rows_at(rejects)[2]["reason"], "1970-01-01 plus 2147483647 days"),
                *("id = 4", ["4", "fine", "1970-01-01 plus 2147483647 days"]),
            ),
        ]
        assert "has no equal in" in rows_at(rejects)[2]["reason"]
    assert database.run("SELECT id FROM visits ORDER BY id") == [(1,), (5,)]
    assert not staged(database)


def test_a_source_whose_rows_differ_each_time_is_refused(
    server: Datastore, workspace: Workspace
) -> None:
    # Each millisecond there is one more.
    rows = server.query(
        "select 'infinity'::date as day from generate_series(1, "
        "1 + (extract(epoch from clock_timestamp()) * 1000)::bigint % 5000) as n"
    )
    files = workspace["files"]
    with pytest.raises(DataError, match=r"leaves out .* rows, and gave .* differ each time"):
        datastores.copy(rows, files / "out/", rejects=files / "rejects/")
    assert not files.exists("out")
    assert not files.exists("rejects")
    assert not files.jobs()


def test_a_part_that_runs_again_has_its_rejected_rows_once(workspace: Workspace) -> None:
    """Of two attempts the one counts whose receipt was entered, with the rows it rejected."""
    files, seen = workspace["files"], []

    class Twice(ThreadPoolExecutor):
        """Runs each part twice, as an executor may that lost sight of a worker."""

        @override
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Any:
            def twice() -> Any:
                seen.append(fn())
                return fn()

            return super().submit(twice, *args, **kwargs)

    with Twice(2) as executor:
        report = copied(workspace, files / "rejects/", executor=executor)
    assert seen
    assert report.rows == 1
    assert told(rows_at(files / "rejects/")) == REJECTED


def test_parts_in_other_processes_stage_what_they_reject(
    workspace: Workspace, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REJECTS_SECRET", database.owner.password)
    config = config_of(database.owner, password=SecretRef(source="env", name="REJECTS_SECRET"))
    files = workspace["files"]
    files.write_table("in/", pa.table({"v": ["1", "x", "2", "y"]}), rows_per_file=2)
    ends = files / "in/", files / "out/"
    words: Any = {"types": {"v": "int8"}, "mode": "replace"}
    context = multiprocessing.get_context("spawn")
    with (
        Datastore.from_config(config, name="server") as server,
        ProcessPoolExecutor(1, mp_context=context) as executor,
    ):
        report = datastores.copy(
            *ends, **words, executor=executor, rejects=server / "public/rejects"
        )
        assert (report.rows, report.parts) == (2, 2)
        assert [(row["part"], row["value"]) for row in rows_at(server / "public/rejects")] == [
            *(("0", "x"), ("1", "y"))
        ]
        # What goes to no other process is refused before any does.
        for place in (workspace["cache"] / "r/", workspace["duck"] / "main/r"):
            with pytest.raises(UnsupportedOperationError, match="not read and written by another"):
                datastores.copy(*ends, **words, executor=executor, rejects=place)
    literal = Datastore.from_config(config_of(database.owner), name="server")
    with (
        literal,
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(ConfigurationError, match="literal secret"),
    ):
        datastores.copy(*ends, **words, executor=executor, rejects=literal / "public/rejects")


def test_a_place_that_fails_once_the_target_is_published_is_gone_back_to(
    workspace: Workspace,
) -> None:
    files, duck = workspace["files"], workspace["duck"]

    def occupy(part: PartProgress) -> None:
        if part.done:
            files.write("rejects", b"in the way")

    with pytest.raises(datastores.DatastoreError) as caught:
        copied(workspace, files / "rejects/", progress=occupy)
    [said] = caught.value.__notes__
    assert said == "all other rows are at duck/main.a; the same call publishes the rejected ones"
    assert duck.scan("main.a").count() == 1
    files.delete("rejects")
    report = copied(workspace, files / "rejects/")
    assert (report.rows, report.plan.is_earlier) == (1, True)
    assert report.unfit is not None
    assert report.unfit.rows_rejected == 3
    assert told(rows_at(files / "rejects/")) == REJECTED
    assert not duck.jobs()
    assert not files.jobs()


# What is refused before a row is moved


def refused(workspace: Workspace, rejects: Any, **words: Any) -> str:
    """Return what an error says; the target and the place are as they were."""
    with pytest.raises(datastores.DatastoreError) as caught:
        copied(workspace, rejects, **words)
    assert not workspace["duck"].tables()
    assert not [job for name in workspace for job in workspace[name].jobs()]
    assert isinstance(caught.value, (ConfigurationError, SchemaMismatchError)), caught.value
    return str(caught.value)


def test_a_place_that_is_one_of_the_ends(workspace: Workspace) -> None:
    files, duck = workspace["files"], workspace["duck"]
    assert "the copy's target" in refused(workspace, duck / "main/a")
    assert "the copy's target" in refused(workspace, "datastore://duck/a")
    assert "the copy's source" in refused(workspace, files / "a.csv")
    with pytest.raises(ConfigurationError, match="the copy's source"):
        datastores.copy(files / "in/*.csv", duck / "main/a", rejects=files / "in/rejects/")
    for inside in ("out/rejects/", "out/"):
        with pytest.raises(ConfigurationError, match="the copy's target"):
            datastores.copy(files / "a.csv", files / "out/", types=TYPES, rejects=files / inside)
    with pytest.raises(ConfigurationError, match="the copy's target"):
        datastores.copy(files / "a.csv", files / "out/a/", types=TYPES, rejects=files / "out/")
    # Another store of the same name is another place.
    datastores.copy(
        files / "a.csv", files / "out/", types=TYPES, rejects=workspace["cache"] / "out/"
    )


def test_what_is_no_table_of_rejected_rows(workspace: Workspace) -> None:
    files = workspace["files"]
    files.write_table("other/", pa.table({"job": ["a"], "part": [1]}))
    assert "other" in refused(workspace, files / "other/")
    wrong = pa.table({name: pa.nulls(0, pa.int64()) for name in SCHEMA.names})
    files.write_table("wrong/", wrong)
    assert "column 'job' is int64" in refused(workspace, files / "wrong/")
    with pytest.raises(SchemaMismatchError, match="wrong"):
        datastores.plan_copy(
            files / "a.csv", workspace["duck"] / "main/a", types=TYPES, rejects=files / "wrong/"
        )


def test_words_that_do_not_go_together(
    workspace: Workspace, server: Datastore, database: Database
) -> None:
    files = workspace["files"]
    policies: list[Any] = ["null", {"n": "text"}, "raise"]
    for one in policies:
        assert "on_unfit rejects none" in refused(workspace, files / "r/", on_unfit=one)
    assert "a scan is no place" in refused(workspace, files.scan("a.csv"))
    assert "names no table" in refused(workspace, files / "")
    database.run("CREATE TABLE visits (day date)")
    limited = server.scan("public.visits", limit=3)
    with pytest.raises(ConfigurationError, match="under a limit nobody knows"):
        datastores.copy(limited, files / "visits/", rejects=files / "r/")
    # Neither end has values that the other cannot hold.
    with pytest.raises(UnsupportedOperationError, match="copy with rejects"):
        datastores.copy(files / "a.csv", files / "b/", rejects=files / "r/")


def test_a_database_in_which_nothing_may_be_staged(
    workspace: Workspace, database: Database
) -> None:
    with Datastore.from_config(config_of(database.clerk), name="server") as server:
        database.run(
            "CREATE TABLE rejects (job text, rejected_at timestamptz, source text, target text, "
            "part text, column_name text, reason text, value text, row_key text, row_values text)"
        )
        with pytest.raises(PermissionDeniedError, match="GRANT CREATE ON DATABASE"):
            copied(workspace, server / "public/rejects")
    assert not workspace["duck"].tables()
    assert not workspace["duck"].jobs()


# Rows read are rows written and rejected


VALUES = st.sampled_from(["1", "2", "300", "x", None])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30),
    policies=st.tuples(*[st.sampled_from(["null", "reject"])] * 3),
    size=st.integers(1, 9),
)
def test_every_row_is_written_or_rejected(
    rows: list[tuple[str | None, ...]], policies: tuple[str, ...], size: int
) -> None:
    names = ("a", "b", "c")
    data = pa.table(
        {"id": range(len(rows)), **{n: [row[at] for row in rows] for at, n in enumerate(names)}},
        pa.schema([("id", pa.int64()), *((name, pa.string()) for name in names)]),
    )

    def fits(value: str | None) -> bool:
        return value in {"1", "2", None}

    def first(row: tuple[str | None, ...]) -> str | None:
        judged = zip(names, row, policies, strict=True)
        return next((n for n, v, p in judged if p == "reject" and not fits(v)), None)

    with Datastore(type="memory") as store:
        store.write_table("in/", data, rows_per_file=size)
        options: Any = {"types": dict.fromkeys(names, "int8")}
        options["on_unfit"] = dict(zip(names, policies, strict=True))
        if "reject" in policies:
            options["rejects"] = store / "rejects/"
        report = datastores.copy(store / "in/", store / "out/", workers=2, **options)
        rejected = rows_at(store / "rejects/") if store.exists("rejects") else []
        written = store.scan("out/").to_arrow().sort_by("id").to_pylist()
    assert report.unfit is not None
    assert len(rows) == report.rows + report.unfit.rows_rejected  # type: ignore[operator]
    assert len(rejected) == report.unfit.rows_rejected
    assert [tuple(row.values()) for row in written] == [
        (n, *(int(v) if v is not None and fits(v) else None for v in row))
        for n, row in enumerate(rows)
        if first(row) is None
    ]
    assert sorted((row["column_name"], row["row_values"]) for row in rejected) == sorted(
        (first(row), json.dumps({"id": str(n), **dict(zip(names, row, strict=True))}, separators=(",", ":")))
        for n, row in enumerate(rows)
        if first(row) is not None
    )  # fmt: skip


def note(**values: Any) -> PartNote:
    """Return a part's note: of 10 rows read, 2 of them left out."""
    usual = {"call": "c", "marks": (None,), "rows_read": (10,), "bytes_read": 1, "digest": None}
    return PartNote(**{**usual, "unfit": Unfit(rows_rejected=2), **values})


@pytest.mark.parametrize(
    ("values", "counted", "message"),
    [
        ({"rows_read": (11,)}, 0, "part 0 has 11 rows, and 8 are staged and 2 left out"),
        ({"rows_rejected": (0,)}, 0, "2 rows of part 0 are left out, and 0 are staged as rejected"),
        (
            {"rows_rejected": (1,), "rejects": Receipt(part="0-a", rows=3, bytes=1)},
            2,
            "the source said that it leaves out 2 rows, and gave 1",
        ),
    ],
)
def test_a_row_that_got_lost_is_noticed_before_the_publish(
    values: dict[str, Any], counted: int, message: str
) -> None:
    receipts = [Receipt(part="0", rows=8, bytes=1)]
    check_rows(receipts, [note()], Unfit())
    with pytest.raises(DataError, match=message):
        check_rows(receipts, [note(**values)], Unfit(rows_rejected=counted))


def test_a_note_comes_back_as_it_was() -> None:
    noted = note(rows_rejected=(3,), rejects=Receipt(part="0-a", rows=5, bytes=9, outputs=("f",)))
    assert PartNote.load(noted.dump(), "0") == noted
    assert PartNote.load(note().dump(), "0") == note()


# What is shown


def test_plan_and_reports_name_the_place(workspace: Workspace) -> None:
    files, duck = workspace["files"], workspace["duck"]
    options: Any = {"types": TYPES, "rejects": "datastore://files/rejects/"}
    plan = datastores.plan_copy(files / "a.csv", duck / "main/a", **options)
    assert "rejected rows go to files/rejects/" in str(plan)
    assert json.loads(plan.to_json())["rejects"] == "files/rejects/"
    assert not files.exists("rejects")
    report = datastores.copy(files / "a.csv", duck / "main/a", **options)
    for text in (str(report), report.to_html()):
        assert "3 rejected rows are in files/rejects/" in text
    assert "files/rejects/" in report._repr_html_()
    assert json.loads(report.to_json())["rejects"] == "files/rejects/"


def test_the_command_line(
    folder: Path, workspace: Workspace, capfd: pytest.CaptureFixture[str]
) -> None:
    words = ["cp", "datastore://files/a.csv", "datastore://duck/main/a"]
    words += [one for name, type_ in TYPES.items() for one in ("--type", f"{name}={type_}")]
    rejects = ["--rejects", "datastore://files/rejects/"]
    assert main([*words, *rejects, "--dry-run"]) == 0
    assert "rejected rows go to files/rejects/" in capfd.readouterr().out
    assert main([*words, *rejects]) == 0
    assert "3 rejected rows are in files/rejects/" in capfd.readouterr().out
    assert main([*words, *rejects, "--mode", "replace", "--json"]) == 0
    assert json.loads(capfd.readouterr().out)["rejects"] == "files/rejects/"
    assert len(rows_at(workspace["files"] / "rejects/")) == 6


def test_one_place_takes_the_rejected_rows_of_many_tables(
    workspace: Workspace, server: Datastore, database: Database
) -> None:
    files = workspace["files"]
    for name, day in (("a", "infinity"), ("b", "-infinity"), ("c", "2020-01-01")):
        database.run(f"CREATE TABLE {name} AS SELECT date '{day}' AS day UNION SELECT '2020-01-02'")
    options: Any = {"include": "public.*", "workspace": workspace}
    report = datastores.copy_all(
        server, files / "out", rejects="datastore://files/rejects/", **options
    )
    assert (report.rows, len(report.tables)) == (4, 3)
    assert "rejected rows go to files/rejects/" in str(report.plan)
    assert "2 rejected rows are in files/rejects/" in str(report)
    assert sorted((row["source"], row["value"]) for row in rows_at(files / "rejects/")) == [
        ("server/public.a", "infinity"),
        ("server/public.b", "-infinity"),
    ]
    assert not list(files.jobs())


# The text of a value


def test_values_are_printed_exactly() -> None:
    # One letter that is no UTF-8, an empty text, and NULL.
    ends = pa.array([0, 1, 1, 1], pa.int32()).buffers()[1]
    broken = pa.Array.from_buffers(
        pa.string(), 3, [pa.py_buffer(b"\3"), ends, pa.py_buffer(b"\xff")]
    )
    with RejectedRows() as rejected:
        rejected.take(
            pa.record_batch({"v": broken}), [Refusal(column="v", reason="no", key=None)] * 3
        )
        taken = pa.Table.from_batches(rejected.batches())
    assert taken["value"].to_pylist() == ["\\udcff", "", None]
    columns = {
        "text": pa.array(["é\0"], pa.string_view()),
        "broken": broken[:1],
        "bytes": pa.array([b"\xff"]),
        "json": pa.array(['{"a": 1}'], pa.json_()),
        "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))),
        "list": pa.array([[1, None]], pa.large_list(pa.int8())),
        "map": pa.array([[("k", 1.5)]], pa.map_(pa.string(), pa.float64())),
        "struct": pa.array([{"a": [True], "b": None}]),
        "labels": pa.array(["x"]).dictionary_encode(),
        "runs": pa.RunEndEncodedArray.from_arrays([1], ["y"]),
        "far": pa.array([2**63 - 1], pa.int64()).view(pa.timestamp("us", "UTC")),
        "part of a day": pa.array([1], pa.int64()).view(pa.date64()),
        "zoned": pa.array([0], pa.int64()).view(pa.timestamp("s", "Asia/Tokyo")),
        "span": pa.array([pa.MonthDayNano([1, 2, 3])]),
        "nothing": pa.nulls(1),
    }
    with RejectedRows() as rejected:
        rows = pa.RecordBatch.from_pydict(columns)
        for name in ("text", "broken", "struct", "nothing"):
            rejected.take(rows, [Refusal(column=name, reason="no\0", key=None)])
        taken = pa.Table.from_batches(rejected.batches()).to_pylist()
    assert rejected.rows == 4
    assert [row["value"] for row in taken] == [
        *("é\\u0000", "\\udcff", '{"a":["true"],"b":null}', None)
    ]
    assert taken[0]["reason"] == "no\\u0000"
    assert json.loads(taken[0]["row_values"]) == {
        "text": "é\0",
        "broken": "\udcff",
        "bytes": "/w==",
        "json": '{"a": 1}',
        "uuid": "00000000-0000-0000-0000-000000000000",
        "list": ["1", None],
        "map": [{"key": "k", "value": "1.5"}],
        "struct": {"a": ["true"], "b": None},
        "labels": "x",
        "runs": "y",
        "far": "1970-01-01 plus 9223372036854775807 us",
        "part of a day": "1970-01-01 plus 1 ms",
        "zoned": "1970-01-01 00:00:00Z",
        "span": "P1M2DT0.000000003S",
        "nothing": None,
    }
