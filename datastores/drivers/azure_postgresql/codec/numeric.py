"""PostgreSQL's numeric <-> Arrow decimals: digits to the base 10000, all rows of a column at once.

Numbers of up to 18 digits are computed as int64; longer ones in limbs of 32 bits, lowest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datastores.drivers.azure_postgresql.codec.layout import (
    NUMERIC_BASE,
    NUMERIC_BASE_DIGITS,
    NUMERIC_NEGATIVE,
    NUMERIC_SPECIAL,
    Bools,
    Integers,
    Layout,
    NumericGroups,
)
from datastores.drivers.azure_postgresql.codec.values import Runs
from datastores.drivers.azure_postgresql.codec.window import Window, malformed
from datastores.errors import DataError

_LIMB_BITS = 32
_LIMB_MASK = np.uint64(2**_LIMB_BITS - 1)
_HEADER_WORDS = 4
_HEADER_BYTES = 2 * _HEADER_WORDS

Limbs = list[npt.NDArray[np.uint64]]


def decode_numeric(
    layout: Layout, window: Window, starts: Integers, sizes: Integers, valid: Bools, column: str
) -> pa.Array:
    """Return the numbers at `starts` as `layout.arrow`, a decimal.

    Raises:
        DataError: NaN, an infinity, or a number that does not fit.
    """
    if (sizes[valid] < _HEADER_BYTES).any():
        raise malformed(column, "a numeric without its header")
    # Where a value is NULL there may be nothing at all: read the first bytes of the window instead.
    at = np.where(valid, starts, 0)
    count, weight = (window.gather("i2", at + offset).astype(np.int64) for offset in (0, 2))
    sign = window.gather("u2", at + 4)
    count = np.where(valid, count, 0)
    for code, word in NUMERIC_SPECIAL.items():
        if (valid & (sign == code)).any():
            raise _unfit(column, word, layout.arrow)
    if (count < 0).any() or (sizes[valid] != _HEADER_BYTES + 2 * count[valid]).any():
        raise malformed(column, "a numeric of another length")
    groups = NumericGroups.of(layout.arrow)
    # Zero has no digits, and its weight says nothing.
    some: Bools = count > 0
    if (some & ((weight > groups.top) | (weight - count + 1 < groups.bottom))).any():
        raise _unfit(column, "a number with more digits", layout.arrow)
    digits = _Digits(window, at + _HEADER_BYTES, count, weight, column)
    total = digits.total(layout.arrow, groups)
    return total.decimals(layout.arrow, valid & (sign == NUMERIC_NEGATIVE), valid)


@dataclass(frozen=True, slots=True)
class _Digits:
    """Where the digits of all rows are; a row without a value has none."""

    window: Window
    starts: Integers
    count: Integers
    weight: Integers
    column: str

    def at(self, power: int) -> Integers:
        """Return each row's digit of one weight; 0 where it has none."""
        index = self.weight - power
        there: Bools = (index >= 0) & (index < self.count)
        found = self.window.gather("i2", np.where(there, self.starts + 2 * index, 0))
        digits: Integers = np.where(there, found, 0).astype(np.int64)
        if ((digits < 0) | (digits >= NUMERIC_BASE)).any():
            raise malformed(self.column, "a numeric with a digit that is none")
        return digits

    def total(self, type_: pa.DataType, groups: NumericGroups) -> _Total:
        """Return the numbers without their signs, as whole multiples of the smallest step."""
        total = _Total(len(self.starts), type_.bit_width, small=groups.fits_int64)
        for power in range(groups.top, groups.bottom - 1, -1):
            digits, base = self.at(power), NUMERIC_BASE
            if power == groups.top and _exceeds(digits, groups):
                raise _unfit(self.column, "a number with more digits", type_)
            if power == groups.bottom and groups.padding:
                cut = 10**groups.padding
                if (digits % cut).any():
                    raise _unfit(self.column, "a number with more digits", type_)
                digits, base = digits // cut, NUMERIC_BASE // cut
            total.append(base, digits)
        return total


def _exceeds(digits: Integers, groups: NumericGroups) -> bool:
    whole = groups.precision - groups.scale
    highest = whole % NUMERIC_BASE_DIGITS
    return whole > 0 and highest > 0 and bool((digits >= 10**highest).any())


class _Total:
    """Sums of digits, appended from the highest to the lowest."""

    def __init__(self, rows: int, bits: int, *, small: bool) -> None:
        self._bits = bits
        self._small: Integers | None = np.zeros(rows, np.int64) if small else None
        self._limbs: Limbs = (
            [] if small else [np.zeros(rows, np.uint64) for _ in range(bits // _LIMB_BITS)]
        )

    def append(self, base: int, digits: Integers) -> None:
        """Multiply by the base and add the digits."""
        if self._small is not None:
            self._small = self._small * base + digits
            return
        carry = digits.astype(np.uint64)
        for at, limb in enumerate(self._limbs):
            grown = limb * np.uint64(base) + carry
            self._limbs[at], carry = grown & _LIMB_MASK, grown >> np.uint64(_LIMB_BITS)

    def decimals(self, type_: pa.DataType, negative: Bools, valid: Bools) -> pa.Array:
        """Return the sums with their signs, as two's complement."""
        if self._small is not None:
            signed = np.where(negative, -self._small, self._small)
            lanes = np.empty((len(signed), self._bits // 64), "<i8")
            lanes[:, 0], lanes[:, 1:] = signed, (signed >> 63)[:, None]
            data = pa.py_buffer(lanes)
        else:
            words = np.empty((len(negative), len(self._limbs)), "<u4")
            for at, limb in enumerate(_negated(self._limbs, negative)):
                words[:, at] = limb
            data = pa.py_buffer(words)
        mask = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
        return pa.Array.from_buffers(type_, len(valid), [mask, data])


def _negated(limbs: Limbs, where: Bools) -> Limbs:
    """Return the two's complement of the rows `where`, the others as they are."""
    carry = where.astype(np.uint64)
    flip = np.where(where, _LIMB_MASK, np.uint64(0))
    result: Limbs = []
    for limb in limbs:
        grown = (limb ^ flip) + carry
        result.append(grown & _LIMB_MASK)
        carry = grown >> np.uint64(_LIMB_BITS)
    return result


def encode_numeric(array: pa.Array, valid: Bools) -> Runs:
    """Return the numbers of decimals whose scale lies between 0 and their precision."""
    groups = NumericGroups.of(array.type)
    width = array.type.bit_width // 8
    stored = np.frombuffer(array.buffers()[1], np.uint8, count=(array.offset + len(array)) * width)
    stored = stored[array.offset * width :]
    digits = np.zeros((len(array), groups.count), np.int16)
    factor = 10**groups.padding
    if groups.fits_int64:
        lanes = stored.view("<i8").reshape(len(array), -1)[:, 0]
        negative: Bools = lanes < 0
        rest = np.abs(lanes) * factor
        for place in reversed(range(groups.count)):
            rest, digits[:, place] = np.divmod(rest, NUMERIC_BASE)
    else:
        table = stored.view("<u4").reshape(len(array), -1)
        limbs: Limbs = [table[:, at].astype(np.uint64) for at in range(table.shape[1])]
        negative = (limbs[-1] >> np.uint64(_LIMB_BITS - 1)).astype(np.bool_)
        # One more limb has room for the factor.
        limbs = [*_negated(limbs, negative), np.zeros(len(array), np.uint64)]
        limbs = _times(limbs, factor)
        for place in reversed(range(groups.count)):
            limbs, digits[:, place] = _divided(limbs)
    return _without_zeros(digits, groups, negative, valid)


def _without_zeros(
    digits: npt.NDArray[Any], groups: NumericGroups, negative: Bools, valid: Bools
) -> Runs:
    """Return numbers without the zeros at both ends, as the server keeps them."""
    some: Bools = digits != 0
    is_zero = ~some.any(axis=1)
    first = np.where(is_zero, 0, some.argmax(axis=1))
    count = np.where(is_zero, 0, groups.count - some[:, ::-1].argmax(axis=1) - first)
    # The header stands right before the first digit that counts, wherever that is.
    table = np.zeros((len(digits), _HEADER_WORDS + groups.count), ">i2")
    table[:, _HEADER_WORDS:] = digits
    rows = np.arange(len(digits))
    header = (
        count,
        np.where(is_zero, 0, groups.top - first),
        np.where(negative, NUMERIC_NEGATIVE, 0),
        groups.scale,
    )
    for at, word in enumerate(header):
        table[rows, first + at] = word
    begins = 2 * (rows * table.shape[1] + first)
    sizes = np.where(valid, _HEADER_BYTES + 2 * count, -1)
    return Runs(table.view(np.uint8).ravel(), begins, sizes)


def _times(limbs: Limbs, factor: int) -> Limbs:
    carry: npt.NDArray[np.uint64] = np.zeros_like(limbs[0])
    result: Limbs = []
    for limb in limbs:
        grown = limb * np.uint64(factor) + carry
        result.append(grown & _LIMB_MASK)
        carry = grown >> np.uint64(_LIMB_BITS)
    return result


def _divided(limbs: Limbs) -> tuple[Limbs, npt.NDArray[Any]]:
    """Return quotient and remainder by the base."""
    base = np.uint64(NUMERIC_BASE)
    rest: npt.NDArray[np.uint64] = np.zeros_like(limbs[0])
    result: Limbs = []
    for limb in reversed(limbs):
        grown = (rest << np.uint64(_LIMB_BITS)) | limb
        result.append(grown // base)
        rest = grown % base
    return result[::-1], rest.astype(np.int16)


def _unfit(column: str, what: str, target: pa.DataType) -> DataError:
    return DataError(
        f"column {column!r}: {what} has no equal in {target}",
        driver="azure_postgresql",
        operation="read",
        advice="Leave those rows out with filters, or cast the column to text in a query",
    )
