"""`--filter "total > 100"`: a column, an operator and a value that is read as the column's type."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from datastores.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow as pa

_CONDITION = re.compile(
    r"""\s*
    (?: "(?P<quoted>(?:[^"]|"")+)" | (?P<column>[^\s=<>!"]+) ) \s*
    (?P<operator> <> | [<>=!]=? | (?<=[\s"])(?: is\s+not\s+null | is\s+null | not\s+in | in )\b ) \s*
    (?P<value>.*?) \s*""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)
_ADVICE = 'Write it as in "total > 100", "carrier in UA,AA" or "day is not null"'


def parse_conditions(texts: Sequence[str], schema: pa.Schema) -> list[tuple[Any, ...]]:
    """Return the filters that the texts say, all of which a row must pass.

    Each value is read exactly as its column's type: `5` is text for a text column. A value in
    single quotes loses them; `in` takes values between commas.

    Raises:
        ConfigurationError: Not a condition, no such column, or no value of its type.
    """
    return [_parse(text, schema) for text in texts]


def _parse(text: str, schema: pa.Schema) -> tuple[Any, ...]:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"{text!r} is not a filter", advice=_ADVICE)
    column = match["column"] or match["quoted"].replace('""', '"')
    if column not in schema.names:
        raise ConfigurationError(
            f"the filter {text!r} names a column {column!r} that the source does not have",
            advice=f"It has {', '.join(schema.names)}",
        )
    operator = " ".join(match["operator"].lower().split())
    value = match["value"]
    if operator.endswith("null") == bool(value):
        raise ConfigurationError(f"{text!r} is not a filter", advice=_ADVICE)
    if not value:
        return (column, operator)
    field = schema.field(column)
    if operator in {"in", "not in"}:
        return (column, operator, [_typed(one, field) for one in _values(value)])
    return (column, operator, _typed(_unquoted(value), field))


def _values(text: str) -> list[str]:
    inner = text[1:-1] if text.startswith("(") and text.endswith(")") else text
    reader = csv.reader([inner], quotechar="'", skipinitialspace=True)
    return [one.strip() for one in next(reader, [])]


def _unquoted(text: str) -> str:
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1].replace("''", "'")
    return text


def _typed(text: str, field: pa.Field) -> Any:
    import pyarrow as pa

    from datastores.formats.text_values import CONVERSION_ERRORS, from_text

    type_ = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    try:
        return from_text(pa.array([text]), type_, field.name)[0].as_py()
    except CONVERSION_ERRORS as error:
        raise ConfigurationError(
            f"the filter on column {field.name!r} compares with {text!r}, which is not of type {type_}"
        ) from error
