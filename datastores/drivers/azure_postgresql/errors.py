"""PostgreSQL's errors -> ours, by SQLSTATE."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg

from datastores.errors import (
    AlreadyExistsError,
    AuthenticationError,
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
    RateLimitedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)

Outcome = tuple[type[DatastoreError], str | None]

_AGAIN = "Someone else changed or locked the same rows meanwhile; try again"
_GRANT = "Ask the owner for the right: GRANT ... ON ... TO ..."
_FORBIDS = "A key, foreign key or NOT NULL of the table forbids it; nothing was changed"
_REACH = "The connection broke; look whether the server runs, and try again"
_POOLER = (
    "If a connection pooler answers, it may have too few connections: use fewer workers, or the "
    "server's own port (5432 on Azure)"
)
_SQL = "Mend the SQL"
_LIMIT = "PostgreSQL has a limit that this exceeds; nothing was changed"
_SERVER = "Look at the server's log; nothing was changed"
_DAMAGED = "The server's files are damaged: restore them, or leave the damaged rows out"

# A code of five characters, or what its first three or two name; the longest one counts.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ERRORS: Mapping[str, Outcome] = {
    "03": (DriverError, None),
    "08": (ConnectionFailedError, _REACH),
    # Of PgBouncer all errors are of this code.
    "08P01": (ConnectionFailedError, _POOLER),
    "0A": (UnsupportedOperationError, None),
    "0L": (PermissionDeniedError, _GRANT),
    "0P": (NotFoundError, "A role of that name is not there"),
    "21": (DataError, "A row was to be changed twice, or a subquery had several rows"),
    "22": (DataError, None),
    "23": (PreconditionFailedError, _FORBIDS),
    "23502": (DataError, "Fill it in, or leave those rows out with filters=[...]"),
    "25": (DriverError, None),
    "25006": (PermissionDeniedError, "This server or transaction only reads"),
    "25P03": (ConnectionFailedError, "idle_in_transaction_session_timeout passed; try again"),
    "25P04": (OperationTimeoutError, "transaction_timeout passed: raise it for this role"),
    # A statement that was prepared elsewhere, as behind a pooler.
    "26": (ConnectionFailedError, _REACH),
    "27": (PreconditionFailedError, "A trigger of the table changes the same rows"),
    "28": (AuthenticationError, "Look at the user name and the password"),
    "2B": (PreconditionFailedError, "Others depend on it; nothing was changed"),
    "38": (DriverError, "A function of the database failed"),
    "39": (DriverError, "A function of the database failed"),
    "3D000": (NotFoundError, "Look at database_name"),
    "3F000": (NotFoundError, "Look at the names with tables()"),
    "40": (ConflictError, _AGAIN),
    "40002": (PreconditionFailedError, _FORBIDS),
    "40003": (ConnectionFailedError, "Whether it was done is not known; look before trying again"),
    "42": (ConfigurationError, _SQL),
    "42501": (PermissionDeniedError, _GRANT),
    "42703": (SchemaMismatchError, "Look at the columns with schema()"),
    "42704": (NotFoundError, "A type or role of that name is not there"),
    "42710": (AlreadyExistsError, None),
    "42804": (SchemaMismatchError, None),
    "42846": (SchemaMismatchError, None),
    "42P01": (NotFoundError, "Look at the names with tables()"),
    "42P06": (AlreadyExistsError, None),
    "42P07": (AlreadyExistsError, None),
    "44": (PreconditionFailedError, "The view does not show such rows; nothing was changed"),
    "53": (DriverError, "The server has no room left: look at its disk and memory"),
    "53200": (RateLimitedError, "The server is short of memory: use fewer workers"),
    "53300": (RateLimitedError, "Use fewer workers, or raise max_connections"),
    "54": (DataError, _LIMIT),
    "54001": (ConfigurationError, "Write a simpler query"),
    "54011": (SchemaMismatchError, _LIMIT),
    "54023": (ConfigurationError, "Use fewer parameters"),
    "55": (PreconditionFailedError, None),
    "55006": (ConflictError, _AGAIN),
    "55P03": (OperationTimeoutError, _AGAIN),
    "57": (DriverError, _SERVER),
    "57014": (OperationTimeoutError, "The statement was cancelled, or took longer than allowed"),
    "57P": (ConnectionFailedError, _REACH),
    "57P04": (NotFoundError, "The database was dropped"),
    "58": (DriverError, _SERVER),
    "72": (ConflictError, "The server gave up the snapshot; read again from the beginning"),
    "F0": (DriverError, "A configuration file of the server is wrong"),
    "HV": (DriverError, "The table is another server's: look whether it can be reached"),
    "P0": (PreconditionFailedError, "A trigger or function of the database refuses it"),
    "XX": (DriverError, _SERVER),
    "XX001": (DriverError, _DAMAGED),
    "XX002": (DriverError, "An index is damaged: REINDEX it"),
}
_LENGTHS = (5, 3, 2)
# What a server that speaks English says of a value that COPY brought.
_COPIED = re.compile(r"^COPY .+, line \d+, column (.+)$", re.MULTILINE)


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
    # Without a code it is libpq's own: the connection is gone. Older ones keep only PgBouncer's text.
    if not code and isinstance(error, psycopg.OperationalError):
        return ConnectionFailedError, _POOLER if "query_wait_timeout" in str(error) else _REACH
    return DriverError, None


def sentence(error: psycopg.Error) -> str:
    """Return what the server says, as one sentence of ours."""
    diag = error.diag
    text = (diag.message_primary or str(error)).strip().partition("\n")[0].rstrip(". ")
    if diag.message_detail and (error.sqlstate or "")[:2] in {"0A", "22", "23"}:
        text += f": {diag.message_detail.rstrip('.')}"
    if diag.context and (error.sqlstate or "")[:2] == "22":
        text += f" ({diag.context.partition(chr(10))[0]})"
    if text[1:2].islower():
        text = text[:1].lower() + text[1:]
    if copied := _COPIED.search(diag.context or ""):
        text = f"column {copied[1]!r}: {text}"
    return text or "the server gave no reason"
