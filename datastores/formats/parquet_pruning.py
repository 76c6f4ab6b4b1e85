"""Which row groups of a Parquet file can hold a row that passes: from their statistics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from datastores.filters import Condition, Filters

# Types whose statistics compare in Python as their values do in Arrow.
_COMPARABLE: tuple[Callable[[pa.DataType], bool], ...] = (
    pa.types.is_signed_integer,
    pa.types.is_float32,
    pa.types.is_float64,
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_decimal128,
    pa.types.is_date32,
)
# Whether any value between the least and the greatest can meet a condition. NaN is in no
# statistics, so what NaN meets (`!=`, `not in`) rules out nothing and is not here.
_CAN_MEET: Mapping[str, Callable[[Any, Any, Any], bool]] = {
    "=": lambda least, greatest, value: least <= value <= greatest,
    "<": lambda least, _, value: least < value,
    "<=": lambda least, _, value: least <= value,
    ">": lambda _, greatest, value: greatest > value,
    ">=": lambda _, greatest, value: greatest >= value,
    "in": lambda least, greatest, values: any(least <= value <= greatest for value in values),
}


def passing_row_groups(opened: pq.ParquetFile, filters: Filters) -> list[int]:
    """Return the row groups that the filters leave; other columns than the file's rule out none."""
    everything = range(opened.num_row_groups)
    if not filters:
        return list(everything)
    leaves = _leaves(opened)
    return [
        index
        for index in everything
        if any(all(_can_meet(opened, index, leaves, one) for one in group) for group in filters)
    ]


def _leaves(opened: pq.ParquetFile) -> dict[str, int]:
    """Return the columns whose statistics can be asked, and where they are."""
    leaves = {opened.schema.column(at).path: at for at in range(len(opened.schema))}
    return {
        field.name: leaves[field.name]
        for field in opened.schema_arrow
        if field.name in leaves and any(matches(field.type) for matches in _COMPARABLE)
    }


def _can_meet(
    opened: pq.ParquetFile, index: int, leaves: Mapping[str, int], one: Condition
) -> bool:
    if one.column not in leaves:
        return True
    group = opened.metadata.row_group(index)
    found = group.column(leaves[one.column]).statistics
    if found is None:
        return True
    if one.operator.endswith("null"):
        nulls = found.null_count if found.has_null_count else None
        return nulls is None or nulls > 0 if one.operator == "is null" else nulls != group.num_rows
    check = _CAN_MEET.get(one.operator)
    if check is None or not found.has_min_max:
        return True
    least, greatest = found.min, found.max
    if least != least or greatest != greatest:  # noqa: PLR0124  # NaN, by an old writer
        return True
    try:
        return check(least, greatest, _plain(one.value))
    except TypeError:
        return True  # not comparable; the rows will say


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return value.as_py() if isinstance(value, pa.Scalar) else value
