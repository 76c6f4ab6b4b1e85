"""A shop whose tables carry every type, with its extremes, and every name and text that is awkward."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal

import pyarrow as pa

from tests.formats.table_of_types import COLUMNS, NOT_FINITE

REPEATED = ("unknown", "empty")
"""Tables with the columns of others: all NULL, and without a row."""

# Rows of the largest table: so many that it is read in several parts.
_LINES, _FEWER_LINES = 40_000, 6_000

is_ = pa.types
_UNITS = ("s", "ms", "us", "ns")
_WORDS = ("NULL", "\\N", "null", "NaN", "n/a", "''", '""', "\t", "\n", "\r\n", "\u2028", "\ufeff")
_MARKS = (
    "e\u0301",
    "\u00e9",
    "ß",
    "👩‍👩‍👧",
    "\U0010ffff",
    "שלום",
    "'",
    "\\'",
    "\\\\",
    "trailing  ",
)


def _column(array: pa.Array, rows: int) -> pa.Array:
    """Return an array with NULLs at its end, so that the columns of a table are of one length."""
    return pa.concat_arrays([array, pa.nulls(rows - len(array), array.type)])


def _table(columns: Mapping[str, pa.Array]) -> pa.Table:
    """Return a table of columns as they are, behind a key that is not NULL."""
    rows = max(map(len, columns.values()))
    key = pa.field("id", pa.int64(), nullable=False)
    fields = [pa.field(name, array.type) for name, array in columns.items()]
    arrays = [pa.array(range(rows), key.type), *(_column(one, rows) for one in columns.values())]
    return pa.table(arrays, schema=pa.schema([key, *fields]))


def _of(*kinds: Callable[[pa.DataType], bool]) -> dict[str, pa.Array]:
    """Return the columns of `COLUMNS` whose type is of a kind."""
    return {
        name: one for name, one in COLUMNS.items() if any(is_kind(one.type) for is_kind in kinds)
    }


def _numbers(type_: pa.DataType, *values: int) -> pa.Array:
    return pa.array([*values, None], pa.int32() if type_.bit_width == 32 else pa.int64()).view(
        type_
    )


def _far() -> dict[str, pa.Array]:
    """Return dates and times at both ends of what Arrow's integers count."""
    ends = (-(2**63), 2**63 - 1)
    columns = {
        "far date32": _numbers(pa.date32(), -(2**31), 2**31 - 1),
        "date32 BC": _numbers(pa.date32(), -800_000),
        "date32 after 9999": _numbers(pa.date32(), 3_000_000),
    }
    for unit in _UNITS:
        for zone in (None, "UTC"):
            columns[f"far {pa.timestamp(unit, zone)}"] = _numbers(pa.timestamp(unit, zone), *ends)
    columns["timestamp[us] BC"] = _numbers(pa.timestamp("us"), -70_000_000_000_000_000)
    columns["timestamp[ns] of whole us"] = _numbers(pa.timestamp("ns"), 1_000, -1_000)
    columns["time[ns] of whole us"] = _numbers(pa.time64("ns"), 1_000, 86_399_999_999_000)
    # What people write for "no end".
    columns["for ever"] = _numbers(pa.timestamp("us"), 253_402_300_799_999_999)
    return columns


def _texts() -> dict[str, pa.Array]:
    return {
        **_of(is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_dictionary),
        **{name: COLUMNS[name] for name in ("uuid", "json")},
        "words": pa.array(["", *_WORDS, *_MARKS, " ", "x" * 5_000, None]),
        "large words": pa.array([*_MARKS, "", None], pa.large_string()),
        "view of words": pa.array([*_WORDS, "", None], pa.string_view()),
        "NUL": pa.array(["a\0b", "\0", None]),
        "plain view": pa.array(["short", "longer than twelve bytes", None], pa.string_view()),
        "large labels": pa.array(["NULL", "", "a", None], pa.dictionary(pa.int32(), pa.large_string())),
        "json words": pa.array(['"\\u00e9"', "[1,  2]", '{"n": 12345678901234567890.10}', None], pa.json_()),
        "json NUL": pa.array(['"\\u0000"', None], pa.json_()),
        "not json": pa.array(["{", None], pa.json_()),
    }  # fmt: skip


def _nested() -> dict[str, pa.Array]:
    inner = pa.struct([("when", pa.timestamp("us", "UTC")), ("tags", pa.list_(pa.string()))])
    deep = pa.struct([("at", inner), ("Größe. x", pa.decimal128(9, 2))])
    moment = dt.datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=dt.UTC)
    return {
        "list of floats": pa.array([[0.0, -0.0, float("nan"), None], [], None], pa.list_(pa.float64())),
        "list of texts": pa.array([["", "NULL", "null", None, '"', "\\", "{}", ","], [], None], pa.list_(pa.string())),
        "list view": pa.array([[1, None], [], None], pa.list_view(pa.int32())),
        "large list view": pa.array([["a"], None], pa.large_list_view(pa.string())),
        "list of decimals": pa.array([[Decimal("1.50"), None], None], pa.list_(pa.decimal128(38, 2))),
        "list of structs": pa.array([[{"x": True}, None], [], None], pa.list_(pa.struct([("x", pa.bool_())]))),
        "jagged lists": pa.array([[[1], [2, 3]], None], pa.list_(pa.list_(pa.int64()))),
        "even lists": pa.array([[[1, None], [2, 3]], [], None], pa.list_(pa.list_(pa.int64()))),
        "deep struct": pa.array(
            [{"at": {"when": moment, "tags": ["", None]}, "Größe. x": Decimal("-0.01")}, {"at": None}, None],
            deep,
        ),
        "map of lists": pa.array([[("k", [1, None]), ("", None)], [], None], pa.map_(pa.string(), pa.list_(pa.int8()))),
        "sorted map": pa.array([[(1, "a"), (2, "b")], None], pa.map_(pa.int32(), pa.string(), keys_sorted=True)),
    }  # fmt: skip


def _names() -> pa.Table:
    """Return a table whose column names are hard; no two differ by case alone."""
    names = (
        *("select", "CamelCase", "with blank", " leading", "trailing ", "tab\t", "1", "id = 1"),
        *('qu"ote', "quo'te", "back`tick", "dot.ted", "a,b", "back\\slash", "semi;--", "[0]"),
        *("%s", "$1", ":name", "?", "naïve", "日本語", "😀", "x" * 63, "é" * 31, "_datastores"),
    )
    return pa.table({name: pa.array([at, None], pa.int32()) for at, name in enumerate(names)})


def _order_lines(rows: int) -> pa.Table:
    """Return the table that is read and written in several parts."""
    number = range(rows)
    return pa.table(
        {
            "order": pa.array((one // 4 for one in number), pa.int32()),
            "line": pa.array((one % 4 for one in number), pa.int8()),
            "product": pa.array((uuid.UUID(int=one % 97).bytes for one in number), pa.uuid()),
            "quantity": pa.array((one % 7 or None for one in number), pa.uint16()),
            "price": pa.array((Decimal(one) / 100 for one in number), pa.decimal128(12, 2)),
            "placed": pa.array((one * 1_000_001 for one in number), pa.timestamp("us", "UTC")),
            "note": pa.array(("", None, "“ü”\n,", "NULL")[one % 4] for one in number),
        }
    )


def _emptied(tables: Iterable[pa.Table], rows: int) -> pa.Table:
    """Return one table with the columns of several: all NULL, or without a row."""
    fields = {one.name: one for table in tables for one in table.schema}
    arrays = [pa.nulls(rows, one.type) for one in fields.values()]
    return pa.table(arrays, schema=pa.schema([one.with_nullable(True) for one in fields.values()]))


def _products() -> dict[str, pa.Array]:
    return {
        **_of(is_.is_boolean, is_.is_integer, is_.is_floating, is_.is_null),
        **NOT_FINITE,
        "zeros": pa.array([0.0, -0.0, None], pa.float32()),
    }


def _prices() -> dict[str, pa.Array]:
    return {
        **_of(is_.is_decimal),
        "thousands": pa.array([Decimal("1.23E+7"), Decimal(0), None], pa.decimal128(5, -3)),
        "huge": pa.array([Decimal(f"-{'9' * 76}"), None], pa.decimal256(76, 0)),
        "wide cents": pa.array([Decimal("0.01"), None], pa.decimal256(38, 2)),
    }


def _shifts() -> dict[str, pa.Array]:
    intervals = [pa.MonthDayNano([-14, 31, -1_000]), pa.MonthDayNano([0, 0, 0]), None]
    return {
        **_of(is_.is_date, is_.is_time, is_.is_duration, is_.is_interval),
        "whole interval": pa.array(intervals),
    }


def shop(*, whole: bool) -> dict[str, pa.Table]:
    """Return the tables by name; without `whole` some are smaller."""
    every = {
        "products": _table(_products()),
        "prices": _table(_prices()),
        "customers": _table(_texts()),
        "files": _table(
            _of(is_.is_binary, is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary)
            | {"content": pa.array([bytes(range(256)), b"\\x00", b"", b"\0" * 3_000, None])}
        ),
        "events": _table(_of(is_.is_timestamp) | _far()),
        "shifts": _table(_shifts()),
        "carts": _table(_of(is_.is_nested) | _nested()),
    }
    repeated = every.values() if whole else (every["carts"],)
    return {
        **every,
        "columns": _names(),
        "settings": pa.table({"only": pa.array([""], pa.string())}),
        "order_lines": _order_lines(_LINES if whole else _FEWER_LINES),
        **{name: _emptied(repeated, rows) for name, rows in zip(REPEATED, (3, 0), strict=True)},
    }
