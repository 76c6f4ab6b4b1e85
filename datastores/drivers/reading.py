"""What reading a table is told and plans: requests, the pieces they are divided into, and their plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from datastores.drivers.increments import CursorRange
from datastores.drivers.new_files import FileRange
from datastores.filters import Filters
from datastores.values import OnUnfit, Refused, TableName, Unfit

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 32_768
"""Upper bound of rows in a batch, unless a request says otherwise."""

MAX_SPLIT_BYTES = 128 << 20
"""About how much a split holds at most, since it is what a failure makes be read again."""


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
    files: FileRange | None = None
    """Which files of a folder or glob, if not all; file stores only."""
    path_column: str | None = None
    """Name of a column that holds each row's file, relative to the folder; file stores only."""
    limit: int | None = None
    split_by: tuple[str, ...] = ()
    """Columns whose values divide the rows between readers, of the result or beside its `columns`."""
    format: str | None = None
    """Name of a file format, where the path does not tell; file stores only."""
    format_options: Mapping[str, Any] = field(default_factory=dict)
    batch_rows: int = BATCH_ROWS
    concurrent: bool = False
    """Whether splits are read side by side, or beside a write: one thread is then enough for each."""
    on_unfit: OnUnfit = field(default_factory=OnUnfit)
    """What becomes of values that Arrow cannot hold; only for a driver that declares it."""
    snapshot: str | None = None
    """A view that `TableDriver.snapshot` keeps open; None for one of the plan's own."""


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
    files: FileRange | None = None
    """The request's, with the files that are read. If there is none, nothing tells the schema."""
    count_unfit: Callable[[], Unfit | None] | None = None
    """Asks the source what `unfit` returns; None where every value fits or is refused."""
    count_refused: Callable[[], Refused | None] | None = None
    """Asks the source what `refused` returns; None where no value is refused."""
    release: Callable[[], None] | None = None

    def unfit(self) -> Unfit | None:
        """Count what the request's policies null and leave out, under the plan's snapshot.

        Reads the whole of the source's columns that a policy is for. None if it is not known:
        under a limit, whichever rows come first are judged.
        """
        return self.count_unfit() if self.count_unfit else Unfit()

    def refused(self) -> Refused | None:
        """Count what reading the splits would refuse, as `unfit` counts the rest."""
        return self.count_refused() if self.count_refused else Refused()

    def close(self) -> None:
        """Let go of the snapshot; a second call does nothing."""
        release, self.release = self.release, None
        if release:
            release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
