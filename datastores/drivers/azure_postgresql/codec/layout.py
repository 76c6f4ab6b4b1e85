"""How one column's values are laid out, and the constants that both directions share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Integers = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

SIGNATURE = b"PGCOPY\n\xff\r\n\0"
# Flags, and the length of an extension that does not exist yet.
HEADER = SIGNATURE + bytes(8)
TRAILER = b"\xff\xff"

EPOCH_DAYS = 10_957
"""From 1970-01-01, Arrow's day 0, to 2000-01-01, PostgreSQL's."""
DAY_MICROSECONDS = 86_400_000_000
EPOCH_MICROSECONDS = EPOCH_DAYS * DAY_MICROSECONDS
# The ends of the integers are -infinity and infinity.
INFINITE_DAYS = (-(2**31), 2**31 - 1)
INFINITE_MICROSECONDS = (-(2**63), 2**63 - 1)
# 4713-01-01 BC to 5874897-12-31, and to the end of 294276, as offsets from 2000.
# https://www.postgresql.org/docs/current/datatype-datetime.html
FIRST_DAY, LAST_DAY = -2_451_507, 2_145_031_948
FIRST_MICROSECOND, END_MICROSECOND = -211_813_488_000_000_000, 9_223_371_331_200_000_000

NUMERIC_BASE, NUMERIC_BASE_DIGITS = 10_000, 4
NUMERIC_NEGATIVE = 0x4000
NUMERIC_SPECIAL = {0xC000: "NaN", 0xD000: "Infinity", 0xF000: "-Infinity"}
JSONB_VERSION = 1
# In seconds; the sixteenth hour is none any more.
# https://github.com/postgres/postgres/blob/master/src/include/datatype/timestamp.h
END_OFFSET = 16 * 3600
TIMETZ = pa.struct([("time", pa.time64("us")), ("offset", pa.int32())])
"""A time, and how many seconds its zone is east of UTC."""
# A day's fields of an interval, as Arrow lays them out.
INTERVAL = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How the values of one type travel. Pickles."""

    kind: str
    """The name of the type's send and receive form, such as `int4`; `array` for all arrays, and
    `record` for all composites."""
    arrow: pa.DataType
    element: Layout | None = None
    """Of an array."""
    element_oid: int = 0
    """Which type an array says its elements are; PostgreSQL refuses another one."""
    dimensions: int = 0
    """Of an array: how deeply `arrow` is nested in lists."""
    fields: tuple[tuple[int, Layout], ...] = ()
    """Of a composite, for each field: which type it says it is of, and its layout."""
    labels: tuple[str, ...] = ()
    """Of an enum, in their order: the dictionary of every batch."""


Column = tuple[str, Layout]


@dataclass(frozen=True, slots=True)
class NumericGroups:
    """Which base-10000 digits a `numeric(precision, scale)` has, by their weights."""

    precision: int
    scale: int

    @classmethod
    def of(cls, type_: Any) -> NumericGroups:
        """Return those of an Arrow decimal, whose scale lies between 0 and its precision."""
        return cls(type_.precision, type_.scale)

    @property
    def top(self) -> int:
        """The highest weight; -1 if nothing stands before the point."""
        return -(-(self.precision - self.scale) // NUMERIC_BASE_DIGITS) - 1

    @property
    def bottom(self) -> int:
        """The lowest weight; 0 if nothing stands after the point."""
        return -self.scale // NUMERIC_BASE_DIGITS

    @property
    def padding(self) -> int:
        """How many decimal digits of the lowest group lie behind the scale."""
        return -self.scale % NUMERIC_BASE_DIGITS

    @property
    def count(self) -> int:
        """How many groups there are."""
        return self.top - self.bottom + 1

    @property
    def fits_int64(self) -> bool:
        """Whether every number fits, also with the padding multiplied in."""
        return self.count * NUMERIC_BASE_DIGITS <= 18  # noqa: PLR2004  # 10**18 < 2**63
