"""The calls on tables, the same for every datastore: files are read and written as tables."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from datastores.drivers.base import FileDriver, require
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import WriteRequest
from datastores.filters import parse_filters
from datastores.incoming import arrow_reader, filtered, write_part
from datastores.location import normalize_path
from datastores.retry import discarded_after, retried
from datastores.scan import Scan
from datastores.store import Store
from datastores.values import Drift, OnUnfit, TableName, WriteMode, column_names

if TYPE_CHECKING:
    import pyarrow as pa

_log = logging.getLogger("datastores")

Policies = OnUnfit | str | Mapping[str, str] | None


class TableCalls(Store):
    """Rows: scan, query, write. Tables are named `schema.table`, or by path in a file store."""

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
        drift: str | None = None,
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
            drift: A `Drift`: what becomes of columns that are not those of a table that exists. What
                is left out or altered is logged.

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
                drift=Drift.parse(drift),
            )
            drifted = self.tabular.plan_write(request).drifted if request.drift else ()
            session = self.tabular.begin(request)
            taken = set(session.request.schema.names)
            conversion = conversion.without(set(conversion.schema.names) - taken)
            try:
                with discarded_after(session.discard, request.job):
                    # Rows handed in pass by once; a second publish finds the first.
                    receipt = write_part(session, "0", batches, conversion)
                    retried(lambda: session.publish([receipt]))
            finally:
                self.refresh()
            for one in drifted:
                _log.info("%s/%s: %s", self.label, table, one)
            if receipt.unfit:
                _log.warning("%s/%s: %s", self.label, table, "; ".join(receipt.unfit.lines(1)))
            return receipt.rows

    def table_name(self, text: str) -> TableName:
        """Return the table that a call names: `schema.table`, or a path in a file store."""
        if isinstance(self.driver, FileDriver):
            return TableName(normalize_path(text))
        return TableName.parse(text)

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
