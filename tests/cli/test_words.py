"""How the words of a command line become values."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import click
import pyarrow as pa
import pytest

from datastores.cli.conditions import parse_conditions
from datastores.cli.options import names, option_pairs, pairs, value_of
from datastores.errors import ConfigurationError

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "total": pa.decimal128(12, 2),
        "origin": pa.string(),
        "day": pa.date32(),
        "placed": pa.timestamp("us", "UTC"),
        "share": pa.float64(),
        "paid": pa.bool_(),
        'odd "=" name': pa.string(),
    }
)
CONTEXT: Any = None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("total > 100", ("total", ">", Decimal("100.00"))),
        ("total>=1.5", ("total", ">=", Decimal("1.50"))),
        ("origin = 00123", ("origin", "=", "00123")),
        ("origin = O'Hare and more", ("origin", "=", "O'Hare and more")),
        ("origin = ' padded '", ("origin", "=", " padded ")),
        ("origin = ''", ("origin", "=", "")),
        ("origin == in", ("origin", "==", "in")),
        ("origin in JFK,LGA", ("origin", "in", ["JFK", "LGA"])),
        ("origin in (JFK, 'a, b')", ("origin", "in", ["JFK", "a, b"])),
        ("id NOT  IN 1,2", ("id", "not in", [1, 2])),
        ("day is not null", ("day", "is not null")),
        ("day IS NULL", ("day", "is null")),
        ("day < 2026-05-01", ("day", "<", date(2026, 5, 1))),
        ("share <> 0.1", ("share", "<>", 0.1)),
        ("paid = true", ("paid", "=", True)),
        ('"odd ""="" name" = x', ('odd "=" name', "=", "x")),
        ('"origin"in JFK', ("origin", "in", ["JFK"])),
    ],
)
def test_a_condition_is_read_by_its_columns_type(text: str, expected: tuple[Any, ...]) -> None:
    assert parse_conditions([text], SCHEMA) == [expected]


def test_a_zoned_time_is_read_in_utc() -> None:
    [(_, _, value)] = parse_conditions(["placed >= 2026-05-01T10:00:00Z"], SCHEMA)
    assert value.isoformat() == "2026-05-01T10:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("total", "'total' is not a filter"),
        ("total >", "'total >' is not a filter"),
        ("day is null 3", "'day is null 3' is not a filter"),
        ("totl > 1", "a column 'totl' that the source does not have"),
        ("id > 1.5", "the filter on column 'id' compares with '1.5', which is not of type int64"),
        ("id in 1,,2", "compares with ''"),
        ("day = yesterday", "which is not of type date32"),
        ("originJFK", "is not a filter"),
    ],
)
def test_a_wrong_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_conditions([text], SCHEMA)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("1.10", Decimal("1.10")),
        ("true", True),
        ("null", None),
        ("2026-05-01", date(2026, 5, 1)),
        ("2026-05-01T10:00:00", datetime(2026, 5, 1, 10)),  # noqa: DTZ001  # none was written
        ("00123", "00123"),
        ("NaN", "NaN"),
        ("'1'", "1"),
        ('"1"', "1"),
        ("it's", "it's"),
        ("", ""),
    ],
)
def test_a_parameter_is_a_number_date_or_text(text: str, value: object) -> None:
    found = value_of(text)
    assert found == value
    assert type(found) is type(value)


def test_lists_and_pairs() -> None:
    parameter = CONTEXT
    assert names(CONTEXT, parameter, 'a, "b,c"') == ["a", "b,c"]
    assert names(CONTEXT, parameter, None) is None
    assert pairs(CONTEXT, parameter, ("total=decimal(18,2)", "a=b=c")) == {
        "total": "decimal(18,2)",
        "a": "b=c",
    }
    options = ("delimiter=;", "infer=true", 'null_words=["NA"]', r"quote=\t")
    assert option_pairs(CONTEXT, parameter, options) == {
        "delimiter": ";",
        "infer": True,
        "null_words": ["NA"],
        "quote": "\t",
    }


@pytest.mark.parametrize("texts", [("a",), ("=1",), ("a=1", "a=2")])
def test_wrong_pairs_are_refused(texts: tuple[str, ...]) -> None:
    with pytest.raises(click.BadParameter):
        pairs(CONTEXT, CONTEXT, texts)


@pytest.mark.parametrize("text", ["", "a,,b", ","])
def test_wrong_lists_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        names(CONTEXT, CONTEXT, text)
