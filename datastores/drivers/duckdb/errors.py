"""DuckDB's exceptions -> ours, by class."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import duckdb

from datastores.errors import (
    ConfigurationError,
    ConflictError,
    ConnectionFailedError,
    DataError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)

# From the most special to the most general: the first class that fits counts.
_ERRORS: Mapping[type[Exception], tuple[type[DatastoreError], str | None]] = {
    duckdb.CatalogException: (NotFoundError, "Look at the names with tables()"),
    duckdb.BinderException: (SchemaMismatchError, "Look at the columns with schema()"),
    duckdb.ParserException: (ConfigurationError, "Mend the SQL"),
    duckdb.SyntaxException: (ConfigurationError, "Mend the SQL"),
    duckdb.PermissionException: (PermissionDeniedError, None),
    duckdb.ConstraintException: (
        PreconditionFailedError,
        "A key, foreign key or NOT NULL of the table forbids it; nothing was changed",
    ),
    duckdb.ConversionException: (DataError, None),
    duckdb.OutOfRangeException: (DataError, None),
    duckdb.InvalidInputException: (DataError, None),
    duckdb.TransactionException: (
        ConflictError,
        "Someone else changed the same rows meanwhile; try again",
    ),
    duckdb.SerializationException: (DataError, None),
    duckdb.DependencyException: (PreconditionFailedError, "Something else depends on it"),
    duckdb.InterruptException: (OperationTimeoutError, None),
    duckdb.ConnectionException: (
        ConnectionFailedError,
        "This process has the file open with other settings, or closed it meanwhile",
    ),
    duckdb.OutOfMemoryException: (
        DriverError,
        "Raise memory_limit in its settings, or free disk space",
    ),
    duckdb.IOException: (DriverError, "Look at the file, its rights and the space on its disk"),
    duckdb.NotSupportedError: (UnsupportedOperationError, None),
    duckdb.DataError: (DataError, None),
    duckdb.Error: (DriverError, None),
}


@contextmanager
def translated(operation: str, target: str | None = None) -> Iterator[None]:
    """Let no exception of DuckDB through: raise ours from it."""
    try:
        yield
    except duckdb.Error as error:
        raise translate(error, operation, target) from error


def translate(error: Exception, operation: str, target: str | None) -> DatastoreError:
    """Return our error for one of DuckDB's."""
    for kind, (ours, advice) in _ERRORS.items():
        if isinstance(error, kind):
            return ours(
                _sentence(error),
                driver="duckdb",
                operation=operation,
                target=target,
                advice=advice,
            )
    return DriverError(_sentence(error), driver="duckdb", operation=operation, target=target)


def opening_error(error: Exception, path: str) -> DatastoreError:
    """Return our error for a database file that could not be opened."""
    text = _sentence(error)
    found = translate(error, "open", path)
    # All of these are IOException: only the text tells them apart.
    if "lock" in text:
        return ConnectionFailedError(
            f"another process has {path} open",
            driver="duckdb",
            operation="open",
            target=path,
            advice="Close it there, or open it read_only in both",
        )
    if "not a valid DuckDB database" in text:
        return DataError(
            f"{path} is not a DuckDB database",
            driver="duckdb",
            operation="open",
            target=path,
            advice="Give the path of a DuckDB file, or of none for a new one",
        )
    return found


_KIND = re.compile(r"^[A-Za-z ]{2,30} Error: ")


def _sentence(error: Exception) -> str:
    # `Catalog Error: Table ... does not exist!\nDid you mean ...\n\nLINE 1: ...`
    first = str(error).strip().partition("\n")[0]
    text = _KIND.sub("", first)
    return text[:1].lower() + text[1:].rstrip("!. ")
