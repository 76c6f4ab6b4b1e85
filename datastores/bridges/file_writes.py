"""Writing a table as files: the session that stages parts, and publishes them with one move."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from urllib.parse import quote

import pyarrow as pa
from typing_extensions import override

from datastores.bridges import partitions
from datastores.bridges.discovery import named
from datastores.bridges.evolution import document_name, unified
from datastores.bridges.file_bookmarks import next_move
from datastores.bridges.file_journal import FileJournal, FileMove, Publication, only_first
from datastores.bridges.file_target import ADDS, Target, exists_already, find_target
from datastores.bridges.part_files import PartFiles
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.writing import Receipt, WriteRequest, WriteSession
from datastores.errors import ConfigurationError, ConflictError, SchemaMismatchError
from datastores.formats import sidecar
from datastores.formats.sidecar import Sidecar
from datastores.types.widening import fitted
from datastores.values import WriteMode


class FileWriteSession(WriteSession):
    """Stages parts as files below the store's staging folder, and publishes them with one move."""

    # Whole row groups are encoded at once, and reading goes on meanwhile.
    batches_ahead = 2

    def __init__(self, driver: FileDriver, request: WriteRequest, target: Target) -> None:
        self.request = request
        self._driver = driver
        self._target = target

    @property
    def _journal(self) -> FileJournal:
        return FileJournal(self._driver, self.request.job)

    @property
    def _staging(self) -> str:
        return self._journal.folder

    @override
    def write(
        self, part: str, batches: pa.RecordBatchReader, note: Callable[[], str] = str
    ) -> Receipt:
        attempt, rows = uuid.uuid4().hex[:12], 0
        with self._part_files(attempt, part) as files:
            for batch in batches:
                whole = fitted(batch, self._target.schema, first_row=rows + 1)
                rows += batch.num_rows
                for keys, piece in partitions.divide(whole, self._target.partition_by):
                    if piece.num_rows:
                        files.write(partitions.folder_of(keys), piece)
        outputs = tuple(f"{attempt}/{one}" for one in files.outputs)
        receipt = Receipt(part=part, rows=rows, bytes=files.bytes, outputs=outputs, note=note())
        return receipt if self.request.journal is None else self._journal.enter(receipt)

    @override
    def forget(self, part: str) -> None:
        self._journal.forget(part)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        with named(self._target.path):
            request = self.request
            kept = request.journal is not None or request.bookmark is not None
            journal = self._journal if kept else None
            publication = journal.decided() if journal else None
            if publication is None:
                chosen = only_first(receipts)
                publication = self._publication(chosen)
                if journal:
                    publication = journal.decide(publication, chosen)
            publication.carry_out(self._driver)

    @override
    def discard(self) -> None:
        self._journal.remove()

    def _part_files(self, attempt: str, part: str) -> PartFiles:
        job, name = quote(self.request.job, safe=""), quote(part, safe="")
        return PartFiles(
            self._driver.filesystem,
            f"{self._staging}/{attempt}",
            # The same call may be made again, as a job of the same name, to add more.
            f"part-{job}-{name}-{attempt}",
            format_=self._target.format,
            schema=self._target.file_schema,
            rows_per_file=self.request.rows_per_file,
        )

    def _empty_file(self) -> str:
        """Stage a file without rows, so that a table without rows keeps its columns."""
        attempt = uuid.uuid4().hex[:12]
        with self._part_files(attempt, "empty") as files:
            files.touch()
        return f"{attempt}/{files.outputs[0]}"

    def _publication(self, receipts: Sequence[Receipt]) -> Publication:
        outputs = [output for one in receipts for output in one.outputs]
        request = self.request
        if self._target.altered:
            self._refuse_conflict()
        bookmark = (
            next_move(self._driver, request.bookmark, request.job) if request.bookmark else None
        )
        if self._target.single:
            moves = self._moves(outputs, sum(one.bytes for one in receipts))
            return Publication(files=moves, bookmark=bookmark)
        return Publication(folder=self._change(outputs), bookmark=bookmark)

    def _refuse_conflict(self) -> None:
        """Refuse to publish columns that do not go with those that the folder has by now."""
        try:
            now = find_target(self._driver, self.request)
            unified([now.schema, self._target.schema])
        except SchemaMismatchError as error:
            raise ConflictError(
                f"another write changed the columns of {self._target.path!r} meanwhile: {error.message}",
                target=self._target.path,
                advice="Write again; nothing was changed",
            ) from error

    def _moves(self, outputs: list[str], size: int) -> tuple[FileMove, ...]:
        path, filesystem = self._target.path, self._driver.filesystem
        if len(outputs) > 1:
            raise ConfigurationError(
                f"{path!r} is one file and was written in {len(outputs)} parts",
                advice="Write a folder: end the path with '/'",
            )
        replace = self.request.mode is WriteMode.REPLACE
        staged = f"{self._staging}/{outputs[0] if outputs else self._empty_file()}"
        if not replace and filesystem.exists(path) and filesystem.exists(staged):
            raise exists_already(path)
        if not outputs:
            size = filesystem.info(staged)["size"]
        data = FileMove(staged=staged, path=path, size=size, replace=replace)
        if not self._target.format.needs_sidecar:
            return (data,)
        kept, length = self._stage_sidecar()
        beside = FileMove(staged=kept, path=sidecar.beside(path), size=length, replace=True)
        # First, since the data is not to be read without it.
        return (beside, data)

    def _change(self, outputs: list[str]) -> FolderChange | None:
        mode, target = self.request.mode, self._target
        adds = target.exists and mode in ADDS
        if not outputs and adds and not target.altered:
            return None
        folders = {one.partition("/")[2].rpartition("/")[0] for one in outputs}
        clear = {
            WriteMode.REPLACE: ("",),
            WriteMode.REPLACE_PARTITIONS: tuple(sorted(folders)),
        }.get(mode, ())
        add = [(f"{self._staging}/{one}", one.partition("/")[2]) for one in outputs]
        if target.altered:
            # First, since the new files are not to be read without it.
            add.insert(0, (self._stage_sidecar()[0], document_name(self._document)))
        elif not outputs:
            empty = self._empty_file()
            add.append((f"{self._staging}/{empty}", empty.partition("/")[2]))
        if target.format.needs_sidecar and not adds:
            add.append((self._stage_sidecar()[0], sidecar.FOLDER_FILE))
        return FolderChange(
            folder=target.path,
            add=tuple(add),
            clear=clear,
            must_be_absent=mode is WriteMode.CREATE,
        )

    @property
    def _document(self) -> bytes:
        return Sidecar(self._target.schema, self._target.partition_by).dump()

    def _stage_sidecar(self) -> tuple[str, int]:
        """Stage the schema beside the data; return its path and length."""
        staged = f"{self._staging}/{uuid.uuid4().hex[:12]}/{sidecar.FOLDER_FILE}"
        document = self._document
        with self._driver.filesystem.open(staged, "wb") as file:
            file.write(document)
        return staged, len(document)
