"""Batches read while the target is busy: as many as are asked for, and no more."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator

import pyarrow as pa
import pytest

from datastores.transfer.read_ahead import read_ahead


@pytest.mark.parametrize("ahead", [1, 2])
def test_no_more_is_read_than_the_target_lets(ahead: int) -> None:
    """Each batch more is memory for each worker."""
    read, reached = 0, threading.Event()

    def batches() -> Generator[pa.RecordBatch, None, None]:
        nonlocal read
        for number in range(10):
            read += 1
            if read == 1 + ahead:
                reached.set()
            yield pa.record_batch({"number": [number]})

    with contextlib.closing(read_ahead(batches(), ahead)) as coming:
        assert next(coming)["number"].to_pylist() == [0]
        assert reached.wait(10)
    assert read == 1 + ahead
