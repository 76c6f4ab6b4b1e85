"""Which type a new column gets: the one that the values had in PostgreSQL, or the one that fits best."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import psycopg
import pyarrow as pa

from datastores.drivers.azure_postgresql.catalog import DIALECT, columns_of, full_names
from datastores.drivers.azure_postgresql.codec import Layout
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.stored import to_postgresql
from datastores.drivers.azure_postgresql.types import ENUM, MAX_NAME_BYTES, OIDS, Mapped
from datastores.drivers.sql.dialect import literal
from datastores.errors import ConfigurationError, SchemaMismatchError
from datastores.types.fields import SourceType, source_of
from datastores.types.text import describe_type
from datastores.values import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Enum:
    """An enum that is not there yet."""

    name: TableName
    labels: tuple[str, ...]

    @property
    def statement(self) -> str:
        """CREATE TYPE."""
        labels = ", ".join(map(literal, self.labels))
        return f"CREATE TYPE {DIALECT.table(self.name)} AS ENUM ({labels})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What a new column is declared as."""

    type: str
    """In PostgreSQL's words."""
    mapped: Mapped
    enum: Enum | None = None
    """What has to be created before."""
    note: str | None = None
    """What people should know of it."""


def declared(connection: Connection, fields: Iterable[pa.Field]) -> list[Declaration]:
    """Return the types of new columns. In a transaction.

    Raises:
        SchemaMismatchError: PostgreSQL has none for a column; it is named.
    """
    enums: dict[TableName, tuple[str, ...]] = {}
    sources = [(field, _source_here(field)) for field in fields]
    restored = _restored(connection, {one.type for _, one in sources if one is not None})
    return [_declared(connection, field, source, restored, enums) for field, source in sources]


def _source_here(field: pa.Field) -> SourceType | None:
    """Return the type that a column had in a PostgreSQL, if it comes from one."""
    source = source_of(field)
    return source if source is not None and source.engine == DIALECT.engine else None


def _declared(
    connection: Connection,
    field: pa.Field,
    source: SourceType | None,
    restored: Mapping[str, Declaration],
    enums: dict[TableName, tuple[str, ...]],
) -> Declaration:
    if source is None:
        return _fitting(field)
    found = restored.get(source.type)
    if found is None:
        return _with_new_enum(connection, field, source, enums) or _fitting(field, source)
    if found.mapped.layout.arrow != field.type or found.mapped.unwritable:
        return _fitting(field, source)
    if not source.labels:
        return found
    if found.mapped.labels != source.labels:
        note = f"text, since {source.type} has other labels here: {', '.join(found.mapped.labels)}"
        return replace(_fitting(field), note=note)
    # Staged as if the enum were not there yet: another write may create it meanwhile.
    return replace(found, mapped=_staged_as_text(found.mapped.layout, source.labels))


def _restored(connection: Connection, notes: Collection[str]) -> dict[str, Declaration]:
    """Return the types that notes name, spelled by the server, without those it does not know.

    The notes may come from a file that anyone wrote: the server reads each as the name of a type,
    and only then is it put into a statement. All are asked for at once, since there are ten answers
    to wait for, and by halves if the server refuses any.
    """
    asked = [note for note in notes if "--" not in note and "/*" not in note]
    if not asked:
        return {}
    try:
        with connection.transaction(), full_names(connection):
            known = connection.execute(
                "SELECT note, typtype, pg_catalog.format_type(oid, -1) "
                "FROM unnest(%s::text[]) AS asked(note) "
                "JOIN pg_catalog.pg_type ON oid = pg_catalog.to_regtype(note)",
                (asked,),
            ).fetchall()
            if not known:
                return {}
            nulls = (f"CAST(NULL AS {note}) AS found_{at}" for at, (note, *_) in enumerate(known))
            dimensions = [note.count("[]") for note, *_ in known]
            found = columns_of(connection, f"SELECT {', '.join(nulls)}", dimensions)
    except psycopg.Error:
        half = len(asked) // 2
        if not half:
            return {}
        return _restored(connection, asked[:half]) | _restored(connection, asked[half:])
    # Of a domain the server describes only what is under it.
    return {
        note: Declaration(type=name if kind == "d" else one.type, mapped=one.mapped)
        for (note, kind, name), one in zip(known, found, strict=True)
    }


def _with_new_enum(
    connection: Connection,
    field: pa.Field,
    source: SourceType,
    enums: dict[TableName, tuple[str, ...]],
) -> Declaration | None:
    """Return an enum, or an array of one, whose type is to be created; None if the note is none."""
    bare = source.type.rstrip("[]")
    dimensions = (len(source.type) - len(bare)) // 2
    if field.type != _nested(ENUM, dimensions) or not _are_labels(source.labels):
        return None
    name = _parsed(connection, bare)
    if name is None:
        return None
    enum = Enum(name=name, labels=source.labels)
    if enums.setdefault(name, enum.labels) != enum.labels:
        note = f"text, since another column's {source.type} has other labels"
        return replace(_fitting(field), note=note)
    layout = Layout(kind="text", arrow=ENUM, labels=enum.labels)
    if dimensions:
        layout = Layout(kind="array", arrow=field.type, element=layout, dimensions=dimensions)
    return Declaration(
        type=source.type,
        mapped=_staged_as_text(layout, enum.labels),
        enum=enum,
        note=f"creates the enum {bare}",
    )


def _staged_as_text(layout: Layout, labels: tuple[str, ...]) -> Mapped:
    """Return how labels travel for an enum that may not be there when they are staged."""
    if layout.kind == "array":
        of_text = replace(layout, element_oid=OIDS["text"])
        return Mapped(layout=of_text, wire="text[]", as_text=True, labels=labels)
    return Mapped(layout=layout, wire="text", as_text=True, labels=labels)


def _nested(type_: pa.DataType, dimensions: int) -> pa.DataType:
    return pa.list_(_nested(type_, dimensions - 1)) if dimensions else type_


def _parsed(connection: Connection, note: str) -> TableName | None:
    """Return the schema and name in a note, if it is exactly how the server would spell them."""
    try:
        with connection.transaction():
            [(parts, spelled)] = connection.execute(
                "SELECT parts, pg_catalog.format('%%I.%%I', parts[1], parts[2]) "
                "FROM pg_catalog.parse_ident(%s) AS parts",
                (note,),
            ).fetchall()
    except psycopg.Error:
        return None
    fits = spelled == note and all(len(part.encode()) <= MAX_NAME_BYTES for part in parts)
    return TableName(parts[1], parts[0]) if fits else None


def _are_labels(labels: tuple[str, ...]) -> bool:
    sizes = [len(one.encode("utf-8", "surrogatepass")) for one in labels]
    fit = all(size <= MAX_NAME_BYTES for size in sizes) and "\0" not in "".join(labels)
    return bool(labels) and fit and len(set(labels)) == len(labels)


def _fitting(field: pa.Field, source: SourceType | None = None) -> Declaration:
    try:
        stored = to_postgresql(field.type, field.name)
    except SchemaMismatchError as error:
        was = f", which was {source.type}" if source else ""
        raise SchemaMismatchError(
            f"column {field.name!r} is of type {describe_type(field.type)}{was}, "
            "and PostgreSQL here has no type that holds it",
            driver=DIALECT.engine,
            advice=_advice(field, source),
        ) from error
    return Declaration(type=stored.type, mapped=stored.mapped)


def _advice(field: pa.Field, source: SourceType | None) -> str:
    """Return what would let a column be written for which PostgreSQL has no type."""
    type_, name = field.type, field.name
    while pa.types.is_list(type_) or pa.types.is_large_list(type_):
        type_ = type_.value_type
    if pa.types.is_struct(type_):
        if source is not None:
            return f"CREATE TYPE {source.type.rstrip('[]')} AS ({_fields(type_)}), and write again"
        return (
            f"CREATE TYPE {DIALECT.identifier(name)} AS ({_fields(type_)}), "
            "create the table with a column of that type, and append"
        )
    if pa.types.is_map(type_):
        return "Write it as JSON text, or as a list of keys and a list of values"
    if isinstance(type_, pa.BaseExtensionType):
        plain = type_.storage_type
    elif pa.types.is_run_end_encoded(type_):
        plain = type_.value_type
    else:
        return "Make a plain type of it before, or leave it out with columns=[...]"
    return f"Write what it stores: types={{{name!r}: '{describe_type(plain)}'}}"


def _fields(type_: pa.StructType) -> str:
    try:
        return ", ".join(
            f"{DIALECT.identifier(one.name)} {to_postgresql(one.type, one.name).type}"
            for one in type_
        )
    except (SchemaMismatchError, ConfigurationError):
        return "..."
