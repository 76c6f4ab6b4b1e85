"""Where the rows go that a copy leaves out: staged with the part that they are of, and published after it.

The note of a part's receipt names what was staged with it. So of two attempts at a part one counts, with
its rejected rows, and a part that is kept or taken back is so with them.
"""

from __future__ import annotations

import posixpath
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from datastores.datastore import StorePath
from datastores.drivers.base import TableDriver
from datastores.drivers.journal import dump
from datastores.drivers.writing import (
    JobState,
    Receipt,
    WritePlan,
    WriteRequest,
    WriteSession,
    rejects_job,
)
from datastores.errors import ConfigurationError, UnsupportedOperationError, located
from datastores.rejected import REJECTED, RejectedRows
from datastores.scan import Scan
from datastores.transfer.endpoints import RowSource, place, resolve, table_at
from datastores.transfer.options import CopyOptions
from datastores.transfer.plan import CopyPlan
from datastores.values import OnUnfit, TableName, WriteMode

SCHEMA = pa.schema(
    {
        "job": pa.string(),
        "rejected_at": pa.timestamp("us", "UTC"),
        "source": pa.string(),
        "target": pa.string(),
        "part": pa.string(),
        **{one.name: one.type for one in REJECTED},
    }
)
"""Of the table of rejected rows. The names need no quotes in any database; `rejected_at` is when the
copy began."""

# Rows of several parts come, however many.
_SEVERAL = 2
_GLOB = re.compile(r"[*?\[]")


def rejecting(source: StorePath | Scan, options: CopyOptions) -> CopyOptions:
    """Return a copy's options with the policy that `rejects` implies where none is given.

    Raises:
        ConfigurationError: One is given, and leaves no row out.
    """
    if options.get("rejects") is None:
        return options
    of_scan = source.request.on_unfit if isinstance(source, Scan) else OnUnfit()
    if options.get("on_unfit") is None and not of_scan:
        return {**options, "on_unfit": "reject"}
    if not OnUnfit.parse(options.get("on_unfit")).rejects and not of_scan.rejects:
        raise ConfigurationError(
            "rejects names a place for rejected rows, and on_unfit rejects none",
            advice='Say on_unfit="reject", or {"column": "reject"}, or leave on_unfit out',
        )
    return options


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsWriter:
    """What stages the rejected rows of parts. Pickles, if the place lets other processes in."""

    session: WriteSession
    said: Mapping[str, Any]
    """What is the same of all rows."""
    context: Mapping[str, str | None]
    """What an error says of where it comes from."""

    def write(self, part: str, rows: RejectedRows) -> Receipt | None:
        """Stage the rejected rows of one attempt at a part; None if there are none."""
        if not rows.rows:
            return None

        def batches() -> Iterator[pa.RecordBatch]:
            for batch in rows.batches():
                said = {**self.said, "part": part}
                same = [
                    pa.repeat(pa.scalar(said[one.name], one.type), batch.num_rows)
                    for one in SCHEMA
                    if one.name in said
                ]
                yield pa.RecordBatch.from_arrays([*same, *batch.columns], schema=SCHEMA)

        attempt = f"{part}-{uuid.uuid4().hex[:12]}"
        with located(**self.context):
            return self.session.write(attempt, pa.RecordBatchReader.from_batches(SCHEMA, batches()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejects:
    """The place of a copy's rejected rows: a table, or files read as one."""

    end: StorePath

    @classmethod
    def of(cls, options: CopyOptions) -> Rejects | None:
        """Return the place that a copy's options name, if they do, without any I/O."""
        if options.get("rejects") is None:
            return None
        end = resolve(options["rejects"], options)
        if isinstance(end, Scan):
            raise ConfigurationError(
                "a scan is no place for rejected rows", advice='Give a URL or store / "path"'
            )
        return cls(end=end)

    @property
    def label(self) -> str:
        """The place for people."""
        return place(self.end)

    @property
    def driver(self) -> TableDriver:
        """Of the place."""
        return self.end.store.tabular

    def check(self, source: RowSource, target: StorePath) -> int | None:
        """Refuse a place that cannot take the rejected rows; return how many parts it takes at most.

        Raises:
            ConfigurationError: It is one of the copy's ends, lies in one, or around one; or nobody
                knows which rows the source leaves out.
            SchemaMismatchError: What is there is no table of rejected rows.
        """
        if source.request.limit is not None and source.request.on_unfit.rejects:
            raise ConfigurationError(
                "under a limit nobody knows which rows the source leaves out",
                advice="Copy without the limit, or without rejects",
            )
        self._refuse_overlap(source, target)
        return self._plan().max_parts

    def _refuse_overlap(self, source: RowSource, target: StorePath) -> None:
        ends = [("target", target.store.tabular, table_at(target))]
        if source.request.table is not None:
            ends.append(("source", source.driver, source.request.table))
        ours = self.driver
        for word, driver, table in ends:
            same = (driver.type_name, driver.place) == (ours.type_name, ours.place)
            if same and _overlap(table_at(self.end), table):
                raise ConfigurationError(
                    f"rejected rows would go to {self.label}, which is the copy's {word}, or lies "
                    "in it or around it",
                    advice="Name a place of their own; nothing was changed",
                )

    def _plan(self) -> WritePlan:
        with located(**self._context):
            try:
                return self.driver.plan_write(self._request("plan"))
            except UnsupportedOperationError as error:
                if WriteMode.CREATE_APPEND in self.driver.capabilities.write_modes:
                    error.advice = "Name a new file, or a folder to add to: end the path with '/'"
                raise

    def begin(self, plan: CopyPlan, *, anew: bool) -> RejectsWrite:
        """Prepare the staging for a copy, which may go on from an earlier call.

        Args:
            plan: Of the copy.
            anew: Whether nothing of an earlier call is of use.
        """
        began = datetime.now(UTC)
        said = {"source": plan.source, "target": plan.target, "rejected_at": began}
        return self._begun(plan.job, said, anew=anew)

    def _begun(self, job: str, said: Mapping[str, Any], *, anew: bool) -> RejectsWrite:
        ours = rejects_job(job)
        with located(**self._context):
            entry = self.driver.find_job(ours)
            if entry is not None and anew:
                self.driver.forget_job(ours)
                entry = None
            session = self.driver.begin(self._request(ours))
        writer = RejectsWriter(session=session, said={"job": job, **said}, context=self._context)
        kept = () if entry is None else entry.receipts
        return RejectsWrite(rejects=self, writer=writer, kept=frozenset(one.part for one in kept))

    def finish(self, job: str, receipts: Sequence[Receipt | None]) -> None:
        """Publish what belongs to a copy that is published, unless that was done; remove the staging."""
        with located(**self._context):
            entry = self.driver.find_job(rejects_job(job))
            if entry is not None and entry.state is JobState.PUBLISHED:
                self.driver.forget_job(entry.job)
        if entry is not None and entry.state is JobState.WRITING:
            write = self._begun(job, {}, anew=False)
            write.publish(receipts)
            write.discard()

    def _request(self, job: str) -> WriteRequest:
        return WriteRequest(
            table=table_at(self.end),
            schema=SCHEMA,
            mode=WriteMode.CREATE_APPEND,
            job=job,
            # Whoever comes upon it is told that the copy goes on, and it with that.
            journal=dump({"request": "", "source": "rows that a copy leaves out", "call": None}),
            parts=_SEVERAL,
        )

    @property
    def _context(self) -> Mapping[str, str | None]:
        store = self.end.store
        return {
            "store": store.name,
            "driver": store.type,
            "operation": "rejects",
            "target": self.label,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectsWrite:
    """The rejected rows of one job, from staging to publish."""

    rejects: Rejects
    writer: RejectsWriter
    kept: frozenset[str]
    """What an earlier call staged."""

    def has(self, receipt: Receipt | None) -> bool:
        """Return whether what an earlier call staged with a part is still there."""
        return receipt is None or receipt.part in self.kept

    def publish(self, receipts: Sequence[Receipt | None]) -> None:
        """Make rows the place's, once; without any it stays as it is."""
        named = [one for one in receipts if one is not None]
        if named:
            with located(**self.writer.context):
                self.writer.session.publish(named)
            self.rejects.end.store.refresh()

    def leave(self) -> None:
        """Let go of the staging, which stays for a later call."""
        self.writer.session.leave()

    def discard(self) -> None:
        """Remove the staging."""
        with located(**self.writer.context):
            self.writer.session.discard()


def _overlap(one: TableName, other: TableName) -> bool:
    """Return whether two tables of one service are the same, or files of one lie in the other."""
    if None not in {one.schema, other.schema} and one.schema != other.schema:
        return False
    # Of a glob all of the folder counts below which it looks; no table's name has a slash of its own.
    here, there = (f"{_literal(name).strip('/')}/" for name in (one.name, other.name))
    return here.startswith(there) or there.startswith(here)


def _literal(path: str) -> str:
    match = _GLOB.search(path)
    return path if match is None else posixpath.dirname(path[: match.start()])
