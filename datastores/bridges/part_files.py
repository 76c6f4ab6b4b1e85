"""The files that one part of a write leaves in staging: one open file for each partition."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Self

import pyarrow as pa

from datastores.formats.base import Format, FormatWriter

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

MAX_OPEN_FILES = 32
"""Partitions beyond these close the one that was written longest ago; rows for it that come
later go to a further file."""

MAX_BUFFERED_BYTES = 64 << 20
"""What all open files together hold in memory before the fullest is written out."""


class PartFiles:
    """Writes batches to files below one staging folder; an exception leaves no file.

    Args:
        filesystem: Of the store.
        folder: Where the part is staged.
        stem: What every file's name begins with.
        format_: With its options.
        schema: Of the files.
        rows_per_file: Upper bound; None for none.
    """

    def __init__(
        self,
        filesystem: AbstractFileSystem,
        folder: str,
        stem: str,
        *,
        format_: Format,
        schema: pa.Schema,
        rows_per_file: int | None,
    ) -> None:
        self.outputs: list[str] = []
        """Paths of the closed files, relative to the staging folder."""
        self.bytes = 0
        self._filesystem = filesystem
        self._folder = folder
        self._stem = stem
        self._format = format_
        self._schema = schema
        self._rows_per_file = rows_per_file
        self._started = 0
        self._open: OrderedDict[str, _OpenFile] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            while self._open and error is None:
                self._close(next(iter(self._open)))
        except BaseException as failure:
            self._abandon(failure)
            raise
        if error is not None:
            self._abandon(error)

    def write(self, place: str, batch: pa.RecordBatch) -> None:
        """Append rows to the file of a partition's folder; `""` for none."""
        for piece in self._pieces(place, batch):
            file = self._file(place)
            file.writer.write(piece)
            file.rows += piece.num_rows
            if file.rows == self._rows_per_file:
                self._close(place)
        self._write_out()

    def _pieces(self, place: str, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        start = 0
        while start < batch.num_rows:
            room = batch.num_rows
            if self._rows_per_file is not None:
                open_ = self._open.get(place)
                room = self._rows_per_file - (open_.rows if open_ else 0)
            piece = batch.slice(start, room)
            start += piece.num_rows
            yield pa.RecordBatch.from_arrays(piece.columns, schema=self._schema)

    def touch(self) -> None:
        """Begin a file without rows, which keeps the schema."""
        self._file("")

    def _file(self, place: str) -> _OpenFile:
        if place in self._open:
            self._open.move_to_end(place)
            return self._open[place]
        if len(self._open) >= MAX_OPEN_FILES:
            self._close(next(iter(self._open)))
        name = f"{self._stem}-{self._started}{self._format.suffix}"
        self._started += 1
        inner = f"{place}/{name}" if place else name
        handle = self._filesystem.open(f"{self._folder}/{inner}", "wb")
        with ExitStack() as stack:
            stack.push(handle)
            opened = _OpenFile(inner, handle, self._format.writer(handle, self._schema))
            stack.pop_all()
        self._open[place] = opened
        return opened

    def _close(self, place: str) -> None:
        file = self._open[place]
        file.writer.close()
        self.bytes += file.handle.tell()
        file.handle.close()
        del self._open[place]
        self.outputs.append(file.inner)

    def _write_out(self) -> None:
        held = {place: file.writer.buffered_bytes for place, file in self._open.items()}
        while sum(held.values()) > MAX_BUFFERED_BYTES:
            fullest = max(held, key=lambda place: held[place])
            self._open[fullest].writer.flush()
            held[fullest] = 0

    def _abandon(self, error: BaseException) -> None:
        for file in self._open.values():
            file.writer.abandon()
            # How a store is told that a file is not to appear.
            file.handle.__exit__(type(error), error, error.__traceback__)
        self._open.clear()


class _OpenFile:
    def __init__(self, inner: str, handle: IO[bytes], writer: FormatWriter) -> None:
        self.inner = inner
        self.handle = handle
        self.writer = writer
        self.rows = 0
