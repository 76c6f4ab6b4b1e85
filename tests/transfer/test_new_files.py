"""Copies of what is new in a folder: each file once, whatever is killed, changed or archived meanwhile."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet  # read as pa.parquet
import pytest

import datastores
from datastores import Datastore, Workspace
from datastores.drivers.base import FileDriver
from datastores.errors import (
    ConfigurationError,
    DataError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.transfer import CopyReport
from datastores.transfer.files import FileJob
from datastores.transfer.rows import RowJob
from tests.services.azurite import Azurite
from tests.services.postgresql import Database

SOURCES = ("local", "memory", "azure_blob")
# Each remembers in its own way.
TARGETS = ("warehouse", "other", "azure_postgresql")
APPEND = {"mode": "create_append", "new_files": True}


@dataclass(frozen=True)
class Ends:
    """A folder `in` of small files, and a target for its rows."""

    source: Datastore
    target: Datastore

    @property
    def path(self) -> str:
        """Of the target."""
        schema = {"duckdb": "main/", "azure_postgresql": "public/"}.get(self.target.type)
        return "rows/" if schema is None else f"{schema}rows"

    def put(self, name: str, *ids: int, folder: str = "in") -> None:
        """Write a file of rows, in place of one of that name."""
        rows = pa.table({"id": pa.array(ids, pa.int64()), "word": [str(one) for one in ids]})
        self.source.write_table(f"{folder}/{name}", rows, mode="replace")

    def copy(self, path: str = "in/", target: str | None = None, **options: Any) -> CopyReport:
        """Copy what is new, unless options say otherwise."""
        words: Any = APPEND | options
        return datastores.copy(self.source / path, self.target / (target or self.path), **words)

    def ids(self) -> list[int]:
        """Return the ids at the target, in order."""
        table = self.path if isinstance(self.target.driver, FileDriver) else "rows"
        return sorted(self.target.scan(table).to_arrow()["id"].to_pylist())

    def names(self, folder: str) -> list[str]:
        """Return the paths of the files in a folder of the source."""
        filesystem = self.source.filesystem
        return sorted(filesystem.find(folder)) if filesystem.exists(folder) else []


@pytest.fixture
def source() -> str:
    return "local"


@pytest.fixture
def target() -> str:
    return "warehouse"


@pytest.fixture
def ends(
    source: str, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[Ends]:
    described: dict[str, Any] = {
        "local": {"type": "local", "path": str(tmp_path / "local")},
        "memory": {"type": "memory"},
        "other": {"type": "local", "path": str(tmp_path / "other")},
        "warehouse": {"type": "duckdb", "path": str(tmp_path / "warehouse.duckdb")},
    }
    if "azure_blob" in (source, target):
        azurite: Azurite = request.getfixturevalue("azurite")
        described["azure_blob"] = {
            "type": "azure_blob",
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "container_name": request.getfixturevalue("blob_container").container_name,
            "credentials": {"account_key": azurite.account_key},
        }
    if target == "azure_postgresql":
        database: Database = request.getfixturevalue("database")
        login = database.owner
        described["azure_postgresql"] = {
            "type": "azure_postgresql",
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": login.password},
        }
    with Workspace.from_mapping({"datastores": described}) as workspace:
        yield Ends(workspace[source], workspace[target])


EACH = [*((one, "warehouse") for one in SOURCES), *(("local", one) for one in TARGETS[1:])]


@pytest.mark.parametrize(("source", "target"), EACH)
def test_each_copy_takes_the_rows_of_files_that_are_new(ends: Ends) -> None:
    ends.put("a.parquet", 1, 2)
    ends.put("sub/b.parquet", 3)
    words: Any = {"columns": ["word", "id"], "verify": True}
    first = ends.copy(**words)
    assert first.rows == 3
    assert first.plan.new_files == "2 new files: in/a.parquet, in/sub/b.parquet"
    again = ends.copy(**words)
    assert (again.rows, again.bytes_written, again.parts) == (0, 0, 0)
    assert "no new file, 2 known" in str(again)
    ends.put("c.parquet", 4)
    # What has gone stays remembered.
    ends.source.filesystem.rm_file("in/a.parquet")
    report = ends.copy(**words)
    assert (report.rows, report.plan.new_files) == (1, "1 new file, 2 known: in/c.parquet")
    ends.source.filesystem.rm("in", recursive=True)
    assert ends.copy(**words).rows == 0
    assert ends.ids() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("source", "target"), [("local", "other"), ("memory", "other"), ("local", "azure_blob")]
)
def test_each_copy_takes_files_as_they_are_that_are_new_or_changed(ends: Ends) -> None:
    files = ends.source.filesystem
    files.pipe({"in/a.bin": b"a", "in/sub/b.bin": b"b"})
    assert ends.copy(verify=True).files == 2
    again = ends.copy(verify=True)
    assert (again.files, again.bytes_written, again.parts) == (0, 0, 0)
    files.pipe({"in/a.bin": b"A", "in/sub/c.bin": b"c"})
    report = ends.copy(verify=True)
    assert report.files == 2
    words = "1 new file, 1 changed, 2 known: in/a.bin, in/sub/c.bin"
    assert report.plan.new_files == words
    there = ends.target.filesystem
    found = {one: there.cat_file(one) for one in there.find("rows")}
    assert found == {"rows/a.bin": b"A", "rows/sub/b.bin": b"b", "rows/sub/c.bin": b"c"}


def test_a_file_that_changed_would_double_its_rows_and_is_refused(ends: Ends) -> None:
    for name in "abc":
        ends.put(f"{name}.parquet", ord(name))
    ends.copy()
    ends.put("b.parquet", 2)
    ends.put("c.parquet", 3)
    ends.put("d.parquet", 4)
    with pytest.raises(DataError, match=r"'in/b.parquet' and 1 more changed") as caught:
        ends.copy()
    assert "upsert" in str(caught.value.advice)
    assert ends.ids() == [97, 98, 99]
    assert ends.copy(mode="replace").rows == 4
    assert ends.copy().rows == 0
    assert ends.ids() == [2, 3, 4, 97]


@pytest.mark.parametrize("target", ["warehouse", "azure_postgresql"])
def test_an_upsert_takes_a_file_that_changed_again(ends: Ends) -> None:
    key = pa.schema([pa.field("id", pa.int64(), nullable=False), ("word", pa.string())])
    ends.target.write_table("rows", key.empty_table(), keys=["id"])
    ends.put("a.parquet", 1, 2)
    words: Any = {"mode": "upsert", "keys": ["id"]}
    assert ends.copy(**words).rows == 2
    ends.put("a.parquet", 2, 3)
    report = ends.copy(**words)
    assert (report.rows, report.plan.new_files) == (
        2,
        "no new file, 1 changed, 1 known: in/a.parquet",
    )
    assert ends.copy(**words).rows == 0
    assert ends.ids() == [1, 2, 3]


@pytest.mark.parametrize("target", ["warehouse", "other"])
def test_of_two_copies_at_once_one_is_refused(ends: Ends) -> None:
    words: Any = {"columns": ["id"]}
    ends.put("a.parquet", 1)
    ends.copy(**words)
    ends.put("b.parquet", 2)

    def meanwhile(_: Any) -> None:
        assert ends.copy(job="other", **words).rows == 1

    with pytest.raises(PreconditionFailedError, match="meanwhile"):
        ends.copy(on_plan=meanwhile, **words)
    assert ends.copy(**words).rows == 0
    assert ends.ids() == [1, 2]


@pytest.mark.parametrize("target", ["warehouse", "other"])
def test_a_target_that_is_gone_begins_anew(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    ends.copy(columns=["id"])
    if ends.target.type == "local":
        ends.target.filesystem.rm("rows", recursive=True)
    else:
        ends.target.close()
        with duckdb.connect(ends.target.config.path) as connection:  # type: ignore[attr-defined]
            connection.execute("DROP TABLE rows")
    assert ends.copy(columns=["id"]).rows == 1
    assert ends.ids() == [1]


def test_other_folders_filters_and_targets_are_remembered_apart(ends: Ends) -> None:
    ends.put("a.parquet", 1, 2)
    for filters in ([("id", "<", 2)], [("id", ">=", 2)]):
        assert ends.copy(filters=filters).rows == 1
        assert ends.copy(filters=filters).rows == 0
    assert ends.copy(target="main/others").rows == 2
    assert ends.copy("in/*.parquet", "main/others").rows == 2
    assert ends.copy("in/*.parquet", "main/others").rows == 0


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make a copy that ends by Ctrl-C when all is staged, and nothing published."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    def copy(ends: Ends, **words: Any) -> None:
        with monkeypatch.context() as patched:
            for job in (FileJob, RowJob):
                patched.setattr(job, "publish", stop)
            with pytest.raises(KeyboardInterrupt):
                ends.copy(**words)

    return copy


@pytest.mark.parametrize("columns", [None, ["id"]], ids=["as they are", "rows"])
def test_a_copy_that_goes_on_ends_with_the_files_it_began_with(
    ends: Ends, columns: list[str] | None, interrupted: Callable[..., None]
) -> None:
    words: Any = {} if columns is None else {"columns": columns}
    for name in "bd":
        ends.put(f"{name}.parquet", *range(ord(name) * 1000, ord(name) * 1000 + 500))
    end: Any = {"target": "copy/"} if columns is None else {}
    here = Ends(ends.source, ends.source) if columns is None else ends

    interrupted(here, workers=2, **end, **words)
    for name in "ace":
        ends.put(f"{name}.parquet", ord(name))
    report = here.copy(workers=2, **end, **words)
    assert report.parts_kept == report.parts
    assert report.plan.new_files == "2 new files: in/b.parquet, in/d.parquet"
    assert (here.copy(**end, **words).rows or 3) == 3
    assert here.copy(**end, **words).plan.new_files == "no new file, 5 known"


def test_an_interrupted_copy_none_of_whose_files_is_left_begins_anew(
    ends: Ends, interrupted: Callable[..., None]
) -> None:
    ends.put("a.parquet", *range(500))
    ends.put("b.parquet", *range(500, 1000))

    interrupted(ends, workers=2)
    ends.source.filesystem.rm("in", recursive=True)
    ends.put("c.parquet", 7)
    assert ends.copy(workers=2).rows == 1
    assert ends.ids() == [7]


def aged(ends: Ends, name: str, moment: datetime) -> None:
    """Say of a local file when it was modified."""
    seconds = moment.timestamp()
    os.utime(Path(ends.source.config.path) / name, (seconds, seconds))  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", ["warehouse", "other"])
def test_files_modified_since_a_moment(ends: Ends) -> None:
    moment = datetime(2026, 11, 1, tzinfo=UTC)
    for name, days in (("a", -1), ("b", 0), ("c", 1)):
        ends.put(f"{name}.parquet", ord(name))
        aged(ends, f"in/{name}.parquet", moment + timedelta(days=days))
    words: Any = {"new_files": False, "modified_since": moment}
    report = ends.copy(**words)
    assert (report.rows, report.files) == ((2, None) if report.rows else (None, 2))
    assert report.plan.new_files == (
        "2 new files, modified since 2026-11-01T00:00:00+00:00: in/b.parquet, in/c.parquet"
    )
    assert ends.ids() == [98, 99]
    # Alone it remembers nothing; with new_files what was left out comes when it is not said.
    later: Any = {
        "modified_since": "2026-11-02T01:00:00+01:00",
        "target": f"{ends.path.rstrip('/')}_2",
    }
    assert ends.copy(**later).plan.new_files == (
        "1 new file, modified since 2026-11-02T01:00:00+01:00: in/c.parquet"
    )
    assert ends.copy(**later | {"modified_since": "2026-11-01T00:00:00Z"}).plan.new_files == (
        "1 new file, 1 known, modified since 2026-11-01T00:00:00+00:00: in/b.parquet"
    )


@pytest.mark.parametrize("source", ["memory", "azure_blob"])
def test_every_store_tells_when_a_file_was_modified(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    soon = datetime.now(UTC) + timedelta(hours=1)
    assert ends.copy(modified_since=soon - timedelta(hours=2), new_files=False).rows == 1
    none = ends.copy(modified_since=soon, new_files=False)
    assert (none.rows, none.plan.new_files) == (
        0,
        f"no new file, modified since {soon.isoformat()}",
    )


def test_nothing_to_begin_with_is_an_error(ends: Ends) -> None:
    with pytest.raises(NotFoundError):
        ends.copy()
    ends.put("a.parquet", 1)
    for mode in ("create", "replace", "create_append"):
        with pytest.raises(NotFoundError, match="no new file, modified since 2999"):
            ends.copy(mode=mode, modified_since="2999-01-01T00:00:00Z")


@pytest.mark.parametrize("moment", ["2026-11-01", "2026-11-01T00:00:00", "yesterday"])
def test_a_moment_without_a_zone_is_refused(ends: Ends, moment: str) -> None:
    ends.put("a.parquet", 1)
    with pytest.raises(ConfigurationError, match="modified_since") as caught:
        ends.copy(modified_since=moment)
    assert "2026-11-01T00:00:00Z" in str(caught.value.advice)


def paths(ends: Ends) -> list[Any]:
    """Return the ids at the target with the files they are from."""
    rows = ends.target.scan("rows").to_arrow()
    return sorted(zip(rows["id"].to_pylist(), rows["_path"].to_pylist(), strict=True))


@pytest.mark.parametrize("path", ["in/", "in/*/*.parquet", "in/**"])
def test_a_column_holds_the_file_of_each_row(ends: Ends, path: str) -> None:
    rows = pa.table({"id": range(1000), "day": ["1", "ü/ "] * 500})
    ends.source.write_table("in/", rows, partition_by=["day"], rows_per_file=200)
    words: Any = {"path_column": "_path", "verify": True, "workers": 2}
    assert ends.copy(path, **words).rows == 1000
    files = ends.source.filesystem
    root = Path(ends.source.config.path)  # type: ignore[attr-defined]
    held = [
        (one, name.removeprefix("in/"))
        for name in files.find("in")
        for one in pa.parquet.read_table(root / name, partitioning=None)["id"].to_pylist()
    ]
    assert paths(ends) == sorted(held)
    assert len({name for _, name in held}) >= 6


def test_the_column_of_files_among_others(ends: Ends) -> None:
    ends.put("a.parquet", 1, 2)
    ends.put("sub/b.parquet", 3)
    words: Any = {"path_column": "_path", "new_files": False, "mode": "replace"}
    ends.copy(columns=["id"], rename={"_path": "file"}, target="main/renamed", **words)
    assert ends.target.schema("renamed").names == ["id", "file"]
    ends.copy(columns=["_path", "id", "word"], **words)
    assert ends.target.schema("rows").names == ["_path", "id", "word"]
    ends.copy(filters=[("_path", "=", "sub/b.parquet")], **words)
    assert paths(ends) == [(3, "sub/b.parquet")]
    ends.copy("in/a.parquet", **words)
    assert paths(ends) == [(1, "a.parquet"), (2, "a.parquet")]
    scan = ends.source.scan("in/", columns=["word", "id"])
    datastores.copy(scan, ends.target / "main/rows", mode="replace", path_column="_path")
    assert paths(ends) == [(1, "a.parquet"), (2, "a.parquet"), (3, "sub/b.parquet")]
    with pytest.raises(SchemaMismatchError, match="'word'"):
        ends.copy(path_column="word")


@pytest.mark.parametrize(
    ("source", "columns"),
    [("local", None), ("memory", None), ("local", ["id"]), ("azure_blob", ["id"])],
)
def test_files_that_were_copied_are_moved(ends: Ends, columns: list[str] | None) -> None:
    ends.put("a.parquet", 1)
    ends.put("sub/b.parquet", 2)
    words: Any = {"archive": "done/of/in", "verify": True}
    here = ends
    if columns is None:
        here, words["target"] = Ends(ends.source, ends.source), "copy/"
    else:
        words["columns"] = columns
    report = here.copy(**words)
    assert report.archived == 2
    assert "2 files moved to done/of/in" in str(report)
    assert "are moved to done/of/in" in str(report.plan)
    assert ends.names("done") == ["done/of/in/a.parquet", "done/of/in/sub/b.parquet"]
    assert ends.names("in") == []
    assert here.copy(**words).archived == 0
    ends.put("c.parquet", 3)
    assert here.copy(**words).archived == 1
    assert len(ends.names("done")) == 3
    assert ends.names("in") == []


@pytest.mark.parametrize("source", SOURCES)
def test_what_was_not_copied_is_never_moved(ends: Ends) -> None:
    for name in "abc":
        ends.put(f"{name}.parquet", ord(name))

    def meanwhile(part: Any) -> None:
        if part.done and not ends.source.exists("in/z.parquet"):
            ends.put("b.parquet", 2, 22)
            ends.put("z.parquet", 26)

    # The files are read when they are listed again, for the archive.
    assert ends.copy(archive="done", progress=meanwhile, workers=1).archived == 2
    assert ends.names("in") == ["in/b.parquet", "in/z.parquet"]
    with pytest.raises(DataError, match=r"b\.parquet"):
        ends.copy(archive="done")
    assert ends.names("in") == ["in/b.parquet", "in/z.parquet"]


def test_the_archive_keeps_what_it_has(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    ends.put("a.parquet", 0, folder="done")
    ends.put("b.parquet", 2)
    with pytest.warns(
        DatastoreWarning, match=r"others are in their place in done: 'in/a.parquet'$"
    ):
        report = ends.copy(archive=ends.source / "done")
    assert (report.rows, report.archived) == (2, 1)
    assert ends.names("in") == ["in/a.parquet"]
    assert ends.source.scan("done/a.parquet").to_arrow()["id"].to_pylist() == [0]


def test_an_archive_that_fails_leaves_what_was_copied(ends: Ends, tmp_path: Path) -> None:
    ends.put("a.parquet", 1)
    # It leads out of the store.
    done = Path(ends.source.config.path) / "done"  # type: ignore[attr-defined]
    done.symlink_to(tmp_path)
    with pytest.raises(DatastoreError) as caught:
        ends.copy(archive="done")
    assert any("all is copied" in one for one in caught.value.__notes__), caught.value
    done.unlink()
    report = ends.copy(archive="done")
    # It is acknowledged by this call: nothing is copied again.
    assert (report.rows, report.workers, report.archived) == (1, 0, 1)
    assert ends.ids() == [1]


@pytest.mark.parametrize(
    ("path", "archive"),
    [
        ("in/", "in"),
        ("in/", "in/done"),
        ("in/sub/", "in"),
        ("in/*.parquet", "in"),
        ("in/**", "in/done"),
        ("in/sub/*.parquet", "in"),
        ("in/", ""),
        ("in/", "done*"),
    ],
)
def test_an_archive_that_would_be_read_again_is_refused(
    ends: Ends, path: str, archive: str
) -> None:
    ends.put("sub/a.parquet", 1)
    ends.put("a.parquet", 1)
    with pytest.raises(ConfigurationError, match="archive"):
        ends.copy(path, archive=archive)
    with pytest.raises(ConfigurationError, match="in another store"):
        ends.copy(archive=ends.target / "main/done")
    assert len(ends.names("in")) == 2


def test_an_archive_that_a_glob_does_not_see(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    assert ends.copy("in/*.parquet", archive="in/done").archived == 1
    ends.put("b.parquet", 2)
    report = ends.copy("in/*.parquet", archive="in/done")
    assert (report.rows, report.archived) == (1, 1)
    assert ends.names("in") == ["in/done/a.parquet", "in/done/b.parquet"]


def test_an_archive_inside_the_target_is_refused(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    here = Ends(ends.source, ends.source)
    with pytest.raises(ConfigurationError, match="archive"):
        here.copy(target="copy/", archive="copy/done")


def test_what_leaves_open_which_files_come_next_is_refused(ends: Ends) -> None:
    ends.put("a.parquet", 1)
    with pytest.raises(ConfigurationError, match="not both"):
        ends.copy(cursor="id")
    with pytest.raises(ConfigurationError, match="not both"):
        ends.copy(cursor="id", new_files=False, modified_since="2026-11-01T00:00:00Z")
    with pytest.raises(ConfigurationError, match="new_files has no mode replace_partitions"):
        ends.copy(mode="replace_partitions", partition_by=["id"])
    with pytest.raises(ConfigurationError, match="archive goes with new_files"):
        ends.copy(new_files=False, archive="done")
    limited = ends.source.scan("in/", limit=1)
    with pytest.raises(ConfigurationError, match="limit"):
        datastores.copy(limited, ends.target / "main/rows", new_files=True)


@pytest.mark.parametrize(
    "words",
    [
        {"new_files": True},
        {"modified_since": "2026-11-01T00:00:00Z"},
        {"path_column": "_path"},
        {"new_files": True, "archive": "done"},
    ],
    ids=lambda one: list(one)[-1],
)
def test_a_source_that_is_no_files_is_refused(ends: Ends, words: Any) -> None:
    ends.target.write_table("rows", pa.table({"id": [1]}))
    query = ends.source.query("select 1 as id")
    for source in (ends.target / "main/rows", query):
        with pytest.raises(ConfigurationError, match=f"{list(words)[-1]}.*no file, folder or glob"):
            datastores.copy(source, ends.source / "out/", **words)


def test_a_plan_says_what_is_new(ends: Ends) -> None:
    for number in range(5):
        ends.put(f"{number}.parquet", number)
    end: Any = ends.source / "in/", ends.target / ends.path
    plan = datastores.plan_copy(*end, mode="create_append", new_files=True, archive="done")
    names = ", ".join(f"in/{number}.parquet" for number in range(3))
    assert f"5 new files: {names} and 2 more" in str(plan)
    assert plan.to_dict()["archive"] == "done"
    assert len(ends.names("in")) == 5
    assert ends.copy().rows == 5
    plan = datastores.plan_copy(*end, mode="create_append", new_files=True)
    assert (plan.new_files, plan.parts, plan.rows) == ("no new file, 5 known", (), 0)
