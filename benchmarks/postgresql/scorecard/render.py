"""What an Arrow value says, in the words that PostgreSQL reads: in each tool's own process.

An Arrow type is believed: an int32 of -1 says -1, whatever it was made of. Text and bytes that are
marked as another system's stay as they are.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa

_STRINGS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
_BINARIES = (
    *(pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view),
    pa.types.is_fixed_size_binary,
)
# The tests are asked in this order.
_KINDS: tuple[tuple[str, Callable[[pa.DataType], bool]], ...] = (
    ("null", pa.types.is_null),
    ("boolean", pa.types.is_boolean),
    ("integer", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("string", lambda one: any(test(one) for test in _STRINGS)),
    ("binary", lambda one: any(test(one) for test in _BINARIES)),
    ("date", pa.types.is_date),
    ("instant", lambda one: pa.types.is_timestamp(one) and one.tz is not None),
    ("timestamp", pa.types.is_timestamp),
    ("time", pa.types.is_time),
    ("duration", pa.types.is_duration),
    ("interval", pa.types.is_interval),
    ("struct", pa.types.is_struct),
)
_DATE_UNITS_PER_DAY = {"date32[day]": 1, "date64[ms]": 86_400_000}
_UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """One value as a tool gave it."""

    kind: str
    """Of the Arrow type; of an array's values if it is a list."""
    type: str
    text: str | None
    """None for a NULL."""
    bytes: str | None = None
    """In hexadecimal, if the value is bytes."""
    named: bool = False
    """Whether the type or the field's metadata names PostgreSQL's type."""
    null_kept: bool = True
    """Whether the NULL beside the value came as one."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def render(table: pa.Table) -> Rendered:
    """Return what the first of two rows says; the second one is NULL."""
    field = table.schema.field(0)
    value, null = table.column(0).chunk(0)[0], table.column(0).slice(1)
    kind = kind_of(field.type)
    raw = value.value if isinstance(value, pa.ExtensionScalar) else value
    return Rendered(
        kind=kind,
        type=str(field.type),
        text=None if not value.is_valid else _text(value),
        bytes=raw.as_py().hex() if kind == "binary" and value.is_valid else None,
        named=_named(field),
        null_kept=null.null_count == 1,
    )


def kind_of(type_: pa.DataType) -> str:
    """Return the kind of a type, or of a list's values."""
    while pa.types.is_list(type_) or pa.types.is_large_list(type_):
        type_ = type_.value_type
    return _kind(type_)


def _kind(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return "dictionary" if _kind(type_.value_type) == "string" else _kind(type_.value_type)
    if isinstance(type_, pa.BaseExtensionType):
        known = {"arrow.json": "json", "arrow.uuid": "uuid"}.get(type_.extension_name)
        return known or _kind(type_.storage_type)
    return next((name for name, test in _KINDS if test(type_)), str(type_))


def _named(field: pa.Field) -> bool:
    opaque = isinstance(field.type, pa.OpaqueType)
    return opaque or any(b"type" in key.lower() for key in field.metadata or {})


def _text(value: pa.Scalar) -> str:
    """Return a value that is no NULL."""
    if isinstance(value.type, pa.UuidType):
        return str(value.as_py())
    if isinstance(value, pa.ExtensionScalar):
        return _text(value.value)
    if pa.types.is_dictionary(value.type):
        return _text(value.value)
    if pa.types.is_list(value.type) or pa.types.is_large_list(value.type):
        return f"{{{','.join(_element(one) for one in value)}}}"
    by_kind = _BY_KIND.get(_kind(value.type))
    return by_kind(value) if by_kind else str(value.as_py())


def _element(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "NULL"
    quoted = _kind(value.type) in {"string", "dictionary", "instant", "timestamp", "struct"}
    return _quoted(_text(value)) if quoted else _text(value)


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _float(value: pa.Scalar) -> str:
    number = value.as_py()
    if number != number:  # noqa: PLR0124  # NaN
        return "NaN"
    if number in {float("inf"), float("-inf")}:
        return f"{'-' if number < 0 else ''}Infinity"
    # Every digit that it has: a double of 0.1 is not the number 0.1.
    return f"{Decimal(number):f}"


def _decimal(value: pa.Scalar) -> str:
    # Not by `as_py`, which refuses the scales that some tools make.
    number = _number(value)
    digits = tuple(int(one) for one in str(abs(number)))
    return f"{Decimal((int(number < 0), digits, -value.type.scale)):f}"


def _number(value: pa.Scalar) -> int:
    """Return the integer that a value of fixed width is stored as."""
    data = pa.repeat(value, 1).buffers()[1].to_pybytes()
    return int.from_bytes(data[: value.type.byte_width], "little", signed=True)


def _date(value: pa.Scalar) -> str:
    return _day(_number(value) // _DATE_UNITS_PER_DAY[str(value.type)])


def _timestamp(value: pa.Scalar) -> str:
    per_second = _UNITS[value.type.unit]
    days, rest = divmod(_number(value), _DAY_SECONDS * per_second)
    zone = "" if value.type.tz is None else "+00"
    date, _, era = _day(days).partition(" ")
    return f"{date} {_clock(rest, per_second)}{zone} {era}".rstrip()


def _time(value: pa.Scalar) -> str:
    per_second = _UNITS[value.type.unit]
    # As pyarrow and others read it: Arrow's times end before 24:00.
    return _clock(_number(value) % (_DAY_SECONDS * per_second), per_second)


def _clock(number: int, per_second: int) -> str:
    seconds, fraction = divmod(number, per_second)
    digits = len(str(per_second)) - 1
    shown = f".{fraction:0{digits}d}" if fraction else ""
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{shown}"


def _day(days: int) -> str:
    """Return a day counted from 1970, in years of any size."""
    # Python's calendar begins with year 1, and repeats itself every 400 years.
    cycles, rest = divmod(days + _EPOCH - 1, _CYCLE_DAYS)
    date = dt.date.fromordinal(rest + 1)
    year = date.year + 400 * cycles
    era = "" if year > 0 else " BC"
    return f"{year if year > 0 else 1 - year:04d}-{date.month:02d}-{date.day:02d}{era}"


def _duration(value: pa.Scalar) -> str:
    return f"{Decimal(_number(value)) / _UNITS[value.type.unit]:f} seconds"


def _interval(value: pa.Scalar) -> str:
    months, days, nanoseconds = value.as_py()
    return f"{months} months {days} days {Decimal(nanoseconds) / 1000:f} microseconds"


def _struct(value: pa.Scalar) -> str:
    pieces = ["" if not one.is_valid else _text(one) for one in value.values()]
    kinds = [_kind(one.type) for one in value.values()]
    if kinds == ["time", "integer"]:
        # A time, and the seconds that its zone is east.
        sign, offset = ("-" if pieces[1].startswith("-") else "+"), abs(int(pieces[1]))
        return f"{pieces[0]}{sign}{_clock(offset, 1)}"
    cells = [
        _quoted(text) if kind == "string" and one.is_valid else text
        for text, kind, one in zip(pieces, kinds, value.values(), strict=True)
    ]
    return f"({','.join(cells)})"


_EPOCH = dt.date(1970, 1, 1).toordinal()
_CYCLE_DAYS = 146_097
_BY_KIND: dict[str, Callable[[pa.Scalar], str]] = {
    "boolean": lambda value: str(value.as_py()).lower(),
    "float": _float,
    "decimal": _decimal,
    "binary": lambda value: f"\\x{value.as_py().hex()}",
    "date": _date,
    "timestamp": _timestamp,
    "instant": _timestamp,
    "time": _time,
    "duration": _duration,
    "interval": _interval,
    "struct": _struct,
}
