"""The conformance suite of file drivers: a test class inherits it and gives the fixture `driver`."""

from __future__ import annotations

import pickle
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from fsspec import AbstractFileSystem
from typing_extensions import override

from datastores.bridges.files_as_tables import FilesAsTables
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.new_files import version_of
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    NotFoundError,
    PreconditionFailedError,
    UnsupportedOperationError,
)
from datastores.testing.filesystems import FilesystemConformance
from datastores.testing.races import RACERS, race
from datastores.testing.tls import TlsConformance
from datastores.values import Atomicity, TableName, WriteMode


class FileDriverConformance(FilesystemConformance):
    """What every file driver does. Give the fixture `driver`, opened over an empty store."""

    @pytest.fixture
    def driver(self) -> Iterator[FileDriver]:
        """Yield the driver under test; a test class overrides this."""
        raise NotImplementedError

    @pytest.fixture
    @override
    def fs(self, driver: FileDriver) -> AbstractFileSystem:
        return driver.filesystem

    @pytest.fixture
    @override
    def fs_path(self) -> str:
        return "conformance"

    @pytest.fixture
    @override
    def supports_empty_directories(self, driver: FileDriver) -> bool:
        return driver.capabilities.empty_folders

    @pytest.fixture(autouse=True)
    def nothing_is_left_in_staging(self, driver: FileDriver) -> Iterator[None]:
        """Fail a test after which the staging folder holds a file."""
        yield
        assert driver.filesystem.find(driver.config.staging_path) == []

    def test_a_network_is_tested_for_tls(self, driver: FileDriver) -> None:
        assert isinstance(self, TlsConformance) or not driver.endpoints

    def test_root(self, driver: FileDriver) -> None:
        fs = driver.filesystem
        assert fs.ls("") == []
        assert fs.info("/")["type"] == "directory"
        fs.pipe_file("/file", b"1")
        assert fs.ls("/", detail=False) == ["file"]
        assert fs.find("") == ["file"]
        fs.rm("", recursive=True)
        assert fs.ls("") == []

    def test_config_pickles_and_prints(self, driver: FileDriver) -> None:
        config = driver.config
        assert pickle.loads(pickle.dumps(config)) == config
        assert type(config).from_mapping(config.to_mapping()) == config
        assert driver.place in repr(driver)

    def test_a_closed_driver_opens_again(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("file", b"1")
        driver.close()
        driver.close()
        assert driver.filesystem.cat_file("file") == b"1"

    @pytest.mark.parametrize("mode", list(WriteMode))
    def test_declared_modes_work_and_others_change_nothing(
        self, driver: FileDriver, mode: WriteMode
    ) -> None:
        tables, rows = FilesAsTables(driver), pa.table({"id": [1, 2], "part": ["a", "b"]})
        if mode is not WriteMode.CREATE:
            self._write_rows(tables, rows, WriteMode.CREATE)
        before = driver.filesystem.find("")
        if mode in driver.capabilities.write_modes:
            self._write_rows(tables, rows, mode)
            assert driver.filesystem.find("") != before
        else:
            with pytest.raises(UnsupportedOperationError):
                self._write_rows(tables, rows, mode)
            assert driver.filesystem.find("") == before

    def _write_rows(self, tables: FilesAsTables, rows: pa.Table, mode: WriteMode) -> None:
        request = WriteRequest(
            table=TableName("table"),
            schema=rows.schema,
            mode=mode,
            keys=("id",) if mode is WriteMode.UPSERT else (),
            partition_by=("part",),
        )
        session = tables.begin(request)
        session.publish([session.write("0", rows.to_reader())])
        session.discard()

    def test_other_processes_as_declared(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("file", b"1")
        if driver.capabilities.processes:
            assert pickle.loads(pickle.dumps(driver.filesystem)).cat_file("file") == b"1"
        else:
            with pytest.raises(UnsupportedOperationError):
                pickle.dumps(driver.filesystem)

    def test_files_are_written_as_declared(self, driver: FileDriver) -> None:
        if driver.capabilities.writable_files:
            driver.filesystem.pipe_file("file", b"1")
            assert driver.filesystem.find("") == ["file"]
        else:
            with pytest.raises(UnsupportedOperationError):
                driver.filesystem.pipe_file("file", b"1")
            assert driver.filesystem.find("") == []

    @pytest.mark.parametrize("replace", [False, True])
    def test_publish_file(self, driver: FileDriver, replace: bool) -> None:
        staged = self.stage(driver, b"new")
        driver.publish_file(staged, "folder/file", replace=replace)
        assert driver.filesystem.cat_file("folder/file") == b"new"
        assert not driver.filesystem.exists(staged)

    def test_publish_file_over_another(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("file", b"old")
        staged = self.stage(driver, b"new")
        with pytest.raises(AlreadyExistsError):
            driver.publish_file(staged, "file", replace=False)
        assert driver.filesystem.cat_file("file") == b"old"
        driver.publish_file(staged, "file", replace=True)
        assert driver.filesystem.cat_file("file") == b"new"

    def test_publish_file_that_was_not_staged(self, driver: FileDriver) -> None:
        with pytest.raises(NotFoundError):
            driver.publish_file("_datastores/job/none", "file", replace=True)

    def test_move_file(self, driver: FileDriver) -> None:
        fs = driver.filesystem
        fs.pipe_file("in/file", b"1")
        driver.move_file("in/file", "done/in/file", version=version_of(fs.info("in/file")))
        assert fs.cat_file("done/in/file") == b"1"
        assert not fs.exists("in/file")

    def test_move_file_that_changed_or_is_gone(self, driver: FileDriver) -> None:
        fs = driver.filesystem
        fs.pipe_file("in/file", b"1")
        version = version_of(fs.info("in/file"))
        fs.pipe_file("in/file", b"2")
        with pytest.raises(PreconditionFailedError):
            driver.move_file("in/file", "done/file", version=version)
        assert fs.cat_file("in/file") == b"2"
        assert not fs.exists("done/file")
        with pytest.raises(NotFoundError):
            driver.move_file("in/other", "done/file", version=version)

    def test_move_file_to_where_another_is(self, driver: FileDriver) -> None:
        fs = driver.filesystem
        fs.pipe_file("in/file", b"1")
        driver.move_file("in/file", "done/file", version=version_of(fs.info("in/file")))
        # The same name, and as many bytes.
        fs.pipe_file("in/file", b"2")
        with pytest.raises(AlreadyExistsError):
            driver.move_file("in/file", "done/file", version=version_of(fs.info("in/file")))
        assert (fs.cat_file("in/file"), fs.cat_file("done/file")) == (b"2", b"1")

    def test_publish_file_has_one_winner(self, driver: FileDriver) -> None:
        staged = [self.stage(driver, b"%d" % number) for number in range(RACERS)]

        def attempt(number: int, ready: threading.Barrier) -> None:
            ready.wait(timeout=20)
            driver.publish_file(staged[number], "file", replace=False)

        winners = race(attempt)
        assert len(winners) == 1
        assert driver.filesystem.cat_file("file") == b"%d" % winners[0]
        driver.filesystem.rm(driver.config.staging_path, recursive=True)

    def test_create_folder(self, driver: FileDriver) -> None:
        change = self.change(driver, "deep/table", {"a": b"1", "p=1/b": b"2"}, absent=True)
        driver.publish_folder(change)
        assert self.content(driver, "deep/table") == {"a": b"1", "p=1/b": b"2"}
        driver.publish_folder(change)
        assert self.content(driver, "deep/table") == {"a": b"1", "p=1/b": b"2"}
        other = self.change(driver, "deep/table", {"c": b"3"}, absent=True)
        with pytest.raises(AlreadyExistsError):
            driver.publish_folder(other)
        assert self.content(driver, "deep/table") == {"a": b"1", "p=1/b": b"2"}
        driver.filesystem.rm(other.add[0][0])

    def test_create_folder_has_one_winner(self, driver: FileDriver) -> None:
        changes = [
            self.change(driver, "table", {f"file{n}": b"%d" % n}, absent=True)
            for n in range(RACERS)
        ]

        def attempt(number: int, ready: threading.Barrier) -> None:
            ready.wait(timeout=20)
            driver.publish_folder(changes[number])

        winners = race(attempt)
        assert len(winners) == 1
        assert self.content(driver, "table") == {f"file{winners[0]}": b"%d" % winners[0]}
        driver.filesystem.rm(driver.config.staging_path, recursive=True)

    def test_create_in_an_empty_folder(self, driver: FileDriver) -> None:
        driver.filesystem.makedirs("table/empty")
        driver.publish_folder(self.change(driver, "table", {"a": b"1"}, absent=True))
        assert self.content(driver, "table") == {"a": b"1"}

    def test_append_to_folder(self, driver: FileDriver) -> None:
        driver.filesystem.pipe({"table/old": b"0", "table/p=1/old": b"0"})
        change = self.change(driver, "table", {"new": b"1", "p=1/new": b"2"})
        driver.publish_folder(change)
        now = {"old": b"0", "p=1/old": b"0", "new": b"1", "p=1/new": b"2"}
        assert self.content(driver, "table") == now
        driver.publish_folder(change)
        assert self.content(driver, "table") == now

    def test_replace_folder(self, driver: FileDriver) -> None:
        driver.filesystem.pipe({"table/old": b"0", "table/p=1/old": b"0", "tables": b"beside"})
        change = self.change(driver, "table", {"new": b"1"}, clear=("",))
        driver.publish_folder(change)
        assert self.content(driver, "table") == {"new": b"1"}
        driver.publish_folder(change)
        assert self.content(driver, "table") == {"new": b"1"}
        assert driver.filesystem.cat_file("tables") == b"beside"

    @pytest.mark.parametrize("clear", [(), ("",)])
    def test_new_content_under_old_names(self, driver: FileDriver, clear: tuple[str, ...]) -> None:
        """A copy of files keeps their names, so a name that is there says nothing."""
        for content in (b"1", b"22"):
            change = self.change(driver, "table", {"a": content, "p/b": content}, clear=clear)
            for _ in range(2):
                driver.publish_folder(change)
                assert self.content(driver, "table") == {"a": content, "p/b": content}

    def test_replace_partitions(self, driver: FileDriver) -> None:
        old = {f"table/p={n}/q=1/old": b"0" for n in (1, 10, 2)} | {"table/top": b"0"}
        driver.filesystem.pipe(old)
        change = self.change(driver, "table", {"p=1/q=2/new": b"1"}, clear=("p=1",))
        driver.publish_folder(change)
        assert self.content(driver, "table") == {
            "p=1/q=2/new": b"1",
            "p=10/q=1/old": b"0",
            "p=2/q=1/old": b"0",
            "top": b"0",
        }

    def test_clearing_alone(self, driver: FileDriver) -> None:
        driver.filesystem.pipe({"table/p=1/old": b"0", "table/p=2/old": b"0"})
        driver.publish_folder(self.change(driver, "table", {}, clear=("p=1",)))
        assert self.content(driver, "table") == {"p=2/old": b"0"}

    def test_a_failed_publish_changes_nothing(self, driver: FileDriver) -> None:
        driver.filesystem.pipe({"table/a": b"0", "table/p=1/b": b"0"})
        good = self.change(driver, "table", {"new": b"1"}, clear=("",))
        bad = FolderChange(
            folder="table", add=(*good.add, ("_datastores/job/gone", "more")), clear=("",)
        )
        with pytest.raises(NotFoundError):
            driver.publish_folder(bad)
        assert self.content(driver, "table") == {"a": b"0", "p=1/b": b"0"}
        driver.publish_folder(good)
        assert self.content(driver, "table") == {"new": b"1"}

    def test_a_folder_around_the_staging_is_refused(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("file", b"0")
        staging = driver.config.staging_path
        for folder in ("", "/", staging, f"{staging}/inner"):
            with pytest.raises(UnsupportedOperationError):
                driver.publish_folder(FolderChange(folder=folder, add=(), clear=("",)))
        assert driver.filesystem.find("") == ["file"]

    def test_a_file_in_the_folders_place(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("table", b"0")
        change = self.change(driver, "table", {"new": b"1"})
        with pytest.raises(AlreadyExistsError):
            driver.publish_folder(change)
        assert driver.filesystem.cat_file("table") == b"0"
        driver.filesystem.rm(change.add[0][0])

    def test_changes_at_once_are_all_kept(self, driver: FileDriver) -> None:
        driver.filesystem.pipe_file("table/old", b"0")
        changes = [self.change(driver, "table", {f"new{n}": b"1"}) for n in range(RACERS)]

        def attempt(number: int, ready: threading.Barrier) -> None:
            ready.wait(timeout=20)
            driver.publish_folder(changes[number])

        assert len(race(attempt)) == RACERS
        assert set(self.content(driver, "table")) == {"old", *(f"new{n}" for n in range(RACERS))}

    def test_readers_see_the_old_or_the_new(self, driver: FileDriver) -> None:
        """Each version has ten files in five partitions that hold its number.

        Where they appear file by file, a reader may see other versions' files beside a whole one.
        """
        atomic = driver.capabilities.write_modes[WriteMode.REPLACE] is Atomicity.ATOMIC
        names = [f"p={n % 5}/{n}" for n in range(10)]
        seen: list[Counter[str]] = []
        done = threading.Event()

        def publish(version: int) -> None:
            files = {f"{name}-{version}": b"%d" % version for name in names}
            driver.publish_folder(self.change(driver, "table", files, clear=("",)))

        def watch() -> None:
            while not done.wait(0.001):
                found = driver.filesystem.find("table")
                seen.append(Counter(path.rpartition("-")[2] for path in found))

        publish(0)
        with ThreadPoolExecutor() as pool:
            watchers = [pool.submit(watch) for _ in range(2)]
            try:
                version = 0
                # As often as it takes for a watcher to come by, and no fewer than 30 times.
                fewest = 30 if atomic else 8
                while version < fewest or (version < 3_000 and len(_versions(seen)) < 2):
                    version += 1
                    publish(version)
            finally:
                done.set()
            for watcher in watchers:
                watcher.result()
        assert all(max(versions.values()) == len(names) for versions in seen)
        assert all(len(versions) == 1 for versions in seen) or not atomic
        assert len(_versions(seen)) > 1

    def stage(self, driver: FileDriver, content: bytes) -> str:
        """Write a file to staging, as a transfer would, and return its path."""
        path = f"{driver.config.staging_path}/job/{uuid.uuid4().hex}"
        driver.filesystem.pipe_file(path, content)
        return path

    def change(
        self,
        driver: FileDriver,
        folder: str,
        files: dict[str, bytes],
        *,
        clear: tuple[str, ...] = (),
        absent: bool = False,
    ) -> FolderChange:
        """Stage files and return the change that publishes them."""
        add = tuple((self.stage(driver, content), name) for name, content in files.items())
        return FolderChange(folder=folder, add=add, clear=clear, must_be_absent=absent)

    def content(self, driver: FileDriver, folder: str) -> dict[str, bytes]:
        """Return the files of a folder by path relative to it."""
        fs = driver.filesystem
        return {path.removeprefix(f"{folder}/"): fs.cat_file(path) for path in fs.find(folder)}


def _versions(seen: list[Counter[str]]) -> set[str]:
    return {version for versions in list(seen) for version in versions}
