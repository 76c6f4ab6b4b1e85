"""What a write becomes in PostgreSQL, decided before anything is written: columns, DDL, verdicts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

import pyarrow as pa

from datastores.drivers.azure_postgresql import catalog
from datastores.drivers.azure_postgresql.catalog import DIALECT, Column, Table, qualified
from datastores.drivers.azure_postgresql.client import Client
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.drift import Evolution, evolution
from datastores.drivers.azure_postgresql.limits import check_limits
from datastores.drivers.azure_postgresql.new_table import NewTable, missing_schemas
from datastores.drivers.azure_postgresql.references import check_references
from datastores.drivers.azure_postgresql.restore import Declaration, Enum, declared
from datastores.drivers.azure_postgresql.rights import Rights
from datastores.drivers.azure_postgresql.stored import to_postgresql
from datastores.drivers.azure_postgresql.types import Mapped
from datastores.drivers.sql.convert import convert, convertible
from datastores.drivers.sql.notes import note_for
from datastores.drivers.sql.statements import SQLColumn
from datastores.drivers.sql.target import check_existence, check_keys, check_names, check_request
from datastores.drivers.writing import ColumnPlan, Verdict, WritePlan, WriteRequest
from datastores.errors import (
    DataError,
    DatastoreError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.types.text import describe_type
from datastores.values import UnfitPolicy, WriteMode

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
    bare: str = field(compare=False)
    """The same without length or precision, for a cast that changes nothing."""
    mapped: Mapped
    nullable: bool
    numbered: bool = False
    note: str | None = field(default=None, compare=False)
    """What the plan says of its type."""

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
        tagged = self.arrow != self.mapped.layout.arrow
        return ColumnPlan(
            name=self.name,
            arrow_type=describe_type(self.incoming),
            target_type=self.type,
            verdict=Verdict.TAGGED if tagged else Verdict.EXACT,
            note="; ".join(self._notes(tagged=tagged)) or None,
        )

    def _notes(self, *, tagged: bool) -> Iterator[str]:
        if self.note is not None:
            yield self.note
        if tagged:
            yield f"reads back as {self.arrow}, noted in the column's comment"
        elif self.mapped.characters is not None:
            padded = ", shorter ones padded with blanks" if self.mapped.wire == "bpchar" else ""
            yield f"longer texts than {self.type} are refused{padded}"
        elif self.incoming != self.arrow:
            yield f"each value is checked to fit {self.type}"
        elif self.numbered:
            yield "its sequence stays where it is"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A write that was checked against the target as it is now."""

    columns: tuple[WriteColumn, ...]
    new: NewTable | None = None
    """The table, if it has to be created."""
    enums: tuple[Enum, ...] = ()
    """Which of it creates types, that other tables may share."""
    evolution: Evolution = field(default_factory=Evolution)
    """How its columns differ from the data's, if there is a policy for it."""
    detour: str | None = None
    """Why rows cannot be copied into the table as they come, or None if they can."""
    referenced: bool = False
    """Whether foreign keys point at the table."""
    direct: bool = False
    """Whether all is one part, of one transaction, and nothing is staged."""
    aside: bool = False
    """Whether a new table is filled in the staging schema, by all parts, and moved into its place."""
    journaled: bool = False
    """Whether a journal says that the job was published, until that is acknowledged, and what is
    remembered of it."""
    unstaged: DatastoreError | None = None
    """Why nothing can be staged, or None if it can."""

    @property
    def staged(self) -> tuple[SQLColumn, ...]:
        """The columns of a table that holds rows until they are published."""
        return tuple(SQLColumn(name=one.name, type=one.mapped.wire) for one in self.columns)

    def plan(self) -> WritePlan:
        """Return it for people."""
        path = "binary COPY into staging tables, unlogged"
        if self.aside:
            path = "binary COPY into a table aside, which is moved into its place"
        if self.direct:
            path = "binary COPY straight into the table"
            if self.detour:
                path = f"binary COPY into a temporary table, since {self.detour}"
        if self.unstaged:
            path += f"; one part, since there is {self.unstaged.message}"
        return WritePlan(
            columns=tuple(one.plan() for one in self.columns),
            statements=self.new.statements if self.new else self.evolution.statements,
            bulk_path=path,
            publish="appears at once when finished (one transaction)",
            max_parts=1 if self.direct else None,
            # What is staged is written twice; a table that is filled aside is not.
            parallel=self.aside,
            drifted=self.evolution.drifted,
        )


def prepare(client: Client, request: WriteRequest) -> Prepared:
    """Check a write against the target; nothing is written."""
    check_request(request, DIALECT)

    def checked(connection: Connection) -> Prepared:
        table = catalog.find_table(connection, request.table)
        prepared = resolve(connection, table, request)
        rights = Rights(connection, request)
        rights.check_target(table, [one.name for one in prepared.enums])
        if table is not None and prepared.evolution.statements:
            rights.check_owner(table)
        direct, unstaged = request.parts == 1, None
        journaled = request.journal is not None or request.bookmark is not None
        if not direct or journaled:
            missing = rights.why_unstaged(client.config.staging_schema)
            if missing is not None and request.bookmark is not None:
                raise missing
            journaled = journaled and missing is None
            unstaged = None if direct else missing
            direct = direct or missing is not None
        if direct and prepared.detour:
            rights.check_temporary(prepared.detour)
        return replace(
            prepared,
            direct=direct,
            journaled=journaled,
            unstaged=unstaged,
            aside=not direct and _is_aside(prepared),
        )

    return client.look("plan_write", str(request.table), checked)


def _is_aside(prepared: Prepared) -> bool:
    """Return whether rows can go straight into a table that nobody else sees yet."""
    return prepared.new is not None and not prepared.new.before and prepared.detour is None


def resolve(connection: Connection, table: Table | None, request: WriteRequest) -> Prepared:
    """Decide how a request meets a table, or the lack of one. In a transaction."""
    request.on_unfit.check_columns(request.schema.names)
    check_existence(request, exists=table is not None, engine=DIALECT.engine)
    if table is None:
        return _new(connection, request)
    _check_takes(table, request)
    if request.mode in _DELETES:
        check_references(connection, table.references, request)
    known = {one.name: one for one in table.columns if not one.generated}
    check_keys(request, table.unique)
    if request.drift is None:
        check_names(request, known)
        evolved = Evolution()
    else:
        evolved = evolution(connection, table, request, known)
    request = request.without(evolved.left_out)
    _check_text(request, known, evolved.declared)
    _check_null(request, {one.name for one in known.values() if not one.nullable})
    columns = tuple(
        _altered(field, evolved.declared[field.name], known.get(field.name))
        if field.name in evolved.declared
        else _existing(field, known[field.name])
        for field in request.schema
    )
    return Prepared(
        columns=columns,
        enums=evolved.enums,
        evolution=evolved,
        detour=_detour(request, table, columns)
        or ("the table is altered" if evolved.statements else None),
        referenced=bool(table.references),
    )


def _check_takes(table: Table, request: WriteRequest) -> None:
    """Refuse a view, and columns that take no values."""
    if not table.is_table:
        raise UnsupportedOperationError(
            f"{request.table} is a view, which takes no rows",
            driver=DIALECT.engine,
            target=str(request.table),
            advice="Write to the table under it",
        )
    generated = {one.name for one in table.columns if one.generated}
    if given := sorted(generated & set(request.schema.names)):
        others = [name for name in request.schema.names if name not in generated]
        raise SchemaMismatchError(
            f"column {given[0]!r} of {request.table} is computed by PostgreSQL",
            target=str(request.table),
            advice=f"Leave it out with columns={others}",
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


def _check_text(
    request: WriteRequest, known: Mapping[str, Column], altered: Collection[str]
) -> None:
    """Refuse to make text of a column that is there already, and is of another type."""
    for given in request.schema:
        if given.name in altered:
            continue
        there = known[given.name]
        as_text = request.on_unfit.for_column(given.name) is UnfitPolicy.TEXT
        if as_text and not convertible(given.type, there.arrow):
            raise SchemaMismatchError(
                f"on_unfit makes text of column {given.name!r}, and the table's is {there.type}",
                target=str(request.table),
                advice="Choose null or reject for a table that exists; nothing was changed",
            )


def _check_null(request: WriteRequest, not_null: Collection[str]) -> None:
    """Refuse `null` for a column that is NOT NULL; where it is for all columns, those still raise."""
    for name, policy in request.on_unfit.columns:
        if policy is UnfitPolicy.NULL and name in not_null:
            raise SchemaMismatchError(
                f"on_unfit makes NULLs in column {name!r}, and {request.table} has it as NOT NULL",
                target=str(request.table),
                advice="Choose reject, or text for a new table; nothing was changed",
            )


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


def _altered(field: pa.Field, declaration: Declaration, there: Column | None) -> WriteColumn:
    """Return a column that the table gets, or gets another type of."""
    mapped = declaration.mapped
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=field.type if there is None else mapped.layout.arrow,
        type=declaration.type,
        bare=declaration.type,
        mapped=mapped,
        nullable=there is None or there.nullable,
        numbered=there is not None and there.numbered,
        note=declaration.note,
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
    declarations = declared(connection, request.schema)
    columns = tuple(
        _created(field, declaration, request)
        for field, declaration in zip(request.schema, declarations, strict=True)
    )
    _check_null(request, {one.name for one in columns if not one.nullable})
    table = qualified(request.table)
    enums = dict.fromkeys(one.enum for one in declarations if one.enum is not None)
    listed = tuple(
        SQLColumn(name=one.name, type=one.type, nullable=one.nullable) for one in columns
    )
    schemas = {one.schema or "" for one in (table, *(enum.name for enum in enums))}
    new = NewTable(
        name=table,
        columns=listed,
        keys=request.keys,
        comments=tuple(
            (one.name, note_for(one.arrow, one.name, DIALECT))
            for one in columns
            if one.arrow != one.mapped.layout.arrow
        ),
        before=(*missing_schemas(connection, schemas), *(one.statement for one in enums)),
    )
    return Prepared(
        columns=columns,
        new=new,
        enums=tuple(enums),
        detour=_detour(request, None, columns),
    )


def _created(field: pa.Field, declaration: Declaration, request: WriteRequest) -> WriteColumn:
    return WriteColumn(
        name=field.name,
        incoming=field.type,
        arrow=field.type,
        type=declaration.type,
        bare=declaration.type,
        mapped=declaration.mapped,
        nullable=field.nullable and field.name not in request.keys,
        note=declaration.note,
    )
