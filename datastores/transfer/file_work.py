"""One part of a copy of files as they are: each is staged in the target store, and entered together."""

from __future__ import annotations

import hashlib
import posixpath
import uuid
from dataclasses import dataclass

from typing_extensions import override

from datastores.bridges.file_journal import FileJournal
from datastores.drivers.base import FileDriver
from datastores.drivers.writing import Receipt
from datastores.errors import DataError, located
from datastores.transfer.journal import PartNote
from datastores.transfer.meter import Meter
from datastores.transfer.parts import Part, Work
from datastores.types.digest import Digest
from datastores.values import Unfit

CHUNK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to copy."""

    path: str
    """In the source store."""
    relative: str
    """To the target folder."""
    size: int
    version: str
    """Changes when the file does."""
    modified: float | None = None
    """In seconds since 1970, UTC; None if the store does not tell."""

    @property
    def mark(self) -> str:
        """What it is, to tell later whether it has changed."""
        return f"{self.size} {self.version} {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWork(Work):
    """Reads and stages one part's files."""

    part: Part
    call: str
    job: str
    verify: bool
    """Whether each file is read back."""
    source: FileDriver
    target: FileDriver
    source_store: str | None
    target_store: str | None
    place: str
    """The target, for errors."""

    @property
    def _journal(self) -> FileJournal:
        return FileJournal(self.target, self.job)

    @override
    def run(self, meter: Meter) -> Receipt:
        attempt = posixpath.join(self._journal.folder, uuid.uuid4().hex[:12])
        outputs = []
        for file in self.part.items:
            staged = posixpath.join(attempt, file.relative)
            self._copy(file, staged, meter)
            outputs.append(staged)
        note = PartNote(
            call=self.call,
            marks=tuple(one.mark for one in self.part.items),
            rows_read=tuple(0 for _ in self.part.items),
            bytes_read=meter.bytes,
            # Each file was compared when it was staged, if that was asked for.
            digest=Digest() if self.verify else None,
            unfit=Unfit(),
        )
        receipt = Receipt(
            part=self.part.name,
            rows=0,
            bytes=meter.bytes,
            outputs=tuple(outputs),
            note=note.dump(),
        )
        with located(store=self.target_store, operation="copy", target=self.place):
            return self._journal.enter(receipt)

    @override
    def forget(self) -> None:
        with located(store=self.target_store, operation="copy", target=self.place):
            self._journal.forget(self.part.name)

    def _copy(self, file: SourceFile, staged: str, meter: Meter) -> None:
        read = 0
        sent = hashlib.blake2b(digest_size=16)
        # Staging is inside the target store, which makes folders as files appear in them.
        with (
            located(store=self.source_store, operation="copy", target=file.path),
            self.source.filesystem.open(file.path, "rb") as reader,
            located(store=self.target_store, operation="copy", target=staged),
            self.target.filesystem.open(staged, "xb") as writer,
        ):
            while chunk := reader.read(CHUNK_BYTES):
                writer.write(chunk)
                read += len(chunk)
                if self.verify:
                    sent.update(chunk)
                meter.count(0, len(chunk))
        if read != file.size:
            raise DataError(
                f"{file.path!r} had {file.size:,} bytes when the copy was planned, and {read:,} now",
                store=self.source_store,
                advice="It is being written; copy it again when it is whole",
            )
        if self.verify and self._digest(staged) != sent.digest():
            raise DataError(
                f"the copy of {file.path!r} does not hold the bytes that were sent",
                store=self.target_store,
                advice="Nothing was published; copy again",
            )

    def _digest(self, path: str) -> bytes:
        held = hashlib.blake2b(digest_size=16)
        with self.target.filesystem.open(path, "rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                held.update(chunk)
        return held.digest()
