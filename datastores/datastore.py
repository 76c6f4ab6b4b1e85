"""The front: one class whose calls are the same on every datastore, whatever its kind."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from typing_extensions import override

from datastores.display import html_table
from datastores.drivers.base import (
    Driver,
    FileDriver,
    ScanRequest,
    TableDriver,
    WriteRequest,
    require,
)
from datastores.drivers.registry import config_class, driver_class
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreError,
    PermissionDeniedError,
    located,
    without_frames,
)
from datastores.filters import parse_filters
from datastores.incoming import arrow_reader, filtered, write_part
from datastores.listing import Listing, file_info
from datastores.location import Location, join_path, normalize_path
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.values import (
    Capabilities,
    FileInfo,
    Leftover,
    OnUnfit,
    TableName,
    WriteMode,
    column_names,
)

if TYPE_CHECKING:
    import pyarrow as pa
    from fsspec import AbstractFileSystem

    from datastores.drivers.config import DriverConfig

_log = logging.getLogger("datastores")

Origin = tuple[Callable[..., "Datastore"], tuple[Any, ...]]
Policies = OnUnfit | str | Mapping[str, str] | None


class Datastore:
    """A named reference to one data service, with the same calls for every kind.

    Opens on first use and is safe to use from several threads. `Datastore(type="local",
    path="data")` makes one without any file; a workspace makes the named ones.
    """

    def __init__(self, type: str, **fields: Any) -> None:  # noqa: A002  # as in the file
        try:
            config = config_class(type).from_mapping(fields).relative_to(Path.cwd())
        except DatastoreError as error:
            # Neither the fields nor a half-built store, which cannot print itself, stay in the frame.
            del self, fields
            raise without_frames(error) from None
        self._set(config, name=None, origin=None, description="")

    @classmethod
    def from_config(
        cls,
        config: DriverConfig,
        *,
        name: str | None = None,
        origin: Origin | None = None,
        description: str = "",
    ) -> Self:
        """Return a datastore of a config that was read already.

        Args:
            config: Its paths are absolute.
            name: The name in its workspace.
            origin: How another process gets the same store: a function and its arguments.
            description: For people.
        """
        self = cls.__new__(cls)
        self._set(config, name=name, origin=origin, description=description)
        return self

    def _set(
        self,
        config: DriverConfig,
        *,
        name: str | None,
        origin: Origin | None,
        description: str,
    ) -> None:
        self.config = config
        self.name = name
        self.description = description
        self._origin = origin
        self._driver: Driver | None = None
        self._opening = threading.Lock()

    # What it is

    @property
    def type(self) -> str:
        """The driver's type, such as `azure_blob`."""
        return self.config.type_name

    @property
    def label(self) -> str:
        """The name, or the type in angle brackets for a store that has none."""
        return self.name or f"<{self.type}>"

    @property
    def driver(self) -> Driver:
        """The driver, built on first use."""
        if self._driver is None:
            # Two drivers of one memory store would be two stores.
            with self._opening, self._located("open"):
                if self._driver is None:
                    self._driver = driver_class(self.type)(self.config)
        return self._driver

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do; calls that it cannot do fail before any I/O."""
        return self.driver.capabilities

    @property
    def filesystem(self) -> AbstractFileSystem:
        """The store as an fsspec filesystem: its own, or its tables shown as files."""
        driver = self.driver
        if isinstance(driver, FileDriver):
            return driver.filesystem
        from datastores.bridges.tables_as_files import TablesAsFiles

        return TablesAsFiles(self.tabular)

    @property
    def tabular(self) -> TableDriver:
        """The store as a table driver: its own, or its files read as tables."""
        driver = self.driver
        if isinstance(driver, TableDriver):
            return driver
        if isinstance(driver, FileDriver):
            from datastores.bridges.files_as_tables import FilesAsTables

            return FilesAsTables(driver)
        raise ConfigurationError(f"the driver {driver!r} is neither of files nor of tables")

    def refresh(self) -> None:
        """Forget what is kept of tables shown as files; writes through this library do so."""
        if isinstance(self._driver, TableDriver):
            from datastores.bridges.renderings import forget_renderings

            forget_renderings(self._driver)

    def clean(self) -> Sequence[Leftover]:
        """Remove what killed writes and copies left staged here, and return what it was.

        Those that still run, in this process or any other, are left alone.

        Raises:
            UnsupportedOperationError: The store's capabilities do not declare it.
        """
        with self._located("clean"):
            require(self.driver, "clean", declared=self.capabilities.clean)
            return self.driver.clean()

    def close(self) -> None:
        """Close what the store opened; using it again opens it again."""
        if self._driver is not None:
            self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __truediv__(self, path: str) -> StorePath:
        return StorePath(self, normalize_path(path))

    @override
    def __repr__(self) -> str:
        return f"<Datastore {self.label} {self.type} {self.driver.place}>"

    def _repr_html_(self) -> str:
        rows = [
            ("name", self.label),
            ("type", self.type),
            ("place", self.driver.place),
            ("description", self.description),
        ]
        return html_table(("datastore", ""), [row for row in rows if row[1]])

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is not None:
            return self._origin
        if literal := self.config.literal_secrets():
            raise ConfigurationError(
                f"this datastore was given {', '.join(literal)} as a literal, and is not pickled",
                store=self.name,
                advice="Give a reference: env:NAME, file:PATH or a Key Vault reference",
            )
        return (_rebuild, (self.config, self.name, self.description))

    # Files

    def open(self, path: str, mode: str = "rb", *, encoding: str | None = None) -> IO[Any]:
        """Return a file object.

        A file opened for writing appears when it is closed, whole, and not at all if an
        exception leaves its `with` block. `xb` refuses an existing file.
        """
        path = normalize_path(path)
        with self._located("open", path):
            if not mode.startswith("r"):
                self._require_writable_files("open for writing", path)
            text = {} if "b" in mode else {"encoding": encoding or "utf-8", "newline": ""}
            file: IO[Any] = self.filesystem.open(path, mode, **text)
            return file

    def read(self, path: str) -> bytes:
        """Return a file's bytes, all in memory."""
        path = normalize_path(path)
        with self._located("read", path):
            content: bytes = self.filesystem.cat_file(path)
            return content

    def write(self, path: str, data: bytes, *, mode: str = "create") -> None:
        """Write a file whole: readers see all of it or none.

        Args:
            path: Relative to the store's root; folders are made as needed.
            data: The bytes.
            mode: `create` (an error if the file exists), `replace` or `append`.

        Raises:
            AlreadyExistsError: Under `create`, the file exists; nothing was changed.
        """
        path = normalize_path(path)
        flags = {WriteMode.CREATE: "xb", WriteMode.REPLACE: "wb", WriteMode.APPEND: "ab"}
        flag = flags.get(WriteMode.parse(mode))
        if flag is None:
            raise ConfigurationError(
                f"bytes are not written in mode {mode!r}",
                advice=f"The modes for bytes are {', '.join(flags)}",
            )
        with self._located("write", path):
            self._require_writable_files("write", path)
            try:
                with self.filesystem.open(path, flag) as file:
                    file.write(data)
            except AlreadyExistsError as error:
                error.advice = "Say mode='replace' to write it anew; nothing was changed"
                raise

    def list(self, path: str = "", *, recursive: bool = False) -> Listing:
        """Return the files and folders in a folder, or all files below it, by path."""
        path = normalize_path(path)
        with self._located("list", path):
            found = (
                self.filesystem.find(path, detail=True).values()
                if recursive
                else self.filesystem.ls(path, detail=True)
            )
            return Listing(sorted(map(file_info, found), key=lambda one: one.path))

    def stat(self, path: str) -> FileInfo:
        """Return what is known of one file or folder.

        Raises:
            NotFoundError: It does not exist.
        """
        path = normalize_path(path)
        with self._located("stat", path):
            return file_info(self.filesystem.info(path))

    def exists(self, path: str) -> bool:
        """Return whether a file or folder exists; an error that is not its absence is raised."""
        path = normalize_path(path)
        with self._located("exists", path):
            return bool(self.filesystem.exists(path))

    def delete(self, path: str, *, recursive: bool = False) -> None:
        """Delete a file, or with `recursive` a folder and all that is in it.

        Raises:
            NotFoundError: It does not exist.
        """
        path = normalize_path(path).rstrip("/")
        with self._located("delete", path):
            self._require_writable_files("delete", path)
            if not path:
                raise PermissionDeniedError(
                    "the root of a datastore is not deleted", advice="Name a folder in it"
                )
            if self.filesystem.isdir(path) and not recursive:
                raise ConfigurationError(
                    f"{path!r} is a folder", advice="Say recursive=True to delete all that is in it"
                )
            self.filesystem.rm(path, recursive=recursive)

    # Tables

    def tables(self, namespace: str | None = None) -> Sequence[TableName]:
        """Return the tables of a schema or folder, or of all that a user would look in."""
        with self._located("tables", namespace):
            return self.tabular.tables(namespace)

    def schema(self, table: str) -> pa.Schema:
        """Return a table's exact types, the source's own words in the fields' metadata."""
        with self._located("schema", table):
            return self.tabular.schema(self.table_name(table))

    def scan(  # noqa: PLR0913  # the words of the ecosystem, all optional
        self,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        filters: Sequence[Any] | None = None,
        limit: int | None = None,
        split_by: str | Sequence[str] = (),
        format: str | None = None,  # noqa: A002
        format_options: Mapping[str, Any] | None = None,
        on_unfit: Policies = None,
    ) -> Scan:
        """Return a table's rows to come; nothing is read before they are asked for.

        Args:
            table: `schema.table`; in a file store the path of a file, a folder or a glob.
            columns: Which columns, in this order; all of them if None.
            filters: `[(column, operator, value), ...]`, an OR of ANDs when nested.
            limit: At most so many rows, whichever come first.
            split_by: A column, or several, whose ranges divide the rows between the readers of a
                copy; any will do, with NULLs and duplicates. Where it is not given the driver chooses.
            format: Of files whose name does not tell it.
            format_options: As the format takes them, such as `{"delimiter": ";"}`.
            on_unfit: What becomes of values that Arrow cannot hold: `raise`, `null`, `text` or
                `reject`, for all columns or by column.
        """
        request = ScanRequest(
            table=self.table_name(table),
            columns=None if columns is None else tuple(columns),
            filters=parse_filters(filters),
            limit=limit,
            split_by=column_names(split_by),
            format=format,
            format_options=dict(format_options or {}),
            on_unfit=self._policies("scan", on_unfit),
        )
        return Scan(self.tabular, request, store=self.name, label=f"{self.label}/{table}")

    def query(
        self,
        sql: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        split_by: str | Sequence[str] = (),
        on_unfit: Policies = None,
    ) -> Scan:
        """Return the rows of a query to come; the values of `:name` in it are bound, never pasted.

        On a file store DuckDB runs it, and names in quotes are paths: `from 'raw/a.parquet'`.

        Args:
            sql: One SELECT.
            parameters: Values by name.
            split_by: A column of the result, or several, whose ranges divide the rows between the
                readers of a copy. Each reader runs the whole query, and one more run samples it, so
                it pays where the server finds a range quickly. Only for a query that gives the same
                rows each time it is run at one moment: without `random()`, `now()` or a LIMIT that
                picks among equals.
        """
        with self._located("query"):
            require(self.driver, "query", declared=self.capabilities.query)
        shown = " ".join(sql.split())[:60]
        request = ScanRequest(
            query=sql,
            parameters=dict(parameters or {}),
            split_by=column_names(split_by),
            on_unfit=self._policies("query", on_unfit),
        )
        return Scan(self.tabular, request, store=self.name, label=f"{self.label}: {shown}")

    def write_table(  # noqa: PLR0913  # the words that it shares with copy
        self,
        table: str,
        data: Any,
        *,
        mode: str = "create",
        keys: Sequence[str] = (),
        columns: Sequence[str] | None = None,
        filters: Sequence[Any] | None = None,
        rename: Mapping[str, str] | None = None,
        types: Mapping[str, Any] | None = None,
        partition_by: Sequence[str] = (),
        rows_per_file: int | None = None,
        format: str | None = None,  # noqa: A002
        format_options: Mapping[str, Any] | None = None,
        on_unfit: Policies = None,
    ) -> int:
        """Write rows as a table, published whole or not at all; return how many.

        Args:
            table: `schema.table`; in a file store the path of a file or folder.
            data: Anything with `__arrow_c_stream__`: Arrow, Polars, pandas, a scan, a DuckDB relation.
            mode: A `WriteMode`: what happens to a table that exists, and to one that does not.
            keys: Columns that identify a row, for `upsert`.
            columns: Which of the data's columns, in this order.
            filters: Which of the data's rows.
            rename: New names by old name.
            types: New types by new name: an Arrow type or its text, `decimal(18,2)`.
            partition_by: Columns that become Hive folders; file stores only.
            rows_per_file: At most so many rows in a file of a folder.
            format: Of files; else the name tells, else Parquet.
            format_options: As the format takes them.
            on_unfit: What becomes of values that the table cannot hold: `raise`, `null`, `text` or
                `reject`, for all columns or by new name. What did not fit is logged.

        Raises:
            AlreadyExistsError: Under `create`, the table exists; nothing was changed.
            SchemaMismatchError: A column does not fit the table; nothing was changed.
            DataError: A value cannot be held exactly; nothing was changed.
        """
        from datastores.types.convert import Conversion

        with self._located("write_table", table):
            policies = self._policies("write_table", on_unfit, also=bool(types))
            batches = filtered(arrow_reader(data), filters)
            conversion = Conversion.plan(
                batches.schema, columns=columns, rename=rename, types=types, on_unfit=policies
            )
            request = WriteRequest(
                table=self.table_name(table),
                schema=conversion.schema,
                mode=WriteMode.parse(mode),
                keys=tuple(keys),
                parts=1,
                partition_by=tuple(partition_by),
                rows_per_file=rows_per_file,
                format=format,
                format_options=dict(format_options or {}),
                on_unfit=policies if self.capabilities.on_unfit else OnUnfit(),
            )
            session = self.tabular.begin(request)
            try:
                with discarded_after(session.discard, request.job):
                    # Rows handed in pass by once; a second publish finds the first.
                    receipt = write_part(session, "0", batches, conversion)
                    retried(lambda: session.publish([receipt]))
            finally:
                self.refresh()
            if receipt.unfit:
                _log.warning("%s/%s: %s", self.label, table, "; ".join(receipt.unfit.lines(1)))
            return receipt.rows

    def table_name(self, text: str) -> TableName:
        """Return the table that a call names: `schema.table`, or a path in a file store."""
        if isinstance(self.driver, FileDriver):
            return TableName(normalize_path(text))
        return TableName.parse(text)

    # Shared by the calls above

    def _policies(
        self,
        operation: str,
        given: Policies,
        *,
        also: bool = False,
    ) -> OnUnfit:
        """Return the policies, refused where neither the driver nor `also` something else has them."""
        policies = OnUnfit.parse(given)
        if policies and not also:
            with self._located(operation):
                what = f"{operation} with on_unfit"
                require(self.driver, what, declared=self.capabilities.on_unfit)
        return policies

    def _require_writable_files(self, operation: str, path: str) -> None:
        require(self.driver, operation, declared=self.capabilities.writable_files, target=path)

    def _located(self, operation: str, target: str | None = None) -> AbstractContextManager[None]:
        return located(store=self.name, driver=self.type, operation=operation, target=target)


@dataclass(frozen=True, slots=True)
class StorePath:
    """A path in one datastore: `store / "orders/"`. A source or target of `copy`."""

    store: Datastore
    path: str
    """In normal form; a trailing slash says that it is a folder."""

    def __truediv__(self, path: str) -> StorePath:
        return StorePath(self.store, join_path(self.path, path))

    @override
    def __str__(self) -> str:
        return str(Location(self.store.label, self.path))


def _rebuild(config: DriverConfig, name: str | None, description: str) -> Datastore:
    return Datastore.from_config(config, name=name, description=description)
