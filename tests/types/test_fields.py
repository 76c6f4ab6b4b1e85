"""The note of what a column was at its source: kept if whole, ignored if not."""

from __future__ import annotations

import pyarrow as pa
import pytest

from datastores.types.fields import KEY, SourceType, source_of, with_source, without_metadata

ENUM = SourceType(engine="azure_postgresql", type="public.mood", labels=("b", "", "a"))
NOTE = SourceType(engine="duckdb", type="DECIMAL(12,2)", key=True, collation="Ä'\"")


@pytest.mark.parametrize("note", [NOTE, ENUM, SourceType(engine="duckdb", type="JSON")])
def test_a_note_comes_back(note: SourceType) -> None:
    field = pa.field("a", pa.int8(), nullable=False, metadata={b"other": b"kept"})
    noted = with_source(field, note)
    assert source_of(noted) == note
    assert noted.metadata[b"other"] == b"kept"
    assert noted.equals(field)
    other = SourceType(engine="other", type="x")
    assert source_of(with_source(noted, other)) == other


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"engine": "a"}',
        b'{"engine": "a", "type": "b", "new": 1}',
        b'{"engine": "a", "type": "b", "labels": 5}',
        b'{"engine": "a", "type": "b", "labels": [5]}',
        b'{"engine": "a", "type": "b", "labels": "ab"}',
        b'{"engine": "a", "type": "b", "labels": {"a": 1}}',
        b"\xff",
        b"5",
    ],
)
def test_a_damaged_note_is_no_note(damaged: bytes) -> None:
    assert source_of(pa.field("a", pa.int8(), metadata={KEY: damaged})) is None


def test_no_note() -> None:
    assert source_of(pa.field("a", pa.int8())) is None


def test_without_metadata() -> None:
    schema = pa.schema(
        [with_source(pa.field("a", pa.int8(), nullable=False), NOTE)], metadata={b"x": b"y"}
    )
    plain = without_metadata(schema)
    assert plain.equals(schema)
    assert plain.metadata is None
    assert plain.field("a").metadata is None
