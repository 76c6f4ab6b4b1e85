"""What is in the database: tables, their columns and keys, as seen by one cursor's transaction."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import duckdb
import pyarrow as pa

from datastores.drivers.base import TableFacts
from datastores.drivers.duckdb.types import from_duckdb, given_back
from datastores.drivers.sql.dialect import Dialect
from datastores.drivers.sql.notes import noted_type
from datastores.errors import NotFoundError
from datastores.types.fields import SourceType, with_source
from datastores.values import TableName

DIALECT = Dialect(engine="duckdb", placeholder="${name}", is_nan="isnan({column})")
MAIN = "main"
JOURNAL_SCHEMA = "_datastores"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a table or of a query's result."""

    name: str
    type: str
    """In DuckDB's words."""
    wire: str
    """The SQL type it is exported as."""
    stored: pa.DataType
    """What DuckDB's type means in Arrow."""
    arrow: pa.DataType
    """What users see: `stored`, or the type that a note of ours says the values came from."""
    nullable: bool = True
    key: bool = False
    generated: bool = False
    """Computed by DuckDB, which takes no value for it."""
    has_default: bool = False
    """Filled with something where no value is given."""

    @property
    def field(self) -> pa.Field:
        """The column as a field, with its source type noted."""
        plain = pa.field(self.name, self.arrow, nullable=self.nullable)
        return with_source(plain, SourceType(engine="duckdb", type=self.type, key=self.key))

    @property
    def expression(self) -> str:
        """The column as a SELECT exports it."""
        name = DIALECT.identifier(self.name)
        if pa.types.is_interval(self.stored):
            # Arrow counts nanoseconds, and DuckDB's export wraps around beyond int64.
            words = f"column {self.name!r} holds an interval beyond 292 years of hours".replace(
                "'", "''"
            )
            return f"CASE WHEN abs(hour({name})) > 2562046 THEN error('{words}') ELSE {name} END AS {name}"
        return name if self.wire == self.type else f"CAST({name} AS {self.wire}) AS {name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table or view."""

    name: TableName
    is_view: bool
    columns: tuple[Column, ...]
    unique: tuple[frozenset[str], ...]
    """Sets of columns that the table declares unique."""
    pinned: Mapping[str, str]
    """Columns whose type DuckDB does not change, and why."""

    @property
    def splittable(self) -> bool:
        """Whether row ids say which rows are which; a column of that name would hide them."""
        return not self.is_view and all(one.name.lower() != "rowid" for one in self.columns)


def qualified(table: TableName) -> TableName:
    """Return the name with its schema, which is `main` if none is given."""
    return table if table.schema is not None else TableName(table.name, MAIN)


def tables(cursor: duckdb.DuckDBPyConnection, namespace: str | None) -> list[TableName]:
    """Return tables and views; those of the system and of our journal are left out."""
    rows = cursor.execute(
        """
        SELECT schema_name, table_name FROM duckdb_tables()
        WHERE database_name = current_database() AND NOT internal AND NOT temporary
        UNION ALL
        SELECT schema_name, view_name FROM duckdb_views()
        WHERE database_name = current_database() AND NOT internal AND NOT temporary
        ORDER BY ALL
        """
    ).fetchall()
    return [
        TableName(name, schema)
        for schema, name in rows
        if schema != JOURNAL_SCHEMA and namespace in {None, schema}
    ]


def describe_tables(cursor: duckdb.DuckDBPyConnection, namespace: str | None) -> list[TableFacts]:
    """Return tables and views as `tables` does, with what the catalogue says of them."""
    here = "database_name = current_database()"
    views = cursor.execute(f"SELECT schema_name, view_name FROM duckdb_views() WHERE {here}")
    is_view = {TableName(name, schema) for schema, name in views.fetchall()}
    refers_to: dict[TableName, list[TableName]] = defaultdict(list)
    # Foreign keys stay within a schema.
    for schema, name, other in cursor.execute(
        "SELECT DISTINCT schema_name, table_name, referenced_table FROM duckdb_constraints() "
        f"WHERE {here} AND constraint_type = 'FOREIGN KEY' ORDER BY ALL"
    ).fetchall():
        refers_to[TableName(name, schema)].append(TableName(other, schema))
    computed: dict[TableName, list[str]] = defaultdict(list)
    for schema, name, column in cursor.execute(
        "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
        f"WHERE {here} AND is_generated ORDER BY column_index"
    ).fetchall():
        computed[TableName(name, schema)].append(column)
    return [
        TableFacts(
            table=one,
            refers_to=tuple(refers_to[one]),
            computed=tuple(computed[one]),
            not_its_own="a view" if one in is_view else None,
        )
        for one in tables(cursor, namespace)
    ]


def find_any_case(cursor: duckdb.DuckDBPyConnection, table: TableName) -> Table | None:
    """Return the table that DuckDB takes for this name, ignoring case, or None."""
    wanted = qualified(table)
    for one in tables(cursor, None):
        if (one.schema or "").lower() == (wanted.schema or "").lower() and (
            one.name.lower() == wanted.name.lower()
        ):
            return find_table(cursor, one)
    return None


def get_table(cursor: duckdb.DuckDBPyConnection, name: TableName) -> Table:
    """Return a table or view.

    Raises:
        NotFoundError: No such table, spelled exactly so; the advice names close ones.
    """
    found = find_table(cursor, name)
    if found is None:
        raise missing(name, tables(cursor, None))
    return found


def missing(name: TableName, known: list[TableName]) -> NotFoundError:
    """Return the error for a table that is not there."""
    names = [str(one) for one in known]
    close = difflib.get_close_matches(str(qualified(name)), names, n=3, cutoff=0.5)
    advice = f"Did you mean {' or '.join(close)}?" if close else "tables() lists what is there"
    return NotFoundError(
        f"no table {name}", driver="duckdb", operation="schema", target=str(name), advice=advice
    )


def find_table(cursor: duckdb.DuckDBPyConnection, name: TableName) -> Table | None:
    """Return a table or view, or None."""
    full = qualified(name)
    if full not in tables(cursor, full.schema):
        return None
    facts = {
        column: facts
        for column, *facts in _about(
            cursor,
            full,
            "column_name, is_nullable, comment, is_generated, column_default IS NOT NULL "
            "FROM duckdb_columns()",
        )
    }
    constraints = _about(
        cursor, full, "constraint_type, constraint_column_names FROM duckdb_constraints()"
    )
    primary = {name for kind, names in constraints if kind == "PRIMARY KEY" for name in names}
    unique = [frozenset(names) for kind, names in constraints if kind in {"PRIMARY KEY", "UNIQUE"}]
    columns = []
    for plain in columns_of(cursor, f"SELECT * FROM {DIALECT.table(full)}", {}):
        nullable, comment, generated, has_default = facts.get(
            plain.name, (True, None, False, False)
        )
        columns.append(
            replace(
                plain,
                arrow=noted_type(comment, plain.stored, plain.name, holds=given_back),
                nullable=nullable,
                key=plain.name in primary,
                generated=generated,
                has_default=has_default,
            )
        )
    return Table(
        name=full,
        is_view=not _about(cursor, full, "table_name FROM duckdb_tables()"),
        columns=tuple(columns),
        unique=tuple(unique),
        pinned=_pinned(cursor, full, columns, constraints),
    )


def _pinned(
    cursor: duckdb.DuckDBPyConnection,
    table: TableName,
    columns: list[Column],
    constraints: list[tuple[Any, ...]],
) -> dict[str, str]:
    everywhere = [
        *(
            f"the index {name!r}"
            for (name,) in _about(cursor, table, "index_name FROM duckdb_indexes()")
        ),
        *(
            f"a foreign key of {name!r}"
            for (name,) in cursor.execute(
                "SELECT table_name FROM duckdb_constraints() "
                "WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY' "
                "AND schema_name = $schema AND referenced_table = $name",
                {"schema": table.schema, "name": table.name},
            ).fetchall()
        ),
    ]
    found = {one.name: f"{why} is on its table" for one in columns for why in everywhere[:1]}
    return found | {
        name: f"it is in a {kind} constraint"
        for kind, names in constraints
        for name in names
        if kind != "NOT NULL"
    }


def _about(cursor: duckdb.DuckDBPyConnection, table: TableName, what: str) -> list[tuple[Any, ...]]:
    """Return what one of DuckDB's metadata functions says about a table."""
    found: list[tuple[Any, ...]] = cursor.execute(
        f"SELECT {what} WHERE database_name = current_database() "
        "AND schema_name = $schema AND table_name = $name",
        {"schema": table.schema, "name": table.name},
    ).fetchall()
    return found


def columns_of(
    cursor: duckdb.DuckDBPyConnection, sql: str, values: dict[str, object]
) -> tuple[Column, ...]:
    """Return the columns of a SELECT; it is bound, not run."""
    relation = cursor.sql(sql, params=values or None)
    mapped = [
        (name, type_, from_duckdb(type_, name))
        for name, type_ in zip(relation.columns, relation.types, strict=True)
    ]
    return tuple(
        Column(name=name, type=str(type_), wire=one.wire, stored=one.arrow, arrow=one.arrow)
        for name, type_, one in mapped
    )
