"""The contracts of drivers: files speak fsspec, tables speak Arrow.

A driver is built from its config alone, opens on first use, and is safe to use from several
threads. `bridges/` gives every driver the face it lacks.
"""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self

from typing_extensions import override

from datastores.drivers.config import DriverConfig
from datastores.drivers.increments import Bookmark, CursorRange
from datastores.drivers.network import Endpoint
from datastores.drivers.reopened import elsewhere
from datastores.errors import ConfigurationError, UnsupportedOperationError
from datastores.filters import Filters
from datastores.values import Capabilities, OnUnfit, TableName, Unfit, WriteMode

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

    from datastores.types.unfit import Sieve

BATCH_ROWS = 65_536
"""Upper bound of rows in a batch, unless a request says otherwise."""


class Driver(ABC):
    """One data service, reached by one config."""

    config_type: ClassVar[type[DriverConfig]]
    capabilities: ClassVar[Capabilities]

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def type_name(self) -> str:
        """The driver's word in workspace files, errors and listings."""
        return self.config_type.type_name

    @property
    @abstractmethod
    def place(self) -> str:
        """Where the data is, for people: a path, or host/container; never a secret."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The addresses it connects to; none for a store of this machine."""
        return ()

    def sign_in(self) -> str:
        """Sign in, and return as whom or by what: a user's name, or `account key`.

        Called only where there are endpoints.

        Raises:
            AuthenticationError: The service does not accept it.
        """
        raise UnsupportedOperationError(f"a {self.type_name} datastore needs no sign-in")

    def close(self) -> None:  # noqa: B027  # a driver that holds nothing open is fine
        """Close what this driver opened; a closed driver opens again on next use."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.place}>"

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        if not self.capabilities.processes:
            raise UnsupportedOperationError(
                f"a {self.type_name} datastore is not read and written by another process",
                driver=self.type_name,
                advice="Use threads, or another kind of store",
            )
        if names := self.config.literal_secrets():
            raise ConfigurationError(
                f"{' and '.join(names)} of {self!r} is a literal secret, which goes to no other process",
                driver=self.type_name,
                advice="Give it as a reference, which each process resolves: env:NAME, file:PATH or "
                "Key Vault; or use threads",
            )
        return elsewhere(type(self), self.config)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderChange:
    """What `FileDriver.publish_folder` is to make true of one folder, at one moment."""

    folder: str
    add: tuple[tuple[str, str], ...]
    """Pairs of a staged file's path in the store, and its place relative to `folder`."""
    clear: tuple[str, ...] = ()
    """Folders relative to `folder` whose files go, at any depth; `""` for all of them."""
    must_be_absent: bool = False
    """Refuse if the folder exists with any file in it."""


class FileDriver(Driver):
    """A store of files, rooted at its container, share or folder: nothing leads out of it."""

    @property
    @abstractmethod
    def filesystem(self) -> AbstractFileSystem:
        """An fsspec filesystem whose paths are relative to the store's root.

        Its errors are ours. A file opened for writing appears when it is closed, and only if
        no exception passed through its `with` block.
        """

    @abstractmethod
    def publish_file(self, staged: str, path: str, *, replace: bool) -> None:
        """Move a staged file to `path` so that readers see all of it or none.

        Raises:
            AlreadyExistsError: `path` exists and `replace` is False; of N callers one wins.
        """

    @abstractmethod
    def publish_folder(self, change: FolderChange) -> None:
        """Make one change to a folder, as atomically as `capabilities.write_modes` says.

        A second call with the same change, after one that succeeded, finds its files there and
        does nothing.

        Raises:
            AlreadyExistsError: `must_be_absent`, and it is not.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """Which rows and columns to read: of a table, or of a query's result."""

    table: TableName | None = None
    query: str | None = None
    """SQL text, its parameters written `:name`. Exactly one of `table` and `query` is set."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    columns: tuple[str, ...] | None = None
    """Which columns, in this order; None for all."""
    filters: Filters = ()
    cursor: CursorRange | None = None
    """Which of the rows that pass are new; not together with `limit`."""
    limit: int | None = None
    split_by: tuple[str, ...] = ()
    """Columns whose values divide the rows between readers, of the result or beside its `columns`."""
    format: str | None = None
    """Name of a file format, where the path does not tell; file stores only."""
    format_options: Mapping[str, Any] = field(default_factory=dict)
    batch_rows: int = BATCH_ROWS
    on_unfit: OnUnfit = field(default_factory=OnUnfit)
    """What becomes of values that Arrow cannot hold; only for a driver that declares it."""
    snapshot: str | None = None
    """A view that `TableDriver.snapshot` keeps open; None for one of the plan's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableFacts:
    """What a copy of many tables has to know of each, from the catalogue."""

    table: TableName
    refers_to: tuple[TableName, ...] = ()
    """The tables that its foreign keys point at, itself perhaps among them."""
    computed: tuple[str, ...] = ()
    """Columns that the service computes, and takes no values for."""
    not_its_own: str | None = None
    """Why its rows are those of other tables, such as `a view`; None if they are its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A piece of a read plan that one task reads. Subclasses add what their driver needs.

    Pickles, holds no secret, and reads the same rows again under the plan's snapshot.
    """

    label: str
    """For plans and progress, such as `rows 0 to 99,999`."""
    rows: int | None = None
    """How many rows; an estimate, or None."""
    mark: str | None = None
    """What the piece is and what its rows are, to tell in a later plan whether they changed; None if
    nothing tells."""


@dataclass(slots=True, kw_only=True)
class ReadPlan:
    """How a request will be read. Its splits tile the result: complete and disjoint.

    Close it after the last split was read: it may hold a snapshot open.
    """

    schema: pa.Schema
    """The schema of every batch; source types are in the fields' metadata."""
    splits: tuple[Split, ...]
    split_by: str
    """What the splits are ranges of, such as `row groups`, or why there is just one."""
    snapshot: str | None = None
    """Name of the one consistent view that all splits share; None if they share none."""
    rows: int | None = None
    bytes: int | None = None
    """Of Arrow data; an estimate, or None."""
    cursor: CursorRange | None = None
    """The request's, with the end that was found under the snapshot."""
    count_unfit: Callable[[], Unfit | None] | None = None
    """Asks the source what `unfit` returns; None where every value fits or is refused."""
    release: Callable[[], None] | None = None

    def unfit(self) -> Unfit | None:
        """Count what the request's policies null and leave out, under the plan's snapshot.

        Reads the whole of the source's columns that a policy is for. None if it is not known:
        under a limit, whichever rows come first are judged.
        """
        return self.count_unfit() if self.count_unfit else Unfit()

    def close(self) -> None:
        """Let go of the snapshot; a second call does nothing."""
        release, self.release = self.release, None
        if release:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def new_job_id() -> str:
    """Return a fresh job id: twelve hexadecimal digits."""
    return uuid.uuid4().hex[:12]


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

    def leave(self) -> None:  # noqa: B027  # files hold nothing
        """Let go of what this process holds; the staging and its journal stay for a later call."""

    @abstractmethod
    def discard(self) -> None:
        """Remove the staging; after `publish` it removes what is left of it, never published rows."""


class TableDriver(Driver):
    """A store of tables."""

    @abstractmethod
    def tables(self, namespace: str | None = None) -> list[TableName]:
        """Return the tables and views of one schema (or folder), or of all that a user would look in."""

    @abstractmethod
    def schema(self, table: TableName) -> pa.Schema:
        """Return a table's exact types; the same as those of its batches.

        Raises:
            NotFoundError: No such table, or not visible to this user.
        """

    def describe_tables(self, namespace: str | None = None) -> list[TableFacts]:
        """Return the same tables as `tables`, with what the catalogue says of each."""
        return [TableFacts(table=one) for one in self.tables(namespace)]

    @contextmanager
    def snapshot(self, tables: Sequence[TableName]) -> Iterator[str | None]:  # noqa: ARG002
        """Keep one consistent view of some tables open during the block.

        Its name goes into the requests of plans that are to share it, which do not end it. None
        from a driver whose capabilities declare no transferable one.
        """
        yield None

    @abstractmethod
    def plan_read(self, request: ScanRequest, splits: int) -> ReadPlan:
        """Divide a request into at most about `splits` pieces under one snapshot, if it can."""

    @abstractmethod
    def read(self, split: Split) -> pa.RecordBatchReader:
        """Stream one split; no batch is empty, and none exceeds the request's `batch_rows`."""

    def is_unchanged(self, split: Split, mark: str, rows: int) -> bool:  # noqa: ARG002
        """Return whether a split holds the very rows that one with that mark did in an earlier plan.

        Args:
            split: Of a plan that is open.
            mark: Of the earlier split.
            rows: How many rows were read of it.
        """
        return split.mark == mark

    @abstractmethod
    def plan_write(self, request: WriteRequest) -> WritePlan:
        """Check a write against the target as it is now; nothing is written.

        Raises:
            AlreadyExistsError: Under `create`, the target exists.
            NotFoundError: Under `append`, it does not.
            SchemaMismatchError: A column does not fit, or has no type there; named.
        """

    @abstractmethod
    def begin(self, request: WriteRequest) -> WriteSession:
        """Plan the write again and prepare its staging; that of an earlier call of the job is used.

        Raises:
            ConflictError: Another process is at the same job, where the service can tell.
        """

    @abstractmethod
    def find_job(self, job: str) -> JobEntry | None:
        """Return what the journal holds of a job; a publish that was interrupted is finished first.

        Raises:
            DataError: The journal is damaged, or a newer version's.
        """

    @abstractmethod
    def jobs(self) -> list[JobEntry]:
        """Return the jobs that were begun and not forgotten, the oldest first; nothing is finished."""

    def clean(self) -> list[JobEntry]:
        """Forget each job that no process works at, and return what they were.

        Called only where `capabilities` declare it.
        """
        raise UnsupportedOperationError(f"a {self.type_name} datastore is not cleaned")

    @abstractmethod
    def forget_job(self, job: str) -> None:
        """Remove all that a job staged, and its entry; what it published stays."""

    @abstractmethod
    def find_bookmark(self, name: str) -> str | None:
        """Return the text of a bookmark; a publish that was interrupted is finished first."""

    def table_name(self, path: str) -> TableName:
        """Return the table that a URL's path names."""
        return TableName.from_path(path)


def require(driver: Driver, operation: str, *, declared: bool, target: str | None = None) -> None:
    """Raise before any I/O if a driver does not declare an operation."""
    if not declared:
        raise UnsupportedOperationError(
            f"a {driver.type_name} datastore has no {operation}",
            driver=driver.type_name,
            operation=operation,
            target=target,
            advice="Its capabilities list what it can do; nothing was sent",
        )
