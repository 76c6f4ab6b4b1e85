"""How one SQL engine is spoken to: its differences as data, and its identifiers, exact or refused."""

from __future__ import annotations

from dataclasses import dataclass

from datastores.errors import ConfigurationError
from datastores.values import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What differs between engines."""

    engine: str
    """Type name of the driver, such as `duckdb`."""
    quote: tuple[str, str] = ('"', '"')
    """Around an identifier; the closing one is doubled inside."""
    max_identifier_bytes: int | None = None
    """In UTF-8; None if the engine has no limit."""
    placeholder: str = ":{name}"
    """How a bound parameter is written."""
    equal_with_nulls: str = "{left} IS NOT DISTINCT FROM {right}"
    is_nan: str | None = None
    """How to ask whether a number is NaN, where the engine sorts NaN above all others."""
    upsert: str = (
        "INSERT INTO {table} ({columns}) {rows} ON CONFLICT ({keys}) DO UPDATE SET {changes}"
    )
    insert_missing: str = "INSERT INTO {table} ({columns}) {rows} ON CONFLICT ({keys}) DO NOTHING"
    """For a table in which every column is a key, so that nothing is left to update."""
    new_value: str = "excluded.{column}"
    """In `upsert`, a column of the row that came in."""

    def identifier(self, name: str) -> str:
        """Return a quoted identifier that means exactly this name.

        Raises:
            ConfigurationError: Empty, holds NUL, or too long for the engine, which would cut it.
        """
        if not name or "\0" in name:
            raise ConfigurationError(
                f"{name!r} is not an identifier", advice="A name has a character, and none is NUL"
            )
        size = len(name.encode("utf-8", "surrogatepass"))
        if self.max_identifier_bytes is not None and size > self.max_identifier_bytes:
            raise ConfigurationError(
                f"the name {name!r} has {size} bytes, and {self.engine} takes {self.max_identifier_bytes}",
                advice="Rename the column or table",
            )
        opening, closing = self.quote
        return f"{opening}{name.replace(closing, closing * 2)}{closing}"

    def table(self, table: TableName) -> str:
        """Return a table's quoted name, with its schema if it has one."""
        name = self.identifier(table.name)
        return f"{self.identifier(table.schema)}.{name}" if table.schema is not None else name

    def columns(self, names: tuple[str, ...]) -> str:
        """Return quoted identifiers, separated by commas."""
        return ", ".join(map(self.identifier, names))

    def is_null(self, name: str) -> str:
        """Return the condition that a column is NULL; a composite whose fields all are is not."""
        return self.equal_with_nulls.format(left=self.identifier(name), right="NULL")

    def parameter(self, name: str) -> str:
        """Return the placeholder of a bound parameter."""
        return self.placeholder.format(name=name)


def literal(text: str) -> str:
    """Return a text constant, for statements that take no parameters, such as COMMENT."""
    return "'" + text.replace("'", "''") + "'"
