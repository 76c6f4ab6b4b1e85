"""From SQLite's error codes to our errors, and the ways to say what is wrong with a path."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from datastores.errors import (
    AlreadyExistsError,
    ConnectionFailedError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
)

# Primary result code -> our class and what happened. https://www.sqlite.org/rescode.html
_BY_CODE: Mapping[int, tuple[type[DatastoreError], str]] = {
    sqlite3.SQLITE_BUSY: (OperationTimeoutError, "another process keeps it locked"),
    sqlite3.SQLITE_CANTOPEN: (ConnectionFailedError, "its file cannot be opened"),
    sqlite3.SQLITE_FULL: (DriverError, "the disk is full"),
    sqlite3.SQLITE_NOTADB: (DriverError, "its file is not an SQLite database"),
    sqlite3.SQLITE_PERM: (PermissionDeniedError, "its file may not be opened by this user"),
    sqlite3.SQLITE_READONLY: (PermissionDeniedError, "its file may not be written by this user"),
}
_PRIMARY = 0xFF  # the low byte of an extended result code


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Raise SQLite's errors as ours."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
        kind, happened = _BY_CODE.get(code, (DriverError, f"SQLite says: {error}"))
        raise kind(f"the toy store {place!r} failed: {happened}", driver="toy") from error


def absent(path: str) -> NotFoundError:
    """Return the error for a path with nothing there."""
    return NotFoundError(f"{path!r} does not exist", driver="toy", target=path)


def is_folder(path: str) -> NotFoundError:
    """Return the error for a folder that was to be read as a file."""
    return NotFoundError(f"{path!r} is a folder, not a file", driver="toy", target=path)


def exists(path: str) -> AlreadyExistsError:
    """Return the error for a path that was to be new, or to be a folder and is a file."""
    return AlreadyExistsError(f"{path!r} exists already", driver="toy", target=path)


def not_empty(path: str) -> PreconditionFailedError:
    """Return the error for a folder that was to be empty."""
    return PreconditionFailedError(f"{path!r} is not empty", driver="toy", target=path)
