"""Every Arrow type into PostgreSQL: exact and read back as it was, or refused before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from typing_extensions import override

from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.errors import DataError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.types.cast import cast_column
from datastores.types.text import parse_type
from datastores.values import TableName
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database


class Celsius(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no annotations
    """An extension type that nobody else knows."""

    def __init__(self) -> None:
        super().__init__(pa.float64(), "tests.celsius")

    @override
    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    @override
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Celsius:
        return cls()


def dictionary(index: pa.DataType, values: pa.Array) -> pa.Array:
    """Return rows that use every entry, one of them twice, and a NULL of their own."""
    indices = pa.array([0, None, *range(len(values))], index)
    return pa.DictionaryArray.from_arrays(indices, values)


def backwards() -> pa.Array:
    """Return views that overlap, and whose order is not that of the values."""
    offsets, sizes = (pa.array(one, pa.int64()) for one in ([2, 0, 1], [1, 2, 2]))
    mask = pa.array([False, True, False])
    numbers = pa.array([1, 2, 3], pa.int32())
    return pa.LargeListViewArray.from_arrays(offsets, sizes, numbers, mask=mask)


# Values, the type that PostgreSQL declares, what they are as its text.
EXACT: list[tuple[pa.Array, str, list[str | None]]] = [
    (pa.array([2**64 - 1, 0, None], pa.uint64()), "numeric(20,0)", ["18446744073709551615", "0", None]),
    (pa.array([2**32 - 1], pa.uint32()), "bigint", ["4294967295"]),
    (pa.array([-128, 127], pa.int8()), "smallint", ["-128", "127"]),
    (pa.array([1_000, None], pa.timestamp("ns")), "timestamp without time zone", ["1970-01-01 00:00:00.000001", None]),
    (pa.array([-1], pa.timestamp("s", "Europe/Berlin")), "timestamp with time zone", ["1969-12-31 23:59:59+00"]),
    (pa.array([1_000, None], pa.time64("ns")), "time without time zone", ["00:00:00.000001", None]),
    (pa.array([86_399], pa.time32("s")), "time without time zone", ["23:59:59"]),
    (pa.array([86_400_000], pa.date64()), "date", ["1970-01-02"]),
    (pa.array([-(2**63) + 1, 2**63 - 1], pa.duration("ns")), "bigint", ["-9223372036854775807", "9223372036854775807"]),
    (pa.array([1.5, float("nan"), -0.0, 65504.0], pa.float16()), "real", ["1.5", "NaN", "-0", "65504"]),
    (pa.nulls(2), "text", [None, None]),
    (dictionary(pa.int8(), pa.array(["a", None, "é"])), "text", ["a", None, "a", None, "é"]),
    (dictionary(pa.uint64(), pa.array([7, 2**40])), "bigint", ["7", None, "7", "1099511627776"]),
    (dictionary(pa.int32(), pa.array([Decimal("1.50"), None])), "numeric(3,2)", ["1.50", None, "1.50", None]),
    (dictionary(pa.int16(), pa.array([b"\0", b""])), "bytea", ["\\x00", None, "\\x00", "\\x"]),
    (pa.array(["", "a" * 20, None], pa.string_view()), "text", ["", "a" * 20, None]),
    (pa.array([b"", b"a" * 20, None], pa.binary_view()), "bytea", ["\\x", "\\x" + "61" * 20, None]),
    (pa.array(["é", None], pa.large_string()), "text", ["é", None]),
    (pa.array([b"\xff", None], pa.large_binary()), "bytea", ["\\xff", None]),
    (pa.array([b"abc", None], pa.binary(3)), "bytea", ["\\x616263", None]),
    (pa.array([[1, None], [], None], pa.large_list(pa.int64())), "bigint[]", ["{1,NULL}", "{}", None]),
    (pa.array([[1, None], None], pa.list_(pa.int64(), 2)), "bigint[]", ["{1,NULL}", None]),
    (pa.array([[1, None], None, [], [2]], pa.list_view(pa.int64())), "bigint[]", ["{1,NULL}", None, "{}", "{2}"]),
    (backwards(), "integer[]", ["{3}", None, "{2,3}"]),
    (pa.array([[["a"], [None]]], pa.list_(pa.large_list(pa.string_view()))), "text[]", ["{{a},{NULL}}"]),
    (pa.array([["a", None]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), "text[]", ["{a,NULL}"]),
    (pa.array([Decimal(-12300), Decimal(0)], pa.decimal128(3, -2)), "numeric(5,0)", ["-12300", "0"]),
    (pa.array([Decimal("0.00001")], pa.decimal32(5, 5)), "numeric(5,5)", ["0.00001"]),
    (pa.array([Decimal("9" * 76)], pa.decimal256(76, 0)), "numeric(76,0)", ["9" * 76]),
]  # fmt: skip


def extension(type_: pa.DataType, values: list[Any]) -> pa.Array:
    return pa.ExtensionArray.from_storage(type_, pa.array(values, type_.storage_type))


# Values of a type that is refused, a word of the advice.
REFUSED: list[tuple[pa.Array, str]] = [
    (pa.array([{"a": 1, "b": ["x"]}]), 'CREATE TYPE "v" AS ("a" bigint, "b" text[])'),
    (pa.array([[{"a": 1}]]), 'CREATE TYPE "v" AS ("a" bigint)'),
    (pa.array([{"a": {"b": 1}}]), 'CREATE TYPE "v" AS (...)'),
    (pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())), "JSON text"),
    (pa.array([1, 1], pa.run_end_encoded(pa.int32(), pa.int64())), "types={'v': 'int64'}"),
    (extension(pa.bool8(), [1]), "types={'v': 'int8'}"),
    (extension(pa.opaque(pa.binary(), "box", "them"), [b"x"]), "types={'v': 'binary'}"),
    (extension(pa.fixed_shape_tensor(pa.int32(), [2]), [[1, 2]]), "types={'v': 'list(2)<\"item\": int32>'}"),
    (extension(Celsius(), [1.5]), "types={'v': 'double'}"),
    (pa.array([[]], pa.list_(pa.int32(), 0)), "columns=["),
    (pa.array([None], pa.decimal256(76, -1)), "columns=["),
]  # fmt: skip

# Values of a type that PostgreSQL has, of which one is finer than its own.
TOO_FINE: list[pa.Array] = [
    pa.array([1_000, 1], pa.timestamp("ns")),
    pa.array([1_000, 1], pa.timestamp("ns", "UTC")),
    pa.array([1_000, 1], pa.time64("ns")),
    pa.array([pa.MonthDayNano([0, 0, 1])]),
    dictionary(pa.int32(), pa.array([1_000, 1], pa.timestamp("ns"))),
]


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def test_values_are_exact_and_read_back_with_their_type(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    rows = max(len(values) for values, _, _ in EXACT)
    data = pa.table(
        {
            "row": pa.array(range(rows), pa.int32()),
            **{f"c{at}": padded(values, rows) for at, (values, _, _) in enumerate(EXACT)},
        }
    )
    table = TableName("t", "public")
    write(driver, table, data)
    declared = database.run(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = 'public.t'::regclass AND attnum > 1 ORDER BY attnum"
    )
    assert [sql for (sql,) in declared] == [sql for _, sql, _ in EXACT]
    for at, (values, sql, texts) in enumerate(EXACT):
        stored = database.run(f"SELECT c{at}::text FROM t WHERE row < {len(values)} ORDER BY row")
        assert [text for (text,) in stored] == texts, sql
    assert_same_table(read(driver, table), data)


def padded(values: pa.Array, rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([values, pa.nulls(rows - len(values), values.type)])


def test_other_types_are_refused_by_column_with_advice(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    for values, word in REFUSED:
        with pytest.raises(SchemaMismatchError, match="column 'v'") as caught:
            write(driver, TableName("t", "public"), pa.table({"v": values}))
        assert word in (caught.value.advice or ""), values.type
    assert database.run("SELECT to_regclass('public.t')") == [(None,)]
    assert not staged(database)


def test_what_the_advice_says_works(database: Database, driver: AzurePostgreSQLDriver) -> None:
    for at, (values, word) in enumerate(REFUSED):
        if found := re.search("^types={'v': '(.*)'}$", word):
            wanted = parse_type(found[1])
            data = pa.table({"v": cast_column(values, wanted, name="v", first_row=1)})
            write(driver, TableName(f"t{at}", "public"), data)
            assert_same_table(read(driver, TableName(f"t{at}", "public")), data)
    [(count,)] = database.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    assert count == 5


def test_finer_values_than_microseconds_are_refused(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    for values in TOO_FINE:
        with pytest.raises(DataError, match="column 'v'"):
            write(driver, TableName("t", "public"), pa.table({"v": values}))
    assert database.run("SELECT to_regclass('public.t')") == [(None,)]
    assert not staged(database)
