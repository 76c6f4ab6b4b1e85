"""The statements that create and publish, from names and types; nothing here runs them."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.drivers.sql.dialect import Dialect, literal
from datastores.values import TableName, WriteMode


@dataclass(frozen=True, slots=True, kw_only=True)
class SQLColumn:
    """A column as CREATE TABLE declares it."""

    name: str
    type: str
    """In the engine's words; from the driver's type tables, never from a user."""
    nullable: bool = True


def create_table(
    table: TableName, columns: tuple[SQLColumn, ...], keys: tuple[str, ...], dialect: Dialect
) -> str:
    """Return CREATE TABLE, with the keys as its primary key."""
    lines = [
        f"{dialect.identifier(one.name)} {one.type}{'' if one.nullable else ' NOT NULL'}"
        for one in columns
    ]
    if keys:
        lines.append(f"PRIMARY KEY ({dialect.columns(keys)})")
    return f"CREATE TABLE {dialect.table(table)} ({', '.join(lines)})"


def comment_on_column(table: TableName, column: str, text: str, dialect: Dialect) -> str:
    """Return the statement that puts a comment on a column."""
    place = f"{dialect.table(table)}.{dialect.identifier(column)}"
    return f"COMMENT ON COLUMN {place} IS {literal(text)}"


def add_column(table: TableName, column: SQLColumn, dialect: Dialect) -> str:
    """Return ALTER TABLE for one more column, NULL in the rows that are there."""
    name = dialect.identifier(column.name)
    return f"ALTER TABLE {dialect.table(table)} ADD COLUMN {name} {column.type}"


def widen_column(table: TableName, column: SQLColumn, dialect: Dialect) -> str:
    """Return ALTER TABLE for a type that holds all values of the one before."""
    name = dialect.identifier(column.name)
    return f"ALTER TABLE {dialect.table(table)} ALTER COLUMN {name} TYPE {column.type}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """What one write does to its target once all rows are staged."""

    table: TableName
    columns: tuple[str, ...]
    mode: WriteMode
    keys: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()

    def clear(self, partitions: str, dialect: Dialect) -> str | None:
        """Return the DELETE that comes first, if the mode has one; it keeps the table's life.

        Args:
            partitions: Relation that holds the distinct values of `partition_by`.
            dialect: How to write it.
        """
        target = dialect.table(self.table)
        if self.mode == WriteMode.REPLACE:
            return f"DELETE FROM {target}"
        if self.mode == WriteMode.REPLACE_PARTITIONS:
            same = " AND ".join(
                dialect.equal_with_nulls.format(
                    left=f"target.{dialect.identifier(name)}",
                    right=f"incoming.{dialect.identifier(name)}",
                )
                for name in self.partition_by
            )
            return (
                f"DELETE FROM {target} AS target "
                f"WHERE EXISTS (SELECT 1 FROM {partitions} AS incoming WHERE {same})"
            )
        return None

    def insert(self, rows: str, dialect: Dialect) -> str:
        """Return the INSERT of `rows`, a SELECT that yields `columns` in their order."""
        parts = {
            "table": dialect.table(self.table),
            "columns": dialect.columns(self.columns),
            "rows": rows,
            "keys": dialect.columns(self.keys),
        }
        if self.mode != WriteMode.UPSERT:
            return f"INSERT INTO {parts['table']} ({parts['columns']}) {rows}"
        others = [dialect.identifier(name) for name in self.columns if name not in self.keys]
        changes = [f"{name} = {dialect.new_value.format(column=name)}" for name in others]
        shape = dialect.upsert if changes else dialect.insert_missing
        return shape.format(**parts, changes=", ".join(changes))


def duplicate_keys(rows: str, keys: tuple[str, ...], dialect: Dialect) -> str:
    """Return a SELECT of one key that `rows` holds twice, or that holds a NULL."""
    listed = dialect.columns(keys)
    nulls = " OR ".join(dialect.is_null(name) for name in keys)
    return (
        f"SELECT {listed} FROM ({rows}) AS incoming "
        f"GROUP BY {listed} HAVING COUNT(*) > 1 OR {nulls} LIMIT 1"
    )
