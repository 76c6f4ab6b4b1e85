"""PostgreSQL's errors -> ours, by SQLSTATE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from datastores.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DataError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)

Outcome = tuple[type[DatastoreError], str | None]

_RETRY = "Someone else changed or locked the same rows meanwhile; try again"
_GRANT = "Ask the owner for the right: GRANT ... ON ... TO ..."
_FORBIDS = "A key, foreign key or NOT NULL of the table forbids it; nothing was changed"
_REACH = "The connection broke; look whether the server runs, and try again"

# A code of five characters, or the class that its first two name; the longer one counts.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ERRORS: Mapping[str, Outcome] = {
    "08": (ConnectionFailedError, _REACH),
    "0A": (UnsupportedOperationError, None),
    "0A000": (UnsupportedOperationError, None),
    "22": (DataError, None),
    "23": (PreconditionFailedError, _FORBIDS),
    "23502": (DataError, "Fill it in, or leave those rows out with filters=[...]"),
    "25006": (PermissionDeniedError, "This server or transaction only reads"),
    "28": (AuthenticationError, "Look at the user name and the password"),
    "3D000": (NotFoundError, "Look at database_name"),
    "3F000": (NotFoundError, "Look at the names with tables()"),
    "40": (PreconditionFailedError, _RETRY),
    "42": (ConfigurationError, "Mend the SQL"),
    "42501": (PermissionDeniedError, _GRANT),
    "42703": (SchemaMismatchError, "Look at the columns with schema()"),
    "42704": (NotFoundError, "A type or role of that name is not there"),
    "42804": (SchemaMismatchError, None),
    "42846": (SchemaMismatchError, None),
    "42P01": (NotFoundError, "Look at the names with tables()"),
    "42P06": (AlreadyExistsError, None),
    "42P07": (AlreadyExistsError, None),
    "42710": (AlreadyExistsError, None),
    "53": (DriverError, "The server has no room left: look at its disk and memory"),
    "53300": (RateLimitedError, "Use fewer workers, or raise max_connections"),
    "55": (PreconditionFailedError, None),
    "55P03": (OperationTimeoutError, _RETRY),
    "57014": (OperationTimeoutError, "The statement was cancelled, or took longer than allowed"),
    "57P": (ConnectionFailedError, _REACH),
}
_LENGTHS = (5, 3, 2)


@contextmanager
def translated(operation: str, target: str | None = None) -> Iterator[None]:
    """Let no exception of psycopg through: raise ours from it."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, operation, target) from error


def translate(error: psycopg.Error, operation: str, target: str | None) -> DatastoreError:
    """Return our error for one of psycopg's."""
    kind, advice = outcome(error)
    return kind(
        sentence(error),
        driver="azure_postgresql",
        operation=operation,
        target=target,
        advice=advice,
    )


def outcome(error: psycopg.Error) -> Outcome:
    """Return our class and advice for an error of psycopg's."""
    code = error.sqlstate or ""
    for length in _LENGTHS:
        if len(code) >= length and (found := _ERRORS.get(code[:length])):
            return found
    # Without a code it is libpq's own: the connection is gone.
    if not code and isinstance(error, psycopg.OperationalError):
        return ConnectionFailedError, _REACH
    return DriverError, None


def sentence(error: psycopg.Error) -> str:
    """Return what the server says, as one sentence of ours."""
    diag = error.diag
    text = (diag.message_primary or str(error)).strip().partition("\n")[0].rstrip(". ")
    if diag.message_detail and (error.sqlstate or "")[:2] in {"22", "23"}:
        text += f": {diag.message_detail.rstrip('.')}"
    if diag.context and (error.sqlstate or "")[:2] == "22":
        text += f" ({diag.context.partition(chr(10))[0]})"
    if text[1:2].islower():
        text = text[:1].lower() + text[1:]
    return text or "the server gave no reason"
