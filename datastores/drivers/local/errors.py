"""From the operating system's error numbers to our errors."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    UnsupportedOperationError,
)

# Error number -> our class, what happened to the path, and what the user can do.
# https://man7.org/linux/man-pages/man3/errno.3.html
_BY_NUMBER: Mapping[int, tuple[type[DatastoreError], str, str | None]] = {
    errno.ENOENT: (NotFoundError, "does not exist", None),
    errno.ENOTDIR: (NotFoundError, "has a file where it needs a folder", None),
    errno.EISDIR: (NotFoundError, "is a folder, not a file", None),
    errno.EEXIST: (AlreadyExistsError, "exists already", None),
    errno.ENOTEMPTY: (PreconditionFailedError, "is a folder that is not empty", None),
    errno.EACCES: (PermissionDeniedError, "may not be touched by this user", None),
    errno.EPERM: (PermissionDeniedError, "may not be changed by this user", None),
    errno.EROFS: (PermissionDeniedError, "is on a read-only filesystem", None),
    errno.ELOOP: (PermissionDeniedError, "is a circle of symbolic links", None),
    errno.ENAMETOOLONG: (ConfigurationError, "is too long for a name", "Shorten the path"),
    errno.EXDEV: (
        UnsupportedOperationError,
        "is on another filesystem than the store's staging",
        "Make the folder that is mounted there a store of its own",
    ),
    errno.ENOSPC: (DriverError, "does not fit: the disk is full", "Free space and try again"),
    errno.EDQUOT: (DriverError, "exceeds the disk quota", "Free space and try again"),
    errno.EFBIG: (DriverError, "is larger than a file may be", None),
    errno.ETIMEDOUT: (OperationTimeoutError, "was not answered in time", None),
}


@contextmanager
def translated(operation: str, path: str) -> Iterator[None]:
    """Raise the operating system's errors as ours, naming the path as the user wrote it."""
    try:
        yield
    except DatastoreError:
        raise
    except OSError as error:
        unknown = (DriverError, f"failed: {error.strerror or error}", None)
        kind, happened, advice = _BY_NUMBER.get(error.errno or 0, unknown)
        raise kind(
            f"{path!r} {happened}",
            driver="local",
            operation=operation,
            target=path,
            advice=advice,
        ) from error
