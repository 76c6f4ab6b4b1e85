"""Filters in the ecosystem's form: read strictly, and meant as SQL means them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from datastores.errors import ConfigurationError
from datastores.filters import Condition, columns_of, parse_filters, to_expression

TABLE = pa.table({"n": [1, 2, 3, None], "t": ["a", None, "b", "a"], "row": [0, 1, 2, 3]})


def rows(filters: Any) -> list[int]:
    expression = to_expression(parse_filters(filters))
    assert expression is not None
    found: list[int] = TABLE.filter(expression)["row"].to_pylist()
    return found


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([("n", "=", 2)], [1]),
        ([("n", "==", 2)], [1]),
        ([("n", "!=", 2)], [0, 2]),
        ([("n", "<>", 2)], [0, 2]),
        ([("n", "<", 2)], [0]),
        ([("n", "<=", 2)], [0, 1]),
        ([("n", ">", 2)], [2]),
        ([("n", ">=", 2)], [1, 2]),
        ([("n", "in", [1, 3])], [0, 2]),
        ([("n", "in", {1})], [0]),
        ([("n", "in", [])], []),
        ([("n", "not in", [1, 3])], [1]),
        ([("n", "NOT IN", [])], [0, 1, 2]),
        ([("n", "is null")], [3]),
        ([("n", "is null", None)], [3]),
        ([("n", "is not null")], [0, 1, 2]),
        ([("n", ">", 1), ("t", "=", "b")], [2]),
        ([[("n", "=", 1)], [("t", "=", "a")]], [0, 3]),
        ([[("n", "=", 1), ("t", "=", "b")], [("t", "is null")]], [1]),
        ([Condition("n", "=", 3)], [2]),
        ([[Condition("n", "==", 3)]], [2]),
        # In SQL, unknown or true is true.
        ([[("n", "=", 99)], [("t", "=", "a")]], [0, 3]),
    ],
)
def test_meaning(filters: Any, expected: list[int]) -> None:
    assert rows(filters) == expected


def test_no_filters_are_every_row() -> None:
    assert parse_filters(None) == parse_filters([]) == ()
    assert to_expression(()) is None
    assert columns_of(()) == ()


def test_columns_each_once() -> None:
    parsed = parse_filters([[("b", "=", 1), ("a", "=", 1)], [("b", "is null")]])
    assert columns_of(parsed) == ("b", "a")


def test_normal_form() -> None:
    assert parse_filters([("a", "==", 1), ("b", "IN", iter([1]))]) == (
        (Condition("a", "=", 1), Condition("b", "in", (1,))),
    )
    shown = parse_filters([("a", ">", "x"), ("b", "is null"), ("c", "in", [1])])[0]
    assert [str(one) for one in shown] == ["a > 'x'", "b is null", "c in (1,)"]


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ([("a", "like", "x")], "no filter operator 'like'. Known are =, !=,"),
        ([("a", "=")], "does not compare with None. Use (column, 'is null')"),
        ([("a", "!=", None)], "does not compare with None"),
        ([("a", "in", [1, None])], "does not compare with None"),
        ([("a", "is null", 1)], "does not compare"),
        ([("a", "in", "abc")], "takes a list of values"),
        ([("a", "in", b"abc")], "takes a list of values"),
        ([("a", "in", 1)], "takes a list of values"),
        ([("a", "=", 1, 2)], "is not a filter. Write (column, operator, value)"),
        ([("a",)], "is not a filter"),
        ([(1, "=", 2)], "is not a filter"),
        (["a = 1"], "is not a filter"),
        ([("a", "=", 1), "b"], "is not a filter"),
        ([[]], "a group of filters is empty"),
        ([[("a", "=", 1)], []], "a group of filters is empty"),
        ([Condition("a", "like", "x")], "no filter operator 'like'"),
    ],
)
def test_refused(filters: Any, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_filters(filters)
    assert words in str(caught.value)
