"""The filesystem of one local folder: operating system calls below a root that links do not leave."""

from __future__ import annotations

import io
import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from typing_extensions import Buffer, override

from datastores.drivers.filesystem import StoreFileSystem, staging_folder
from datastores.drivers.local import system
from datastores.drivers.local.errors import translated
from datastores.drivers.pending_file import PendingFile
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
)
from datastores.location import join_path

_T = TypeVar("_T")
_APPEND_BYTES = 1 << 20
_PLACE_ATTEMPTS = 20


# pyarrow takes every class named LocalFileSystem for fsspec's own, and reads past the root.
class LocalStoreFileSystem(StoreFileSystem):
    """The files of one folder.

    A symbolic link that leads out of the folder shows in listings as of type `other`, and every
    call that names it or goes through it is refused; deleting the folder around it deletes the
    link. Links are checked before each call: whoever can swap a link in between is not kept out.

    Args:
        root: The folder; it need not exist.
        staging: Where unfinished files wait, relative to `root`.
    """

    protocol = "datastore-local"

    def __init__(self, root: str, staging: str = "_datastores", **options: Any) -> None:
        super().__init__(**options)
        self.root = os.path.abspath(os.path.expanduser(root))
        self.staging = staging_folder(staging)

    def locate(self, path: str) -> str:
        """Return the absolute path, or refuse one that leads out of the root."""
        absolute = os.path.join(self.root, self._strip_protocol(path)).rstrip("/") or "/"
        try:
            os.fsencode(absolute)
        except UnicodeEncodeError as error:
            raise ConfigurationError(f"{path!r} is not valid Unicode", target=path) from error
        root, real = os.path.realpath(self.root), os.path.realpath(absolute)
        if real != root and os.path.commonpath([root, real]) != root:
            raise PermissionDeniedError(
                f"{path!r} leads out of the store through a symbolic link",
                driver="local",
                target=path,
                advice="Make the place it leads to a store of its own",
            )
        return absolute

    @override
    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        with translated("info", name):
            absolute = self.locate(name)
            if not name and not os.path.lexists(absolute):
                return {"name": "", "size": 0, "type": "directory"}
            return _describe(name, os.stat(absolute))

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        name = self._strip_protocol(path)
        info = self.info(name)
        found = [info]
        if info["type"] == "directory":
            with translated("list", name):
                found = self._undisturbed(name, lambda: self._entries(name))
        return found if detail else [one["name"] for one in found]

    @override
    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        found = super().find
        return self._undisturbed(name, lambda: found(name, *args, **kwargs))

    def _undisturbed(self, path: str, read: Callable[[], _T]) -> _T:
        """Return what `read` says of a folder that no other folder replaced in the meantime."""
        while True:
            with self._identified(path) as before:
                found = read()
                if self._identity(path) == before:
                    return found

    @contextmanager
    def _identified(self, path: str) -> Iterator[tuple[int, int] | None]:
        """Tell a folder's identity, and hold it open: an inode that is gone is soon used again."""
        try:
            folder = os.open(self.locate(path), os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        except OSError:
            yield self._identity(path)
            return
        try:
            status = os.fstat(folder)
            yield status.st_dev, status.st_ino
        finally:
            os.close(folder)

    def _identity(self, path: str) -> tuple[int, int] | None:
        try:
            status = os.stat(self.locate(path))
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _entries(self, folder: str) -> list[dict[str, Any]]:
        absolute = self.locate(folder)
        if not folder and not os.path.lexists(absolute):
            return []
        with os.scandir(absolute) as entries:
            found = [self._entry(f"{folder}/{one.name}".lstrip("/"), one) for one in entries]
        return sorted((one for one in found if one), key=lambda one: str(one["name"]))

    def _entry(self, name: str, entry: os.DirEntry[str]) -> dict[str, Any] | None:
        try:
            if entry.is_symlink():
                self.locate(name)
            return _describe(name, entry.stat())
        except OSError as error:
            # A link that leads out, in a circle or to nothing is shown, and refused when used.
            if entry.is_symlink():
                return {"name": name, "size": 0, "type": "other"}
            if isinstance(error, FileNotFoundError):
                return None
            raise

    @override
    def _open(self, path: str, mode: str = "rb", *, autocommit: bool = True, **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        with translated("open", name):
            if mode == "rb":
                return ReadFile(_RawFile(self.locate(name), name))
            existing = self._check_write(name, mode)
            start = existing["size"] if existing and mode == "ab" else 0
            return _LocalPendingFile(self, name, mode, start=start, autocommit=autocommit)

    @override
    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        name = self._strip_protocol(path)
        with translated("mkdir", name):
            (os.makedirs if create_parents else os.mkdir)(self.locate(name))

    @override
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        with translated("mkdir", name):
            self.make_folder(name) if exist_ok else os.makedirs(self.locate(name))

    @override
    def rmdir(self, path: str) -> None:
        name = self._strip_protocol(path)
        with translated("rmdir", name):
            if not name:
                raise PreconditionFailedError("the store's root is not deleted")
            if self.info(name)["type"] != "directory":
                raise NotFoundError(f"{name!r} is a file, not a folder", target=name)
            os.rmdir(self.locate(name))

    @override
    def rm_file(self, path: str) -> None:
        name = self._strip_protocol(path)
        with translated("delete", name):
            absolute = self.locate(name)
            if os.path.isdir(absolute) and not os.path.islink(absolute):
                self.rmdir(name)
            else:
                os.unlink(absolute)

    @override
    def _remove_tree(self, path: str) -> None:
        with translated("delete", path):
            absolute = self.locate(path)
            if os.path.islink(absolute):
                os.unlink(absolute)
            elif path:
                shutil.rmtree(absolute)
            else:
                for entry in self._entries(""):
                    inner = os.path.join(self.root, entry["name"])
                    real = entry["type"] == "directory" and not os.path.islink(inner)
                    (shutil.rmtree if real else os.unlink)(inner)
        self.tidy()

    @override
    def _rename(self, source: str, target: str) -> None:
        with translated("move", source):
            moved, place = self.locate(source), self.locate(target)
            os.stat(moved)
            self.make_parent(target)
            os.replace(moved, place)

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        name = self._strip_protocol(path)
        if truncate or not self.exists(name):
            self.open(name, "wb").close()
        else:
            with translated("touch", name):
                os.utime(self.locate(name))

    def make_parent(self, path: str) -> None:
        """Make the folder that a path is in, and those above it."""
        self.make_folder(path.rpartition("/")[0])

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it, unless they are there."""
        try:
            os.makedirs(self.locate(path), exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise AlreadyExistsError(
                f"{path!r} is, or goes through, a file", driver="local", target=path
            ) from error

    def staged(self, kind: str, path: str = "") -> str:
        """Return an absolute path in staging that nobody else will use.

        What becomes a file that is staged itself is in the same job's folder, and goes with it.
        """
        job, inner, _ = path.removeprefix(f"{self.staging}/").partition("/")
        staged = path.startswith(f"{self.staging}/") and inner
        folder = join_path(self.staging, job) if staged else self.staging
        return os.path.join(self.locate(folder), f"{kind}-{uuid.uuid4().hex}")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep everybody else from appending to files and publishing folders of this store."""
        try:
            with system.locked(os.path.join(self.locate(self.staging), "lock")):
                yield
        finally:
            self.tidy()

    def tidy(self) -> None:
        """Remove the staging folder if nothing is in it."""
        with suppress(OSError):
            os.rmdir(self.locate(self.staging))


class ReadFile(io.BufferedReader):
    """A file being read; `size` is its length in bytes when it was opened."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__(raw)
        self.size = os.fstat(raw.fileno()).st_size

    @override
    def __del__(self) -> None:
        # pyarrow and DuckDB leave it to the garbage collector, which would warn of it.
        self.close()


class _RawFile(io.FileIO):
    def __init__(self, absolute: str, path: str) -> None:
        super().__init__(absolute)
        self._path = path

    @override
    def readinto(self, buffer: Buffer, /) -> int:
        with translated("read", self._path):
            return super().readinto(buffer)

    @override
    def readall(self) -> bytes:
        with translated("read", self._path):
            return super().readall()


class _LocalPendingFile(PendingFile):
    def __init__(
        self,
        filesystem: LocalStoreFileSystem,
        path: str,
        mode: str,
        *,
        start: int,
        autocommit: bool,
    ) -> None:
        self._filesystem = filesystem
        self._staged = filesystem.staged("write", path)
        sink = system.make_in_folder(self._staged, lambda: open(self._staged, "xb"))  # noqa: SIM115
        super().__init__(path, mode, sink, start=start, autocommit=autocommit)

    @override
    def write(self, data: Buffer, /) -> int:
        with translated("write", self.path):
            return super().write(data)

    @override
    def _publish(self) -> None:
        with translated("write", self.path):
            self._sink.close()
            for attempt in range(_PLACE_ATTEMPTS):
                try:
                    self._place()
                except FileNotFoundError:
                    # The folder was exchanged for a new one, and the old one deleted, between
                    # looking it up and renaming into it.
                    if attempt == _PLACE_ATTEMPTS - 1 or not os.path.lexists(self._staged):
                        raise
                else:
                    return

    def _place(self) -> None:
        self._filesystem.make_parent(self.path)
        target = self._filesystem.locate(self.path)
        if self.mode == "wb":
            os.replace(self._staged, target)
        elif self.mode == "xb":
            system.rename_if_absent(self._staged, target)
        else:
            with self._filesystem.locked():
                _append(self._staged, target)

    @override
    def _drop(self) -> None:
        with suppress(OSError):
            self._sink.close()
        with suppress(OSError):
            os.unlink(self._staged)
        self._filesystem.tidy()


def _append(staged: str, target: str) -> None:
    """Add a file's bytes to another; if they do not fit, the other is as it was."""
    try:
        system.rename_if_absent(staged, target)
    except FileExistsError:
        # Unbuffered: a buffer would write what is left of it once more, after the truncation.
        with open(staged, "rb") as source, open(target, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                while rest := source.read(_APPEND_BYTES):
                    while rest:
                        rest = rest[file.write(rest) :]
            except BaseException:
                file.truncate(size)
                raise


def _describe(name: str, status: os.stat_result) -> dict[str, Any]:
    kind = "other"
    if stat.S_ISDIR(status.st_mode):
        kind = "directory"
    elif stat.S_ISREG(status.st_mode):
        kind = "file"
    return {
        "name": name,
        "size": status.st_size if kind == "file" else 0,
        "type": kind,
        "mtime": status.st_mtime,
        "created": getattr(status, "st_birthtime", status.st_ctime),
        "etag": f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_size:x}",
    }
