"""JSON lines: JSON's own types, exact through a schema, and errors that name line, column and value."""

from __future__ import annotations

import io
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from datastores.errors import DataError, SchemaMismatchError
from datastores.formats.base import FilePart
from datastores.formats.json_lines import JsonLinesFormat

WHOLE = FilePart(label="whole file")


def read(data: bytes | str, sidecar: pa.Schema | None = None, **options: Any) -> pa.Table:
    file = io.BytesIO(data.encode() if isinstance(data, str) else data)
    format_ = JsonLinesFormat.from_options(options)
    schema = format_.schema(file, sidecar)
    batches = format_.read(file, schema, WHOLE, columns=tuple(schema.names), batch_rows=100)
    return pa.Table.from_batches(batches, schema)


def test_json_has_its_own_types() -> None:
    data = (
        '{"i":1,"f":1.5,"b":true,"s":"00123","t":"2024-01-02","l":[1],"o":{"x":null}}\n{"i":null}\n'
    )
    found = read(data)
    assert {one.name: str(one.type) for one in found.schema} == {
        "i": "int64", "f": "double", "b": "bool", "s": "string", "t": "string", "l": "list<item: int64>",
        "o": "struct<x: string>",
    }  # fmt: skip
    assert found["i"].to_pylist() == [1, None]
    inferred = read('{"t":"2024-01-02"}\n', infer=True)
    assert pa.types.is_timestamp(inferred.schema.field("t").type)


def test_later_lines_count_too() -> None:
    data = '{"a":1,"t":"2024-01-02"}\n' * 60_000 + '{"a":1.5,"b":"new","t":"x"}\n'
    for infer in (False, True):
        found = read(data, infer=infer)
        assert found.schema == pa.schema(
            [("a", pa.float64()), ("t", pa.string()), ("b", pa.string())]
        )
        assert found.slice(59_999).to_pylist() == [
            {"a": 1.0, "t": "2024-01-02", "b": None},
            {"a": 1.5, "t": "x", "b": "new"},
        ]


def test_lines_that_do_not_agree_are_named() -> None:
    near = '{"a":1}\n{"a":2}\n{"a":"x"}\n'
    with pytest.raises(DataError, match="line 3"):
        read(near)
    far = '{"a":1}\n' * 200_000 + '{"a":"x"}\n' * 200_000
    with pytest.raises((DataError, SchemaMismatchError), match=r"'a'|line 200001"):
        read(far)


def test_types_are_exact() -> None:
    data = '{"n":123456789012345678901234567890.12,"m":"0.10"}\n'
    found = read(data, types={"n": "decimal(38,2)", "m": "decimal(5,2)"})
    assert found.to_pylist() == [
        {"n": Decimal("123456789012345678901234567890.12"), "m": Decimal("0.10")}
    ]


@pytest.mark.parametrize("number", ["9007199254740993", "12345678901234567890123"])
def test_whole_numbers_no_double_holds_are_refused(number: str) -> None:
    data = f'{{"a":1.5}}\n{{"a":{number}}}\n'
    with pytest.raises(DataError, match=f"line 2, column 'a': {number} is no int64"):
        read(data)
    assert read(data, types={"a": "decimal(38,2)"})["a"][1].as_py() == Decimal(number)
    assert read('{"a":1e300}\n{"a":9007199254740992}\n{"a":0.5}\n')["a"].to_pylist() == [
        1e300,
        2.0**53,
        0.5,
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"a":"x"}', "column 'a': 'x' is not of type int64"),
        ('{"a":1.5}', "column 'a': '1.5' is not of type int64"),
        ('{"a":9223372036854775808}', "column 'a'"),
        ('{"a":{}}', "column 'a'"),
        ('{"a":1', "is not a JSON object"),
        ("[1]", "is not a JSON object|cannot be read"),
        ("null", "is not a JSON object"),
        (" null\r", "is not a JSON object"),
        ("nonsense", "is not a JSON object"),
        ('{"a":1,"z":2}', "column 'z' is here and not in"),
        ('{"a":1,"a":2}', "cannot be read"),
    ],
)
def test_a_bad_line_is_named(line: str, words: str) -> None:
    schema = pa.schema([("a", pa.int64()), ("b", pa.string())])
    for before in (2, 150_000):
        data = '{"a":1,"b":"x"}\n' * before + line + "\n" + '{"a":1,"b":"x"}\n' * 3
        with pytest.raises(
            (DataError, SchemaMismatchError), match=f"^line {before + 1}.*({words})"
        ):
            read(data, schema)


def test_a_value_that_is_not_of_its_type_is_named() -> None:
    with pytest.raises(DataError, match=r"row 2, column 'd': '2024-02-30' is not of type date32"):
        read('{"d":"2024-01-01"}\n{"d":"2024-02-30"}\n', types={"d": "date32"})
    with pytest.raises(DataError, match="row 1, column 'd': NULL"):
        read('{"d":null}\n', pa.schema([pa.field("d", pa.int64(), nullable=False)]))


def test_text_is_utf8() -> None:
    with pytest.raises(DataError, match="line 2 is not UTF-8"):
        read(b'{"a":"x"}\n{"a":"\xff"}\n')
    assert read(b'\xef\xbb\xbf{"a":"x"}\n')["a"].to_pylist() == ["x"]


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        data = '{"a":1}\n{"b":' + opening * depth + "1" + closing * depth + "}\n"
        with pytest.raises(DataError, match="line 2 is nested deeper than 64"):
            read(data)
    many = '{"a":[' + ",".join(["[1]"] * 200) + '], "s":"' + "[" * 100 + '\\""}\n'
    assert read(many).num_rows == 1


def test_files_without_rows() -> None:
    schema = pa.schema([("a", pa.int64())])
    for data in (b"", b"\n\n"):
        assert read(data, schema) == schema.empty_table()
        with pytest.raises(SchemaMismatchError, match="holds no object"):
            read(data)


def test_lines_longer_than_a_block_and_the_last_without_an_end() -> None:
    table = read('{"a":"' + "x" * 3_000_000 + '"}\n\n{"a":"y"}')
    assert [len(one) for one in table["a"].to_pylist()] == [3_000_000, 1]


def test_damaged_compression_is_refused() -> None:
    file, format_ = io.BytesIO(), JsonLinesFormat(compression="gzip")
    table = pa.table({"a": list(range(10_000))})
    with format_.writer(file, table.schema) as writer:
        writer.write(table.to_batches()[0])
    with pytest.raises(DataError, match="damaged"):
        read(file.getvalue()[:-30], compression="gzip")


def test_reading_is_bounded() -> None:
    line = b'{"a":"some text","b":12345678}\n'
    count = 1_500_000
    file, format_ = io.BytesIO(line * count), JsonLinesFormat()
    schema = pa.schema([("a", pa.string()), ("b", pa.int64())])
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    for batch in format_.read(file, schema, WHOLE, columns=("b",), batch_rows=10_000):
        peak = max(peak, pa.total_allocated_bytes() - before)
        rows += batch.num_rows
    assert rows == count
    assert peak < len(line) * count // 3
