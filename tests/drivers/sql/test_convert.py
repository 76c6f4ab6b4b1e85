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


@pytest.mark.parametrize(
    ("type_", "number", "shown"),
    [
        (pa.timestamp("ns"), -(2**63), "1677-09-21 00:12:43.145224192"),
        (pa.timestamp("ns", "UTC"), -1, "1969-12-31 23:59:59.999999999"),
        (pa.time64("ns"), 86_399_999_999_999, "23:59:59.999999999"),
    ],
    ids=str,
)
def test_nanoseconds_are_shown_with_or_without_pandas(
    type_: pa.DataType, number: int, shown: str
) -> None:
    value = pa.array([number], pa.int64()).view(type_)[0]
    assert f"the value {shown}" in misfit(value, "timestamp[us]", "at").message
