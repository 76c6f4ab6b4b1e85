"""CSV: text unless told otherwise, NULL apart from empty, and errors that name row, column and value."""

from __future__ import annotations

import io
import time
from typing import Any

import pyarrow as pa
import pytest
from typing_extensions import override

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.formats.base import FilePart
from datastores.formats.csv import CsvFormat

WHOLE = FilePart(label="whole file")


def read(data: bytes | str, sidecar: pa.Schema | None = None, **options: Any) -> pa.Table:
    file = io.BytesIO(data.encode() if isinstance(data, str) else data)
    format_ = CsvFormat.from_options(options)
    schema = format_.schema(file, sidecar)
    batches = format_.read(file, schema, WHOLE, columns=tuple(schema.names), batch_rows=100)
    return pa.Table.from_batches(batches, schema)


def write(table: pa.Table, **options: Any) -> str:
    format_, file = CsvFormat.from_options(options), io.BytesIO()
    with format_.writer(file, table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    return file.getvalue().decode(format_.encoding)


def test_everything_is_text_unless_types_are_given() -> None:
    data = "code,when\n00123,2024-01-02\n"
    assert read(data).to_pylist() == [{"code": "00123", "when": "2024-01-02"}]
    typed = read(data, types={"when": "date32"})
    assert typed.schema == pa.schema([("code", pa.string()), ("when", pa.date32())])
    with pytest.raises(SchemaMismatchError, match="'whne'"):
        read(data, types={"whne": "date32"})


def test_null_and_empty_are_apart() -> None:
    table = pa.table({"a": [None, "", "x"], "b": ["", None, "NULL"]})
    assert write(table) == 'a,b\n,""\n"",\nx,NULL\n'
    assert read(write(table)) == table
    words = {"null_words": ["NULL", "-"]}
    assert write(table, **words) == 'a,b\nNULL,\n,NULL\nx,"NULL"\n'
    assert read(write(table, **words), **words) == table
    alone = pa.table({"a": [None, "", "x", None]})
    assert write(alone) == 'a\n\n""\nx\n\n'
    assert read(write(alone)) == alone


def test_an_empty_number_in_quotes_is_null() -> None:
    found = read('a,b\n"1","x"\n"",""\n', types={"a": "int64"})
    assert found.to_pylist() == [{"a": 1, "b": "x"}, {"a": None, "b": ""}]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("int64", "x"), ("int64", "0x10"), ("int64", " 1"), ("int8", "300"), ("uint8", "-1"), ("int64", "1.0"),
        ("double", "1,5"), ("double", "1e400"), ("decimal(5,2)", "1.005"), ("decimal(5,2)", "nan"),
        ("date32", "2024-02-30"), ("timestamp[us]", "2024-01-01 00:00:00Z"), ("timestamp[s]", "2024-01-01 00:00:00.5"),
        ("timestamp[us, UTC]", "2024-01-01 00:00:00"), ("time[us]", "24:00:00"), ("bool", "yes"), ("uuid", "12"),
        ("binary", "?"), ("duration[s]", "1.5"), ("list<int64>", "[1"), ("list<int64>", '["x"]'), ("month_day_nano_interval", "P1D"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_parse_is_named(type_: str, value: str) -> None:
    rows = ["", "", value, "", value]
    data = "id;c\n" + "".join(f"{i};{row}\n" for i, row in enumerate(rows))
    with pytest.raises(DataError) as caught:
        read(data, types={"c": type_}, delimiter=";", quote=None)
    assert caught.value.message.startswith(f"row 3, column 'c': {value!r} is not of type ")
    assert caught.value.__cause__ is not None


def test_not_null_columns_hold_no_null() -> None:
    sidecar = pa.schema([pa.field("a", pa.int64(), nullable=False), ("b", pa.string())])
    with pytest.raises(DataError, match="row 2, column 'a': NULL"):
        read("a,b\n1,x\n,y\n", sidecar)


@pytest.mark.parametrize(("row", "count"), [("1,2,3", 3), ("1", 1)])
def test_ragged_rows_are_numbered(row: str, count: int) -> None:
    early, late = f"a,b\n1,2\n{row}\n", "a,b\n" + "1,2\n" * 400_000 + f"{row}\n"
    with pytest.raises(DataError, match=f"row 2 has {count} values where 2 are expected: '{row}"):
        read(early)
    with pytest.raises(DataError, match=f"row 400001 has {count} values"):
        read(late)
    with pytest.raises(DataError, match=f"row 2 has {count} values"):
        read(f"1,2\n{row}\n", header=False)


def test_encodings() -> None:
    table = pa.table({"é": ["ö", None, "ÿ"]})
    for encoding in ("utf-8", "latin-1", "utf-16", "cp1252"):
        assert read(write(table, encoding=encoding).encode(encoding), encoding=encoding) == table
    with pytest.raises(DataError, match=r"row 2, column 'b': b'\\xff' is not UTF-8"):
        read(b"a,b\n1,2\n3,\xff\n")
    with pytest.raises(DataError, match="not written in the encoding"):
        read(b"a\n\xff\n", encoding="ascii")
    with pytest.raises(DataError, match="column 'c': 'a€' has a character '€' that latin-1"):
        write(pa.table({"c": ["a€"]}), encoding="latin-1")
    with pytest.raises(ConfigurationError, match="no codec"):
        CsvFormat(encoding="nope")


def test_byte_order_marks() -> None:
    table = pa.table({"a": ["1"]})
    assert write(table, bom=True).startswith("\ufeffa\n")
    assert read(write(table, bom=True)) == table


def test_names() -> None:
    with pytest.raises(SchemaMismatchError, match="two columns are named 'a'"):
        read("a,b,a\n1,2,3\n")
    assert read("1,2\n3,4\n", header=False).column_names == ["f0", "f1"]
    named = read("1,2\n", header=False, types={"x": "int64", "y": "string"})
    assert named.to_pylist() == [{"x": 1, "y": "2"}]
    odd = pa.table({'a"b': ["1"], "c,d": ["2"], "": ["3"], "e\nf": ["4"]})
    assert read(write(odd)) == odd


def test_files_without_rows() -> None:
    assert read("a,b\n").schema == pa.schema([("a", pa.string()), ("b", pa.string())])
    assert read("a,b").num_rows == 0
    with pytest.raises(DataError, match="the file is empty"):
        read(b"")
    schema = pa.schema([("a", pa.int64())])
    assert read(b"", schema, header=False) == schema.empty_table()


def test_a_sidecar_that_does_not_fit_is_refused_by_column() -> None:
    with pytest.raises(SchemaMismatchError, match="column 'b' is here and not in"):
        read("a,b\n1,2\n", pa.schema([("a", pa.int64())]))
    with pytest.raises(SchemaMismatchError, match="column 'c' of the dataset's schema is missing"):
        read("a,b\n1,2\n", pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.int64())]))


def test_values_longer_than_a_block() -> None:
    table = pa.table(
        {"a": ["x", "y" * 5_000_000, '"\n' * 1_500_000, "z"], "b": ["1", "2", None, ""]}
    )
    found = read(write(table))
    assert found == table


def test_a_first_value_longer_than_a_block() -> None:
    table = pa.table({"a": ["y" * 3_000_000, "x"], "b": ["1", "2"]})
    assert read(write(table)) == table
    plain = write(table, header=False)
    assert read(plain, header=False, types={"a": "string", "b": "string"}) == table
    assert read(plain, table.schema, header=False) == table


def test_a_header_longer_than_a_block() -> None:
    table = pa.table({"n" * 3_000_000: ["1"], "b": ["2"]})
    assert read(write(table)) == table


def test_decimal_comma_and_formats() -> None:
    table = pa.table(
        {
            "n": pa.array([1.5, -0.25, None]),
            "d": pa.array(["1.50", None, "-2.25"]).cast(pa.decimal128(6, 2)),
            "day": pa.array([1, None, 20000], pa.int32()).view(pa.date32()),
            "at": pa.array([0, 3600, None], pa.int64()).view(pa.timestamp("s", "Europe/Berlin")),
        }
    )
    options = {
        "delimiter": ";",
        "decimal_point": ",",
        "date_format": "%d.%m.%Y",
        "timestamp_format": "%d/%m/%Y %H:%M:%S",
    }
    text = write(table, **options)
    assert text.splitlines()[1] == "1,5;1,50;02.01.1970;01/01/1970 00:00:00"
    assert read(text, table.schema, **options) == table
    with pytest.raises(DataError, match=r"row 1, column 'n': '1\.5' is not of type double"):
        read("n\n1.5\n", types={"n": "double"}, decimal_point=",")
    with pytest.raises(DataError, match=r"column 'at'.*cannot be read back"):
        write(pa.table({"at": pa.array([1], pa.timestamp("s"))}), timestamp_format="%Y-%m-%d")


def test_infer_looks_at_every_value() -> None:
    data = "i,f,b,d,t,z,code,big,late,none,mixed\n" + (
        "1,1.5,true,2024-01-02,2024-01-02 03:04:05,2024-01-02T03:04:05Z,00123,12345678901234567890,1,,1\n"
        * 200_000
    )
    data += "-2,3,False,2024-01-03,2024-01-02 03:04:05.5,2024-01-02T03:04:05+01:00,7,1,x,,1.5\n"
    types = {one.name: str(one.type) for one in read(data, infer=True).schema}
    assert types == {
        "i": "int64", "f": "double", "b": "bool", "d": "date32[day]", "t": "timestamp[us]",
        "z": "timestamp[us, tz=UTC]", "code": "string", "big": "string", "late": "string", "none": "string",
        "mixed": "double",
    }  # fmt: skip
    assert read("a\n9007199254740993\n1.5\n", infer=True).schema.field("a").type == pa.string()


def test_quotes() -> None:
    table = pa.table({"a": ["x", None, 'q"q', ""], "n": [1, None, 2, 3]})
    assert write(table, quoting="all") == '"a","n"\n"x","1"\n,\n"q""q","2"\n"","3"\n'
    assert write(table, escape="\\").splitlines()[3] == '"q\\"q",2'
    with pytest.raises(DataError, match="column 'a': '' needs quotes"):
        write(table, quote=None)
    plain = pa.table({"a": ['x"', '"y']})
    assert read(write(plain, quote=None), quote=None) == plain


@pytest.mark.parametrize("data", ['a,b\n1,"x\n2,3\n', 'a,b\n1,"', 'a,b\n1,"x""\n', 'a,b\n"x'])
def test_a_quote_that_is_never_closed_is_refused(data: str) -> None:
    with pytest.raises(DataError, match=r"ends inside a quoted value|values where"):
        read(data)


def test_a_quote_inside_a_value_is_itself() -> None:
    assert read('a,b\n5",x\n1,"2"\n').to_pylist() == [{"a": '5"', "b": "x"}, {"a": "1", "b": "2"}]


def test_damaged_compression_is_refused() -> None:
    file, format_ = io.BytesIO(), CsvFormat(compression="gzip")
    table = pa.table({"a": [str(i) for i in range(10_000)]})
    with format_.writer(file, table.schema) as writer:
        writer.write(table.to_batches()[0])
    with pytest.raises(DataError, match="cannot be read as CSV"):
        read(file.getvalue()[:-30], compression="gzip")


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"delimeter": ";"}, "Did you mean 'delimiter'"),
        ({"delimiter": "ab"}, "one ASCII character"),
        ({"quoting": "some"}, "'needed', 'all'"),
        ({"compression": "rar"}, "'gzip'"),
        ({"null_words": "NULL"}, "list of words"),
        ({"types": {"a": "nope"}}, "not a type"),
        ({"infer": "yes"}, "True, False"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], word: str) -> None:
    with pytest.raises(ConfigurationError, match=word):
        CsvFormat.from_options(options)


def test_reading_is_bounded() -> None:
    size = 60_000_000
    data = b"a,b\n" + b"some text,more text\n" * (size // 20)
    file, format_ = io.BytesIO(data), CsvFormat.from_options({})
    schema = format_.schema(file, None)
    before, peak, rows = pa.total_allocated_bytes(), 0, 0
    for batch in format_.read(file, schema, WHOLE, columns=("a", "b"), batch_rows=10_000):
        peak = max(peak, pa.total_allocated_bytes() - before)
        rows += batch.num_rows
    assert rows == size // 20
    assert peak < size // 3


class _SlowFile(io.BytesIO):
    """Gives other threads time between a position and its bytes, as a network does."""

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        time.sleep(0.005)
        return super().read(size)


def test_no_reader_moves_the_file_under_the_next_one() -> None:
    # Arrow reads a block ahead in a thread: of the header's reader, and of one whose block was too small.
    rows = [f"{number},{'x' * 40}" for number in range(60_000)]
    rows[50_000] = f"50000,{'y' * 3_000_000}"
    text = "\n".join(["id,word", *rows]).encode()
    for _ in range(5):
        file, format_ = _SlowFile(text), CsvFormat.from_options({})
        schema = format_.schema(file, None)
        batches = format_.read(file, schema, WHOLE, columns=("id",), batch_rows=65_536)
        ids = pa.Table.from_batches(list(batches))["id"].to_pylist()
        assert ids == [str(number) for number in range(60_000)]
