"""Writing in one part: one connection, one transaction, from the first row to the publishing."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NoReturn

import psycopg
import pyarrow as pa
from typing_extensions import override

from datastores.drivers.azure_postgresql import leftovers, policies
from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.errors import translated
from datastores.drivers.azure_postgresql.load import check_part, load
from datastores.drivers.azure_postgresql.plan import Prepared
from datastores.drivers.azure_postgresql.publish import Target
from datastores.drivers.azure_postgresql.staging import Staging, listed
from datastores.drivers.writing import Receipt, WriteRequest, WriteSession
from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    PreconditionFailedError,
)
from datastores.types.unfit import Sieve

_TEMPORARY = "pg_temp.datastores_rows"
# How long a COMMIT whose reply was lost may still be at work before we give up asking.
_COMMIT_SECONDS, _ASK_SECONDS = 20.0, 0.1


@dataclass(frozen=True, slots=True)
class _Transaction:
    """What holds the part's rows, and nobody else sees."""

    connection: Connection
    commit: Callable[[], None]
    close: weakref.finalize[..., Any]
    """Ends it when nobody does; without a commit before, nothing of it stays."""


class DirectWriteSession(WriteSession):
    """One write of one part, its rows in the table as soon as they come, unseen until published.

    Where the rows cannot be copied into the table as they are, they wait in a temporary table of
    the same transaction. `replace` keeps other writers out from the first row, and readers never.
    Holds a connection from `write` to `publish` or `discard`, and gives it back when the session is
    forgotten, too. Does not pickle.
    """

    def __init__(
        self, client: Client, request: WriteRequest, prepared: Prepared, staging: Staging | None
    ) -> None:
        self.request = request
        self._staging = staging
        self._client = client
        self._prepared = prepared
        self._target = Target(request, prepared)
        # Attempts at the part, and publishing, come one after the other.
        self._lock = threading.Lock()
        self._transaction: _Transaction | None = None
        self._receipt: Receipt | None = None
        """Of the rows in the transaction, once they are all there."""
        self._broke = False
        """Whether the rows were lost with their connection, so that writing them again may help."""
        self._published: Receipt | None = None
        self._in_doubt: tuple[int, Receipt] | None = None
        """A transaction whose COMMIT was sent and not answered."""

    @override
    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            f"the write to {self.request.table} is one transaction of this process, and does not pickle",
            driver=DIALECT.engine,
            advice="Begin it with parts=None to let other processes write",
        )

    @override
    def sieve(self) -> Sieve:
        return policies.sieve(self.request, self._prepared.columns)

    @override
    def write(
        self, part: str, batches: pa.RecordBatchReader, note: Callable[[], str] = str
    ) -> Receipt:
        check_part(self.request, part, batches)
        with self._lock:
            if published := self._find_published():
                return published
            self._refuse_another(part)
            if self._receipt is not None:
                self._drop()
            transaction, self._transaction = self._transaction or self._begun(), None
            try:
                with translated("write", str(self.request.table)):
                    receipt = self._load(transaction.connection, part, batches, note)
            except BaseException:
                transaction.close()
                raise
            self._transaction, self._receipt = transaction, receipt
            return receipt

    def open(self) -> None:
        """Begin the transaction, so that it shows that the job lives.

        Raises:
            ConflictError: Somebody else is at the same job.
        """
        self._transaction = self._begun()

    def _begun(self) -> _Transaction:
        connection = self._client.pool.take()
        close = weakref.finalize(self, connection.close)
        transaction = ExitStack()
        try:
            with translated("begin", str(self.request.table)):
                transaction.enter_context(connection.transaction())
                connection.keep_open()
                if self._staging is not None:
                    leftovers.claim(connection, self._staging)
        except BaseException:
            close()
            raise
        return _Transaction(connection, transaction.close, close)

    def _load(
        self,
        connection: Connection,
        part: str,
        batches: pa.RecordBatchReader,
        note: Callable[[], str],
    ) -> Receipt:
        straight = self._prepared.detour is None
        if straight:
            self._target.open(connection)
            self._target.clear(connection)
        else:
            columns = listed(self._prepared.staged)
            run(connection, f"CREATE TEMPORARY TABLE {_TEMPORARY} ({columns}) ON COMMIT DROP")
        relation = self._target.name if straight else _TEMPORARY
        rows, taken, size = load(
            connection, relation, self.request, self._prepared.columns, batches
        )
        self._target.check_taken(taken, rows)
        return Receipt(part=part, rows=rows, bytes=size, note=note())

    def _refuse_another(self, part: str) -> None:
        if self._receipt is None or self._receipt.part == part:
            return
        why = self._prepared.unstaged
        raise PreconditionFailedError(
            f"part {part!r} is the second one of a write of one part"
            + (f": there is {why.message}" if why else ""),
            driver=DIALECT.engine,
            operation="write",
            target=str(self.request.table),
            advice=why.advice if why else "Begin the write with parts=None",
        )

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        with self._lock:
            if self._find_published():
                return
            transaction, receipt = self._transaction, self._receipt
            if transaction is None or receipt is None or set(receipts) != {receipt}:
                lost = ConnectionFailedError if self._broke else PreconditionFailedError
                raise lost(
                    f"the rows for {self.request.table} are not in a transaction of this session",
                    driver=DIALECT.engine,
                    operation="publish",
                    target=str(self.request.table),
                    advice="They were discarded, or the connection broke: write them again",
                )
            try:
                with translated("publish", str(self.request.table)):
                    if self._prepared.detour is not None:
                        self._target.open(transaction.connection)
                        self._target.fill(transaction.connection, [_TEMPORARY], receipt.rows)
                    if self._staging is not None:
                        self._staging.finish(
                            transaction.connection, [receipt], self.request.bookmark
                        )
                    self._commit(transaction, receipt)
            except DatastoreError as error:
                self._broke = error.transient
                raise
            finally:
                self._drop()

    def _commit(self, transaction: _Transaction, receipt: Receipt) -> None:
        [(number,)] = transaction.connection.execute("SELECT pg_catalog.txid_current()").fetchall()
        self._in_doubt = (number, receipt)
        try:
            transaction.commit()
        except psycopg.Error:
            # Refused, or its reply was lost: the server knows.
            if self._find_published() is None:
                raise
        else:
            self._published, self._in_doubt = receipt, None

    def _find_published(self) -> Receipt | None:
        """Return what was published; asks the server if a reply to COMMIT was lost.

        Raises:
            ConnectionFailedError: The server cannot say yet.
        """
        if self._in_doubt is not None:
            transaction, receipt = self._in_doubt
            try:
                status = self._status(transaction)
            except ConnectionFailedError as error:
                raise self._unknown(transaction) from error
            if status not in {"committed", "aborted"}:
                raise self._unknown(transaction)
            self._in_doubt = None
            if status == "committed":
                self._published = receipt
        return self._published

    def _unknown(self, transaction: int) -> ConnectionFailedError:
        return ConnectionFailedError(
            f"the connection broke at the commit to {self.request.table}, and whether that was done "
            "is not known yet",
            driver=DIALECT.engine,
            operation="publish",
            target=str(self.request.table),
            advice=f"When the server answers again, ask it: SELECT txid_status({transaction})",
        )

    def _status(self, transaction: int) -> str | None:
        """Ask what became of a transaction, until that is decided."""
        until = time.monotonic() + _COMMIT_SECONDS
        with self._client.connection("publish", str(self.request.table)) as connection:
            # A COMMIT that never came will not come any more.
            connection.execute(
                "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity "
                "WHERE state LIKE 'idle in transaction%%' AND usename = current_user "
                "AND backend_xid = (%s %% 4294967296)::text::xid",
                (transaction,),
            )
            while True:
                [(status,)] = connection.execute(
                    "SELECT pg_catalog.txid_status(%s)", (transaction,)
                ).fetchall()
                if status != "in progress" or time.monotonic() > until:
                    return None if status is None else str(status)
                time.sleep(_ASK_SECONDS)

    def _drop(self) -> None:
        """Give the connection back; what was not committed is gone with it."""
        transaction, self._transaction, self._receipt = self._transaction, None, None
        if transaction is not None:
            transaction.close.detach()
            self._client.pool.give_back(transaction.connection)

    @override
    def discard(self) -> None:
        with self._lock:
            self._drop()
            if self._staging is not None:
                leftovers.end(self._client, self._staging)

    @override
    def leave(self) -> bool:
        with self._lock:
            self._drop()
        return False
