"""A table that is not there yet: created in its place, or filled aside and moved into it."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.drivers.azure_postgresql.catalog import DIALECT
from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.sql.statements import SQLColumn, comment_on_column, create_table
from datastores.values import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTable:
    """What a write creates."""

    name: TableName
    columns: tuple[SQLColumn, ...]
    keys: tuple[str, ...]
    comments: tuple[tuple[str, str], ...]
    """Of columns, by name."""
    before: tuple[str, ...]
    """Statements that create what it needs: schemas and types."""

    @property
    def statements(self) -> tuple[str, ...]:
        """All that creates it in its place."""
        return (*self.before, *self._created(self.name, self.keys))

    def fill_aside(self, connection: Connection, aside: TableName) -> None:
        """Create it empty in another schema, without its keys. In a transaction.

        It begins in its own schema, and so has the rights that tables are given there by default.
        """
        first = TableName(aside.name, self.name.schema)
        for statement in self._created(first, ()):
            run(connection, statement)
        _move(connection, first, aside)

    def move_in(self, connection: Connection, aside: TableName) -> None:
        """Bring it back with its rows, under its name and with its keys. In a transaction."""
        for statement in self.before:
            run(connection, statement)
        last = TableName(aside.name, self.name.schema)
        _move(connection, aside, last)
        name = DIALECT.identifier(self.name.name)
        run(connection, f"ALTER TABLE {DIALECT.table(last)} RENAME TO {name}")
        if self.keys:
            keys = DIALECT.columns(self.keys)
            run(connection, f"ALTER TABLE {DIALECT.table(self.name)} ADD PRIMARY KEY ({keys})")

    def _created(self, name: TableName, keys: tuple[str, ...]) -> tuple[str, ...]:
        comments = (
            comment_on_column(name, column, text, DIALECT) for column, text in self.comments
        )
        return (create_table(name, self.columns, keys, DIALECT), *comments)


def _move(connection: Connection, old: TableName, new: TableName) -> None:
    schema = DIALECT.identifier(new.schema or "")
    run(connection, f"ALTER TABLE {DIALECT.table(old)} SET SCHEMA {schema}")


def missing_schemas(connection: Connection, wanted: set[str]) -> list[str]:
    """Return the statements that create those schemas which are not there."""
    rows = connection.execute(
        "SELECT wanted FROM pg_catalog.unnest(%s::text[]) AS wanted "
        "WHERE pg_catalog.to_regnamespace(pg_catalog.quote_ident(wanted)) IS NULL ORDER BY wanted",
        (list(wanted),),
    ).fetchall()
    return [f"CREATE SCHEMA {DIALECT.identifier(name)}" for (name,) in rows]
