"""What the filesystems of our own file drivers share: checked paths, our errors, files that appear when closed.

A driver adds the calls that touch its medium: `info`, `ls`, `_open`, `mkdir`, `makedirs`, `rmdir`,
`rm_file`, `_remove_tree`, `_rename`, `touch`.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.core import get_compression
from fsspec.utils import stringify_path
from typing_extensions import Buffer, override

from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreError,
    NotFoundError,
    PreconditionFailedError,
    UnsupportedOperationError,
)
from datastores.location import normalize_path

WRITE_MODES = frozenset({"wb", "xb", "ab"})

_COPY_BYTES = 1 << 20


class MissingRootError(NotFoundError):
    """The container or share itself is not there: it is not taken for an empty one."""


class StoreFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A filesystem whose paths are relative to one store's root, which nothing leads out of.

    `""` is the root; a leading slash is accepted and dropped. Parent folders are made as needed,
    and folders that are empty exist. `info` holds `name`, `size`, `type`, `mtime` and `created`
    (both in seconds since 1970, UTC), and `etag`.
    """

    # Two stores of the same settings are two objects: a cached one would outlive its driver.
    cachable = False
    root_marker = ""

    @classmethod
    @override
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = stringify_path(path)
        if not isinstance(text, str):
            raise ConfigurationError(f"{path!r} is not a path")
        return normalize_path(text.removeprefix(f"{cls.protocol}://")).rstrip("/")

    @override
    def open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: dict[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        if compression is not None and get_compression(path, compression) is not None:
            raise UnsupportedOperationError(
                "a filesystem's open compresses nothing",
                operation="open",
                target=path,
                advice="fsspec.open(url, compression=...) does",
            )
        if "b" in mode:
            return super().open(path, mode, **kwargs)
        words = {name: kwargs.pop(name, None) for name in ("encoding", "errors", "newline")}
        return _Text(super().open(path, mode.replace("t", "") + "b", **kwargs), **words)

    @override
    def exists(self, path: str, **kwargs: Any) -> bool:
        # The inherited three answer "no" to every error, a refused connection included.
        return self._type(path) is not None

    @override
    def isfile(self, path: str) -> bool:
        return self._type(path) == "file"

    @override
    def isdir(self, path: str) -> bool:
        return self._type(path) == "directory"

    def _type(self, path: str) -> str | None:
        """Return what a path is, as `info` says it; None if nothing is there."""
        try:
            return str(self.info(path)["type"])
        except MissingRootError:
            raise
        except FileNotFoundError:
            return None

    @override
    def walk(
        self,
        path: str,
        maxdepth: int | None = None,
        topdown: bool = True,
        on_error: Any = "omit",
        **kwargs: Any,
    ) -> Iterator[Any]:
        # The inherited "omit" leaves out every folder it may not read, and a copy would lose it.
        if on_error == "omit":
            on_error = _omit_absent
        return super().walk(path, maxdepth, topdown, on_error, **kwargs)  # type: ignore[no-any-return]

    @override
    def expand_path(self, path: Any, *args: Any, **kwargs: Any) -> list[str]:
        try:
            return super().expand_path(path, *args, **kwargs)  # type: ignore[no-any-return]
        except FileNotFoundError as error:
            if isinstance(error, DatastoreError):
                raise
            raise NotFoundError(f"nothing matches {path!r}", target=str(path)) from error

    @override
    def pipe_file(self, path: str, value: Buffer, mode: str = "overwrite", **kwargs: Any) -> None:
        with self.open(path, _creating(mode), **kwargs) as file:
            file.write(value)

    @override
    def put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **kwargs: Any,
    ) -> None:
        if os.path.isdir(lpath):
            self.makedirs(rpath, exist_ok=True)
            return
        with open(lpath, "rb") as source, self.open(rpath, _creating(mode), **kwargs) as target:
            callback.set_size(os.fstat(source.fileno()).st_size)
            while data := source.read(_COPY_BYTES):
                target.write(data)
                callback.relative_update(len(data))

    @override
    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        with self.open(path1, "rb") as source, self.open(path2, "wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)

    @override
    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        # One file or folder is renamed, at once; lists and globs are copied, then deleted.
        if not (isinstance(path1, str) and isinstance(path2, str)) or maxdepth is not None:
            super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth)
            return
        source, target = self._strip_protocol(path1), self._strip_protocol(path2)
        if not self.exists(source):
            if not self.glob(source):
                raise NotFoundError(f"{source!r} does not exist", target=source)
            super().mv(path1, path2, recursive=recursive)
            return
        if source != target and (path2.endswith("/") or self.isdir(target)):
            target = f"{target}/{source.rpartition('/')[2]}".lstrip("/")
        if not source or (source != target and f"{target}/".startswith(f"{source}/")):
            raise ConfigurationError(f"{source!r} cannot be moved into itself", target=target)
        self._rename(source, target)

    @override
    def rm(
        self,
        path: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
    ) -> None:
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in self.expand_path(path):
            if not self.isdir(one):
                self.rm_file(one)
            elif recursive:
                self._remove_tree(one)
            else:
                raise PreconditionFailedError(
                    f"{one!r} is a folder", target=one, advice="Say recursive=True to delete it"
                )

    @override
    def modified(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path)["mtime"], tz=UTC)

    @override
    def created(self, path: str) -> datetime:
        return datetime.fromtimestamp(self.info(path)["created"], tz=UTC)

    def _rename(self, source: str, target: str) -> None:
        """Rename a file or folder; a file in the target's place is replaced."""
        raise NotImplementedError

    def _remove_tree(self, path: str) -> None:
        """Delete a folder and all in it; of the root only what is in it."""
        raise NotImplementedError

    def _check_write(self, path: str, mode: str) -> dict[str, Any] | None:
        """Return what stands at `path`, or refuse a write that could not succeed there."""
        if mode not in WRITE_MODES:
            raise UnsupportedOperationError(
                f"no file opens in mode {mode!r}",
                operation="open",
                target=path,
                advice=f"The modes are rb, {', '.join(sorted(WRITE_MODES))}, and the same for text",
            )
        try:
            info: dict[str, Any] = self.info(path)
        except FileNotFoundError:
            return None
        if info["type"] == "directory":
            raise AlreadyExistsError(f"{path!r} is a folder", operation="open", target=path)
        if mode == "xb":
            raise AlreadyExistsError(f"{path!r} exists already", operation="open", target=path)
        return info


class PendingFile(io.BufferedIOBase):
    """A file being written: it appears when closed, and only if no exception went by.

    Args:
        sink: Holds the bytes until then; this class closes it.
        start: Where `tell` begins: the size of a file that is appended to.
        autocommit: False leaves it to `commit` or `discard`, as fsspec's transactions do.
    """

    def __init__(
        self, path: str, mode: str, sink: IO[bytes], *, start: int, autocommit: bool
    ) -> None:
        self.path = path
        self.mode = mode
        self._sink = sink
        self._start = start
        self._autocommit = autocommit
        self._failed = False
        self._settled = False
        self._raised_before = sys.exc_info()[1]

    def _publish(self) -> None:
        """Make the flushed sink's bytes appear under the path."""
        raise NotImplementedError

    def _drop(self) -> None:
        """Close and remove the sink, if it is still there."""
        raise NotImplementedError

    @override
    def writable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        # Python writes a byte order mark only to files in which it can ask for the position.
        return True

    @override
    def tell(self) -> int:
        return self._start + self._sink.tell()

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET:
            offset -= self._start
            if offset < 0:
                raise io.UnsupportedOperation("what a file held before it was opened stays")
        return self._start + self._sink.seek(offset, whence)

    @override
    def write(self, data: Buffer, /) -> int:
        if self.closed or self._settled:
            raise ValueError(f"{self.path!r} is closed")
        try:
            return self._sink.write(data)
        except BaseException:
            # Part of the data may be there: closing now must not make it a file.
            self._failed = True
            raise

    def commit(self) -> None:
        """Make the file appear now; a second call does nothing."""
        if self._settled:
            return
        self._settled = True
        try:
            self._publish()
        finally:
            self._drop()

    def discard(self) -> None:
        """Forget what was written; the path stays as it was."""
        if not self._settled:
            self._settled = True
            self._drop()

    @override
    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._failed or _leaving_by_exception(self._raised_before):
                self.discard()
            elif self._autocommit:
                self.commit()
        finally:
            super().close()

    @override
    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    @override
    def __del__(self) -> None:
        # A file that was never closed was never finished.
        if not getattr(self, "_settled", True):
            self.discard()
            if self._autocommit:
                warnings.warn(
                    f"{self.path!r} was not closed, and is not written",
                    ResourceWarning,
                    stacklevel=2,
                )
        super().close()


class _Text(io.TextIOWrapper):
    @override
    def __exit__(self, *exception: object) -> None:
        # The inherited one is written in C, where `_leaving_by_exception` cannot see it.
        self.close()


def _leaving_by_exception(before: BaseException | None) -> bool:
    """Tell whether a `with` block is being left by an exception raised since the file was opened.

    `fsspec.open` and pandas close the file inside their own `__exit__` and say nothing of the
    exception; what was written so far would pass for a finished file.
    """
    if sys.exc_info()[1] in (None, before):
        return False
    frame = sys._getframe(1)  # noqa: SLF001  # inspect.stack() reads source files
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "__exit__":
            return True
    return False


def check_publishable(folder: str, staging: str, driver: str) -> None:
    """Refuse a folder that cannot be replaced as a whole, since the staging is in it, or it in that."""
    if not folder or f"{staging}/".startswith(f"{folder}/") or folder.startswith(f"{staging}/"):
        raise UnsupportedOperationError(
            f"{folder!r} cannot be published as one folder: it holds, or is in, the staging {staging!r}",
            driver=driver,
            operation="publish",
            target=folder,
            advice="Write to a folder of the store that is beside its staging",
        )


def staging_folder(path: str) -> str:
    """Return a config's `staging_path` in normal form, or refuse the root."""
    folder = normalize_path(path).rstrip("/")
    if not folder:
        raise ConfigurationError("staging_path names a folder inside the store, not its root")
    return folder


def _omit_absent(error: OSError) -> None:
    if isinstance(error, MissingRootError) or not isinstance(error, FileNotFoundError):
        raise error


def _creating(mode: str) -> str:
    return "xb" if mode == "create" else "wb"
