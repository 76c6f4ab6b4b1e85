"""Values that an engine cannot hold are shown whatever they are: Python has no word for some."""

from __future__ import annotations

import pyarrow as pa
import pytest

from datastores.drivers.sql.convert import misfit

FAR = pa.array([-(2**63)], pa.int64()).view(pa.time64("us"))
STRUCT = pa.StructArray.from_arrays([FAR, pa.array([7], pa.int32())], names=["time", "offset"])
LIST = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), STRUCT)


@pytest.mark.parametrize("array", [FAR, STRUCT, LIST], ids=["time", "struct", "list"])
def test_a_value_beyond_pythons_is_shown_by_its_numbers(array: pa.Array) -> None:
    error = misfit(array[0], "PostgreSQL", "at")
    assert "'at'" in str(error)
    assert "-9223372036854775808" in str(error)
