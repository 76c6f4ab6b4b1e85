"""A table or query result that is read when asked for, as Arrow batches in bounded memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from datastores.display import html_table, text_table
from datastores.drivers.base import TableDriver
from datastores.drivers.reading import ScanRequest
from datastores.errors import MissingDependencyError, located
from datastores.types.fields import source_of
from datastores.values import Unfit

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

SHOWN_ROWS = 10


class Scan:
    """Rows to come. Nothing is read before it is asked for, and each use reads anew.

    Anything that takes `__arrow_c_stream__` takes a scan: `polars.DataFrame(scan)`,
    `duckdb.sql("from scan")`, `pyarrow.table(scan)`.
    """

    def __init__(
        self, driver: TableDriver, request: ScanRequest, *, store: str | None, label: str
    ) -> None:
        self.driver = driver
        self.store = store
        self.request = request
        self.label = label
        """What is scanned, for people: `warehouse/public.orders`."""

    @property
    def schema(self) -> pa.Schema:
        """The exact types of every batch, the source's own types in the fields' metadata."""
        with self._located(), self.driver.plan_read(self.request, 1) as plan:
            return plan.schema

    @property
    def unfit(self) -> Unfit | None:
        """How many values `on_unfit` nulls and how many rows it leaves out, with examples.

        Asks the source, as each use does. None under a limit: whichever rows come first are judged.
        """
        with self._located(), self.driver.plan_read(self.request, 1) as plan:
            return plan.unfit()

    def reader(self) -> pa.RecordBatchReader:
        """Return one stream over all rows, under one snapshot where the driver has one."""
        import pyarrow as pa  # workspaces are listed without it

        with self._located():
            plan = self.driver.plan_read(self.request, 1)

        def batches() -> Iterator[pa.RecordBatch]:
            with self._located(), plan:
                for split in plan.splits:
                    yield from self.driver.read(split)

        return pa.RecordBatchReader.from_batches(plan.schema, batches())

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return iter(self.reader())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.reader().__arrow_c_stream__(requested_schema)

    def to_arrow(self) -> pa.Table:
        """Return all rows in memory, as an Arrow table."""
        return self.reader().read_all()

    def to_pandas(self) -> pd.DataFrame:
        """Return all rows as a data frame of Arrow-backed columns, which hold every value exactly."""
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            raise _missing("pandas") from error
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def to_polars(self) -> pl.DataFrame:
        """Return all rows as a Polars data frame."""
        try:
            import polars as pl
        except ModuleNotFoundError as error:
            raise _missing("polars") from error
        return pl.DataFrame(self.to_arrow())

    def head(self, rows: int = SHOWN_ROWS) -> pa.Table:
        """Return the first rows that come; reads no more than the batches they are in."""
        limit = self.request.limit
        limit = rows if limit is None else min(rows, limit)
        request = dataclasses.replace(
            self.request, limit=limit, batch_rows=min(self.request.batch_rows, max(limit, 1))
        )
        return Scan(self.driver, request, store=self.store, label=self.label).to_arrow()

    def count(self) -> int:
        """Return the number of rows, by reading one column."""
        request = self.request
        # Which rows are left out depends on all columns.
        if request.columns is None and not request.on_unfit and (names := self.schema.names):
            request = dataclasses.replace(request, columns=(names[0],))
        with self._located(), self.driver.plan_read(request, 1) as plan:
            return sum(len(batch) for split in plan.splits for batch in self.driver.read(split))

    def _located(self) -> AbstractContextManager[None]:
        return located(
            store=self.store,
            driver=self.driver.type_name,
            operation="scan",
            target=self.label,
        )

    @override
    def __repr__(self) -> str:
        return f"<Scan {self.label}>\n{text_table(_SCHEMA_COLUMNS, schema_rows(self.schema))}"

    def _repr_html_(self) -> str:
        schema = html_table(_SCHEMA_COLUMNS, schema_rows(self.schema), caption=self.label)
        head = self.head()
        return schema + html_table(head.column_names, rows_of(head))


_SCHEMA_COLUMNS = ("column", "type", "source type", "null")


def schema_rows(schema: pa.Schema) -> list[tuple[str, str, str, str]]:
    """Return name, Arrow type, the source's type and nullability of each column, for people."""
    rows = []
    for field in schema:
        source = source_of(field)
        key = ", key" if source and source.key else ""
        words = f"{source.type}{key}" if source else ""
        rows.append((field.name, str(field.type), words, "" if field.nullable else "not null"))
    return rows


def rows_of(table: pa.Table) -> list[list[Any]]:
    """Return a small table's rows, each value as text, NULL as None."""
    columns = [
        [value.as_py() if value.is_valid else None for value in column] for column in table.columns
    ]
    return [
        [None if value is None else str(value) for value in row]
        for row in zip(*columns, strict=True)
    ]


def _missing(package: str) -> MissingDependencyError:
    return MissingDependencyError(
        f"{package} is not installed", advice=f"Install it with: pip install {package}"
    )
