"""What a column was at its source, kept in Arrow field metadata so that the way back restores it.

A hint, never a promise: other tools drop or keep it wrongly, so who uses it checks it against the
column's Arrow type and values first.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

KEY = b"datastores:source"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceType:
    """A column's declaration at its source."""

    engine: str
    """Type name of the driver, such as `duckdb`."""
    type: str
    """In the source's own words, with length and precision: `DECIMAL(12,2)`."""
    key: bool = False
    """Part of the primary key."""
    collation: str | None = None
    labels: tuple[str, ...] = ()
    """Of an enum: its values, in their order."""


def with_source(field: pa.Field, source: SourceType) -> pa.Field:
    """Return the field with the note added to its metadata."""
    plain = {name: value for name, value in asdict(source).items() if value}
    note = json.dumps(plain, sort_keys=True, ensure_ascii=False).encode()
    return field.with_metadata({**(field.metadata or {}), KEY: note})


def source_of(field: pa.Field) -> SourceType | None:
    """Return the note, or None if there is none that can be read."""
    note = (field.metadata or {}).get(KEY)
    if note is None:
        return None
    try:
        known = json.loads(note)
        labels = known.pop("labels", [])
        found = SourceType(**known, labels=tuple(labels))
    except (ValueError, TypeError, AttributeError):
        return None
    are_texts = isinstance(labels, list) and all(isinstance(one, str) for one in labels)
    return found if are_texts else None


def without_metadata(schema: pa.Schema) -> pa.Schema:
    """Return the schema with names, types and nullability only."""
    import pyarrow as pa  # workspaces are listed without it

    return pa.schema([field.remove_metadata() for field in schema])
