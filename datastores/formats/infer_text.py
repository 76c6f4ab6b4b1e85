"""The types that a text file's values are written in: found from every value, not the first ones."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from datastores.formats import csv_columns

# From narrow to wide. A number with a leading zero, or with more digits than its type holds, is
# text: the type would not give the same text back.
_CANDIDATES: tuple[tuple[pa.DataType, str], ...] = (
    (pa.bool_(), r"^(true|false|True|False|TRUE|FALSE)$"),
    (pa.int64(), r"^(0|-?[1-9]\d{0,18})$"),
    (pa.float64(), r"^-?(0|[1-9]\d{0,14})(\.\d{1,17})?([eE][+-]?\d{1,3})?$"),
    (pa.date32(), r"."),
    (pa.timestamp("us"), r"."),
    (pa.timestamp("us", "UTC"), r"."),
)


def infer_types(
    batches: Iterable[pa.RecordBatch], names: list[str], dialect: csv_columns.Dialect
) -> dict[str, pa.DataType]:
    """Return for each column the narrowest type that holds every value exactly; else string.

    Reads all batches. A column without any value is a string.
    """
    open_: dict[str, list[tuple[pa.DataType, str]]] = {name: list(_CANDIDATES) for name in names}
    seen: set[str] = set()
    for batch in batches:
        for name in names:
            # Each value once: most columns repeat a few, and every candidate reads them all.
            values = batch.column(name).drop_null().unique()
            if len(values):
                seen.add(name)
                open_[name] = [one for one in open_[name] if _holds(values, *one, dialect)]
    return {
        name: open_[name][0][0] if name in seen and open_[name] else pa.string() for name in names
    }


def _holds(
    values: pa.Array, type_: pa.DataType, pattern: str, dialect: csv_columns.Dialect
) -> bool:
    plain = values
    if pa.types.is_floating(type_) and dialect.decimal_point != ".":
        plain = pc.replace_substring(values, dialect.decimal_point, ".")
    if not pc.all(pc.match_substring_regex(plain, pattern)).as_py():
        return False
    return csv_columns.reads(values, type_, dialect)
