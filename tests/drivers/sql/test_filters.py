# the SQL is built by what is tested
from __future__ import annotations

import datetime as dt
import math
import operator as operators
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.drivers.sql.dialect import Dialect
from datastores.drivers.sql.filters import condition
from datastores.errors import ConfigurationError, SchemaMismatchError
from datastores.filters import parse_filters, to_expression

DIALECT = Dialect(engine="test", placeholder="${name}", is_nan="isnan({column})")
DATA = pa.table(
    {
        "n": pa.array([1, 2, 2**53 + 1, None], pa.int64()),
        "x": pa.array([1.0, math.nan, -0.0, None]),
        "s": pa.array(["a", "00123", "", None]),
        "place": pa.array([0, 1, 2, 3]),
    }
)
TYPES = dict(zip(DATA.schema.names, DATA.schema.types, strict=True))


def kept(filters: Any) -> list[int]:
    sql, values = condition(parse_filters(filters), TYPES, DIALECT)
    with duckdb.connect() as connection:
        connection.register("data", DATA)
        found = connection.execute(f"SELECT place FROM data WHERE {sql or 'TRUE'}", values)
        return sorted(place for (place,) in found.fetchall())


_VALUES = {
    "n": st.sampled_from([1, 2, 2**53, 2**53 + 1, -5, 1.5, 1.0]),
    "x": st.sampled_from([1.0, 0.0, -1.5, 2]),
    "s": st.sampled_from(["a", "", "123", "' OR 1=1 --"]),
}
_CONDITION = st.sampled_from(sorted(_VALUES)).flatmap(
    lambda column: st.one_of(
        st.tuples(
            st.just(column), st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), _VALUES[column]
        ),
        st.tuples(
            st.just(column),
            st.sampled_from(["in", "not in"]),
            st.lists(_VALUES[column], max_size=3),
        ),
        st.tuples(st.just(column), st.sampled_from(["is null", "is not null"])),
    )
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(_CONDITION, min_size=1, max_size=2), min_size=1, max_size=2))
def test_sql_and_plain_python_keep_the_same_rows(filters: Any) -> None:
    rows = DATA.to_pylist()
    wanted = [
        at
        for at, row in enumerate(rows)
        if any(all(meets(row, *one) for one in group) for group in filters)
    ]
    assert kept(filters) == wanted


def meets(row: dict[str, Any], column: str, operator: str, wanted: Any = None) -> bool:
    value = row[column]
    if operator == "is null" or value is None:
        return operator == "is null" and value is None
    if operator in {"in", "not in"}:
        return (value in wanted) == (operator == "in")
    if operator == "is not null":
        return True
    return bool(_COMPARE[operator](value, wanted))


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
}


def test_a_not_a_number_is_kept_as_arrow_keeps_it() -> None:
    filters = parse_filters([("x", ">", 0.5)])
    expression = to_expression(filters)
    assert expression is not None
    assert DATA.filter(expression).num_rows == len(kept([("x", ">", 0.5)])) == 1
    assert pc.sum(pc.is_nan(DATA["x"])).as_py() == 1


@pytest.mark.parametrize(
    ("column", "type_", "value"),
    [
        ("s", pa.string(), 123),
        ("n", pa.int64(), "1"),
        ("n", pa.int64(), True),
        ("n", pa.bool_(), 1),
        ("n", pa.date32(), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ("n", pa.timestamp("us"), dt.datetime(2020, 1, 1, tzinfo=dt.UTC)),
        ("n", pa.timestamp("us", "UTC"), dt.datetime(2020, 1, 1)),  # noqa: DTZ001
        ("n", pa.uuid(), str(uuid.UUID(int=7))),
        ("n", pa.list_(pa.int64()), [1]),
    ],
)
def test_a_value_of_another_kind_is_refused_by_column(
    column: str, type_: pa.DataType, value: Any
) -> None:
    with pytest.raises(SchemaMismatchError, match=f"'{column}'"):
        condition(parse_filters([(column, "=", value)]), {column: type_}, DIALECT)


def test_nothing_compares_with_not_a_number() -> None:
    with pytest.raises(ConfigurationError, match="NaN"):
        condition(parse_filters([("x", "=", math.nan)]), TYPES, DIALECT)


def test_values_are_bound_and_whole_floats_become_integers() -> None:
    sql, values = condition(parse_filters([("n", "in", [1.0, Decimal(2)])]), TYPES, DIALECT)
    assert sql == '(("n" IN ($datastores_filter_0) OR "n" IN ($datastores_filter_1)))'
    assert [type(value) for value in values.values()] == [int, Decimal]


def test_a_fraction_in_a_list_rounds_no_whole_number() -> None:
    assert kept([("n", "in", [2**53, 1.5])]) == []
    assert kept([("n", "not in", [2**53, 1.5])]) == [0, 1, 2]
