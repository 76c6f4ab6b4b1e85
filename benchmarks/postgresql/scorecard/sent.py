"""Arrow values that are sent to PostgreSQL, and what is true of a column that holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One value beside a NULL, in a column `v` unless its name is what is tried."""

    make: Callable[[], pa.Array]
    means: tuple[str, ...]
    """Conditions in SQL on `v`; each one says the value, in one of the types that can hold it."""
    column: str = "v"
    plain: bool = False
    """Whether text or bytes are the value's own kind."""

    def table(self) -> pa.Table:
        """Return both rows."""
        array = self.make()
        return pa.table({self.column: pa.concat_arrays([array, pa.nulls(1, array.type)])})


def _sent(type_: pa.DataType, value: Any, *means: str, **more: Any) -> Sent:
    return Sent(make=lambda: pa.array([value], type_), means=means, **more)


def _integer(type_: pa.DataType, value: int, *means: str) -> Sent:
    """Return a value that is given as the integer that Arrow stores."""
    stored = pa.int64() if type_.bit_width == _INT64_BITS else pa.int32()
    return Sent(make=lambda: pa.array([value], stored).view(type_), means=means)


def _json(text: str) -> tuple[str, str]:
    return (f"to_jsonb(v) = '{text}'", f"v::text::jsonb = '{text}'")


def _made(make: Callable[[], pa.Array], *means: str, **more: Any) -> Sent:
    return Sent(make=make, means=means, **more)


_INT64_BITS = 64
_LONG = "a" * 63
_TEXT = "O'Neil \\ 日本 😀 "
# A number without a unit says a value only where the column says which unit it is.
_COUNT = "v::text = '{}' AND col_description(tableoid, 1) IS NOT NULL"
_PAIR = pa.struct([("a", pa.int32()), ("b", pa.string())])

SENT: Mapping[str, Sent] = {
    "int64, least": _sent(pa.int64(), -(2**63), "v::text::numeric = -9223372036854775808"),
    "uint8, greatest": _sent(pa.uint8(), 255, "v::text::numeric = 255"),
    "uint32, greatest": _sent(pa.uint32(), 2**32 - 1, "v::text::numeric = 4294967295"),
    "uint64, greatest": _sent(pa.uint64(), 2**64 - 1, "v::text::numeric = 18446744073709551615"),
    "half float": _sent(pa.float16(), 65504.0, "v::text::float8 = 65504"),
    "float32": _sent(pa.float32(), 16777216.0, "v::text::float8 = 16777216"),
    "double, -0": _sent(pa.float64(), -0.0, "v::text = '-0'"),
    "double, NaN": _sent(pa.float64(), float("nan"), "v::text::float8 = 'NaN'"),
    "decimal(10,2)": _sent(pa.decimal128(10, 2), Decimal("1.50"), "v::text::numeric = 1.50"),
    "decimal(10,2), scale kept": _sent(pa.decimal128(10, 2), Decimal("1.50"), "v::text = '1.50'"),
    "decimal(38,10)": _sent(
        pa.decimal128(38, 10),
        Decimal("1234567890123456789012345678.0000000009"),
        "v::text = '1234567890123456789012345678.0000000009'",
    ),
    "decimal256(76,38)": _sent(
        pa.decimal256(76, 38),
        Decimal("9" * 38 + "." + "9" * 38),
        f"v::text = '{'9' * 38}.{'9' * 38}'",
    ),
    "decimal(5,-2)": _sent(pa.decimal128(5, -2), Decimal(12300), "v::text::numeric = 12300"),
    "date32, after 9999": _integer(
        pa.date32(), 3_000_000, "v::text::date - date '1970-01-01' = 3000000"
    ),
    "date64": _integer(pa.date64(), 86_400_000, "v::text::timestamp = '1970-01-02'"),
    "timestamp[s], 9999": _integer(
        pa.timestamp("s"), 253_402_300_799, "v::text::timestamp = '9999-12-31 23:59:59'"
    ),
    "timestamp[us]": _integer(
        pa.timestamp("us"), -1, "v::text::timestamp = '1969-12-31 23:59:59.999999'"
    ),
    "timestamp[us, Europe/Berlin]": _integer(
        pa.timestamp("us", "Europe/Berlin"),
        1,
        "v::text ~ '[+]' AND v::text::timestamptz = '1970-01-01 00:00:00.000001+00'",
    ),
    "timestamp[ns], whole µs": _integer(
        pa.timestamp("ns"), 1_000, "v::text::timestamp = '1970-01-01 00:00:00.000001'"
    ),
    "timestamp[ns], 1 ns": _integer(
        pa.timestamp("ns"), 1, "v::text LIKE '1970-01-01%00:00:00.000000001'", _COUNT.format(1)
    ),
    "time32[s]": _integer(pa.time32("s"), 86_399, "v::text::time = '23:59:59'"),
    "time64[ns], whole µs": _integer(pa.time64("ns"), 1_000, "v::text::time = '00:00:00.000001'"),
    "time64[ns], 1 ns": _integer(
        pa.time64("ns"), 1, "v::text = '00:00:00.000000001'", _COUNT.format(1)
    ),
    "duration[us]": _integer(
        pa.duration("us"),
        1_500_000,
        "pg_typeof(v)::text = 'interval' AND v::text = '00:00:01.5'",
        _COUNT.format(1_500_000),
    ),
    "interval, months and days": _sent(
        pa.month_day_nano_interval(),
        pa.MonthDayNano([1, 30, 1_000]),
        "v::text = '1 mon 30 days 00:00:00.000001'",
    ),
    "interval, 1 ns": _sent(
        pa.month_day_nano_interval(), pa.MonthDayNano([0, 0, 1]), "v::text LIKE '%0.000000001%'"
    ),
    "string": _sent(
        pa.string(), _TEXT, f"v::text = '{_TEXT.replace(chr(39), chr(39) * 2)}'", plain=True
    ),
    "string, empty": _sent(pa.string(), "", "v::text = ''", plain=True),
    "string with U+0000": _sent(pa.string(), "a\0b", "length(v::text) = 3", plain=True),
    "large_string": _sent(pa.large_string(), "a", "v::text = 'a'", plain=True),
    "string_view": _made(
        lambda: pa.array(["longer than twelve bytes"], pa.string_view()),
        "v::text = 'longer than twelve bytes'",
        plain=True,
    ),
    "dictionary of strings": _made(
        lambda: pa.array(["b"]).dictionary_encode(), "v::text = 'b'", plain=True
    ),
    "binary, empty": _sent(pa.binary(), b"", "v::text = '\\x'", plain=True),
    "binary_view": _made(
        lambda: pa.array([b"\0\xff"], pa.binary_view()), "v::text = '\\x00ff'", plain=True
    ),
    "fixed_size_binary": _sent(pa.binary(2), b"\0\xff", "v::text = '\\x00ff'", plain=True),
    "boolean": _sent(pa.bool_(), True, "v::text = 'true'"),
    "arrow.uuid": _made(
        lambda: pa.array(
            [b"\xf4\x7a\xc1\x0b\x58\xcc\x43\x72\xa5\x67\x0e\x02\xb2\xc3\xd4\x79"], pa.binary(16)
        ).cast(pa.uuid()),
        "v::text = 'f47ac10b-58cc-4372-a567-0e02b2c3d479'",
        "v::text = '\\xf47ac10b58cc4372a5670e02b2c3d479'",
    ),
    "arrow.json": _made(
        lambda: pa.array(['{"a":  12345678901234567890123}']).cast(pa.json_()),
        "v::text = '{\"a\":  12345678901234567890123}'",
        "v::text = '{\"a\": 12345678901234567890123}'",
        plain=True,
    ),
    "null": Sent(make=lambda: pa.nulls(1), means=("v IS NULL",), plain=True),
    "list, empty": _sent(pa.list_(pa.int32()), [], *_json("[]")),
    "list with NULL": _sent(pa.list_(pa.int32()), [1, None], *_json("[1, null]")),
    "list of strings": _sent(
        pa.list_(pa.string()), ["", "NULL", 'a,"b'], *_json('["", "NULL", "a,\\"b"]')
    ),
    "list of lists": _sent(
        pa.list_(pa.list_(pa.int32())), [[1, 2], [3, 4]], *_json("[[1, 2], [3, 4]]")
    ),
    "list of lists, ragged": _sent(
        pa.list_(pa.list_(pa.int32())), [[1], [2, 3]], *_json("[[1], [2, 3]]")
    ),
    "fixed_size_list": _sent(pa.list_(pa.int32(), 2), [1, 2], *_json("[1, 2]")),
    "struct": _sent(_PAIR, {"a": 1, "b": "x"}, *_json('{"a": 1, "b": "x"}')),
    "map": _sent(
        pa.map_(pa.string(), pa.int32()),
        [("b", 1), ("a", 2)],
        *_json('[["b", 1], ["a", 2]]'),
        *_json('[{"key": "b", "value": 1}, {"key": "a", "value": 2}]'),
        *_json('{"b": 1, "a": 2}'),
        "v::text = '{b=1, a=2}'",
    ),
    "column name of 64 bytes": _made(
        lambda: pa.array([1], pa.int32()), "v = 1", column=f"{_LONG}b"
    ),
    "column name with quotes": _made(lambda: pa.array([1], pa.int32()), "v = 1", column='a"b'),
}
