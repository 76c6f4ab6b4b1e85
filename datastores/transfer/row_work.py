"""One part of a copy of rows: its splits are read, converted, and staged by the write session."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.base import TableDriver
from datastores.drivers.writing import Receipt, WriteSession
from datastores.errors import located
from datastores.incoming import write_part
from datastores.rejected import RejectedRows
from datastores.transfer.journal import PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.parts import Part, Work
from datastores.transfer.read_ahead import read_ahead
from datastores.transfer.rejects import RejectsWriter
from datastores.types.convert import Conversion
from datastores.values import Unfit

Context = Mapping[str, str | None]
"""What an error says of where it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowWork(Work):
    """Reads and stages one part's splits."""

    part: Part
    call: str
    driver: TableDriver
    """Of the source."""
    schema: pa.Schema
    """Of the source's batches."""
    conversion: Conversion
    session: WriteSession
    source: Context
    target: Context
    rejects: RejectsWriter | None
    """Stages the rows that are left out; None if they are only counted."""

    @override
    def run(self, meter: Meter) -> Receipt:
        rows_read = [0] * len(self.part.items)
        with (
            RejectedRows() as rejected,
            contextlib.closing(
                read_ahead(self._read(rows_read), self.session.batches_ahead)
            ) as batches,
        ):
            rows_rejected = None if self.rejects is None else self._read_rejected(rejected)

            def note(unfit: Unfit) -> str:
                return PartNote(
                    call=self.call,
                    marks=tuple(split.mark for split in self.part.items),
                    rows_read=tuple(rows_read),
                    bytes_read=meter.bytes,
                    digest=meter.digest,
                    unfit=unfit,
                    rows_rejected=rows_rejected,
                    # Before the receipt is entered that names them.
                    rejects=self.rejects.write(self.part.name, rejected) if self.rejects else None,
                ).dump()

            with located(**self.target):
                return write_part(
                    *(self.session, self.part.name),
                    pa.RecordBatchReader.from_batches(self.schema, batches),
                    self.conversion,
                    watch=meter.batches,
                    note=note,
                    take=rejected.take if self.rejects else None,
                )

    def _read_rejected(self, rejected: RejectedRows) -> tuple[int, ...]:
        """Take the rows that the source itself leaves out; return how many of each split."""
        new_names = {one.source.name: one.target.name for one in self.conversion.columns}
        counts = []
        for split in self.part.items:
            before = rejected.rows
            with located(**self.source):
                for batch, refusals in self.driver.rejected(split):
                    renamed = [replace(one, column=new_names[one.column]) for one in refusals]
                    rejected.take(self.conversion.renamed(batch), renamed)
            counts.append(rejected.rows - before)
        return tuple(counts)

    def _read(self, rows_read: list[int]) -> Generator[pa.RecordBatch, None, None]:
        for at, split in enumerate(self.part.items):
            with located(**self.source):
                for batch in self.driver.read(split):
                    rows_read[at] += batch.num_rows
                    yield batch

    @override
    def forget(self) -> None:
        with located(**self.target):
            self.session.forget(self.part.name)
