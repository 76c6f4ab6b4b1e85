"""What writing a table is told and plans, and the contract of a write from its first part to its publish."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from datastores.drivers.increments import Bookmark
from datastores.errors import UnsupportedOperationError
from datastores.values import Drift, OnUnfit, TableName, Unfit, WriteMode

if TYPE_CHECKING:
    import pyarrow as pa

    from datastores.types.unfit import Sieve


def new_job_id() -> str:
    """Return a fresh job id: twelve hexadecimal digits."""
    return uuid.uuid4().hex[:12]


def rejects_job(job: str) -> str:
    """Return the id under which a job's rejected rows are staged, where they go."""
    # Together with the longest id it still fits into the names of PostgreSQL's staging.
    return f"{job}-rej"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """What to write where. The same values serve planning, staging and publishing."""

    table: TableName
    schema: pa.Schema
    mode: WriteMode = WriteMode.CREATE
    keys: tuple[str, ...] = ()
    """Columns that identify a row; `upsert` needs them."""
    job: str = field(default_factory=new_job_id)
    """Names the staging, so that two jobs at once never collide; file names hold it."""
    journal: str | None = None
    """What is kept with the job for the call that goes on from it, without secrets; None if none will."""
    bookmark: Bookmark | None = None
    """What the target remembers as soon as it is published, for the copies that come after."""
    parts: int | None = None
    """How many parts the process that begins the write will write itself; None if others do."""
    partition_by: tuple[str, ...] = ()
    """Columns that become Hive folders; file stores only."""
    rows_per_file: int | None = None
    format: str | None = None
    format_options: Mapping[str, Any] = field(default_factory=dict)
    on_unfit: OnUnfit = field(default_factory=OnUnfit)
    """What becomes of values that the target cannot hold; only for a driver that declares it."""
    drift: Drift | None = None
    """What becomes of columns that are not those of a table that exists. If None, the names have to be
    the same; the types too in files, while a table of a database tries each value."""

    def without(self, columns: Collection[str]) -> WriteRequest:
        """Return the request for the same rows with some columns left out."""
        if not columns:
            return self
        import pyarrow as pa  # workspaces are listed without it

        fields = [one for one in self.schema if one.name not in columns]
        schema = pa.schema(fields, self.schema.metadata)
        return replace(self, schema=schema, on_unfit=self.on_unfit.without(columns))


class Verdict(StrEnum):
    """What becomes of a column's values on the way to the target."""

    EXACT = "exact"
    TAGGED = "tagged"
    """Held exactly in another type, with the original noted beside it."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnPlan:
    """One column's way: the target's type and the verdict."""

    name: str
    arrow_type: str
    target_type: str
    verdict: Verdict = Verdict.EXACT
    note: str | None = None


class DriftKind(StrEnum):
    """How a column of the data differs from the table's."""

    ADDED = "added"
    """The table has none of its name."""
    DROPPED = "dropped"
    """The data has none of its name."""
    WIDENED = "widened"
    """Its type holds all that the table's does, and more."""
    NARROWED = "narrowed"
    """The table's type holds all that its own does, and more."""
    CHANGED = "changed"
    """Each type holds values that the other does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drifted:
    """A column that the data and the table do not have alike, and what becomes of it."""

    column: str
    kind: DriftKind
    source_type: str | None = None
    """What `create` would declare for it, in the target's words; None if the data has none."""
    target_type: str | None = None
    """What the table declares; None if it has none."""
    outcome: str = ""
    """In words; empty if it is refused."""

    @override
    def __str__(self) -> str:
        return f"column {self.column!r} is {self.kind}: {self.outcome}"


@dataclass(frozen=True, slots=True, kw_only=True)
class WritePlan:
    """What a write will do, known before anything is written."""

    columns: tuple[ColumnPlan, ...]
    statements: tuple[str, ...] = ()
    """DDL that publishing will run; empty for files."""
    bulk_path: str
    """How rows travel, such as `Parquet (zstd), partitioned by month`."""
    publish: str
    """How they appear, such as `appears at once when finished (folder exchange)`."""
    max_parts: int | None = None
    """How many parts the target takes: 1 for a single file; None for any number."""
    parallel: bool = True
    """Whether several parts written at once are faster than one."""
    drifted: tuple[Drifted, ...] = ()
    """Where the data's columns are not the table's, if the request has a policy for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """Proof that one part is safely staged. Plain values only, so that a journal can hold it."""

    part: str
    rows: int
    bytes: int
    """As written, after compression."""
    outputs: tuple[str, ...] = ()
    """What the part left in staging, in the target's own words."""
    unfit: Unfit = field(default_factory=Unfit, compare=False)
    """What did not fit on the way to the target, and was nulled or left out."""
    note: str = ""
    """What the caller of `write` keeps with it."""


class JobState(StrEnum):
    """How far a job is that was begun and not forgotten."""

    WRITING = "writing"
    """Parts are staged, and nothing shows at the target."""
    PUBLISHED = "published"
    """All shows at the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEntry:
    """What the journal of a store holds of one job."""

    job: str
    target: str
    """The table or path it is for."""
    state: JobState
    journal: str
    """As the request has it; empty if no call goes on from it."""
    receipts: tuple[Receipt, ...]
    """Of the parts that are finished."""
    began: datetime
    """In UTC."""

    @property
    def bytes(self) -> int:
        """How many the finished parts have, as they were staged."""
        return sum(one.bytes for one in self.receipts)


class WriteSession(ABC):
    """One write, from staging to publish. Pickles, and holds no secret."""

    request: WriteRequest
    """What was asked for, without the columns that are left out: its schema is what `write` takes."""
    batches_ahead: ClassVar[int] = 1
    """How many batches a copy reads before `write` asks for them."""

    def sieve(self) -> Sieve | None:
        """Return what applies the request's `on_unfit` to the rows of one part, before `write`.

        None from a driver that does not declare it, which refuses what does not fit.
        """
        return None

    @abstractmethod
    def write(
        self, part: str, batches: pa.RecordBatchReader, note: Callable[[], str] = str
    ) -> Receipt:
        """Stage one part; `batches` have the request's schema.

        May run twice for one part, even at once. Where the job has a journal, the first that is
        finished is entered there, and its receipt is what the others return, too; else publishing
        counts the one whose receipt it is given.

        Args:
            part: Its name.
            batches: Its rows.
            note: Asked for once the rows are staged: what to keep with the receipt.
        """

    def forget(self, part: str) -> None:
        """Take a part out of the journal, so that it can be written anew."""
        raise UnsupportedOperationError(f"this write keeps no journal, and no part {part!r}")

    @abstractmethod
    def publish(self, receipts: Sequence[Receipt]) -> None:
        """Make the named receipts' rows the target's, once; a second call finds the first.

        Raises:
            AlreadyExistsError: The mode is `create`, and the target came to be meanwhile.
            PreconditionFailedError: The request's bookmark is not what it was when it was planned.
        """

    def leave(self) -> bool:
        """Let go of what this process holds; the staging and its journal stay for a later call.

        Returns:
            Whether the finished parts are among it: they are not where they were in a transaction.
        """
        return True

    @abstractmethod
    def discard(self) -> None:
        """Remove the staging; after `publish` it removes what is left of it, never published rows."""
