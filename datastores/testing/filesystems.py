"""The conformance suite of filesystems: fsspec's own abstract tests, and what this library adds to them."""

from __future__ import annotations

import gc
import gzip
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fsspec import AbstractFileSystem
from fsspec.core import OpenFile
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)
from typing_extensions import override

from datastores.errors import (
    AlreadyExistsError,
    DatastoreError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedOperationError,
)
from datastores.testing.races import RACERS, race

ODD_NAMES = (
    "with space",
    "per%20cent",
    "100%",
    "hash#tag",
    "what?",
    "a+b&c=d",
    "comma,semi;colon:",
    'quote\'s "double"',
    "ümläut",
    "日本語",
    "emoji 🦆",
    "[brackets]*",
    ".hidden",
    "_underscore",
    "two..dots",
    "~tilde",
    "trailing.",
)


class _Interruption(Exception):  # noqa: N818  # stands for anything that goes wrong
    pass


class FilesystemConformance(
    AbstractCopyTests,  # type: ignore[misc]  # fsspec has no types
    AbstractGetTests,  # type: ignore[misc]
    AbstractPutTests,  # type: ignore[misc]
    AbstractOpenTests,  # type: ignore[misc]
    AbstractPipeTests,  # type: ignore[misc]
    AbstractFixtures,  # type: ignore[misc]
):
    """What every filesystem of ours does. Give the fixtures `fs` and `fs_path`, an empty folder."""

    @pytest.fixture
    @override
    def fs_join(self) -> Any:
        return lambda *parts: "/".join(parts)

    def test_a_file_appears_when_it_is_closed(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/new/file"
        with fs.open(path, "wb") as file:
            file.write(b"one")
            file.flush()
            assert not fs.exists(path)
            assert fs.find(fs_path) == []
            file.write(b"two")
        assert fs.cat_file(path) == b"onetwo"

    def test_replacing_shows_the_old_content_until_closed(
        self, fs: AbstractFileSystem, fs_path: str
    ) -> None:
        path = f"{fs_path}/file"
        fs.pipe_file(path, b"old")
        with fs.open(path, "wb") as file:
            file.write(b"new content")
            file.flush()
            assert fs.cat_file(path) == b"old"
        assert fs.cat_file(path) == b"new content"

    @pytest.mark.parametrize("mode", ["wb", "xb", "ab", "w", "x", "a"])
    def test_an_exception_leaves_nothing(
        self, fs: AbstractFileSystem, fs_path: str, mode: str
    ) -> None:
        path = f"{fs_path}/folder/file"
        with pytest.raises(_Interruption), fs.open(path, mode) as file:
            file.write(b"half" if "b" in mode else "half")
            raise _Interruption
        assert fs.find(fs_path, withdirs=True) in ([], [fs_path])

    @pytest.mark.parametrize("mode", ["wb", "ab", "w", "a"])
    def test_an_exception_leaves_the_old_content(
        self, fs: AbstractFileSystem, fs_path: str, mode: str
    ) -> None:
        path = f"{fs_path}/file"
        fs.pipe_file(path, b"old")
        with pytest.raises(_Interruption), fs.open(path, mode) as file:
            file.write(b"half" if "b" in mode else "half")
            raise _Interruption
        assert fs.cat_file(path) == b"old"

    def test_appending(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/file"
        for part in (b"one ", b"", b"two"):
            with fs.open(path, "ab") as file:
                before = file.tell()
                file.write(part)
                assert file.tell() == before + len(part)
        assert fs.cat_file(path) == b"one two"
        assert fs.size(path) == 7

    def test_an_exception_through_fsspec_open(self, fs: AbstractFileSystem, fs_path: str) -> None:
        """`OpenFile.__exit__` closes the file as if nothing had happened."""
        path = f"{fs_path}/file"
        for mode in ("wb", "w"):
            with pytest.raises(_Interruption), OpenFile(fs, path, mode=mode) as file:
                file.write(b"half" if "b" in mode else "half")
                raise _Interruption
            assert not fs.exists(path)
        with OpenFile(fs, path, mode="wb", compression="gzip") as file:
            file.write(b"whole")
        assert gzip.decompress(fs.cat_file(path)) == b"whole"

    def test_a_file_written_while_an_error_is_handled(
        self, fs: AbstractFileSystem, fs_path: str
    ) -> None:
        path = f"{fs_path}/file"
        try:
            fs.info(path)
        except NotFoundError:
            with fs.open(path, "wb") as file:
                file.write(b"whole")
        assert fs.cat_file(path) == b"whole"

    @pytest.mark.parametrize("mode", ["wb", "w"])
    def test_a_file_that_is_never_closed(
        self, fs: AbstractFileSystem, fs_path: str, mode: str
    ) -> None:
        with pytest.warns(ResourceWarning, match="not closed"):
            self._write_and_forget(fs, f"{fs_path}/file", mode)
        assert not fs.exists(f"{fs_path}/file")

    def _write_and_forget(self, fs: AbstractFileSystem, path: str, mode: str) -> None:
        fs.open(path, mode).write(b"half" if "b" in mode else "half")
        gc.collect()

    def test_a_file_that_cannot_be_opened(self, fs: AbstractFileSystem, fs_path: str) -> None:
        with pytest.raises(LookupError):
            fs.open(f"{fs_path}/file", "w", encoding="no such")
        assert not fs.exists(f"{fs_path}/file")

    def test_seeking_in_a_file_being_written(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/archive.zip"
        with fs.open(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            archive.writestr("inner", b"content")
        with fs.open(path, "rb") as file, zipfile.ZipFile(file) as archive:
            assert archive.read("inner") == b"content"

    def test_text(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/text"
        with fs.open(path, "w", encoding="utf-16", newline="\r\n") as file:
            file.write("ä\nß\n")
        assert fs.cat_file(path) == "ä\r\nß\r\n".encode("utf-16")
        with fs.open(path, "r", encoding="utf-16") as file:
            assert file.read() == "ä\nß\n"

    def test_exclusive_creation_has_one_winner(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/file"

        def attempt(number: int, ready: threading.Barrier) -> None:
            with fs.open(path, "xb") as file:
                file.write(b"%d" % number)
                ready.wait(timeout=20)

        winners = race(attempt)
        assert len(winners) == 1
        assert fs.cat_file(path) == b"%d" % winners[0]

    def test_appends_at_once_are_all_kept(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path = f"{fs_path}/file"

        def attempt(number: int, ready: threading.Barrier) -> None:
            with fs.open(path, "ab") as file:
                file.write(b"%d\n" % number)
                ready.wait(timeout=20)

        assert len(race(attempt)) == RACERS
        assert sorted(fs.cat_file(path).split()) == [b"%d" % number for number in range(RACERS)]

    def test_empty_files(self, fs: AbstractFileSystem, fs_path: str) -> None:
        fs.pipe_file(f"{fs_path}/empty", b"")
        fs.touch(f"{fs_path}/touched")
        for name in ("empty", "touched"):
            assert fs.isfile(f"{fs_path}/{name}")
            assert fs.size(f"{fs_path}/{name}") == 0
            assert fs.cat_file(f"{fs_path}/{name}") == b""

    def test_ranges(self, fs: AbstractFileSystem, fs_path: str) -> None:
        path, content = f"{fs_path}/file", bytes(range(200))
        fs.pipe_file(path, content)
        for start, end in [(0, 10), (50, 60), (190, 300), (None, 7), (-5, None), (10, -10), (7, 7)]:
            assert fs.cat_file(path, start=start, end=end) == content[start:end]
        with fs.open(path, "rb") as file:
            file.seek(-3, 2)
            assert file.read() == content[-3:]
            file.seek(20)
            assert file.read(4) == content[20:24]
            assert file.tell() == 24

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names(self, fs: AbstractFileSystem, fs_path: str, name: str) -> None:
        path = f"{fs_path}/{name}/{name}"
        fs.pipe_file(path, name.encode())
        assert fs.cat_file(path) == name.encode()
        assert fs.info(path)["name"] == path
        assert fs.ls(f"{fs_path}/{name}", detail=False) == [path]
        assert fs.find(fs_path) == [path]
        fs.cp_file(path, f"{fs_path}/copy")
        assert fs.cat_file(f"{fs_path}/copy") == name.encode()
        fs.rm_file(path)
        assert not fs.exists(path)

    @pytest.mark.parametrize(
        "path", ["../outside", "a/../../outside", "a/..", "..", "a\\b", "nul\0byte"]
    )
    def test_paths_that_lead_out_are_refused(
        self, fs: AbstractFileSystem, fs_path: str, path: str
    ) -> None:
        inner = f"{fs_path}/{path}"
        fs.pipe_file(f"{fs_path}/there", b"")
        calls: tuple[Callable[[], object], ...] = (
            lambda: fs.open(inner, "rb"),
            lambda: fs.open(inner, "wb"),
            lambda: fs.info(inner),
            lambda: fs.ls(inner),
            lambda: fs.exists(inner),
            lambda: fs.find(inner),
            lambda: fs.glob(f"{inner}/*"),
            lambda: fs.cat_file(inner),
            lambda: fs.pipe_file(inner, b""),
            lambda: fs.mkdir(inner),
            lambda: fs.rm(inner, recursive=True),
            lambda: fs.rm_file(inner),
            lambda: fs.cp_file(f"{fs_path}/there", inner),
            lambda: fs.mv(f"{fs_path}/there", inner),
            lambda: fs.touch(inner),
        )
        for call in calls:
            with pytest.raises(PermissionDeniedError):
                call()
        assert fs.find(fs_path) == [f"{fs_path}/there"]

    def test_info_and_listing_say_the_same(
        self, fs: AbstractFileSystem, fs_path: str, supports_empty_directories: bool
    ) -> None:
        before = datetime.now(tz=UTC) - timedelta(seconds=5)
        fs.pipe_file(f"{fs_path}/b", b"12345")
        fs.pipe_file(f"{fs_path}/folder/inner", b"1")
        fs.mkdir(f"{fs_path}/empty")
        listed = {one["name"]: one for one in fs.ls(fs_path)}
        folders = ("folder", "empty") if supports_empty_directories else ("folder",)
        assert set(listed) == {f"{fs_path}/{one}" for one in ("b", *folders)}
        for path, info in listed.items():
            assert fs.info(path)["type"] == info["type"]
            assert fs.info(path)["size"] == info["size"]
        assert listed[f"{fs_path}/b"]["size"] == 5
        assert listed[f"{fs_path}/folder"]["type"] == "directory"
        assert fs.ls(f"{fs_path}/b", detail=False) == [f"{fs_path}/b"]
        if supports_empty_directories:
            assert fs.ls(f"{fs_path}/empty") == []
        else:
            with pytest.raises(NotFoundError):
                fs.ls(f"{fs_path}/empty")
        assert before < fs.modified(f"{fs_path}/b") < before + timedelta(minutes=5)
        assert fs.glob(f"{fs_path}/**/inn?r") == [f"{fs_path}/folder/inner"]
        assert fs.du(fs_path) == 6

    def test_folders(
        self, fs: AbstractFileSystem, fs_path: str, supports_empty_directories: bool
    ) -> None:
        fs.makedirs(f"{fs_path}/a/b")
        fs.makedirs(f"{fs_path}/a/b", exist_ok=True)
        assert fs.isdir(f"{fs_path}/a/b") == supports_empty_directories
        if not supports_empty_directories:
            fs.touch(f"{fs_path}/a/b/file")
        with pytest.raises(AlreadyExistsError):
            fs.makedirs(f"{fs_path}/a/b")
        with pytest.raises(AlreadyExistsError):
            fs.mkdir(f"{fs_path}/a")
        with pytest.raises(DatastoreError):
            fs.rmdir(f"{fs_path}/a")
        if supports_empty_directories:
            fs.rmdir(f"{fs_path}/a/b")
        else:
            fs.rm_file(f"{fs_path}/a/b/file")
        assert not fs.exists(f"{fs_path}/a/b")
        assert fs.isdir(f"{fs_path}/a") == supports_empty_directories

    def test_moving(self, fs: AbstractFileSystem, fs_path: str) -> None:
        fs.pipe_file(f"{fs_path}/a", b"a")
        fs.pipe_file(f"{fs_path}/folder/inner", b"inner")
        fs.mv(f"{fs_path}/a", f"{fs_path}/new/b")
        fs.mv(f"{fs_path}/folder", f"{fs_path}/moved", recursive=True)
        assert fs.find(fs_path) == [f"{fs_path}/moved/inner", f"{fs_path}/new/b"]
        assert fs.cat_file(f"{fs_path}/new/b") == b"a"
        assert not fs.exists(f"{fs_path}/folder")
        with pytest.raises(NotFoundError):
            fs.mv(f"{fs_path}/a", f"{fs_path}/c")

    def test_deleting(self, fs: AbstractFileSystem, fs_path: str) -> None:
        fs.pipe_file(f"{fs_path}/a/b/c", b"")
        fs.pipe_file(f"{fs_path}/a/d", b"")
        with pytest.raises(DatastoreError):
            fs.rm(f"{fs_path}/a")
        assert len(fs.find(fs_path)) == 2
        fs.rm(f"{fs_path}/a", recursive=True)
        assert not fs.exists(f"{fs_path}/a")

    def test_errors_are_ours(self, fs: AbstractFileSystem, fs_path: str) -> None:
        fs.pipe_file(f"{fs_path}/file", b"")
        fs.pipe_file(f"{fs_path}/folder/inner", b"")
        missing, file, folder = (f"{fs_path}/{one}" for one in ("missing", "file", "folder"))
        calls: tuple[tuple[type[DatastoreError], Callable[[], object]], ...] = (
            (NotFoundError, lambda: fs.open(missing, "rb")),
            (NotFoundError, lambda: fs.cat_file(missing)),
            (NotFoundError, lambda: fs.info(missing)),
            (NotFoundError, lambda: fs.ls(missing)),
            (NotFoundError, lambda: fs.rm(missing)),
            (NotFoundError, lambda: fs.rm_file(missing)),
            (NotFoundError, lambda: fs.rmdir(missing)),
            (NotFoundError, lambda: fs.cp_file(missing, file)),
            (NotFoundError, lambda: fs.cat(f"{missing}*")),
            (NotFoundError, lambda: fs.modified(missing)),
            (NotFoundError, lambda: fs.info(f"{file}/inner")),
            (NotFoundError, lambda: fs.open(folder, "rb")),
            (AlreadyExistsError, lambda: fs.open(folder, "wb")),
            (AlreadyExistsError, lambda: fs.open(file, "xb")),
            (AlreadyExistsError, lambda: fs.pipe_file(file, b"", mode="create")),
            (AlreadyExistsError, lambda: fs.pipe_file(f"{file}/inner", b"")),
            (AlreadyExistsError, lambda: fs.makedirs(file, exist_ok=True)),
            (UnsupportedOperationError, lambda: fs.open(file, "r+b")),
        )
        for kind, call in calls:
            with pytest.raises(kind) as caught:
                call()
            assert len(str(caught.value).splitlines()) == 1
        assert fs.find(fs_path) == [file, f"{folder}/inner"]
