"""What is in the database: tables, columns, keys and types, as one transaction sees them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.azure_postgresql.heaps import Heap, heaps_of
from datastores.drivers.azure_postgresql.references import Reference, find_references
from datastores.drivers.azure_postgresql.stored import given_back
from datastores.drivers.azure_postgresql.types import (
    CATALOG,
    MAX_NAME_BYTES,
    Mapped,
    PgAttribute,
    PgType,
    from_postgresql,
)
from datastores.drivers.sql.dialect import Dialect
from datastores.drivers.sql.notes import noted_type
from datastores.errors import NotFoundError
from datastores.types.fields import SourceType, with_source
from datastores.values import TableName

# Longer names are cut by the server.
DIALECT = Dialect(
    engine="azure_postgresql",
    max_identifier_bytes=MAX_NAME_BYTES,
    is_nan="({column} = 'NaN')",
)
PUBLIC = "public"
_KINDS = ["r", "p", "v", "m", "f"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table or of a query's result."""

    name: str
    type: str
    """In PostgreSQL's words, with its schema unless that is pg_catalog."""
    bare: str
    """The same without length or precision: a cast to it changes nothing."""
    mapped: Mapped
    arrow: pa.DataType
    """What users see: the mapped type, or the one that a note of ours says the values came from."""
    nullable: bool = True
    key: bool = False
    generated: bool = False
    """Computed by the server, which takes no value for it."""
    numbered: bool = False
    """Filled from a sequence of its own where no value is given."""
    has_default: bool = False
    """Filled with something where no value is given."""
    collation: str | None = None
    labels: tuple[str, ...] = ()
    """If it is an enum or an array of one, and no domain: what makes the type anew elsewhere."""

    @property
    def stored(self) -> pa.DataType:
        """What PostgreSQL's type means in Arrow."""
        return self.mapped.layout.arrow

    @property
    def field(self) -> pa.Field:
        """The column as a field, with its source type noted."""
        plain = pa.field(self.name, self.arrow, nullable=self.nullable)
        return with_source(
            plain,
            SourceType(
                engine=DIALECT.engine,
                type=self.type,
                key=self.key,
                collation=self.collation,
                labels=self.labels,
            ),
        )

    @property
    def value(self) -> str:
        """The column's value as a SELECT exports it."""
        name = DIALECT.identifier(self.name)
        if not self.mapped.as_text:
            return name
        if self.mapped.layout.kind == "array" or self.mapped.by_cast:
            return f"CAST({name} AS {self.mapped.wire})"
        # The type's own output: its cast to text may differ, as that of inet does.
        # And a composite whose fields are all NULL is distinct from NULL, though it "is null".
        text = f"pg_catalog.format('%s', {name})"
        return f"CASE WHEN {name} IS DISTINCT FROM NULL THEN {text} END"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table or view."""

    name: TableName
    oid: int
    kind: str
    """`r` for a table, `p` partitioned, `v` view, `m` materialised view, `f` foreign."""
    columns: tuple[Column, ...]
    unique: tuple[frozenset[str], ...]
    """Sets of columns, none of them NULL, that the table declares unique."""
    references: tuple[Reference, ...]
    """Foreign keys that point here, of other tables or its own."""
    bypassed: str | None
    """What COPY would pass by or be refused for, and INSERT would not; None if nothing."""
    key: tuple[str, ...]
    """Columns that are unique and never NULL, in their index's order: the primary key if there is one."""
    heaps: tuple[Heap, ...] | None
    """Where the rows lie; None if some lie elsewhere."""
    has_children: bool
    """Whether rows of partitions or of tables that inherit are rows of this one."""

    @property
    def is_table(self) -> bool:
        """Whether rows can be written to it."""
        return self.kind in {"r", "p", "f"}

    @property
    def bytes(self) -> int | None:
        """How many are on disk, if all rows are in heaps."""
        return None if self.heaps is None else sum(one.bytes for one in self.heaps)

    @property
    def rows(self) -> int | None:
        """How many there are; an estimate, or None."""
        known = [one.rows for one in self.heaps or [] if one.rows is not None]
        return sum(known) if self.heaps is not None and len(known) == len(self.heaps) else None


def qualified(table: TableName) -> TableName:
    """Return the name with its schema, which is `public` if none is given."""
    return table if table.schema is not None else TableName(table.name, PUBLIC)


@contextmanager
def full_names(connection: Connection) -> Iterator[None]:
    """Let the server spell types with their schemas; what users wrote keeps its search path."""
    connection.execute("SET LOCAL search_path = pg_catalog")
    yield
    connection.execute("SET LOCAL search_path TO DEFAULT")


def tables(connection: Connection, namespace: str | None, hidden: str) -> list[TableName]:
    """Return tables and views; those of the system and of our staging are left out."""
    rows = connection.execute(
        """
        SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind = ANY(%(kinds)s) AND NOT c.relispartition
        AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' AND n.nspname <> %(hidden)s
        AND (%(schema)s::text IS NULL OR n.nspname = %(schema)s)
        AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        ORDER BY n.nspname, c.relname
        """,
        {"kinds": _KINDS, "hidden": hidden, "schema": namespace},
    ).fetchall()
    return [TableName(name, schema) for schema, name in rows]


def get_table(connection: Connection, name: TableName, hidden: str) -> Table:
    """Return a table or view.

    Raises:
        NotFoundError: No such table, spelled exactly so; the advice names close ones.
    """
    found = find_table(connection, name)
    if found is None:
        known = [str(one) for one in tables(connection, None, hidden)]
        close = difflib.get_close_matches(str(qualified(name)), known, n=3, cutoff=0.5)
        advice = f"Did you mean {' or '.join(close)}?" if close else "tables() lists what is there"
        raise NotFoundError(
            f"no table {name}",
            driver=DIALECT.engine,
            operation="schema",
            target=str(name),
            advice=advice,
        )
    return found


def find_table(connection: Connection, name: TableName) -> Table | None:
    """Return a table or view, or None. In a transaction."""
    full = qualified(name)
    found = connection.execute(
        """
        SELECT c.oid, c.relkind, c.relhassubclass,
            pg_catalog.row_security_active(c.oid), c.relhasrules AND c.relkind <> 'v'
        FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = %s AND c.relname = %s AND c.relkind = ANY(%s)
        """,
        (full.schema, full.name, _KINDS),
    ).fetchone()
    if found is None:
        return None
    oid, kind, has_children, secured, ruled = found
    unique, primary = _keys(connection, oid)
    columns = _table_columns(connection, oid, frozenset(primary))
    never_null = {one.name for one in columns if not one.nullable}
    keys = [one for one in unique if never_null.issuperset(one)]
    return Table(
        name=full,
        oid=oid,
        kind=kind,
        columns=columns,
        unique=tuple(map(frozenset, keys)),
        references=find_references(connection, oid),
        bypassed="row-level security" if secured else "a rule" if ruled else None,
        key=primary or next(iter(keys), ()),
        heaps=heaps_of(connection, oid),
        has_children=has_children,
    )


def _keys(connection: Connection, oid: int) -> tuple[list[tuple[str, ...]], tuple[str, ...]]:
    """Return what is unique for every row and at every moment, and the primary key."""
    rows = connection.execute(
        """
        SELECT i.indisprimary, pg_catalog.array_agg(a.attname::text
            ORDER BY pg_catalog.array_position(i.indkey::int2[], a.attnum))
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid
            AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1])
        WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indimmediate
            AND i.indpred IS NULL AND i.indexprs IS NULL
        GROUP BY i.indexrelid, i.indisprimary ORDER BY i.indexrelid
        """,
        (oid,),
    ).fetchall()
    unique = [tuple(names) for _, names in rows]
    primary = next((tuple(names) for is_primary, names in rows if is_primary), ())
    return unique, primary


def _table_columns(connection: Connection, oid: int, primary: frozenset[str]) -> tuple[Column, ...]:
    with full_names(connection):
        rows = connection.execute(
            """
            SELECT a.attname, a.atttypid, a.atttypmod, a.attndims,
                pg_catalog.format_type(a.atttypid, a.atttypmod),
                pg_catalog.format_type(a.atttypid, -1),
                a.attnotnull, a.attgenerated <> '',
                EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                    WHERE d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
                    AND d.refclassid = 'pg_catalog.pg_class'::regclass
                    AND d.classid = d.refclassid AND d.deptype IN ('a', 'i')
                    AND EXISTS (SELECT 1 FROM pg_catalog.pg_sequence s WHERE s.seqrelid = d.objid)),
                pg_catalog.col_description(a.attrelid, a.attnum),
                CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
                a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL
            FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
            WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
            """,
            (oid,),
        ).fetchall()
    types = _types(connection, {row[1] for row in rows})
    columns = []
    for row in rows:
        name, type_oid, modifier, dims, type_, bare = row[:6]
        not_null, generated, numbered, note, collation, has_default = row[6:]
        mapped = from_postgresql(types, type_oid, modifier, dims)
        columns.append(
            Column(
                name=name,
                type=_deep(type_, mapped),
                bare=bare,
                mapped=mapped,
                arrow=noted_type(note, mapped.layout.arrow, name, holds=given_back),
                nullable=not not_null,
                key=name in primary,
                generated=generated,
                numbered=numbered,
                has_default=has_default,
                collation=collation,
                labels=_labels(types, type_oid),
            )
        )
    return tuple(columns)


def columns_of(
    connection: Connection, sql: str, dimensions: Sequence[int] | None = None
) -> tuple[Column, ...]:
    """Return the columns of a SELECT, which is planned by the server and not run.

    In a transaction. Asked for in binary the text can be one statement only, by the protocol.

    Args:
        connection: In a transaction.
        sql: The SELECT.
        dimensions: How deep each column's arrays are, which PostgreSQL does not say of a result;
            None if that is not known.
    """
    cursor = connection.execute(f"SELECT * FROM (\n{sql}\n) AS query LIMIT 0".encode(), binary=True)
    result = cursor.pgresult
    assert result is not None  # noqa: S101  # a SELECT has one
    found = [
        ((result.fname(at) or b"").decode(), result.ftype(at), result.fmod(at))
        for at in range(result.nfields)
    ]
    types = _types(connection, {oid for _, oid, _ in found})
    with full_names(connection):
        spelled = connection.execute(
            "SELECT pg_catalog.format_type(oid, modifier), pg_catalog.format_type(oid, -1) FROM "
            "unnest(%s::oid[], %s::int4[]) WITH ORDINALITY AS asked(oid, modifier, turn) "
            "ORDER BY turn",
            ([oid for _, oid, _ in found], [modifier for _, _, modifier in found]),
        ).fetchall()
    columns = []
    depths = dimensions or [0] * len(found)
    for (name, oid, modifier), (type_, bare), depth in zip(found, spelled, depths, strict=True):
        mapped = from_postgresql(types, oid, modifier, depth)
        columns.append(
            Column(
                name=name,
                type=_deep(type_, mapped),
                bare=bare,
                mapped=mapped,
                arrow=mapped.layout.arrow,
                labels=_labels(types, oid),
            )
        )
    return tuple(columns)


def _deep(type_: str, mapped: Mapped) -> str:
    """Return an array's type with a pair of brackets for each dimension; the server spells one."""
    return type_ + "[]" * (mapped.layout.dimensions - 1)


def _labels(types: Mapping[int, PgType], oid: int) -> tuple[str, ...]:
    return types[types[oid].element or oid].labels


def _types(connection: Connection, oids: Iterable[int]) -> dict[int, PgType]:
    """Return the types, with those they are arrays or domains of, and those of their fields."""
    found: dict[int, PgType] = {}
    wanted = set(oids)
    while wanted:
        rows: list[Any] = connection.execute(
            """
            SELECT t.oid, t.typname, n.nspname, pg_catalog.format('%%I.%%I', n.nspname, t.typname),
                t.typtype, CASE WHEN e.typarray = t.oid THEN t.typelem ELSE 0 END,
                t.typbasetype, t.typtypmod, t.typndims,
                ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum
                    WHERE enumtypid = t.oid ORDER BY enumsortorder),
                (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(
                        attname, atttypid::bigint, atttypmod, attndims) ORDER BY attnum)
                    FROM pg_catalog.pg_attribute WHERE t.typtype = 'c'
                    AND attrelid = t.typrelid AND attnum > 0 AND NOT attisdropped)
            FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
            LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem
            WHERE t.oid = ANY(%s::oid[])
            """,
            (list(wanted),),
        ).fetchall()
        for oid, name, schema, quoted, kind, element, base, modifier, dims, labels, fields in rows:
            is_money = (schema, name) == (CATALOG, "money")
            found[oid] = PgType(
                oid=oid,
                name=name,
                schema=schema,
                quoted=quoted,
                kind=kind,
                element=element,
                base=base,
                base_modifier=modifier,
                base_dimensions=dims,
                labels=tuple(labels),
                attributes=tuple(
                    PgAttribute(name=name, type=type_, modifier=modifier, dimensions=dims)
                    for name, type_, modifier, dims in fields or ()
                ),
                money_digits=_money_digits(connection) if is_money else 0,
            )
        wanted = {one for type_ in found.values() for one in type_.related} - found.keys()
    return found


def _money_digits(connection: Connection) -> int:
    [(digits,)] = connection.execute(
        "SELECT pg_catalog.scale(CAST(CAST(0 AS money) AS numeric))"
    ).fetchall()
    return int(digits)
