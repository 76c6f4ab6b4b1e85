"""What a column's declared length or precision would cut: refused here, before the server rounds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.azure_postgresql.codec.encode import elements
from datastores.drivers.azure_postgresql.codec.layout import INTERVAL
from datastores.drivers.azure_postgresql.types import Mapped
from datastores.drivers.sql.convert import misfit

_MICROSECOND_DIGITS, _NANOSECOND_DIGITS = 6, 9


def check_limits(array: pa.Array, mapped: Mapped, type_: str, column: str) -> None:
    """Refuse texts that are too long or no label, and numbers and fractions of a second that are too fine.

    Raises:
        DataError: There is one; column and value are named.
    """
    if not _has_limits(mapped):
        return
    while pa.types.is_list(array.type):
        array = elements(array)
    if mapped.fields:
        for field, of in zip(array.flatten(), mapped.fields, strict=True):
            check_limits(field, of, type_, column)
        return
    if mapped.labels:
        wrong = _no_label(array, mapped.labels)
    elif mapped.bytes is not None:
        wrong = pc.greater(pc.binary_length(array), mapped.bytes)
    elif mapped.characters is not None:
        differs = pc.not_equal if mapped.same_length else pc.greater
        wrong = differs(pc.utf8_length(array), mapped.characters)
    elif mapped.zeros:
        # Towards zero, since what is rounded up may have a digit more than there is room for.
        coarse = pc.round(array, ndigits=-mapped.zeros, round_mode="towards_zero")
        wrong = pc.not_equal(array, coarse)
    else:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        wrong = pa.array(_too_fine(array, mapped.digits or 0) & valid)
    if pc.any(wrong).as_py():
        at = pc.index(pc.fill_null(wrong, fill_value=False), value=True).as_py()
        raise misfit(array[at], type_, column)


def _has_limits(mapped: Mapped) -> bool:
    return (
        mapped.characters is not None
        or mapped.bytes is not None
        or mapped.digits is not None
        or bool(mapped.labels)
        or bool(mapped.zeros)
        or any(map(_has_limits, mapped.fields))
    )


def _no_label(array: pa.Array, labels: tuple[str, ...]) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        return _no_label(array.dictionary, labels).take(array.indices)
    return pc.and_(array.is_valid(), pc.invert(pc.is_in(array, value_set=pa.array(labels))))


def _too_fine(array: pa.Array, digits: int) -> npt.NDArray[np.bool_]:
    if not len(array):
        return np.zeros(0, np.bool_)
    if pa.types.is_struct(array.type):
        # A time with its zone.
        return _too_fine(array.flatten()[0], digits)
    kept = _MICROSECOND_DIGITS
    dtype: Any = np.dtype("<i8")
    if pa.types.is_interval(array.type):
        kept, dtype = _NANOSECOND_DIGITS, INTERVAL
    values = np.frombuffer(array.buffers()[1], dtype, count=array.offset + len(array))
    numbers = values["nanoseconds"] if pa.types.is_interval(array.type) else values
    fine: npt.NDArray[np.bool_] = numbers[array.offset :] % 10 ** (kept - digits) != 0
    return fine
