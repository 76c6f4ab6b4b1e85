"""A Hypothesis machine that drives a filesystem and a dict of bytes, and compares them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from fsspec import AbstractFileSystem
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from typing_extensions import override

from datastores.errors import AlreadyExistsError, NotFoundError

_NAMES = st.sampled_from(["a", "b", "ä b", "100%", "x#y"])
# Few names, so that paths meet again: as files, as folders, and as each other's parents.
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_CONTENTS = st.binary(max_size=64)


class FileMachine(RuleBasedStateMachine):
    """Any order of calls leaves the filesystem with the files that the dict has.

    Subclass it with `open_filesystem`, which returns an empty filesystem and what closes it, and
    hand the subclass's `TestCase` to pytest.
    """

    open_filesystem: ClassVar[Callable[[], tuple[AbstractFileSystem, Callable[[], None]]]]
    base: ClassVar[str] = "stateful"
    empty_folders: ClassVar[bool] = True
    """As the driver's capabilities say: whether a folder outlives its last file."""

    @initialize()
    def start(self) -> None:
        self.fs, self.close = type(self).open_filesystem()
        self.files: dict[str, bytes] = {}
        self.folders: set[str] = set()

    @override
    def teardown(self) -> None:
        if hasattr(self, "close"):
            self.close()

    @rule(path=_PATHS, content=_CONTENTS, mode=st.sampled_from(["wb", "xb", "ab"]))
    def write(self, path: str, content: bytes, mode: str) -> None:
        if self._is_blocked(path) or (mode == "xb" and path in self.files):
            with pytest.raises(AlreadyExistsError):
                self._write(path, content, mode)
        else:
            self._write(path, content, mode)
            self.files[path] = self.files.get(path, b"") * (mode == "ab") + content
            self._note_parents(path)

    @rule(path=_PATHS, start=st.integers(0, 40), length=st.integers(0, 40))
    def read(self, path: str, start: int, length: int) -> None:
        if path in self.files:
            found = self.fs.cat_file(self._at(path), start=start, end=start + length)
            assert found == self.files[path][start : start + length]
        else:
            with pytest.raises(NotFoundError):
                self.fs.cat_file(self._at(path), start=start, end=start + length)

    @rule(path=_PATHS)
    def delete(self, path: str) -> None:
        if path in self.folders:
            return
        if path in self.files:
            self.fs.rm_file(self._at(path))
            del self.files[path]
            self._forget_empty()
        else:
            with pytest.raises(NotFoundError):
                self.fs.rm_file(self._at(path))

    @rule(path=_PATHS)
    def delete_folder(self, path: str) -> None:
        if path in self.folders:
            self.fs.rm(self._at(path), recursive=True)
            self.folders -= {one for one in self.folders if f"{one}/".startswith(f"{path}/")}
            self.files = {k: v for k, v in self.files.items() if not k.startswith(f"{path}/")}
            self._forget_empty()

    @rule(source=_PATHS, destination=_PATHS)
    def copy(self, source: str, destination: str) -> None:
        if source in self.files and source != destination and not self._is_blocked(destination):
            self.fs.cp_file(self._at(source), self._at(destination))
            self.files[destination] = self.files[source]
            self._note_parents(destination)

    @rule(source=_PATHS, destination=_PATHS)
    def move(self, source: str, destination: str) -> None:
        if source in self.folders or self._is_blocked(destination) or source == destination:
            return
        if source in self.files:
            self.fs.mv(self._at(source), self._at(destination))
            self.files[destination] = self.files.pop(source)
            self._note_parents(destination)
            self._forget_empty()
        else:
            with pytest.raises(NotFoundError):
                self.fs.mv(self._at(source), self._at(destination))

    @rule(path=_PATHS)
    def look(self, path: str) -> None:
        assert self.fs.exists(self._at(path)) == (path in self.files or path in self.folders)
        assert self.fs.isdir(self._at(path)) == (path in self.folders)
        if path in self.files:
            assert self.fs.size(self._at(path)) == len(self.files[path])

    @rule(path=_PATHS)
    def list_folder(self, path: str) -> None:
        if path in self.folders:
            inside = {*self.files, *self.folders}
            expected = {one for one in inside if one.rpartition("/")[0] == path}
            listed = self.fs.ls(self._at(path), detail=False)
            assert sorted(listed) == sorted(self._at(one) for one in expected)

    @invariant()
    def same_files(self) -> None:
        if hasattr(self, "fs"):
            found: dict[str, Any] = self.fs.find(self.base, detail=True)
            sizes = {name: info["size"] for name, info in found.items()}
            assert sizes == {self._at(path): len(one) for path, one in self.files.items()}

    def _at(self, path: str) -> str:
        return f"{self.base}/{path}"

    def _write(self, path: str, content: bytes, mode: str) -> None:
        with self.fs.open(self._at(path), mode) as file:
            file.write(content)

    def _is_blocked(self, path: str) -> bool:
        return path in self.folders or any(one in self.files for one in _parents(path))

    def _note_parents(self, path: str) -> None:
        self.folders.update(_parents(path))

    def _forget_empty(self) -> None:
        if not self.empty_folders:
            self.folders = {parent for path in self.files for parent in _parents(path)}


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
