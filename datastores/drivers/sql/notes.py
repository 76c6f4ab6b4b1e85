"""Comments on columns that say which Arrow type their values were, where the engine has none such."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from datastores.drivers.sql.dialect import Dialect
from datastores.errors import ConfigurationError, SchemaMismatchError
from datastores.types.text import format_type, parse_type

_NOTE = "datastores:arrow="

Holds = Callable[[pa.DataType, str], pa.DataType]
"""From an Arrow type and a column's name to the Arrow type that the engine gives back for it."""


def note_for(type_: pa.DataType, column: str, dialect: Dialect) -> str:
    """Return the column comment that says which Arrow type its values were."""
    try:
        return _NOTE + format_type(type_)
    except ConfigurationError as error:
        raise SchemaMismatchError(
            f"column {column!r} is of type {type_}, which {dialect.engine} cannot hold exactly",
            advice="Convert it with types={...}",
        ) from error


def noted_type(
    comment: str | None, stored: pa.DataType, column: str, *, holds: Holds
) -> pa.DataType:
    """Return the Arrow type a comment of ours names, or `stored` if there is none that fits it."""
    if comment is None or not comment.startswith(_NOTE):
        return stored
    try:
        noted = parse_type(comment.removeprefix(_NOTE))
        return noted if holds(noted, column) == stored else stored
    except (ConfigurationError, SchemaMismatchError):
        return stored
