"""The calls on files, the same for every datastore: tables show as files where there are none."""

from __future__ import annotations

import glob
from typing import IO, Any

from datastores.drivers.base import require
from datastores.errors import AlreadyExistsError, ConfigurationError, PermissionDeniedError
from datastores.listing import Listing, file_info
from datastores.location import normalize_path
from datastores.store import Store
from datastores.values import FileInfo, WriteMode


class FileCalls(Store):
    """Bytes: open, read, write, list, delete. Paths are relative to the store's root."""

    def open(self, path: str, mode: str = "rb", *, encoding: str | None = None) -> IO[Any]:
        """Return a file object.

        A file opened for writing appears when it is closed, whole, and not at all if an
        exception leaves its `with` block. `xb` refuses an existing file.
        """
        path = normalize_path(path)
        with self._located("open", path):
            if not mode.startswith("r"):
                self._require_writable_files("open for writing", path)
            text = {} if "b" in mode else {"encoding": encoding or "utf-8", "newline": ""}
            file: IO[Any] = self.filesystem.open(path, mode, **text)
            return file

    def read(self, path: str) -> bytes:
        """Return a file's bytes, all in memory."""
        path = normalize_path(path)
        with self._located("read", path):
            content: bytes = self.filesystem.cat_file(path)
            return content

    def write(self, path: str, data: bytes, *, mode: str = "create") -> None:
        """Write a file whole: readers see all of it or none.

        Args:
            path: Relative to the store's root; folders are made as needed.
            data: The bytes.
            mode: `create` (an error if the file exists), `replace` or `append`.

        Raises:
            AlreadyExistsError: Under `create`, the file exists; nothing was changed.
        """
        path = normalize_path(path)
        flags = {WriteMode.CREATE: "xb", WriteMode.REPLACE: "wb", WriteMode.APPEND: "ab"}
        flag = flags.get(WriteMode.parse(mode))
        if flag is None:
            raise ConfigurationError(
                f"bytes are not written in mode {mode!r}",
                advice=f"The modes for bytes are {', '.join(flags)}",
            )
        with self._located("write", path):
            self._require_writable_files("write", path)
            try:
                with self.filesystem.open(path, flag) as file:
                    file.write(data)
            except AlreadyExistsError as error:
                if self.filesystem.isfile(path):
                    error.advice = "Say mode='replace' to write it anew; nothing was changed"
                raise

    def list(self, path: str = "", *, recursive: bool = False) -> Listing:
        """Return the files and folders in a folder, or all files below it, by path.

        Raises:
            NotFoundError: It does not exist.
        """
        path = normalize_path(path)
        with self._located("list", path):
            found = (
                self.filesystem.find(path, detail=True).values()
                if recursive
                else self.filesystem.ls(path, detail=True)
            )
            if path and not found:
                # Nothing is below what is not there, as fsspec has it; whoever mistypes is told.
                self.filesystem.info(path)
            return Listing(sorted(map(file_info, found), key=lambda one: one.path))

    def stat(self, path: str) -> FileInfo:
        """Return what is known of one file or folder.

        Raises:
            NotFoundError: It does not exist.
        """
        path = normalize_path(path)
        with self._located("stat", path):
            return file_info(self.filesystem.info(path))

    def exists(self, path: str) -> bool:
        """Return whether a file or folder exists; an error that is not its absence is raised."""
        path = normalize_path(path)
        with self._located("exists", path):
            return bool(self.filesystem.exists(path))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all that is in it.

        Raises:
            NotFoundError: It does not exist.
        """
        path = normalize_path(path).rstrip("/")
        with self._located("delete", path):
            self._require_writable_files("delete", path)
            if not path:
                raise PermissionDeniedError(
                    "the root of a datastore is not deleted", advice="Name a folder in it"
                )
            if not self.filesystem.isdir(path):
                self.filesystem.rm_file(path)
                return
            if not recursive:
                raise ConfigurationError(
                    f"{path!r} is a folder", advice="Say recursive=True to delete all that is in it"
                )
            # Stars and brackets are a part of the name, which fsspec would take for a pattern.
            self.filesystem.rm(glob.escape(path), recursive=True)

    def _require_writable_files(self, operation: str, path: str) -> None:
        require(self.driver, operation, declared=self.capabilities.writable_files, target=path)
