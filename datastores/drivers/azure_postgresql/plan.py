"""What a write becomes in PostgreSQL, decided before anything is written: columns, DDL, verdicts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from datastores.drivers.azure_postgresql import catalog
from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table, qualified
from datastores.drivers.azure_postgresql.client import Client, Connection
from datastores.drivers.azure_postgresql.limits import check_limits
from datastores.drivers.azure_postgresql.references import refers
from datastores.drivers.azure_postgresql.rights import Rights
from datastores.drivers.azure_postgresql.types import Mapped, to_postgresql
from datastores.drivers.base import ColumnPlan, Verdict, WritePlan, WriteRequest
from datastores.drivers.sql.convert import convert, convertible
from datastores.drivers.sql.dialect import literal
from datastores.drivers.sql.notes import note_for
from datastores.drivers.sql.statements import SQLColumn, create_table
from datastores.drivers.sql.target import check_existence, check_keys, check_names, check_request
from datastores.errors import (
    DataError,
    DatastoreError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.types.fields import source_of
from datastores.types.text import describe_type
from datastores.values import WriteMode

_DELETES = (WriteMode.REPLACE, WriteMode.REPLACE_PARTITIONS)
_INT64_DIGITS, _UINT64_DIGITS = 19, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteColumn:
    """One column's way into the table."""

    name: str
    incoming: pa.DataType
    arrow: pa.DataType
    """The table's column as users see it."""
    type: str
    """In PostgreSQL's words."""
    bare: str
    """The same without length or precision, for a cast that changes nothing."""
    mapped: Mapped
    nullable: bool
    numbered: bool = False

    @property
    def selected(self) -> str:
        """The column as publishing takes it from staging."""
        name = DIALECT.identifier(self.name)
        return f"CAST({name} AS {self.bare}) AS {name}" if self.mapped.as_text else name

    def to_wire(self, array: pa.Array) -> pa.Array:
        """Return values as they are staged: the same ones, or an error naming one that is not."""
        if not self.nullable and array.null_count:
            raise DataError(
                f"column {self.name!r}: a NULL, and the table's column is NOT NULL",
                driver=DIALECT.engine,
                advice="Fill it in, or leave those rows out with filters=[...]",
            )
        for type_ in dict.fromkeys((self.arrow, self.mapped.layout.arrow)):
            array = convert(array, type_, self.name)
        check_limits(array, self.mapped, self.type, self.name)
        return array

    def plan(self) -> ColumnPlan:
        """Return what becomes of the column."""
        stored = self.mapped.layout.arrow
        note = None
        if self.arrow != stored:
            note = f"reads back as {self.arrow}, noted in the column's comment"
        elif self.mapped.characters is not None:
            note = f"longer texts than {self.type} are refused"
            if self.mapped.wire == "bpchar":
                note += ", shorter ones padded with blanks"
        elif self.incoming != self.arrow:
            note = f"each value is checked to fit {self.type}"
        elif self.numbered:
            note = "its sequence stays where it is"
        return ColumnPlan(
            name=self.name,
            arrow_type=describe_type(self.incoming),
            target_type=self.type,
            verdict=Verdict.TAGGED if self.arrow != stored else Verdict.EXACT,
            note=note,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A write that was checked against the target as it is now."""

    columns: tuple[WriteColumn, ...]
    statements: tuple[str, ...] = ()
    """DDL, if the table has to be created."""
    detour: str | None = None
    """Why rows cannot be copied into the table as they come, or None if they can."""
    referenced: bool = False
    """Whether foreign keys point at the table."""
    direct: bool = False
    """Whether all is one part, of one transaction, and nothing is staged."""
    unstaged: DatastoreError | None = None
    """Why nothing can be staged, or None if it can."""

    @property
    def staged(self) -> tuple[SQLColumn, ...]:
        """The columns of a table that holds rows until they are published."""
        return tuple(SQLColumn(name=one.name, type=one.mapped.wire) for one in self.columns)

    def plan(self) -> WritePlan:
        """Return it for people."""
        path = "binary COPY into staging tables, unlogged"
        if self.direct:
            path = "binary COPY straight into the table"
            if self.detour:
                path = f"binary COPY into a temporary table, since {self.detour}"
        if self.unstaged:
            path += f"; one part, since there is {self.unstaged.message}"
        return WritePlan(
            columns=tuple(one.plan() for one in self.columns),
            statements=self.statements,
            bulk_path=path,
            publish="appears at once when finished (one transaction)",
            max_parts=1 if self.direct else None,
        )


def prepare(client: Client, request: WriteRequest) -> Prepared:
    """Check a write against the target; nothing is written."""
    check_request(request, DIALECT)
    with client.transaction("plan_write", str(request.table)) as connection:
        table = catalog.find_table(connection, request.table)
        prepared = resolve(connection, table, request)
        rights = Rights(connection, request)
        rights.check_target(table)
        direct, unstaged = request.parts == 1, None
        if not direct:
            unstaged = rights.why_unstaged(client.config.staging_schema)
            direct = unstaged is not None
        if direct and prepared.detour:
            rights.check_temporary(prepared.detour)
    return replace(prepared, direct=direct, unstaged=unstaged)


def resolve(connection: Connection, table: Table | None, request: WriteRequest) -> Prepared:
    """Decide how a request meets a table, or the lack of one. In a transaction."""
    check_existence(request, exists=table is not None, engine=DIALECT.engine)
    if table is None:
        return _new(connection, request)
    if not table.is_table:
        raise UnsupportedOperationError(
            f"{request.table} is a view, which takes no rows",
            driver=DIALECT.engine,
            target=str(request.table),
            advice="Write to the table under it",
        )
    if request.mode in _DELETES:
        _check_references(connection, table, request)
    generated = {one.name for one in table.columns if one.generated}
    if given := sorted(generated & set(request.schema.names)):
        others = [name for name in request.schema.names if name not in generated]
        raise SchemaMismatchError(
            f"column {given[0]!r} of {request.table} is computed by PostgreSQL",
            target=str(request.table),
            advice=f"Leave it out with columns={others}",
        )
    known = {one.name: one for one in table.columns if not one.generated}
    check_names(request, known)
    check_keys(request, table.unique)
    columns = tuple(_existing(field, known[field.name]) for field in request.schema)
    return Prepared(
        columns=columns,
        detour=_detour(request, table, columns),
        referenced=bool(table.references),
    )


def _check_references(connection: Connection, table: Table, request: WriteRequest) -> None:
    """Refuse to delete rows that a foreign key would take others with, or would not let go."""
    for one in table.references:
        if one.cascades:
            raise PreconditionFailedError(
                f"the foreign key {one.name!r} points at {request.table} and would change or "
                "delete rows of its own table",
                driver=DIALECT.engine,
                target=str(request.table),
                advice="Use upsert or append, or make the foreign key ON DELETE NO ACTION",
            )
        if one.restricts and refers(connection, one):
            raise PreconditionFailedError(
                f"rows of {one.table} refer to {request.table}, and the foreign key {one.name!r} "
                "lets none of those go, not even for an equal one",
                driver=DIALECT.engine,
                target=str(request.table),
                advice="Use upsert or append, or make the foreign key ON DELETE NO ACTION",
            )


def _detour(
    request: WriteRequest, table: Table | None, columns: tuple[WriteColumn, ...]
) -> str | None:
    """Return why COPY cannot do to the table what INSERT does, or None if it can."""
    if request.mode in {WriteMode.UPSERT, WriteMode.REPLACE_PARTITIONS}:
        return f"the mode is {request.mode}"
    cast = next((one.name for one in columns if one.mapped.as_text), None)
    if cast is not None:
        return f"the server casts column {cast!r}"
    if table is None:
        return None
    if table.references and request.mode in _DELETES:
        return f"the foreign key {table.references[0].name!r} points at the table"
    return f"the table has {table.bypassed}" if table.bypassed else None


def _existing(field: pa.Field, column: Column) -> WriteColumn:
    mapped, arrow = column.mapped, column.arrow
    if mapped.any_number and (decimal := _as_decimal(field.type)):
        # A numeric without precision takes any: the incoming one is exact.
        mapped, arrow = to_postgresql(decimal, field.name).mapped, decimal
    elif not convertible(field.type, column.arrow):
        raise SchemaMismatchError(
            f"column {field.name!r} is of type {field.type}, and the table's is {column.type}",
            advice="Convert it with types={...}; nothing was changed",
        )
    if mapped.unwritable:
        raise SchemaMismatchError(
            f"column {field.name!r} is of type {column.type}, which is not written to: {mapped.unwritable}",
            advice="Write to a column without that precision",
        )
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=arrow,
        type=column.type,
        bare=column.bare,
        mapped=mapped,
        nullable=column.nullable,
        numbered=column.numbered,
    )


def _as_decimal(type_: pa.DataType) -> pa.DataType | None:
    """Return the decimal that holds every number of an exact type, or None."""
    if pa.types.is_decimal(type_):
        return to_postgresql(type_, "").mapped.layout.arrow
    if pa.types.is_integer(type_):
        digits = _UINT64_DIGITS if pa.types.is_uint64(type_) else _INT64_DIGITS
        return pa.decimal128(digits, 0)
    return None


def _new(connection: Connection, request: WriteRequest) -> Prepared:
    columns = tuple(_created(connection, field, request) for field in request.schema)
    table = qualified(request.table)
    declared = tuple(
        SQLColumn(name=one.name, type=one.type, nullable=one.nullable) for one in columns
    )
    statements = [create_table(table, declared, request.keys, DIALECT)]
    there = connection.execute(
        "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", (table.schema,)
    ).fetchone()
    if not there:
        statements.insert(0, f"CREATE SCHEMA {DIALECT.identifier(table.schema or '')}")
    statements += [
        f"COMMENT ON COLUMN {DIALECT.table(table)}.{DIALECT.identifier(one.name)} "
        f"IS {literal(note_for(one.arrow, one.name, DIALECT))}"
        for one in columns
        if one.arrow != one.mapped.layout.arrow
    ]
    return Prepared(
        columns=columns,
        statements=tuple(statements),
        detour=_detour(request, None, columns),
    )


def _created(connection: Connection, field: pa.Field, request: WriteRequest) -> WriteColumn:
    type_, mapped = _type_for(connection, field)
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=field.type,
        type=type_,
        bare=type_,
        mapped=mapped,
        nullable=field.nullable and field.name not in request.keys,
    )


def _type_for(connection: Connection, field: pa.Field) -> tuple[str, Mapped]:
    """Return the type that a column had in PostgreSQL, if it still fits, or the one that fits best."""
    source = source_of(field)
    if source is not None and source.engine == DIALECT.engine:
        found = catalog.restored(connection, source.type)
        if found is not None and found[1].layout.arrow == field.type and not found[1].unwritable:
            return found
    stored = to_postgresql(field.type, field.name)
    return stored.type, stored.mapped
