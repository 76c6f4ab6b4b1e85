"""Which files are a table: one file, a folder with Hive partitions, or a glob; and their schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa

from datastores.bridges import partitions
from datastores.bridges.evolution import check_held, is_document, unified
from datastores.bridges.partitions import Keys
from datastores.drivers.filesystem import MissingRootError
from datastores.drivers.new_files import FileRange, version_of
from datastores.errors import (
    ConfigurationError,
    DataError,
    NotFoundError,
    PreconditionFailedError,
    SchemaMismatchError,
)
from datastores.formats import sidecar
from datastores.formats.base import Format, check_same
from datastores.formats.registry import FORMATS, format_of_path, open_format
from datastores.formats.sidecar import Sidecar
from datastores.location import normalize_path

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_MAGIC = "*?["
# How Spark, Dask and this library, and DuckDB, name the files of one write.
_PART_NAMES = ("part", "data_")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One file of a table, as it was when it was found."""

    path: str
    size: int
    version: str
    """Changes when the file does: etag, or time and size."""
    modified: float | None = None
    """In seconds since 1970, UTC; None if the store does not tell."""
    keys: Keys = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """The files of one table, all of one format."""

    root: str
    """The folder that partitions are relative to; for a single file the folder it is in."""
    files: tuple[DataFile, ...]
    format_name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    documents: tuple[str, ...] = ()
    """Of writes that added or widened columns, which not all files have then."""

    def format_of(self, file: DataFile) -> Format:
        """Return the format with its options; compression is each file's own."""
        return open_format(self.format_name, file.path, self.options)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSchema:
    """The columns of a table, and which of them are not in the files."""

    table: pa.Schema
    file: pa.Schema
    partition_by: tuple[str, ...]
    path_column: str | None = None
    """The one that holds each row's file."""
    evolved: bool = False
    """Whether files may have fewer columns, and narrower ones."""


def is_glob(path: str) -> bool:
    """Return whether a path is a pattern."""
    return any(one in path for one in _MAGIC)


def find_dataset(
    filesystem: AbstractFileSystem,
    path: str,
    format_name: str | None,
    options: Mapping[str, Any],
) -> Dataset:
    """Return the files that a path names.

    Raises:
        NotFoundError: No such file, or no data file in the folder.
        ConfigurationError: The files are of several formats, or of none that is known.
    """
    root, infos = list_files(filesystem, path)
    documents: list[str] = []
    if root == normalize_path(path).rstrip("/"):
        documents = [one["name"] for one in infos if is_document(inner_path(one["name"], root))]
        infos = [one for one in infos if not _is_hidden(inner_path(one["name"], root))]
    files = [_data_file(one, root) for one in infos]
    found = _of_one_format(path, root, files, format_name, options, alone=len(infos) == 1)
    return replace(found, documents=tuple(sorted(documents)))


def list_files(filesystem: AbstractFileSystem, path: str) -> tuple[str, list[Mapping[str, Any]]]:
    """Return the folder that a file, folder or glob begins with, and `info` of all its files.

    Raises:
        NotFoundError: No such file or folder.
    """
    name = normalize_path(path).rstrip("/")
    if is_glob(name):
        matches = {one["name"]: one for one in filesystem.glob(name, detail=True).values()}
        first_magic = min(name.find(one) for one in _MAGIC if one in name)
        root = name[:first_magic].rpartition("/")[0]
        return root, [one for one in matches.values() if one["type"] == "file"]
    info = filesystem.info(name)
    if info["type"] != "directory":
        return name.rpartition("/")[0], [info]
    return name, list(filesystem.find(name, detail=True).values())


def is_emptied(range_: FileRange, error: NotFoundError) -> bool:
    """Return whether a folder in which no file was found is one whose files were all given before."""
    return bool(range_.known) and not isinstance(error, MissingRootError)


def read_schema(
    filesystem: AbstractFileSystem, dataset: Dataset, first: DataFile | None = None
) -> DatasetSchema:
    """Return the schema of a dataset, from one file, the first if None, and what is kept beside it."""
    first = first or dataset.files[0]
    kept = _find_sidecar(filesystem, dataset, first)
    format_ = dataset.format_of(first)
    hint = kept if format_.needs_sidecar else None
    with named(first.path), filesystem.open(first.path, "rb") as file:
        found = format_.schema(file, _file_schema(hint) if hint else None)
        note = (found.metadata or {}).get(sidecar.METADATA_KEY)
        if note is not None:
            hint = Sidecar.load(note)
            rest = {k: v for k, v in found.metadata.items() if k != sidecar.METADATA_KEY}
            found = found.with_metadata(rest or None)
    if not len(found):
        raise SchemaMismatchError(f"{first.path}: a table has at least one column")
    return _evolved(filesystem, dataset, _with_partitions(dataset, found, hint))


def _evolved(
    filesystem: AbstractFileSystem, dataset: Dataset, first: DatasetSchema
) -> DatasetSchema:
    """Return the schema of all files, given that of the first one's."""
    if not dataset.documents:
        return first
    schemas = [first.table]
    for path in dataset.documents:
        with named(path):
            schemas.append(Sidecar.load(filesystem.cat_file(path)).schema)
    with named(dataset.root):
        table = unified(schemas)
    file = pa.schema([one for one in table if one.name not in first.partition_by])
    return replace(first, table=table, file=file, evolved=True)


@contextmanager
def named(path: str) -> Iterator[None]:
    """Put the file's path into errors about its contents."""
    try:
        yield
    except (DataError, SchemaMismatchError) as error:
        if error.target is None:
            error.message = f"{path}: {error.message}"
            error.target = path
        raise


@contextmanager
def opened(filesystem: AbstractFileSystem, file: DataFile) -> Iterator[IO[bytes]]:
    """Open a file that a plan found, if it is still the same.

    Raises:
        PreconditionFailedError: It changed since; NotFoundError: it is gone.
    """
    if version_of(filesystem.info(file.path)) != file.version:
        raise PreconditionFailedError(
            f"{file.path} changed while it was being read",
            target=file.path,
            advice="Plan the read again",
        )
    with named(file.path), filesystem.open(file.path, "rb") as handle:
        yield handle


def check_file(dataset: DatasetSchema, found: pa.Schema) -> None:
    """Raise if a file's columns are not those of its dataset; partition columns are not in it."""
    for name in found.names:
        if name in dataset.partition_by:
            raise SchemaMismatchError(f"column {name!r} is in the file and in its folder's name")
    (check_held if dataset.evolved else check_same)(found, dataset.file)


def inner_path(path: str, root: str) -> str:
    """Return a file's path relative to the folder of its table."""
    return path[len(root) :].lstrip("/")


def list_tables(filesystem: AbstractFileSystem, folder: str) -> list[str]:
    """Return the paths of the tables at and below a folder: single files, and folders of files.

    A folder is one table if it holds partitions, or files of one format that are named as the
    parts of one write are; the files of any other folder are tables each.
    """
    found: list[str] = []
    entries = sorted(filesystem.ls(folder, detail=True), key=lambda one: str(one["name"]))
    for one in entries:
        name = one["name"].rpartition("/")[2]
        if _is_hidden(name):
            continue
        if one["type"] == "file" and format_of_path(name):
            found.append(one["name"])
        elif one["type"] == "directory":
            found += _tables_of_folder(filesystem, one["name"])
    return found


def _tables_of_folder(filesystem: AbstractFileSystem, folder: str) -> list[str]:
    entries = [
        (one["name"].rpartition("/")[2], one["type"]) for one in filesystem.ls(folder, detail=True)
    ]
    if any(kind == "directory" and partitions.is_key(name) for name, kind in entries):
        return [f"{folder}/"]
    data = [name for name, kind in entries if kind == "file" and not _is_hidden(name)]
    formats = {format_of_path(name) for name in data} - {None}
    together = data and all(name.startswith(_PART_NAMES) for name in data) and len(formats) == 1
    return [f"{folder}/"] if together else list_tables(filesystem, folder)


def _of_one_format(
    path: str,
    root: str,
    files: list[DataFile],
    format_name: str | None,
    options: Mapping[str, Any],
    *,
    alone: bool,
) -> Dataset:
    said = {one.path: format_of_path(one.path) for one in files}
    if format_name is None and not alone:
        files = [one for one in files if said[one.path]]
    if not files:
        raise NotFoundError(
            f"{path!r} holds no data files",
            target=path,
            advice=f"Known formats are {', '.join(FORMATS)}; names with '_' or '.' first are skipped",
        )
    files.sort(key=lambda one: one.path)
    chosen = format_name or said[files[0].path]
    for one in files:
        if said[one.path] not in {None, chosen}:
            if format_name is not None:
                raise ConfigurationError(
                    f"{one.path!r} is {said[one.path]} by its name, and the format asked for is {chosen}",
                    target=one.path,
                    advice="Leave the format out, or give the file a name that says it",
                )
            raise ConfigurationError(
                f"{path!r} holds files of several formats: {files[0].path} is {chosen}, "
                f"{one.path} is {said[one.path]}",
                target=one.path,
                advice="Name a glob of one format, such as 'folder/*.parquet'",
            )
    open_format(chosen, files[0].path, options)
    return Dataset(root=root, files=tuple(files), format_name=chosen or "", options=options)


def _with_partitions(dataset: Dataset, found: pa.Schema, kept: Sidecar | None) -> DatasetSchema:
    names = _partition_names(dataset, kept)
    for name in names:
        if name in found.names:
            raise SchemaMismatchError(
                f"{dataset.files[0].path}: column {name!r} is in the file and in its folder's name"
            )
    known = {one.name: one for one in kept.schema} if kept else {}
    fields = {one.name: one for one in found}
    for name in names:
        values = (dict(file.keys).get(name) for file in dataset.files if file.keys)
        fields[name] = known.get(name) or partitions.infer_field(name, values)
    order = [name for name in known if name in fields]
    order += [name for name in fields if name not in order]
    table = pa.schema([fields[name] for name in order], found.metadata)
    return DatasetSchema(table=table, file=found, partition_by=names)


def _partition_names(dataset: Dataset, kept: Sidecar | None) -> tuple[str, ...]:
    with_keys = [one for one in dataset.files if one.keys]
    if not with_keys:
        # A table without rows has no partitions yet; one of its partitions is read without them.
        above = dict(partitions.parse_keys(f"{dataset.root}/"))
        return tuple(name for name in (kept.partition_by if kept else ()) if name not in above)
    names = tuple(name for name, _ in with_keys[0].keys)
    for one in dataset.files:
        # A file without rows may lie beside the partitions, to keep the schema of an empty table.
        if one.keys and tuple(name for name, _ in one.keys) != names:
            raise SchemaMismatchError(
                f"{one.path} is partitioned by {', '.join(name for name, _ in one.keys)}, "
                f"the files before it by {', '.join(names)}",
                target=one.path,
            )
    return names


def _find_sidecar(
    filesystem: AbstractFileSystem, dataset: Dataset, file: DataFile
) -> Sidecar | None:
    """Return the schema kept beside a file, or in the nearest folder above it."""
    path = file.path
    places = [sidecar.beside(path)]
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        places.append(f"{folder}/{sidecar.FOLDER_FILE}".lstrip("/"))
    if not FORMATS[dataset.format_name].needs_sidecar:
        return None
    for place in places:
        try:
            data = filesystem.cat_file(place)
        except NotFoundError:
            continue
        with named(place):
            return Sidecar.load(data)
    return None


def _file_schema(kept: Sidecar) -> pa.Schema:
    return pa.schema([one for one in kept.schema if one.name not in kept.partition_by])


def _is_hidden(inner: str) -> bool:
    return any(
        segment.startswith(("_", ".")) and not partitions.is_key(segment)
        for segment in inner.split("/")
    )


def _data_file(info: Mapping[str, Any], root: str) -> DataFile:
    return DataFile(
        path=info["name"],
        size=info["size"],
        version=version_of(info),
        modified=info.get("mtime"),
        keys=partitions.parse_keys(inner_path(info["name"], root)),
    )
