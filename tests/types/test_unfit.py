"""The sieve finds exactly the values that a step refuses, and does with each what its policy says."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.errors import DataError
from datastores.types.convert import Conversion
from datastores.types.unfit import Refusal, Sieve, Tried, key_columns, unfit_rows
from datastores.values import OnUnfit

LETTERS = st.sampled_from(["a", "b", "x", None])


def refuse_x(values: pa.Array) -> None:
    """A step that takes every letter but x."""
    if "x" in values.to_pylist():
        raise DataError("an x")


def refuse_many(values: pa.Array) -> None:
    """A step that takes each value, and not so many at once."""
    if len(set(values.to_pylist())) > 2:
        raise DataError("too many")


@given(st.lists(LETTERS, min_size=1, max_size=40))
def test_each_refused_row_is_found_once(letters: list[str | None]) -> None:
    values = pa.array(["before", *letters, "after"], pa.string()).slice(1, len(letters))
    assert list(unfit_rows(values, refuse_x)) == [
        row for row, letter in enumerate(letters) if letter == "x"
    ]
    assert list(unfit_rows(values, refuse_many)) == []


@given(st.lists(st.tuples(LETTERS, LETTERS, LETTERS), max_size=40), st.integers(1, 7))
def test_a_row_is_kept_nulled_or_left_out(rows: list[tuple[Any, ...]], size: int) -> None:
    kinds = [pa.string(), pa.json_(), pa.dictionary(pa.int8(), pa.string())]
    table = pa.table(
        {
            "id": range(len(rows)),
            **{
                str(kind): pa.array([row[at] for row in rows], pa.string()).cast(kind)
                if pa.types.is_dictionary(kind)
                else pa.array([row[at] for row in rows], kind)
                for at, kind in enumerate(kinds)
            },
        }
    )
    names = table.column_names
    tried = [
        Tried(
            index=at, name=names[at], attempt=lambda values: refuse_x(pa.array(values.to_pylist()))
        )
        for at in range(1, 4)
    ]
    policies = OnUnfit.parse({names[1]: "null", names[2]: "reject", names[3]: "null"})
    sieve = Sieve(tried, policies, key_columns(table.schema, ["id"]))
    batches = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(size))
    found = sieve.reader(batches).read_all()
    kept = [(n, *row) for n, row in enumerate(rows) if row[1] != "x"]
    assert found.schema == table.schema
    assert [tuple(row.values()) for row in found.to_pylist()] == [
        (n, *(None if value == "x" else value for value in row)) for n, *row in kept
    ]
    assert sieve.unfit.rows_rejected == len(rows) - len(kept)
    assert sieve.unfit.values_nulled == sum(value == "x" for row in kept for value in row)
    total = sum(row[1] == "x" for row in rows) + sieve.unfit.values_nulled
    assert len(sieve.unfit.examples) == min(20, total)
    assert all(
        rows[int((one.key or "")[5:])][names.index(one.column) - 1] == "x"
        for one in sieve.unfit.examples
    )


@pytest.mark.parametrize(("policy", "kept"), [("reject", []), ("null", [None] * 90)])
def test_values_are_judged_also_when_no_more_examples_are_taken(
    policy: str, kept: list[None]
) -> None:
    table = pa.table({"v": ["x"] * 90})
    sieve = Sieve([Tried(index=0, name="v", attempt=refuse_x)], OnUnfit.parse(policy), ())
    batches = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(30))
    assert sieve.reader(batches).read_all()["v"].to_pylist() == kept
    assert sieve.unfit.rows_rejected + sieve.unfit.values_nulled == 90
    assert len(sieve.unfit.examples) == 20


def test_a_row_that_is_left_out_is_handed_over_with_its_first_refused_column() -> None:
    table = pa.table({"id": [1, 2, 3], "a": ["x", "b", "b"], "b": ["x", "x", "b"]})
    tried = [Tried(index=at, name=name, attempt=refuse_x) for at, name in ((1, "a"), (2, "b"))]
    sieve = Sieve(tried, OnUnfit.parse("reject"), key_columns(table.schema, ["id"]))
    taken: list[Any] = []
    kept = sieve.apply(
        table.to_batches()[0],
        lambda rows, why: taken.extend(zip(rows.to_pylist(), why, strict=True)),
    )
    assert kept.to_pylist() == [{"id": 3, "a": "b", "b": "b"}]
    assert taken == [
        ({"id": 1, "a": "x", "b": "x"}, Refusal(column="a", reason="an x", key="id = 1")),
        ({"id": 2, "a": "b", "b": "x"}, Refusal(column="b", reason="an x", key="id = 2")),
    ]


def test_a_column_whose_values_become_null_may_hold_them() -> None:
    source = pa.schema([pa.field("n", pa.string(), nullable=False), pa.field("m", pa.string())])
    conversion = Conversion.plan(source, types={"n": "int8"}, on_unfit=OnUnfit.parse({"n": "null"}))
    assert conversion.schema.field("n").nullable
    data = pa.table({"n": ["1", "300"], "m": ["a", "b"]}, schema=source)
    sieve = conversion.sieve()
    with pytest.raises(DataError, match="300"):
        conversion.apply(data.to_reader()).read_all()
    converted = conversion.apply(sieve.reader(data.to_reader())).read_all()
    assert converted["n"].to_pylist() == [1, None]
    assert str(sieve.unfit.examples[0]) == "n '300'"


def test_text_is_for_types_that_stores_hold_differently() -> None:
    source = pa.schema(
        [("i", pa.int64()), ("t", pa.timestamp("ns")), ("d", pa.date32()), ("b", pa.binary())]
    )
    conversion = Conversion.plan(source, types={"d": "date64"}, on_unfit=OnUnfit.parse("text"))
    assert conversion.schema.types == [pa.int64(), pa.string(), pa.date64(), pa.binary()]
