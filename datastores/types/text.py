"""Arrow types as text, both ways: what `types={"total": "decimal(18,2)"}` and sidecar schemas hold.

Every type that `format_type` writes, `parse_type` reads back as the same type. People may also
write the usual short names: `int`, `text`, `double`, `bytes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from datastores.errors import ConfigurationError

_SIMPLE: Mapping[str, Callable[[], pa.DataType]] = {
    "null": pa.null,
    "bool": pa.bool_,
    **{
        f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")
        for sign in ("", "u")
        for bits in (8, 16, 32, 64)
    },
    "halffloat": pa.float16,
    "float": pa.float32,
    "double": pa.float64,
    "string": pa.string,
    "large_string": pa.large_string,
    "string_view": pa.string_view,
    "binary": pa.binary,
    "large_binary": pa.large_binary,
    "binary_view": pa.binary_view,
    "date32": pa.date32,
    "date64": pa.date64,
    "month_day_nano_interval": pa.month_day_nano_interval,
    "uuid": pa.uuid,
    "json": pa.json_,
}
_LISTS: tuple[tuple[str, Callable[[Any], bool], Callable[[Any], pa.DataType]], ...] = (
    ("list", pa.types.is_list, pa.list_),
    ("large_list", pa.types.is_large_list, pa.large_list),
    ("list_view", pa.types.is_list_view, pa.list_view),
    ("large_list_view", pa.types.is_large_list_view, pa.large_list_view),
)
_SHORT = {
    "boolean": "bool",
    "int": "int64",
    "integer": "int64",
    "bigint": "int64",
    "smallint": "int16",
    "float16": "halffloat",
    "float32": "float",
    "float64": "double",
    "real": "float",
    "text": "string",
    "str": "string",
    "utf8": "string",
    "bytes": "binary",
    "date": "date32",
}
MAX_DECIMAL128_DIGITS = 38
# Arrow keeps widths and list sizes as 32-bit integers.
_MAX_WIDTH = 2**31 - 1
_SCALE = re.compile(r"-?\d{1,3}")
_UNITS = ("s", "ms", "us", "ns")
_TOKEN = re.compile(
    r"\s*([A-Za-z_][A-Za-z_0-9]*|\d+|-\d+|\"(?:[^\"\\]|\\.)*\"|[\[\](),:<>=]|[^\s])"
)


def format_type(type_: pa.DataType) -> str:  # noqa: C901, PLR0912  # one branch for each kind
    """Return a type's text.

    Raises:
        ConfigurationError: No text is defined for it (unions, run-end encoding, foreign extensions).
    """
    if isinstance(type_, pa.UuidType):
        return "uuid"
    if isinstance(type_, pa.JsonType):
        return "json" if type_ == pa.json_() else f"json<{format_type(type_.storage_type)}>"
    if pa.types.is_decimal(type_):
        decimal = {32: "decimal32", 64: "decimal64", 128: "decimal", 256: "decimal256"}
        return f"{decimal[type_.bit_width]}({type_.precision},{type_.scale})"
    if pa.types.is_timestamp(type_):
        return f"timestamp[{type_.unit}, {type_.tz}]" if type_.tz else f"timestamp[{type_.unit}]"
    if pa.types.is_time(type_) or pa.types.is_duration(type_):
        word = "time" if pa.types.is_time(type_) else "duration"
        return f"{word}[{type_.unit}]"
    if pa.types.is_fixed_size_binary(type_):
        return f"binary({type_.byte_width})"
    if pa.types.is_dictionary(type_):
        ordered = ", ordered" if type_.ordered else ""
        return (
            f"dictionary<{format_type(type_.index_type)}, {format_type(type_.value_type)}{ordered}>"
        )
    if pa.types.is_struct(type_):
        return f"struct<{', '.join(map(_format_field, type_))}>"
    if pa.types.is_map(type_) and not type_.keys_sorted:
        return f"map<{_format_field(type_.key_field)}, {_format_field(type_.item_field)}>"
    if pa.types.is_fixed_size_list(type_):
        return f"list({type_.list_size})<{_format_field(type_.value_field)}>"
    for word, is_kind, _ in _LISTS:
        if is_kind(type_):
            return f"{word}<{_format_field(type_.value_field)}>"
    word = str(type_).partition("[")[0]  # Arrow prints date32[day]
    if word in _SIMPLE:
        return word
    raise ConfigurationError(f"the Arrow type {type_} has no written form")


def describe_type(type_: pa.DataType) -> str:
    """Return a type's text for people: `format_type`'s where there is one, else Arrow's."""
    try:
        return format_type(type_)
    except ConfigurationError:
        return str(type_)


def _format_field(field: pa.Field) -> str:
    name = field.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}": {format_type(field.type)}{"" if field.nullable else " not null"}'


def parse_type(text: str) -> pa.DataType:
    """Return the type that a text names.

    Raises:
        ConfigurationError: Not a type; the message repeats the text.
    """
    parser = _Parser(text)
    found = parser.type()
    parser.expect("")
    return found


class _Parser:
    """Recursive descent over one text; each method consumes what it returns."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = [*_TOKEN.findall(text), ""]
        self._at = 0

    def type(self) -> pa.DataType:  # noqa: C901  # one branch for each kind
        word = self._next().lower()
        word = _SHORT.get(word, word)
        if word in {"decimal", "decimal32", "decimal64", "decimal128", "decimal256", "numeric"}:
            return self._decimal(word)
        if word in {"timestamp", "time", "duration"}:
            return self._temporal(word)
        if word == "binary" and self._take("("):
            width = self._number()
            self.expect(")")
            return pa.binary(width)
        if word in {name for name, _, _ in _LISTS}:
            return self._list(word)
        if word == "json" and self._take("<"):
            return self._json()
        if word == "struct":
            return pa.struct(self._fields())
        if word == "map":
            match self._fields():
                case [key, item]:
                    return pa.map_(key.with_nullable(False), item)
            raise self._error()
        if word == "dictionary":
            return self._dictionary()
        if word in _SIMPLE:
            return _SIMPLE[word]()
        raise self._error()

    def expect(self, token: str) -> None:
        if self._next() != token:
            raise self._error()

    def _next(self) -> str:
        token = self._tokens[min(self._at, len(self._tokens) - 1)]
        self._at += 1
        return token

    def _take(self, token: str) -> bool:
        if self._tokens[min(self._at, len(self._tokens) - 1)] != token:
            return False
        self._at += 1
        return True

    def _number(self) -> int:
        # Arrow takes a width of -1 for any width.
        token = self._next()
        if not token.isdecimal() or int(token) > _MAX_WIDTH:
            raise self._error()
        return int(token)

    def _scale(self) -> int:
        # Negative for whole tens, hundreds and so on.
        token = self._next()
        if not _SCALE.fullmatch(token):
            raise self._error()
        return int(token)

    def _decimal(self, word: str) -> pa.DataType:
        self.expect("(")
        precision = self._number()
        scale = self._scale() if self._take(",") else 0
        self.expect(")")
        makers: dict[str, Any] = {"decimal32": pa.decimal32, "decimal64": pa.decimal64}
        wide = (
            pa.decimal256
            if word == "decimal256" or precision > MAX_DECIMAL128_DIGITS
            else pa.decimal128
        )
        try:
            return makers.get(word, wide)(precision, scale)
        except (ValueError, pa.ArrowInvalid):
            raise self._error() from None

    def _temporal(self, word: str) -> pa.DataType:
        unit, zone = "us", None
        if self._take("["):
            unit = self._next()
            if self._take(","):
                zone = ""
                while not self._take("]"):
                    if not (piece := self._next()):
                        raise self._error()
                    zone += piece.removeprefix("tz=") if not zone else piece
                zone = zone.removeprefix("tz=")
                if not zone:
                    raise self._error()
            else:
                self.expect("]")
        if unit not in _UNITS:
            raise self._error()
        if word == "timestamp":
            return pa.timestamp(unit, zone)
        if word == "duration":
            return pa.duration(unit)
        return pa.time32(unit) if unit in {"s", "ms"} else pa.time64(unit)

    def _json(self) -> pa.DataType:
        storage = self.type()
        self.expect(">")
        if storage not in {pa.string(), pa.large_string(), pa.string_view()}:
            raise self._error()
        return pa.json_(storage)

    def _list(self, word: str) -> pa.DataType:
        size = None
        if self._take("("):
            size = self._number()
            self.expect(")")
        self.expect("<")
        field = self._field("item")
        self.expect(">")
        if size is not None:
            return pa.list_(field, size)
        [make] = [make for name, _, make in _LISTS if name == word]
        return make(field)

    def _fields(self) -> list[pa.Field]:
        fields: list[pa.Field] = []
        self.expect("<")
        while not self._take(">"):
            fields.append(self._field(f"f{len(fields)}"))
            self._take(",")
        return fields

    def _field(self, default_name: str) -> pa.Field:
        name = default_name
        ahead = self._tokens[self._at + 1] if self._at + 1 < len(self._tokens) else ""
        if ahead == ":":
            name = self._next()
            if name.startswith('"'):
                name = re.sub(r"\\(.)", r"\1", name[1:-1])
            self.expect(":")
        type_ = self.type()
        nullable = True
        if self._take("not"):
            self.expect("null")
            nullable = False
            if pa.types.is_null(type_):
                raise self._error()
        return pa.field(name, type_, nullable=nullable)

    def _dictionary(self) -> pa.DataType:
        self.expect("<")
        index = self.type()
        self.expect(",")
        value = self.type()
        ordered = self._take(",")
        if ordered:
            self.expect("ordered")
        self.expect(">")
        if not pa.types.is_integer(index):
            raise self._error()
        return pa.dictionary(index, value, ordered=ordered)

    def _error(self) -> ConfigurationError:
        return ConfigurationError(
            f"{self._text!r} is not a type",
            advice="Examples: int64, double, string, date32, decimal(18,2), timestamp[us, UTC], list<int32>",
        )
