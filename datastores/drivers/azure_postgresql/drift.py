"""Where a write's columns are not those of its table: which type holds which, and what is altered."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.new_table import missing_schemas
from datastores.drivers.azure_postgresql.restore import Declaration, Enum, declared
from datastores.drivers.azure_postgresql.types import Mapped
from datastores.drivers.drift import ColumnType, altered, judge, left_out, named
from datastores.drivers.sql.notes import note_for
from datastores.drivers.sql.statements import SQLColumn, add_column, comment_on_column, widen_column
from datastores.drivers.writing import Drifted, DriftKind, WriteRequest
from datastores.errors import PreconditionFailedError, UnsupportedOperationError
from datastores.types.widening import holds_all

_FRACTION_DIGITS = 6
_TEXTS = frozenset({"character varying", "text"})
# A type without its length or precision -> those that hold its values, if their own reach as far. What
# is in none of them, such as `character`, whose cast to text cuts its blanks, is never altered.
_HELD_BY: Mapping[str, frozenset[str]] = {
    "smallint": frozenset({"integer", "bigint", "numeric"}),
    "integer": frozenset({"bigint", "numeric"}),
    "bigint": frozenset({"numeric"}),
    "numeric": frozenset({"numeric"}),
    "real": frozenset({"double precision"}),
    "name": _TEXTS,
    "character varying": _TEXTS,
    "text": _TEXTS,
    "bit varying": frozenset({"bit varying"}),
    **{
        name: frozenset({name})
        for name in (
            *("time without time zone", "time with time zone", "interval"),
            *("timestamp without time zone", "timestamp with time zone"),
        )
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Evolution:
    """How the columns of a request and of a table that exists differ, and what becomes of that."""

    drifted: tuple[Drifted, ...] = ()
    left_out: tuple[str, ...] = ()
    """Columns of the data that are not written."""
    declared: Mapping[str, Declaration] = field(default_factory=dict)
    """Columns that the table gets, or gets another type of."""
    enums: tuple[Enum, ...] = ()
    """Which of them create types."""
    statements: tuple[str, ...] = ()
    """What alters the table, and creates those types before."""


def evolution(
    connection: Connection, table: Table, request: WriteRequest, known: Mapping[str, Column]
) -> Evolution:
    """Decide what becomes of columns that differ, as the request's policy says. In a transaction.

    Raises:
        SchemaMismatchError: The policy is `refuse`, and some do.
        PreconditionFailedError: A view uses a column whose type is to be widened.
    """
    declarations = dict(
        zip(request.schema.names, declared(connection, request.schema), strict=True)
    )
    given = {
        name: ColumnType(one.type, _Form.of_new(one, request.schema.field(name).type))
        for name, one in declarations.items()
    }
    there = {name: ColumnType(one.type, _Form.of(one), _filled(one)) for name, one in known.items()}
    drifted = judge(request, given, there, _holds)
    names = altered(request, drifted)
    if names and table.kind == "f":
        raise UnsupportedOperationError(
            f"{request.table} is a foreign table, whose columns are those of its server",
            driver=DIALECT.engine,
            target=str(request.table),
            advice='Use drift="ignore", or alter both tables first; nothing was changed',
        )
    _check_views(connection, table, named(drifted, DriftKind.WIDENED) if names else ())
    chosen = {name: declarations[name] for name in names}
    enums = tuple(dict.fromkeys(one.enum for one in chosen.values() if one.enum is not None))
    before = missing_schemas(connection, {one.name.schema or "" for one in enums})
    before += [one.statement for one in enums]
    return Evolution(
        drifted=drifted,
        left_out=left_out(request, drifted),
        declared=chosen,
        enums=enums,
        statements=(*before, *_statements(table, request, chosen, known)),
    )


def _statements(
    table: Table,
    request: WriteRequest,
    chosen: Mapping[str, Declaration],
    known: Mapping[str, Column],
) -> list[str]:
    statements = []
    for name, one in chosen.items():
        if name in known:
            # Else the column would lose the collation that it has of its own.
            collation = known[name].collation
            type_ = f"{one.type} COLLATE {collation}" if collation else one.type
            column = SQLColumn(name=name, type=type_)
            statements.append(widen_column(table.name, column, DIALECT))
            continue
        column = SQLColumn(name=name, type=one.type)
        statements.append(add_column(table.name, column, DIALECT))
        arrow = request.schema.field(name).type
        if arrow != one.mapped.layout.arrow:
            note = note_for(arrow, name, DIALECT)
            statements.append(comment_on_column(table.name, name, note, DIALECT))
    return statements


def _filled(column: Column) -> str | None:
    if column.numbered or column.has_default:
        return "its default"
    return "NULL" if column.nullable else None


def _check_views(connection: Connection, table: Table, names: Sequence[str]) -> None:
    """Refuse to alter the type of a column that a view shows: the server does not either."""
    found = connection.execute(
        """
        SELECT a.attname, r.ev_class::regclass::text FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid
        JOIN pg_catalog.pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass
        AND d.refclassid = 'pg_catalog.pg_class'::regclass
        AND d.refobjid = %s AND a.attname = ANY (%s) ORDER BY a.attnum, 2 LIMIT 1
        """,
        (table.oid, list(names)),
    ).fetchone()
    if found:
        column, view = found
        raise PreconditionFailedError(
            f"the view {view} uses column {column!r} of {table.name}, and PostgreSQL widens no type "
            "that a view uses",
            driver=DIALECT.engine,
            target=str(table.name),
            advice='Use drift="ignore", which tries each value, or drop the view and create it again '
            "afterwards; nothing was changed",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """What tells whether a type holds another one's values."""

    base: str
    """Without length, precision and brackets."""
    dimensions: int
    mapped: Mapped
    noted: bool
    """Whether its values are another Arrow type's, as a comment on the column says."""

    @classmethod
    def of(cls, column: Column) -> _Form:
        return cls._of(column.type, column.mapped, noted=column.arrow != column.stored)

    @classmethod
    def of_new(cls, declaration: Declaration, type_: pa.DataType) -> _Form:
        mapped = declaration.mapped
        # An integer in one that is wider, and text in another layout, are values like any of its type.
        noted = type_ != mapped.layout.arrow and not holds_all(mapped.layout.arrow, type_)
        return cls._of(declaration.type, mapped, noted=noted)

    @classmethod
    def _of(cls, type_: str, mapped: Mapped, *, noted: bool) -> _Form:
        base = re.sub(r"\(.*?\)", "", type_)
        dimensions = base.count("[]")
        return cls(
            base=base.removesuffix("[]" * dimensions),
            dimensions=dimensions,
            mapped=mapped,
            noted=noted,
        )


def _holds(wide: _Form, narrow: _Form) -> bool:
    if wide.noted or narrow.noted or wide.dimensions != narrow.dimensions:
        return False
    if wide.base not in _HELD_BY.get(narrow.base, ()):
        return False
    return _reaches(wide.mapped, narrow.mapped)


def _reaches(wide: Mapped, narrow: Mapped) -> bool:
    """Return whether length and precision of a type are at least those of another one."""
    if wide.unwritable or narrow.unwritable:
        return False
    if narrow.any_number or wide.any_number:
        return wide.any_number
    if not wide.as_text and not holds_all(wide.layout.arrow, narrow.layout.arrow):
        return False
    if wide.zeros > narrow.zeros:
        return False
    kept, needed = (
        _FRACTION_DIGITS if one.digits is None else one.digits for one in (wide, narrow)
    )
    if kept < needed:
        return False
    most = narrow.bytes if narrow.characters is None else narrow.characters
    return wide.characters is None or (most is not None and most <= wide.characters)
