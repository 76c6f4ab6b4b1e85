"""A filesystem whose files are bytes in this process."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

from typing_extensions import override

from datastores.drivers.base import FolderChange
from datastores.drivers.filesystem import StoreFileSystem
from datastores.drivers.memory import errors
from datastores.drivers.pending_file import PendingFile
from datastores.errors import PreconditionFailedError, UnsupportedOperationError
from datastores.location import join_path


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    created: float
    modified: float
    number: int


class MemoryStoreFileSystem(StoreFileSystem):
    """Files by path. Every call is made at one moment, and none sees another half done."""

    protocol = "datastore-memory"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._files: dict[str, _File] = {}
        # Each folder with the names in it; the root is always there.
        self._folders: dict[str, set[str]] = {"": set()}

    @override
    def __eq__(self, other: object) -> bool:
        return self is other

    @override
    def __hash__(self) -> int:
        return id(self)

    @override
    def __reduce__(self) -> NoReturn:
        raise UnsupportedOperationError(
            "a memory store is not pickled: its files exist in this process only",
            driver="memory",
            operation="pickle",
            advice="Use a local store where other processes take part",
        )

    @override
    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        with self._lock:
            if name in self._folders:
                return {"name": name, "size": 0, "type": "directory"}
            file = self._file(name)
        return {
            "name": name,
            "size": len(file.content),
            "type": "file",
            "mtime": file.modified,
            "created": file.created,
            "etag": f"{file.number:x}",
        }

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        name = self._strip_protocol(path)
        with self._lock:
            inner = self._folders.get(name)
            names = [name] if inner is None else sorted(join_path(name, one) for one in inner)
            infos = [self.info(one) for one in names]
        return infos if detail else names

    @override
    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with self._lock:
            return super().find(path, *args, **kwargs)

    @override
    def _open(self, path: str, mode: str = "rb", *, autocommit: bool = True, **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        if mode == "rb":
            return _ReadFile(self._file(name).content)
        existing = self._check_write(name, mode)
        start = existing["size"] if existing and mode == "ab" else 0
        return _MemoryPendingFile(self, name, mode, start=start, autocommit=autocommit)

    @override
    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        name = self._strip_protocol(path)
        with self._lock:
            if self.exists(name):
                raise errors.exists(name)
            if not create_parents and not self.isdir(self._parent(name)):
                raise errors.absent(self._parent(name))
            self._make_folder(name)

    @override
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        with self._lock:
            if not exist_ok and self.exists(name):
                raise errors.exists(name)
            self._make_folder(name)

    @override
    def rmdir(self, path: str) -> None:
        name = self._strip_protocol(path)
        with self._lock:
            if name not in self._folders:
                raise errors.absent(name)
            if not name:
                raise PreconditionFailedError("the store's root is not deleted", driver="memory")
            if self._folders[name]:
                raise errors.not_empty(name)
            del self._folders[name]
            self._forget(name)

    @override
    def rm_file(self, path: str) -> None:
        name = self._strip_protocol(path)
        with self._lock:
            if name in self._folders:
                self.rmdir(name)
            else:
                self._file(name)
                del self._files[name]
                self._forget(name)

    @override
    def _remove_tree(self, path: str) -> None:
        with self._lock:
            for name in [join_path(path, one) for one in self._folders[path]]:
                (self._remove_tree if name in self._folders else self.rm_file)(name)
            if path:
                self.rmdir(path)

    @override
    def _rename(self, source: str, target: str) -> None:
        with self._lock:
            if not self.exists(source):
                raise errors.absent(source)
            if source == target:
                return
            if source in self._folders:
                self._rename_folder(source, target)
                return
            if target in self._folders:
                raise errors.exists(target)
            self._make_folder(self._parent(target))
            self._place(target, self._files[source])
            self.rm_file(source)

    def _rename_folder(self, source: str, target: str) -> None:
        if target in self._files or self._folders.get(target):
            raise errors.exists(target)
        self._make_folder(target)
        for name in [join_path(source, one) for one in self._folders[source]]:
            inner = join_path(target, name.rpartition("/")[2])
            self._rename(name, inner)
        self.rmdir(source)

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        name = self._strip_protocol(path)
        with self._lock:
            content = b"" if truncate or not self.exists(name) else self._file(name).content
            self.store(name, "wb", content)

    def store(self, path: str, mode: str, content: bytes) -> None:
        """Put a file in its place: `wb` in any case, `xb` if nothing is there, `ab` added to it."""
        with self._lock:
            existing = self._files.get(path)
            if path in self._folders or (mode == "xb" and existing):
                raise errors.exists(path)
            if mode == "ab" and existing:
                content = existing.content + content
            now = time.time()
            created = existing.created if existing else now
            self._make_folder(self._parent(path))
            self._place(path, _File(content, created, now, next(self._numbers)))

    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        """Move a staged file to its place at one moment."""
        source, target = self._strip_protocol(staged), self._strip_protocol(path)
        with self._lock:
            if target in self._folders or (target in self._files and not replace):
                raise errors.exists(target)
            self._file(source)
            self._rename(source, target)

    def publish_folder(self, change: FolderChange) -> None:
        """Make one change to a folder at one moment, or none at all."""
        folder = self._strip_protocol(change.folder)
        adds = {
            join_path(folder, inner): self._strip_protocol(staged) for staged, inner in change.add
        }
        with self._all_or_nothing():
            if adds and all(
                target in self._files and staged not in self._files
                for target, staged in adds.items()
            ):
                return
            if change.must_be_absent and self.find(folder):
                raise errors.exists(folder)
            for cleared in change.clear:
                self._clear(join_path(folder, cleared).rstrip("/"))
            self._make_folder(folder)
            for target, staged in adds.items():
                if staged in self._files or target not in self._files:
                    self._rename(staged, target)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        with self._lock:
            files = dict(self._files)
            folders = {path: set(names) for path, names in self._folders.items()}
            try:
                yield
            except BaseException:
                self._files, self._folders = files, folders
                raise

    def _clear(self, folder: str) -> None:
        if folder in self._folders:
            self._remove_tree(folder)

    def _file(self, path: str) -> _File:
        with self._lock:
            if path in self._folders:
                raise errors.is_folder(path)
            if path not in self._files:
                raise errors.absent(path)
            return self._files[path]

    def _place(self, path: str, file: _File) -> None:
        self._files[path] = file
        self._folders[self._parent(path)].add(path.rpartition("/")[2])

    def _forget(self, path: str) -> None:
        self._folders[self._parent(path)].discard(path.rpartition("/")[2])

    def _make_folder(self, path: str) -> None:
        if path in self._folders:
            return
        if path in self._files:
            raise errors.through_file(path)
        self._make_folder(self._parent(path))
        self._folders[path] = set()
        self._folders[self._parent(path)].add(path.rpartition("/")[2])


class _ReadFile(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size = len(content)


class _MemoryPendingFile(PendingFile):
    def __init__(
        self,
        filesystem: MemoryStoreFileSystem,
        path: str,
        mode: str,
        *,
        start: int,
        autocommit: bool,
    ) -> None:
        self._filesystem = filesystem
        self._buffer = io.BytesIO()
        super().__init__(path, mode, self._buffer, start=start, autocommit=autocommit)

    @override
    def _publish(self) -> None:
        self._filesystem.store(self.path, self.mode, self._buffer.getvalue())

    @override
    def _drop(self) -> None:
        self._buffer.close()
