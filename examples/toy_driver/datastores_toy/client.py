"""The SQLite calls, as a filesystem whose files are rows; the one place that reveals the password."""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from typing_extensions import override

from datastores.drivers.base import FolderChange
from datastores.drivers.filesystem import StoreFileSystem
from datastores.drivers.pending_file import PendingFile
from datastores.errors import AuthenticationError, PreconditionFailedError
from datastores.location import join_path
from datastores.secrets import Resolver
from datastores_toy import errors
from datastores_toy.config import ToyConfig

# A folder is an entry without content; the root is not stored.
_SCHEMA = """
create table if not exists lock (salt blob, digest blob);
create table if not exists entries
    (path text primary key, content blob, created real, modified real, version integer)
"""
_BELOW = "substr(path, 1, length(:folder)) = :folder"


class ToyFileSystem(StoreFileSystem):
    """Files by path. Every change is one transaction, and a listing reads in one."""

    protocol = "datastore-toy"

    def __init__(self, config: ToyConfig) -> None:
        super().__init__(config)
        self._config = config
        self._resolver = Resolver()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ToyFileSystem) and self._config == other._config

    @override
    def __hash__(self) -> int:
        return hash(self._config.path)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextmanager
    def _atomically(self) -> Iterator[sqlite3.Connection]:
        with self._lock, errors.translated(self._config.path):
            if self._connection is None:
                self._connection = self._connect()
            connection = self._connection
            if connection.in_transaction:  # a step of a larger change
                yield connection
                return
            connection.execute("begin immediate")
            with connection:
                yield connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._config.path, isolation_level=None, check_same_thread=False
        )
        try:
            connection.executescript(_SCHEMA)
            self._sign_in(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _sign_in(self, connection: sqlite3.Connection) -> None:
        stored = connection.execute("select salt, digest from lock").fetchone()
        if stored is None:
            salt = os.urandom(16)
            connection.execute("insert into lock values (?, ?)", (salt, self._digest(salt)))
            return
        given = self._config.password or self._config.token
        used = None if given is None else self._resolver.resolve(given)
        if hmac.compare_digest(self._digest(stored[0]), stored[1]):
            return
        refusal = AuthenticationError(
            f"the toy store {self._config.path!r} does not accept the password",
            driver="toy",
            advice="Check the reference under credentials:",
        )
        # A password that has changed since it was read is read once again.
        is_renewed = (
            given is not None
            and used is not None
            and self._resolver.is_renewed(given, used, refusal)
        )
        if not is_renewed or not hmac.compare_digest(self._digest(stored[0]), stored[1]):
            raise refusal

    def _digest(self, salt: bytes) -> bytes:
        given = self._config.password or self._config.token
        if given is None:
            return b""
        word = self._resolver.resolve(given).reveal().encode()
        return hashlib.scrypt(word, salt=salt, n=2**12, r=8, p=1)

    # Reading

    @override
    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        if not name:
            return {"name": "", "size": 0, "type": "directory"}
        query = "select length(content), created, modified, version from entries where path = ?"
        with self._atomically() as connection:
            row = connection.execute(query, (name,)).fetchone()
        if row is None:
            raise errors.absent(name)
        size, created, modified, version = row
        if size is None:
            return {"name": name, "size": 0, "type": "directory"}
        times = {"created": created, "mtime": modified}
        return {"name": name, "size": size, "type": "file", **times, "etag": str(version)}

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        with self._atomically() as connection:
            found = self.info(path)
            name = found["name"]
            infos = [found]
            if found["type"] == "directory":
                folder = f"{name}/" if name else ""
                query = f"""select path from entries where {_BELOW}
                    and instr(substr(path, length(:folder) + 1), '/') = 0 order by path"""  # noqa: S608  # no value in it
                rows = connection.execute(query, {"folder": folder}).fetchall()
                infos = [self.info(path) for (path,) in rows]
        return infos if detail else [info["name"] for info in infos]

    @override
    def find(self, path: str, *args: Any, **kwargs: Any) -> Any:
        with self._atomically():
            return super().find(path, *args, **kwargs)

    @override
    def _open(self, path: str, mode: str = "rb", *, autocommit: bool = True, **kwargs: Any) -> Any:
        name = self._strip_protocol(path)
        if mode == "rb":
            return _ReadFile(self._content(name))
        existing = self._check_write(name, mode)
        start = existing["size"] if existing and mode == "ab" else 0
        return _ToyPendingFile(self, name, mode, start=start, autocommit=autocommit)

    def _content(self, name: str) -> bytes:
        with self._atomically() as connection:
            if self.info(name)["type"] == "directory":
                raise errors.is_folder(name)
            query = "select content from entries where path = ?"
            content: bytes = connection.execute(query, (name,)).fetchone()[0]
            return content

    # Changing

    def store(self, name: str, mode: str, content: bytes) -> None:
        """Put a file in its place: `wb` in any case, `xb` if nothing is there, `ab` added to it."""
        with self._atomically() as connection:
            existing = self.info(name) if self.exists(name) else None
            if existing and (existing["type"] == "directory" or mode == "xb"):
                raise errors.exists(name)
            if existing and mode == "ab":
                content = self._content(name) + content
            self.makedirs(self._parent(name), exist_ok=True)
            now = time.time()
            created = existing["created"] if existing else now
            version = int(existing["etag"]) + 1 if existing else 1
            connection.execute(
                "replace into entries values (?, ?, ?, ?, ?)",
                (name, content, created, now, version),
            )

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        self.store(self._strip_protocol(path), "wb" if truncate else "ab", b"")

    @override
    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        parent = self._parent(self._strip_protocol(path))
        with self._atomically():
            if not create_parents and not self.isdir(parent):
                raise errors.absent(parent)
            self.makedirs(path)

    @override
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        name = self._strip_protocol(path)
        with self._atomically() as connection:
            if self.exists(name):
                if not exist_ok or not self.isdir(name):
                    raise errors.exists(name)
                return
            self.makedirs(self._parent(name), exist_ok=True)
            connection.execute("insert into entries (path) values (?)", (name,))

    @override
    def rmdir(self, path: str) -> None:
        name = self._strip_protocol(path)
        if not name:
            raise PreconditionFailedError("the store's root is not deleted", driver="toy")
        with self._atomically() as connection:
            if self.info(name)["type"] != "directory":
                raise errors.absent(name)
            if self.ls(name):
                raise errors.not_empty(name)
            connection.execute("delete from entries where path = ?", (name,))

    @override
    def rm_file(self, path: str) -> None:
        name = self._strip_protocol(path)
        with self._atomically() as connection:
            if self.info(name)["type"] == "directory":
                self.rmdir(name)
            connection.execute("delete from entries where path = ?", (name,))

    @override
    def _remove_tree(self, path: str) -> None:
        with self._atomically() as connection:
            folder = f"{path}/" if path else ""
            connection.execute(f"delete from entries where {_BELOW}", {"folder": folder})  # noqa: S608  # no value in it
            connection.execute("delete from entries where path = ?", (path,))

    @override
    def _rename(self, source: str, target: str) -> None:
        with self._atomically() as connection:
            moved = self.info(source)
            if source == target:
                return
            if self.exists(target):
                if self.isdir(target) and (moved["type"] == "file" or self.ls(target)):
                    raise errors.exists(target)
                self.rm_file(target)
            self.makedirs(self._parent(target), exist_ok=True)
            connection.execute(
                f"""update entries set path = :target || substr(path, length(:source) + 1)
                    where path = :source or {_BELOW}""",  # noqa: S608  # no value in it
                {"source": source, "target": target, "folder": f"{source}/"},
            )

    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        """Move a staged file to its place in one transaction."""
        source, target = self._strip_protocol(staged), self._strip_protocol(path)
        with self._atomically():
            if not replace and self.exists(target):
                raise errors.exists(target)
            self._rename(source, target)

    def publish_folder(self, change: FolderChange) -> None:
        """Make one change to a folder in one transaction."""
        folder = self._strip_protocol(change.folder)
        adds = {join_path(folder, inner): self._strip_protocol(path) for path, inner in change.add}
        with self._atomically():
            if adds and all(
                self.isfile(target) and not self.exists(staged) for target, staged in adds.items()
            ):
                return  # this change was made before
            if change.must_be_absent and self.find(folder):
                raise errors.exists(folder)
            for cleared in change.clear:
                self._remove_tree(join_path(folder, cleared).rstrip("/"))
            self.makedirs(folder, exist_ok=True)
            for target, staged in adds.items():
                self._rename(staged, target)


class _ReadFile(io.BytesIO):
    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.size = len(content)  # which Arrow asks a file for


class _ToyPendingFile(PendingFile):
    def __init__(
        self, filesystem: ToyFileSystem, path: str, mode: str, *, start: int, autocommit: bool
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
