"""Writing a table as files: what the target is, what the write will do, and the session that does it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import pyarrow as pa
from typing_extensions import override

from datastores.bridges import partitions
from datastores.bridges.discovery import (
    DatasetSchema,
    find_dataset,
    is_glob,
    named,
    read_schema,
)
from datastores.bridges.file_bookmarks import next_move
from datastores.bridges.file_journal import FileJournal, FileMove, Publication, only_first
from datastores.bridges.part_files import PartFiles
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.writing import (
    ColumnPlan,
    Receipt,
    Verdict,
    WritePlan,
    WriteRequest,
    WriteSession,
)
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.formats import json_values, sidecar
from datastores.formats.base import Format, check_names
from datastores.formats.registry import format_of_path, open_format
from datastores.formats.sidecar import Sidecar
from datastores.formats.text_values import is_text
from datastores.location import normalize_path
from datastores.values import Atomicity, WriteMode

DEFAULT_FORMAT = "parquet"
_ADDS = frozenset({WriteMode.APPEND, WriteMode.CREATE_APPEND, WriteMode.REPLACE_PARTITIONS})
_PUBLISH_WORDS = {
    Atomicity.ATOMIC: "appears at once when finished",
    Atomicity.FILE_BY_FILE: "appears file by file when finished",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a write goes, as it is before the write."""

    path: str
    """In normal form, without a trailing slash."""
    single: bool
    """One file; else a folder of files."""
    exists: bool
    format: Format
    schema: pa.Schema
    """The table's schema after the write."""
    partition_by: tuple[str, ...]

    @property
    def file_schema(self) -> pa.Schema:
        """The schema of each file, which says the whole table's if folders hold columns of it."""
        fields = [one for one in self.schema if one.name not in self.partition_by]
        metadata = dict(self.schema.metadata or {})
        if self.partition_by and not self.format.needs_sidecar:
            metadata[sidecar.METADATA_KEY] = Sidecar(self.schema, self.partition_by).dump()
        return pa.schema(fields, metadata or None)


def find_target(driver: FileDriver, request: WriteRequest) -> Target:
    """Return where a request would write, having checked that it may.

    Raises:
        AlreadyExistsError, NotFoundError: As the mode says.
        SchemaMismatchError: A column does not fit what is there, or the format.
        UnsupportedOperationError: The mode is not one of the driver's, or not of single files.
    """
    if request.mode not in driver.capabilities.write_modes:
        modes = ", ".join(driver.capabilities.write_modes)
        raise UnsupportedOperationError(
            f"a {driver.type_name} datastore has no write mode {request.mode.value!r}",
            driver=driver.type_name,
            operation="write_table",
            target=request.table.name,
            advice=f"Its modes are {modes or 'none: it is read only'}; nothing was written",
        )
    path, single, exists = _place(driver, request)
    _check_mode(request, path, single=single, exists=exists)
    _check_columns(request.schema)
    if exists and not single and request.mode in _ADDS:
        return _grown(driver, request, path)
    implied = format_of_path(path) if single else DEFAULT_FORMAT
    name = request.format or implied
    target = Target(
        path=path,
        single=single,
        exists=exists,
        format=open_format(name, path if single else "", request.format_options),
        schema=request.schema,
        partition_by=request.partition_by,
    )
    _check_target(target)
    return target


def describe(driver: FileDriver, request: WriteRequest, target: Target) -> WritePlan:
    """Return what the write will do, for people."""
    bulk_path = target.format.description
    if target.partition_by:
        bulk_path += f", partitioned by {', '.join(target.partition_by)}"
    return WritePlan(
        columns=tuple(_column_plan(one, target) for one in target.schema),
        bulk_path=bulk_path,
        publish=_PUBLISH_WORDS[driver.capabilities.write_modes[request.mode]],
        max_parts=1 if target.single else None,
    )


class FileWriteSession(WriteSession):
    """Stages parts as files below the store's staging folder, and publishes them with one move."""

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
                rows += batch.num_rows
                ordered = batch.select(self._target.schema.names)
                for keys, piece in partitions.divide(ordered, self._target.partition_by):
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
        bookmark = (
            next_move(self._driver, request.bookmark, request.job) if request.bookmark else None
        )
        if self._target.single:
            moves = self._moves(outputs, sum(one.bytes for one in receipts))
            return Publication(files=moves, bookmark=bookmark)
        return Publication(folder=self._change(outputs), bookmark=bookmark)

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
            raise _exists(path)
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
        if not outputs and target.exists and mode in _ADDS:
            return None
        folders = {one.partition("/")[2].rpartition("/")[0] for one in outputs}
        clear = {
            WriteMode.REPLACE: ("",),
            WriteMode.REPLACE_PARTITIONS: tuple(sorted(folders)),
        }.get(mode, ())
        add = [(f"{self._staging}/{one}", one.partition("/")[2]) for one in outputs]
        if not outputs:
            empty = self._empty_file()
            add.append((f"{self._staging}/{empty}", empty.partition("/")[2]))
        if target.format.needs_sidecar and not (target.exists and mode in _ADDS):
            add.append((self._stage_sidecar()[0], sidecar.FOLDER_FILE))
        return FolderChange(
            folder=target.path,
            add=tuple(add),
            clear=clear,
            must_be_absent=mode is WriteMode.CREATE,
        )

    def _stage_sidecar(self) -> tuple[str, int]:
        """Stage the schema beside the data; return its path and length."""
        staged = f"{self._staging}/{uuid.uuid4().hex[:12]}/{sidecar.FOLDER_FILE}"
        document = Sidecar(self._target.schema, self._target.partition_by).dump()
        with self._driver.filesystem.open(staged, "wb") as file:
            file.write(document)
        return staged, len(document)


def _place(driver: FileDriver, request: WriteRequest) -> tuple[str, bool, bool]:
    """Return the target's path, whether it is a single file, and whether it exists."""
    given = request.table.name
    path = normalize_path(given).rstrip("/")
    if not path or is_glob(path):
        raise ConfigurationError(
            f"{given!r} cannot be written", advice="Name a file, or a folder other than the root"
        )
    filesystem = driver.filesystem
    try:
        kind = filesystem.info(path)["type"]
    except NotFoundError:
        return path, not given.endswith("/") and format_of_path(path) is not None, False
    if kind == "directory":
        return path, False, bool(filesystem.find(path))
    if given.endswith("/"):
        raise AlreadyExistsError(f"{path!r} is a file, not a folder", target=path)
    return path, True, True


def _check_mode(request: WriteRequest, path: str, *, single: bool, exists: bool) -> None:
    mode = request.mode
    if exists and mode is WriteMode.CREATE:
        raise _exists(path)
    if not exists and mode is WriteMode.APPEND:
        raise NotFoundError(
            f"{path!r} does not exist, and the mode is append",
            target=path,
            advice="Use create or create_append",
        )
    if exists and single and mode in _ADDS:
        raise UnsupportedOperationError(
            f"{path!r} is one file, and cannot be added to",
            target=path,
            advice="Use replace, or write to a folder: end the path with '/'",
        )
    if single and (request.partition_by or request.rows_per_file):
        raise ConfigurationError(
            f"{path!r} is one file: it has no partitions and no rows_per_file",
            target=path,
            advice="Write to a folder: end the path with '/'",
        )
    if mode is WriteMode.REPLACE_PARTITIONS and not request.partition_by:
        raise ConfigurationError("replace_partitions needs partition_by")
    if request.rows_per_file is not None and request.rows_per_file < 1:
        raise ConfigurationError("rows_per_file is a number from 1")


def _exists(path: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"{path!r} exists already, and the mode is create",
        target=path,
        advice="Use append, replace or another name; nothing was changed",
    )


def _check_columns(schema: pa.Schema) -> None:
    if not len(schema):
        raise SchemaMismatchError("a table has at least one column")
    check_names(schema.names, schema.names)


def _check_target(target: Target) -> None:
    partitions.check_partition_by(target.schema, target.partition_by)
    target.format.check(target.file_schema)
    if target.format.needs_sidecar or target.partition_by:
        sidecar.check_types(target.schema)


def _grown(driver: FileDriver, request: WriteRequest, path: str) -> Target:
    """Return the target of a write that adds to an existing folder, whose schema is kept."""
    filesystem = driver.filesystem
    dataset = find_dataset(filesystem, path, request.format, request.format_options)
    existing = read_schema(filesystem, dataset)
    kept = existing.partition_by
    with named(path):
        _check_fits(request.schema, existing)
    if request.partition_by and kept != request.partition_by:
        raise SchemaMismatchError(
            f"{path!r} is partitioned by {', '.join(kept) or 'nothing'}, "
            f"not by {', '.join(request.partition_by)}",
            target=path,
        )
    target = Target(
        path=path,
        single=False,
        exists=True,
        format=dataset.format_of(dataset.files[0]),
        schema=existing.table,
        partition_by=kept,
    )
    _check_target(target)
    return target


def _check_fits(new: pa.Schema, existing: DatasetSchema) -> None:
    check_names(new.names, existing.table.names)
    for field in existing.table:
        given = new.field(field.name)
        if given.type != field.type:
            raise SchemaMismatchError(
                f"column {field.name!r} is {field.type} and the new rows have {given.type}",
                advice="Convert the column with types={...}, or replace the table",
            )
        if given.nullable and not field.nullable:
            raise SchemaMismatchError(
                f"column {field.name!r} is not null, and the new rows may hold NULL"
            )


def _column_plan(field: pa.Field, target: Target) -> ColumnPlan:
    word = str(field.type)
    if field.name in target.partition_by:
        return ColumnPlan(name=field.name, arrow_type=word, target_type="folder name")
    if not target.format.needs_sidecar:
        return ColumnPlan(name=field.name, arrow_type=word, target_type=word)
    wire = "text"
    if target.format.name == "jsonl":
        wire = f"JSON {json_values.wire_type(field.type, field.name)}"
    plain = is_text(field.type) or wire == f"JSON {field.type}"
    return ColumnPlan(
        name=field.name,
        arrow_type=word,
        target_type=wire,
        verdict=Verdict.EXACT if plain else Verdict.TAGGED,
        note=None if plain else "its type is in the schema beside the data",
    )
