"""The words of a copy: one list of them for `copy`, `plan_copy` and the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Any, TypedDict

from datastores.datastore import StorePath
from datastores.errors import ConfigurationError
from datastores.transfer.progress import PartProgress
from datastores.values import OnUnfit
from datastores.workspace import Workspace

DEFAULT_WORKERS = min(4, os.cpu_count() or 1)


class CopyOptions(TypedDict, total=False):
    """What `copy` and `plan_copy` take beside source and target. All optional."""

    workspace: Workspace
    """Where the names in URLs are looked up; the one that `Workspace.load()` finds if not given."""
    mode: str
    """A `WriteMode`: `create` if not given."""
    keys: Sequence[str]
    """Columns that identify a row of the target, for `upsert`."""
    columns: Sequence[str]
    """Which of the source's columns, in this order; all if not given."""
    filters: Sequence[Any]
    """Which of the source's rows: `[(column, operator, value), ...]`, an OR of ANDs when nested."""
    cursor: str
    """A column of the source, by old name, whose values say which rows are new: those above the greatest
    that the target remembers of the last copy. It need not be copied."""
    new_files: bool
    """Of a folder or glob only the files that the target was not given yet, as it remembers them. A file
    that changed since is refused, but for `upsert` and files as they are, where it is taken again."""
    modified_since: datetime | str
    """Of a folder or glob only the files that were modified then or later; with a zone."""
    path_column: str
    """A column to add to rows from files, which holds each row's file, relative to the folder."""
    archive: StorePath | str
    """A folder of the source's store that files are moved to once they were copied, with `new_files`."""
    split_by: str | Sequence[str]
    """Columns of the source, by old name, whose ranges divide the rows between workers."""
    rename: Mapping[str, str]
    """New column names by old name."""
    types: Mapping[str, Any]
    """New types by new name: an Arrow type or its text, such as `decimal(18,2)`."""
    on_unfit: OnUnfit | str | Mapping[str, str]
    """What becomes of values that the target, or Arrow on the way, cannot hold: `raise` if not given,
    else `null`, `text` or `reject`, for all columns or by new name."""
    rejects: Any
    """Where the rows go that `on_unfit` leaves out, with the reasons: a URL or `store / "path"` of a table
    or folder, which is added to, or of a new file. Without `on_unfit` that is `reject` then."""
    drift: str
    """A `Drift`, for columns that are not those of a target that exists: `refuse`, `ignore` or `evolve`.
    If not given their names have to be the same, and each value is tried on the target's types."""
    partition_by: Sequence[str]
    """Columns that become Hive folders at a file store, by new name."""
    rows_per_file: int
    """At most so many rows in a file of a folder."""
    format: str
    """Of the target's files, where their names do not tell; Parquet for a new folder."""
    format_options: Mapping[str, Any]
    """Of the target's files, as their format takes them."""
    source_format: str
    """Of the source's files, where their names do not tell."""
    source_format_options: Mapping[str, Any]
    """Of the source's files, as their format takes them."""
    workers: int
    """How many parts are read and written at once, and in about how many a table is divided; if not
    given `DEFAULT_WORKERS`, or one where the target takes one part faster than several."""
    executor: Executor
    """Runs the parts, and stays the caller's: one of `concurrent.futures`, or a Dask client's
    `get_executor()`. Threads of the copy's own if not given."""
    verify: bool
    """Read the target back when it is published, and compare rows and content digests."""
    progress: Callable[[PartProgress], None]
    """Called in a worker's thread as a part advances, by one worker at a time; must be quick. What it
    raises ends the copy, and comes out of it as it is. Of a part in another process it is told when
    that is done, in the caller's thread."""
    on_plan: Callable[[Any], None]
    """Called with the `CopyPlan` before the first part is read."""
    job: str
    """Names the copy's staging and files; a fresh one if not given."""


class CopyAllOptions(TypedDict, total=False):
    """What `copy_all` and `plan_copy_all` take beside source, target and patterns. All optional.

    Those that `CopyOptions` has too are the same for each table.
    """

    workspace: Workspace
    mode: str
    on_unfit: OnUnfit | str | Mapping[str, str]
    rejects: Any
    """One place for the rejected rows of all tables."""
    drift: str
    rows_per_file: int
    format: str
    format_options: Mapping[str, Any]
    source_format: str
    source_format_options: Mapping[str, Any]
    workers: int
    verify: bool
    on_plan: Callable[[Any], None]
    """Called with the `CopyAllPlan` before the first table is read."""
    on_table: Callable[[Any], None]
    """Called with a table's `CopyReport` when it is copied. What it raises ends the call, as it is."""
    job: str
    """Names the call for one that goes on from it; else its arguments do."""


# Options that change rows, so that files are not copied as they are.
ROW_OPTIONS = frozenset(
    {
        "keys",
        "columns",
        "filters",
        "cursor",
        "path_column",
        "split_by",
        "rename",
        "types",
        "on_unfit",
        "rejects",
        "drift",
        "partition_by",
        "rows_per_file",
        "format",
        "format_options",
        "source_format",
        "source_format_options",
    }
)


# Options that only a source of files has.
FILE_OPTIONS = frozenset({"new_files", "modified_since", "path_column", "archive"})


def refuse_unknown(options: Mapping[str, Any], known: type, call: str) -> None:
    """Refuse a word that a call does not know.

    Args:
        options: As given.
        known: The `TypedDict` of its words.
        call: For the error.
    """
    for name in options:
        if name not in known.__annotations__:
            words = ", ".join(known.__annotations__)
            raise ConfigurationError(
                f"{call} has no option {name!r}", advice=f"Its options are {words}"
            )
