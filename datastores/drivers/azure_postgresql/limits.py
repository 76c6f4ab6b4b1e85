"""What a column's declared length or precision would cut: refused here, before the server rounds it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datastores.drivers.azure_postgresql.codec.layout import INTERVAL
from datastores.drivers.azure_postgresql.types import Mapped
from datastores.drivers.sql.convert import misfit

_MICROSECOND_DIGITS, _NANOSECOND_DIGITS = 6, 9


def check_limits(array: pa.Array, mapped: Mapped, type_: str, column: str) -> None:
    """Refuse texts that are too long, and fractions of a second that are too fine.

    Raises:
        DataError: There is one; column and value are named.
    """
    if mapped.characters is None and mapped.digits is None:
        return
    while pa.types.is_list(array.type):
        array = array.flatten()
    if mapped.characters is not None:
        differs = pc.not_equal if mapped.same_length else pc.greater
        wrong = differs(pc.utf8_length(array), mapped.characters)
    else:
        valid = array.is_valid().to_numpy(zero_copy_only=False)
        wrong = pa.array(_too_fine(array, mapped.digits or 0) & valid)
    if pc.any(wrong).as_py():
        at = pc.index(pc.fill_null(wrong, fill_value=False), value=True).as_py()
        raise misfit(array[at], type_, column)


def _too_fine(array: pa.Array, digits: int) -> npt.NDArray[np.bool_]:
    if not len(array):
        return np.zeros(0, np.bool_)
    kept = _MICROSECOND_DIGITS
    dtype: Any = np.dtype("<i8")
    if pa.types.is_interval(array.type):
        kept, dtype = _NANOSECOND_DIGITS, INTERVAL
    values = np.frombuffer(array.buffers()[1], dtype, count=array.offset + len(array))
    numbers = values["nanoseconds"] if pa.types.is_interval(array.type) else values
    fine: npt.NDArray[np.bool_] = numbers[array.offset :] % 10 ** (kept - digits) != 0
    return fine
