"""The contracts of drivers: files speak fsspec, tables speak Arrow.

A driver is built from its config alone, opens on first use, and is safe to use from several
threads. `bridges/` gives every driver the face it lacks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

from typing_extensions import override

from datastores.drivers.config import DriverConfig
from datastores.drivers.network import Endpoint
from datastores.drivers.new_files import version_of
from datastores.drivers.reading import ReadPlan, ScanRequest, Split
from datastores.drivers.reopened import elsewhere
from datastores.drivers.writing import JobEntry, WritePlan, WriteRequest, WriteSession
from datastores.errors import (
    ConfigurationError,
    PreconditionFailedError,
    UnsupportedOperationError,
)
from datastores.values import Capabilities, TableName

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

    from datastores.types.unfit import Refusal


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

    def move_file(self, path: str, target: str, *, version: str) -> None:
        """Move a file of which nothing changed since it had a version, to where nothing is.

        A second call after one that was cut short finishes it. A driver whose `publish_file` does
        not rename, so that the file moved has another version, has its own way.

        Raises:
            AlreadyExistsError: Another file is there already.
            NotFoundError: The file is gone.
            PreconditionFailedError: It is another by now, and stays where it is.
        """
        if version_of(self.filesystem.info(path)) == version:
            self.publish_file(path, target, replace=False)
            if version_of(self.filesystem.info(target)) == version:
                return
            # It was written in the moment between.
            self.publish_file(target, path, replace=False)
        raise changed_meanwhile(path)


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

    def rejected(self, split: Split) -> Iterator[tuple[pa.RecordBatch, Sequence[Refusal]]]:  # noqa: ARG002
        """Yield the rows of a split that the request's policies leave out, and why each of them is.

        They are those that `ReadPlan.unfit` counts, under the plan's snapshot, in batches that have the
        plan's columns as text. None from a driver that reads every row.
        """
        return iter(())

    def is_unchanged(
        self,
        split: Split,
        mark: str,
        rows: int,  # noqa: ARG002
        rejected: int | None = None,  # noqa: ARG002
    ) -> bool:
        """Return whether a split holds the very rows that one with that mark did in an earlier plan.

        Args:
            split: Of a plan that is open.
            mark: Of the earlier split.
            rows: How many rows were read of it.
            rejected: How many `rejected` gave of it; None if it was not asked, and they do not count.
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
        """Remove all that a job staged, and its entry; what it published stays.

        A publish that was interrupted is finished first: some of it may show already.
        """

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


def changed_meanwhile(path: str) -> PreconditionFailedError:
    """Return the error of a file that is not moved, since it is another by now."""
    return PreconditionFailedError(f"{path!r} changed meanwhile", target=path)
