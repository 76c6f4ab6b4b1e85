"""The codec in C against the one in Python: the same values, the same bytes, the same errors."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastores.drivers.azure_postgresql.codec import Layout, decode, encode
from datastores.drivers.azure_postgresql.codec.layout import HEADER, TRAILER, Column
from tests.drivers.postgresql_codec import (
    TWINS,
    Outcome,
    batches,
    columns,
    compiled,
    decoded,
    encoded,
    messages,
    rows_of,
)

BATCH_ROWS = st.integers(1, 9)


def agreed(of: list[Column], sent: list[bytes], batch_rows: int = 4) -> Outcome:
    """Return what both codecs make of messages."""
    first, second = (decoded(twin, of, sent, batch_rows) for twin in TWINS)
    assert first.error == second.error
    assert len(first.values) == len(second.values)
    for one, other in zip(first.values, second.values, strict=True):
        assert one.schema == other.schema
        for left, right in zip(one.columns, other.columns, strict=True):
            assert same(left, right)
    return first


def same(one: pa.Array, other: pa.Array) -> bool:
    """Return whether two arrays hold the same bits: a NaN is equal to its like."""
    if pa.types.is_floating(one.type):
        integers = pa.int32() if one.type.bit_width == 32 else pa.int64()
        one, other = one.view(integers), other.view(integers)
    return bool(one.equals(other))


@given(data=st.data(), of=columns(), batch_rows=BATCH_ROWS)
def test_values_go_there_and_back(data: st.DataObject, of: list[Column], batch_rows: int) -> None:
    given_ = data.draw(batches(of, fits=True))
    first, second = (encoded(twin, of, given_) for twin in TWINS)
    assert first == second
    if first.error is not None:
        assert "U+0000" in first.error[1]
        return
    found = agreed(of, rows_of(b"".join(first.values), len(of)), batch_rows)
    assert found.error is None
    rows = sum(batch.num_rows for batch in given_)
    assert sum(batch.num_rows for batch in found.values) == rows
    for at in range(len(of) if rows else 0):
        wanted, got = (
            pa.chunked_array([batch.column(at) for batch in one]).combine_chunks()
            for one in (given_, found.values)
        )
        assert same(wanted, got) or pa.types.is_dictionary(wanted.type)
        assert wanted.is_valid().equals(got.is_valid())


@given(data=st.data(), of=columns())
def test_values_that_postgresql_has_not(data: st.DataObject, of: list[Column]) -> None:
    given_ = data.draw(batches(of, fits=False))
    first, second = (encoded(twin, of, given_) for twin in TWINS)
    assert first == second


@given(sent=messages(), batch_rows=BATCH_ROWS)
def test_whatever_a_server_sends(sent: tuple[list[Column], list[bytes]], batch_rows: int) -> None:
    agreed(*sent, batch_rows)


@given(data=st.data(), of=columns(), batch_rows=BATCH_ROWS)
def test_damaged_messages(data: st.DataObject, of: list[Column], batch_rows: int) -> None:
    made = encoded("python", of, data.draw(batches(of, fits=True)))
    if made.error is not None:
        return
    sent = rows_of(b"".join(made.values), len(of))
    at = data.draw(st.integers(0, len(sent) - 1))
    row = bytearray(sent[at])
    match data.draw(st.sampled_from(["cut", "flip", "grow", "length", "random", "lost"])):
        case "cut":
            del row[data.draw(st.integers(0, len(row))) :]
        case "flip":
            row[data.draw(st.integers(0, len(row) - 1))] ^= 1 << data.draw(st.integers(0, 7))
        case "grow":
            row += data.draw(st.binary(min_size=1, max_size=9))
        case "length":
            place = data.draw(st.integers(0, max(0, len(row) - 4)))
            row[place : place + 4] = data.draw(
                st.sampled_from([b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xfe", bytes(4)])
            )
        case "random":
            row = bytearray(data.draw(st.binary(max_size=60)))
        case "lost":
            del sent[at:]
    if at < len(sent):
        sent[at] = bytes(row)
    agreed(of, sent, batch_rows)


NUMBERS = [
    "0",
    "-0.01",
    "1",
    "9999",
    "10000",
    "-12345678901234567890.12",
    "99999999999999999999999999999999.99",
]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize("precision", [34, 40])
def test_numbers_of_every_length(twin: str, precision: int) -> None:
    make = pa.decimal128 if precision <= 38 else pa.decimal256
    of: list[Column] = [("n", Layout(kind="numeric", arrow=make(precision, 2)))]
    batch = pa.record_batch({"n": pa.array([*map(Decimal, NUMBERS), None], make(precision, 2))})
    sent = encoded(twin, of, [batch])
    found = decoded(twin, of, rows_of(b"".join(sent.values), 1), 100)
    assert found == Outcome([batch], None)


def test_the_compiled_codec_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing falls back to Python for the types that are known in C."""

    def refuse(*_: object) -> object:
        raise AssertionError("Python does the work")

    of: list[Column] = [
        (kind, Layout(kind=kind, arrow=arrow))
        for kind, arrow in {
            "bool": pa.bool_(),
            "int4": pa.int32(),
            "numeric": pa.decimal128(12, 3),
            "text": pa.string(),
            "timestamp": pa.timestamp("us", "UTC"),
            "uuid": pa.uuid(),
        }.items()
    ]
    batch = pa.RecordBatch.from_arrays(
        [pa.nulls(3, layout.arrow) for _, layout in of], names=[name for name, _ in of]
    )
    sent = rows_of(b"".join(encoded("python", of, [batch]).values), len(of))
    monkeypatch.setattr(decode, "decode_values", refuse)
    monkeypatch.setattr(encode, "encode_values", refuse)
    assert b"".join(map(bytes, compiled.Encoder(of).messages([batch]))) == b"".join(sent)
    assert list(compiled.Decoder(of, 10).batches(sent)) == [batch]


@pytest.mark.parametrize("digits", [5, 30, 70])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_decimal_with_more_digits_than_it_says(digits: int, sign: int) -> None:
    """Nothing checks the numbers of an array that is made from its buffers."""
    type_ = pa.decimal128(digits, 3) if digits <= 38 else pa.decimal256(digits, 3)
    width = type_.bit_width // 8
    data = (sign * 10**digits).to_bytes(width, "little", signed=True)
    array = pa.Array.from_buffers(type_, 1, [None, pa.py_buffer(data)])
    of: list[Column] = [("n", Layout(kind="numeric", arrow=type_))]
    batch = pa.RecordBatch.from_arrays([array], names=["n"])
    first, second = (encoded(twin, of, [batch]) for twin in TWINS)
    assert first == second
    assert first.error is not None
    assert "column 'n'" in first.error[1]


def test_a_date_that_arrow_has_not() -> None:
    of: list[Column] = [("d", Layout(kind="date", arrow=pa.date32()))]
    row = b"\0\1\0\0\0\x04" + (2**31 - 2).to_bytes(4, "big")
    found = agreed(of, [HEADER, row, TRAILER])
    assert found.error is not None
    assert "column 'd'" in found.error[1]


@pytest.mark.parametrize(
    ("sign", "ends"), [("", (2**63 - 1, 2**31 - 1)), ("-", (-(2**63), -(2**31)))]
)
def test_an_interval_without_end(sign: str, ends: tuple[int, int]) -> None:
    """PostgreSQL has them since version 17."""
    of: list[Column] = [("i", Layout(kind="interval", arrow=pa.month_day_nano_interval()))]
    value = struct.pack(">qii", ends[0], ends[1], ends[1])
    found = agreed(of, [HEADER, b"\0\1" + struct.pack(">i", len(value)) + value, TRAILER])
    assert found.error is not None
    assert f"column 'i': the interval {sign}infinity" in found.error[1]


def test_a_label_that_an_enum_got_meanwhile() -> None:
    enum = pa.dictionary(pa.int32(), pa.string())
    of: list[Column] = [("e", Layout(kind="text", arrow=enum, labels=("b", "a")))]
    old, new = (b"\0\1\0\0\0\1" + label for label in (b"a", b"c"))
    found = agreed(of, [HEADER, old, old, new, TRAILER], 2)
    first, second = (batch.column(0) for batch in found.values)
    assert first.dictionary.to_pylist() == ["b", "a"]
    assert first.to_pylist() == ["a", "a"]
    assert second.to_pylist() == ["c"]


def test_rows_of_many_megabytes() -> None:
    of: list[Column] = [("t", Layout(kind="text", arrow=pa.string()))]
    row = b"\0\1" + (1_500_000).to_bytes(4, "big") + b"x" * 1_500_000
    found = agreed(of, [HEADER, *[row] * 4, TRAILER], 1000)
    assert [batch.num_rows for batch in found.values] == [3, 1]


CHOOSE = """
import json, logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")
if sys.argv[1] == "gone":
    sys.modules["datastores.drivers.azure_postgresql.codec._compiled"] = None
from datastores.drivers.azure_postgresql.codec import Decoder, Encoder
print(json.dumps([Decoder.__module__.rpartition(".")[2], Encoder.__module__.rpartition(".")[2]]))
"""


@pytest.mark.parametrize(
    ("there", "forced", "chosen", "lines"),
    [
        ("there", None, ["compiled", "compiled"], 0),
        ("there", "compiled", ["compiled", "compiled"], 0),
        ("there", "python", ["decode", "encode"], 0),
        ("gone", None, ["decode", "encode"], 1),
    ],
)
def test_which_codec_is_used(there: str, forced: str | None, chosen: list[str], lines: int) -> None:
    environment = {**os.environ, **({"DATASTORES_POSTGRESQL_CODEC": forced} if forced else {})}
    done = subprocess.run(
        [sys.executable, "-c", CHOOSE, there],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    *logged, last = done.stdout.splitlines()
    assert json.loads(last) == chosen
    assert len(logged) == lines
    assert all("the slower one in Python is used" in line for line in logged)
