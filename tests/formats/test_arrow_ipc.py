"""Arrow IPC: record batches as splits, both of its formats read, damage refused."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest

from datastores.errors import ConfigurationError, DataError
from datastores.formats.arrow_ipc import ArrowFormat
from datastores.formats.base import FilePart

NUMBERS = pa.table({"a": range(100), "s": [str(i) for i in range(100)]})


def written() -> io.BytesIO:
    file = io.BytesIO()
    with ArrowFormat().writer(file, NUMBERS.schema) as writer:
        for batch in NUMBERS.to_batches(max_chunksize=10):
            writer.write(batch)
    return file


def test_parts_tile_the_file() -> None:
    file = written()
    for target in (1, 2000, 1 << 30):
        parts = ArrowFormat().parts(file, (), target)
        batches = [
            batch
            for part in parts
            for batch in ArrowFormat().read(
                file, NUMBERS.schema, part, columns=("s", "a"), batch_rows=4
            )
        ]
        assert max(batch.num_rows for batch in batches) == 4
        assert pa.Table.from_batches(batches) == NUMBERS.select(["s", "a"])
    assert len(ArrowFormat().parts(file, (), 1)) == 10
    assert len(ArrowFormat().parts(file, (), 1 << 30)) == 1


def test_streams_are_read_too() -> None:
    file = io.BytesIO()
    with pa.ipc.new_stream(file, NUMBERS.schema) as stream:
        stream.write_table(NUMBERS, max_chunksize=30)
    assert ArrowFormat().schema(file, None) == NUMBERS.schema
    (part,) = ArrowFormat().parts(file, (), 1)
    batches = ArrowFormat().read(file, NUMBERS.schema, part, columns=("a", "s"), batch_rows=50)
    assert pa.Table.from_batches(batches) == NUMBERS


@pytest.mark.parametrize("keep", [0, 5, 300, -1])
def test_cut_files_are_refused(keep: int) -> None:
    data = written().getvalue()
    with pytest.raises(DataError, match="not a whole Arrow file"):
        ArrowFormat().schema(io.BytesIO(data[:keep]), None)


def test_offsets_out_of_the_data_are_refused() -> None:
    text = pa.array(["abc", "def"])
    good, bad = (
        b"".join(i.to_bytes(4, "little") for i in offsets)
        for offsets in ((0, 3, 6), (0, 3, 1_000_000))
    )
    file = io.BytesIO()
    schema = pa.schema([("s", pa.string())])
    with pa.ipc.new_file(file, schema) as writer:
        writer.write_batch(pa.record_batch([text], schema=schema))
    data = file.getvalue().replace(good, bad)
    assert data != file.getvalue()
    with pytest.raises(DataError, match="damaged Arrow data in record batch 0"):
        list(
            ArrowFormat().read(
                io.BytesIO(data), schema, FilePart(label="all"), columns=("s",), batch_rows=9
            )
        )


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'lz4'"):
        ArrowFormat(compression="gzip")
