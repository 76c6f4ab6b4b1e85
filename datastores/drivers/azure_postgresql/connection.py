"""One connection: it holds no settings of ours, each of its transactions begins with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from typing_extensions import override

# Values that travel as text must not depend on the server's or the user's settings.
_SETTINGS = {
    "DateStyle": "'ISO, YMD'",
    "IntervalStyle": "postgres",
    "TimeZone": "'UTC'",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    # Constants that we quote rely on it.
    "standard_conforming_strings": "on",
}
# What would end a transaction that waits; which of them a server knows depends on its version.
_TIME_LIMITS = [
    "idle_in_transaction_session_timeout",
    "transaction_timeout",
]


def settings_text(statement_timeout_seconds: float | None) -> str:
    """Return the statements that each transaction begins with."""
    settings = dict(_SETTINGS)
    if statement_timeout_seconds is not None:
        settings["statement_timeout"] = str(max(1, round(statement_timeout_seconds * 1000)))
    return "; ".join(f"SET LOCAL {name} = {value}" for name, value in settings.items())


class Connection(psycopg.Connection[Any]):
    """A connection in autocommit whose transactions have our settings, and leave none behind.

    So it works through a pooler, which may give each transaction another session of the server's,
    and can be kept for whoever comes next.
    """

    settings = ""
    is_pooled = False
    """Whether a pooler stands between us and the server."""

    @override
    @contextmanager
    def transaction(
        self, savepoint_name: str | None = None, force_rollback: bool = False
    ) -> Iterator[psycopg.Transaction]:
        is_outermost = self.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        with super().transaction(savepoint_name, force_rollback) as transaction:
            if is_outermost:
                self.execute(self.settings.encode())
            yield transaction

    def begin(self, characteristics: str = "") -> None:
        """Begin a transaction that somebody else ends."""
        self.execute(f"BEGIN {characteristics}; {self.settings}".encode())

    def keep_open(self) -> None:
        """Let the transaction wait as long as need be, whatever the server's limits."""
        self.execute(
            "SELECT pg_catalog.set_config(name, '0', true) FROM pg_catalog.pg_settings "
            "WHERE name = ANY(%s)",
            (_TIME_LIMITS,),
        )

    def forget(self) -> None:
        """Leave nothing to the next user of this connection; fails if it is broken.

        A pooler gives out its sessions as it likes: there it only shows that somebody answers.
        """
        self.execute("SELECT 1" if self.is_pooled else "DISCARD ALL")


def run(connection: Connection, statement: str, *values: Any) -> psycopg.Cursor[Any]:
    """Run a statement whose parameters are `$1`, `$2`: a name in it may hold a percent sign."""
    return psycopg.RawCursor(connection).execute(statement.encode(), values or None)
