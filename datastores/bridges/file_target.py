"""What a write of files meets: where it goes, which columns it has there, and what the plan says of it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from datastores.bridges import partitions
from datastores.bridges.discovery import (
    find_dataset,
    is_glob,
    named,
    read_schema,
)
from datastores.bridges.evolution import Evolution, evolution
from datastores.drivers.base import FileDriver
from datastores.drivers.drift import WAYS_ON
from datastores.drivers.writing import (
    ColumnPlan,
    Drifted,
    Verdict,
    WritePlan,
    WriteRequest,
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
ADDS = frozenset({WriteMode.APPEND, WriteMode.CREATE_APPEND, WriteMode.REPLACE_PARTITIONS})
"""Modes that leave files of a folder that exists where they are."""
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
    drifted: tuple[Drifted, ...] = ()
    """How the data's columns differ from those that are there, if there is a policy for it."""
    left_out: tuple[str, ...] = ()
    """Columns of the data that are not written."""
    altered: tuple[str, ...] = ()
    """Columns that the files that stay do not have, or have in a narrower type."""

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
    if exists and not single and request.mode in ADDS:
        return _grown(driver, request, path)
    met = _meets_old(driver, request, path) if exists else Evolution(schema=request.schema)
    implied = format_of_path(path) if single else DEFAULT_FORMAT
    name = request.format or implied
    target = Target(
        path=path,
        single=single,
        exists=exists,
        format=open_format(name, path if single else "", request.format_options),
        schema=met.schema,
        partition_by=request.partition_by,
        drifted=met.drifted,
        left_out=met.left_out,
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
        drifted=target.drifted,
    )


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
        raise exists_already(path)
    if not exists and mode is WriteMode.APPEND:
        raise NotFoundError(
            f"{path!r} does not exist, and the mode is append",
            target=path,
            advice="Use create or create_append",
        )
    if exists and single and mode in ADDS:
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


def exists_already(path: str) -> AlreadyExistsError:
    """Return the error for a path that the mode does not replace, for the caller to raise."""
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
    if target.format.needs_sidecar or target.partition_by or target.altered:
        sidecar.check_types(target.schema)


def _grown(driver: FileDriver, request: WriteRequest, path: str) -> Target:
    """Return the target of a write that adds to an existing folder, whose schema is kept."""
    filesystem = driver.filesystem
    dataset = find_dataset(filesystem, path, request.format, request.format_options)
    existing = read_schema(filesystem, dataset)
    kept = existing.partition_by
    with named(path):
        met = _meets(request, existing.table)
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
        schema=met.schema,
        partition_by=kept,
        drifted=met.drifted,
        left_out=met.left_out,
        altered=met.altered,
    )
    _check_altered(target)
    _check_target(target)
    return target


def _meets_old(driver: FileDriver, request: WriteRequest, path: str) -> Evolution:
    """Decide how a request meets files that go: by its policy, if it has one."""
    if request.drift is None:
        return Evolution(schema=request.schema)
    filesystem = driver.filesystem
    dataset = find_dataset(filesystem, path, request.format, request.format_options)
    with named(path):
        return _meets(request, read_schema(filesystem, dataset).table)


def _meets(request: WriteRequest, existing: pa.Schema) -> Evolution:
    """Decide how a request meets the columns that are there."""
    if request.drift is None:
        _check_same(request.schema, existing)
        met = Evolution(schema=existing)
    else:
        met = evolution(request, existing)
    given = {one.name: one for one in request.schema}
    for field in existing:
        if not field.nullable and given[field.name].nullable:
            raise SchemaMismatchError(
                f"column {field.name!r} is not null, and the new rows may hold NULL"
            )
    return met


def _check_altered(target: Target) -> None:
    """Refuse columns that readers could not tell from the files that stay."""
    if not target.altered:
        return
    if target.format.needs_sidecar:
        raise UnsupportedOperationError(
            f"{target.path!r} holds {target.format.name} files, which do not say which columns they "
            f"have: {target.altered[0]!r} is not added or widened there",
            target=target.path,
            advice='Use drift="ignore", or mode replace, or keep the table in Parquet files',
        )
    for name in target.altered:
        if name in target.partition_by:
            raise SchemaMismatchError(
                f"column {name!r} is in the names of folders, whose type stays",
                target=target.path,
                advice='Use drift="ignore", or mode replace',
            )


def _check_same(new: pa.Schema, existing: pa.Schema) -> None:
    check_names(new.names, existing.names)
    for field in existing:
        given = new.field(field.name)
        if given.type != field.type:
            raise SchemaMismatchError(
                f"column {field.name!r} is {field.type} and the new rows have {given.type}",
                advice=f"Convert the column with types={{...}}, or replace the table; or {WAYS_ON}",
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
