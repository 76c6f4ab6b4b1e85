"""Folders whose files do not all have the same columns, since later writes added or widened some.

Such a write leaves the table's whole schema in a document beside the files. Where there is one, older
files may have fewer columns, which are read as NULL, and narrower types; where there is none, all files
are alike. Documents are never changed, so that of two writes at once neither loses its columns.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from datastores.drivers.drift import ColumnType, altered, judge, left_out, named
from datastores.drivers.writing import Drifted, DriftKind, WriteRequest
from datastores.errors import SchemaMismatchError
from datastores.types.widening import holds_all

_PREFIX, _SUFFIX = "_datastores_schema-", ".json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """The columns that a table of files has after a write, and how they differ from the data's."""

    schema: pa.Schema
    drifted: tuple[Drifted, ...] = ()
    left_out: tuple[str, ...] = ()
    """Columns of the data that are not written."""
    altered: tuple[str, ...] = ()
    """Columns that are new to the table, or get a wider type."""


def evolution(request: WriteRequest, existing: pa.Schema) -> Evolution:
    """Decide what becomes of columns that differ, as the request's policy says.

    Raises:
        SchemaMismatchError: The policy is `refuse`; or no type of the two holds the other's values.
    """
    given = {one.name: ColumnType(str(one.type), one.type) for one in request.schema}
    known = {
        one.name: ColumnType(str(one.type), one.type, "NULL" if one.nullable else None)
        for one in existing
    }
    drifted = judge(request, given, known, holds_all)
    for name in named(drifted, DriftKind.CHANGED):
        raise SchemaMismatchError(
            f"column {name!r} is {known[name].words} and the new rows have {given[name].words}",
            advice="Convert the column with types={...}, or replace the table",
        )
    names = altered(request, drifted)
    fields = []
    for field in existing:
        if field.name in names:
            wider = request.schema.field(field.name)
            fields.append(wider.with_nullable(field.nullable))
        else:
            fields.append(field)
    added = [one for one in request.schema if one.name in names and one.name not in known]
    fields += [one.with_nullable(nullable=True) for one in added]
    return Evolution(
        schema=pa.schema(fields, existing.metadata),
        drifted=drifted,
        left_out=left_out(request, drifted),
        altered=names,
    )


def document_name(document: bytes) -> str:
    """Return the name of a document in its folder; equal ones have one name."""
    return f"{_PREFIX}{hashlib.blake2b(document, digest_size=8).hexdigest()}{_SUFFIX}"


def is_document(inner: str) -> bool:
    """Return whether a path, relative to its table's folder, is that of a document."""
    return inner.startswith(_PREFIX) and inner.endswith(_SUFFIX)


def unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """Return a schema that holds the rows of all: every column, each in its widest type.

    Raises:
        SchemaMismatchError: No type of a column holds the values of the others; named.
    """
    found: dict[str, list[pa.Field]] = {}
    for field in (field for schema in schemas for field in schema):
        found.setdefault(field.name, []).append(field)
    return pa.schema([_widest(fields) for fields in found.values()], schemas[0].metadata)


def _widest(fields: Sequence[pa.Field]) -> pa.Field:
    for one in fields:
        if all(holds_all(one.type, other.type) for other in fields):
            return one.with_nullable(any(other.nullable for other in fields))
    types = ", ".join(dict.fromkeys(str(one.type) for one in fields))
    raise SchemaMismatchError(
        f"column {fields[0].name!r} is of the types {types} in files of one table",
        advice="Write the files again with one of them",
    )


def check_held(found: pa.Schema, schema: pa.Schema) -> None:
    """Raise unless a file's rows are rows of the schema: all its columns, and NULL for the others."""
    for field in found:
        if field.name not in schema.names:
            raise SchemaMismatchError(
                f"column {field.name!r} is here and not in the dataset's schema",
                advice=f"The schema has {', '.join(schema.names)}",
            )
        wanted = schema.field(field.name).type
        if not holds_all(wanted, field.type):
            raise SchemaMismatchError(
                f"column {field.name!r} is {field.type} here and {wanted} in the dataset"
            )
    for field in schema:
        if field.name not in found.names and not field.nullable:
            raise SchemaMismatchError(f"column {field.name!r} is missing here, and is never null")
