"""What the filesystems of our own file drivers share: checked paths, our errors, files that appear when closed.

A driver adds the calls that touch its medium: `info`, `ls`, `_open`, `mkdir`, `makedirs`, `rmdir`,
`rm_file`, `_remove_tree`, `_rename`, `touch`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.core import get_compression
from fsspec.utils import stringify_path
from typing_extensions import Buffer, override

from datastores.drivers.pending_file import PendingFile, TextFile
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


class CommittingFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A filesystem whose text files, like its binary ones, appear only if no exception went by."""

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
        file = super().open(path, mode.replace("t", "") + "b", **kwargs)
        try:
            return TextFile(file, **words)
        except BaseException:
            if isinstance(file, PendingFile):
                file.discard()
            file.close()
            raise


class StoreFileSystem(CommittingFileSystem):
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
            on_error = omit_absent
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


def omit_absent(error: OSError) -> None:
    """Let a walk leave out a folder that is gone, and raise every other error."""
    if isinstance(error, MissingRootError) or not isinstance(error, FileNotFoundError):
        raise error


def _creating(mode: str) -> str:
    return "xb" if mode == "create" else "wb"
