"""What a write becomes in DuckDB, decided before anything is written: columns, DDL, verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from datastores.drivers.drift import ColumnType, altered, judge, left_out
from datastores.drivers.duckdb import catalog
from datastores.drivers.duckdb.bounds import check_bounds
from datastores.drivers.duckdb.catalog import DIALECT, Column, Table, qualified
from datastores.drivers.duckdb.client import Client
from datastores.drivers.duckdb.errors import translated
from datastores.drivers.duckdb.types import to_duckdb, wire_arrow
from datastores.drivers.sql.convert import convert, convertible
from datastores.drivers.sql.notes import note_for
from datastores.drivers.sql.statements import (
    SQLColumn,
    add_column,
    comment_on_column,
    create_table,
    widen_column,
)
from datastores.drivers.sql.target import check_existence, check_keys, check_names, check_request
from datastores.drivers.writing import ColumnPlan, Drifted, Verdict, WritePlan, WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    DataError,
    PermissionDeniedError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.types.canonical import is_text
from datastores.types.text import describe_type
from datastores.types.widening import holds_all
from datastores.values import TableName

_TEXT = "VARCHAR"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteColumn:
    """One column's way into the table."""

    name: str
    incoming: pa.DataType
    arrow: pa.DataType
    """The table's column as users see it."""
    stored: pa.DataType
    """What its DuckDB type means in Arrow."""
    type: str
    """In DuckDB's words."""
    nullable: bool

    @property
    def wire(self) -> pa.DataType:
        """The Arrow type in which it is staged and enters DuckDB."""
        return wire_arrow(self.stored)

    def to_wire(self, array: pa.Array) -> pa.Array:
        """Return values as they are staged: the same ones, or an error naming one that is not."""
        if not self.nullable and array.null_count:
            raise DataError(
                f"column {self.name!r}: a NULL, and the table's column is NOT NULL",
                advice="Fill it in, or leave those rows out with filters=[...]",
            )
        for type_ in dict.fromkeys((self.arrow, self.stored, self.wire)):
            array = convert(array, type_, self.name, check_bounds)
        return array

    def plan(self) -> ColumnPlan:
        """Return what becomes of the column."""
        note = None
        if self.arrow != self.stored:
            note = f"reads back as {self.arrow}, noted in the column's comment"
        elif self.incoming != self.arrow:
            note = f"each value is checked to fit {self.type}"
        return ColumnPlan(
            name=self.name,
            arrow_type=describe_type(self.incoming),
            target_type=self.type,
            verdict=Verdict.TAGGED if self.arrow != self.stored else Verdict.EXACT,
            note=note,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that was checked against the target as it is now."""

    columns: tuple[WriteColumn, ...]
    statements: tuple[str, ...] = ()
    """DDL, if the table has to be created or altered."""
    drifted: tuple[Drifted, ...] = ()
    """How its columns differ from the data's, if there is a policy for it."""
    left_out: tuple[str, ...] = ()
    """Columns of the data that are not written."""

    def plan(self) -> WritePlan:
        """Return it for people."""
        return WritePlan(
            columns=tuple(one.plan() for one in self.columns),
            statements=self.statements,
            bulk_path="Arrow files (lz4) beside the database",
            publish="appears at once when finished (one transaction)",
            drifted=self.drifted,
        )


def prepare(client: Client, request: WriteRequest) -> Prepared:
    """Check a write against the target; nothing is written."""
    check_request(request, DIALECT)
    if client.config.read_only:
        raise PermissionDeniedError(
            f"{client.config.path} is opened read-only",
            driver="duckdb",
            operation="write_table",
            target=str(request.table),
            advice="Set read_only: false to write to it",
        )
    if not client.exists():
        return resolve(None, request)
    with client.cursor() as cursor, translated("plan_write", str(request.table)):
        return resolve(catalog.find_any_case(cursor, request.table), request)


def resolve(table: Table | None, request: WriteRequest) -> Prepared:
    """Decide how a request meets a table, or the lack of one."""
    check_existence(request, exists=table is not None, engine="duckdb")
    if table is None:
        return _new(request)
    if table.is_view:
        raise UnsupportedOperationError(
            f"{request.table} is a view, which takes no rows",
            driver="duckdb",
            target=str(request.table),
            advice="Write to the table under it",
        )
    if table.name != qualified(request.table):
        raise AlreadyExistsError(
            f"{table.name} exists, and DuckDB takes {request.table} for the same name",
            driver="duckdb",
            target=str(request.table),
            advice=f"Write {table.name}, or choose another name",
        )
    known = {one.name: one for one in table.columns if not one.generated}
    check_keys(request, table.unique)
    if request.drift is not None:
        return _evolved(table, request, known)
    check_names(request, known)
    return Prepared(tuple(_existing(field, known[field.name]) for field in request.schema))


def _evolved(table: Table, request: WriteRequest, known: Mapping[str, Column]) -> Prepared:
    """Decide how a request meets a table under its policy for columns that differ."""
    new = {one.name: _new_column(one) for one in request.schema}
    drifted = judge(
        request,
        {name: ColumnType(one.type, _Form.of(one)) for name, one in new.items()},
        {name: ColumnType(one.type, _Form.of(one), _filled(one)) for name, one in known.items()},
        _holds,
    )
    _check_pinned(table, request, drifted)
    out = left_out(request, drifted)
    changed = {name: new[name] for name in altered(request, drifted)}
    columns, statements = [], []
    for field in request.without(out).schema:
        there = known.get(field.name)
        if field.name not in changed:
            columns.append(_existing(field, known[field.name]))
            continue
        one = changed[field.name]
        declared = SQLColumn(name=one.name, type=one.type)
        if there is None:
            columns.append(replace(one, nullable=True))
            statements += [add_column(table.name, declared, DIALECT), *_notes(table.name, [one])]
        else:
            columns.append(replace(one, arrow=one.stored, nullable=there.nullable))
            statements.append(widen_column(table.name, declared, DIALECT))
    return Prepared(tuple(columns), tuple(statements), drifted, out)


def _check_pinned(table: Table, request: WriteRequest, drifted: Sequence[Drifted]) -> None:
    """Refuse to widen a column whose type DuckDB does not change."""
    for name in altered(request, drifted):
        if (why := table.pinned.get(name)) is not None:
            raise PreconditionFailedError(
                f"DuckDB does not widen column {name!r} of {table.name}, since {why}",
                driver="duckdb",
                target=str(request.table),
                advice='Use drift="ignore", which tries each value; nothing was changed',
            )


@dataclass(frozen=True, slots=True)
class _Form:
    """What tells whether a type holds another one's values."""

    arrow: pa.DataType
    told: bool
    """Whether the Arrow type says all of it: no comment says more, and no text is a BIT's."""

    @classmethod
    def of(cls, column: WriteColumn | Column) -> _Form:
        noted = not holds_all(column.stored, column.arrow)
        return cls(
            column.stored, not noted and (column.type == _TEXT or not is_text(column.stored))
        )


def _holds(wide: _Form, narrow: _Form) -> bool:
    differ = wide.arrow != narrow.arrow
    return differ and wide.told and narrow.told and holds_all(wide.arrow, narrow.arrow)


def _filled(column: Column) -> str | None:
    if column.has_default:
        return "its default"
    return "NULL" if column.nullable else None


def _existing(field: pa.Field, column: Column) -> WriteColumn:
    if not convertible(field.type, column.arrow):
        raise SchemaMismatchError(
            f"column {field.name!r} is of type {field.type}, and the table's is {column.type}",
            advice="Convert it with types={...}; nothing was changed",
        )
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=column.arrow,
        stored=column.stored,
        type=column.type,
        nullable=column.nullable,
    )


def _new_column(field: pa.Field) -> WriteColumn:
    stored = to_duckdb(field)
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=field.type,
        stored=stored.arrow,
        type=stored.type,
        nullable=field.nullable,
    )


def _new(request: WriteRequest) -> Prepared:
    columns = [
        replace(one, nullable=one.nullable and one.name not in request.keys)
        for one in map(_new_column, request.schema)
    ]
    table = qualified(request.table)
    declared = tuple(
        SQLColumn(name=one.name, type=one.type, nullable=one.nullable) for one in columns
    )
    statements = [create_table(table, declared, request.keys, DIALECT)]
    if table.schema is not None and table.schema != catalog.MAIN:
        statements.insert(0, f"CREATE SCHEMA IF NOT EXISTS {DIALECT.identifier(table.schema)}")
    return Prepared(tuple(columns), (*statements, *_notes(table, columns)))


def _notes(table: TableName, columns: Iterable[WriteColumn]) -> Iterator[str]:
    """Yield the comments on columns whose values are of another Arrow type."""
    for one in columns:
        if one.arrow != one.stored:
            note = note_for(one.arrow, one.name, DIALECT)
            yield comment_on_column(table, one.name, note, DIALECT)
