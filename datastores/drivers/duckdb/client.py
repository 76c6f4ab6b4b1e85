"""The connection: one for each driver, and a cursor of its own for each piece of work."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
from typing_extensions import override

from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.errors import opening_error, translated
from datastores.errors import PermissionDeniedError

# For each cursor: DuckDB keeps them per connection, and cursors do not inherit them.
SESSION = (
    "SET SESSION TimeZone = 'UTC'",
    # Otherwise UUID and JSON come out as plain text, and wide integers wrap around.
    "SET SESSION arrow_lossless_conversion = true",
    # Otherwise SQL text could read this program's own variables as tables.
    "SET SESSION python_enable_replacements = false",
)


class Client:
    """Opens the database file on first use. Pickles as its config."""

    def __init__(self, config: DuckDBConfig) -> None:
        self.config = config
        self.writing = threading.Lock()
        """Held while a transaction of ours writes: two of them could only fail on each other."""
        self._opening = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (Client, (self.config,))

    def exists(self) -> bool:
        """Whether there is a database file."""
        return self.config.file.exists()

    @contextmanager
    def cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hand out a cursor for one thread, and close it afterwards."""
        cursor = self.new_cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def new_cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor with our session settings; the caller closes it."""
        with translated("open", self.config.path):
            with self._opening:
                if self._connection is None:
                    self._connection = self._open()
                cursor = self._connection.cursor()
            for statement in SESSION:
                cursor.execute(statement)
        return cursor

    @contextmanager
    def transaction(self, operation: str, target: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Hand out a cursor in a write transaction: committed at the end, or rolled back."""
        if self.config.read_only:
            raise PermissionDeniedError(
                f"{self.config.path} is opened read-only",
                driver="duckdb",
                operation=operation,
                target=target,
                advice="Set read_only: false to write to it",
            )
        with self.writing, self.cursor() as cursor, translated(operation, target):
            cursor.execute("BEGIN TRANSACTION")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def close(self) -> None:
        """Close the connection; the next use opens it again."""
        with self._opening:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        config = self.config
        if not config.read_only:
            config.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            connection = duckdb.connect(str(config.file), read_only=config.read_only)
        except duckdb.Error as error:
            raise opening_error(error, config.path) from error
        try:
            # Not as a setting of connect: DuckDB would refuse a second connection without it, such
            # as one of the program's own.
            connection.execute("SET GLOBAL memory_limit = ?", [config.memory_limit])
        except BaseException:
            connection.close()
            raise
        return connection
