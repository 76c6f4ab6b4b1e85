"""The digest of rows: the same for the same rows, however they lie in memory; else different."""

from __future__ import annotations

import datetime as dt
import itertools
import pickle
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.errors import SchemaMismatchError
from datastores.types.digest import Digest

SMALL = settings(max_examples=40, deadline=None)

ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(),
        st.none() | st.text(max_size=30),
        st.none() | st.lists(st.none() | st.integers(0, 3), max_size=4),
    ),
    max_size=30,
)
SCHEMA = pa.schema(
    {"n": pa.int64(), "x": pa.float64(), "t": pa.string(), "l": pa.list_(pa.int64())}
)


def table(rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def column(values: list[Any], type_: pa.DataType, name: str = "a") -> Digest:
    return Digest.of([pa.record_batch({name: pa.array(values, type_)})])


@SMALL
@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 7))
def test_order_and_batches_do_not_matter(rows: Any, random: Any, size: int) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert Digest.of(table(rows).to_batches()) == Digest.of(
        table(shuffled).to_batches(max_chunksize=size)
    )


@SMALL
@given(ROWS, st.data())
def test_layout_does_not_matter(rows: Any, data: st.DataObject) -> None:
    plain = table(rows)
    other = pa.table(
        {
            "l": plain["l"].cast(pa.large_list(pa.int64())),
            "t": plain["t"].cast(data.draw(st.sampled_from([pa.large_string(), pa.string_view()]))),
            "x": plain["x"].dictionary_encode(),
            "n": plain["n"].cast(pa.decimal128(19, 0)).cast(pa.decimal256(40, 6)),
        }
    )
    dictionary = plain.set_column(2, "t", plain["t"].dictionary_encode())
    # Something before and after, so that every buffer has an offset.
    around = table([(1, 1.0, "äöü", [1, 2]), *rows, (2, 2.0, "zz", [3])])
    sliced = around.slice(1, len(rows))
    digests = [Digest.of(one.to_batches()) for one in (plain, other, dictionary, sliced)]
    assert digests == [digests[0]] * 4


@SMALL
@given(ROWS, ROWS)
def test_parts_merge_into_the_whole(first: Any, second: Any) -> None:
    merged = Digest.of(table(first).to_batches())
    merged.merge(Digest.of(table(second).to_batches()))
    assert merged == Digest.of(table(first + second).to_batches())
    assert merged.rows == len(first) + len(second)


@SMALL
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=20))
def test_numbers_of_all_widths_are_equal_by_value(values: list[int]) -> None:
    expected = column(values, pa.int64())
    for type_ in (pa.decimal128(19, 0), pa.decimal128(38, 10), pa.decimal256(76, 50)):
        assert column([Decimal(value) for value in values], type_) == expected


EQUAL = [
    ("integers", [([5, -5], pa.int8()), ([5, -5], pa.int64()), ([Decimal("5.00"), Decimal("-5.00")], pa.decimal32(5, 2))]),
    ("unsigned", [([2**64 - 1], pa.uint64()), ([Decimal(2**64 - 1)], pa.decimal128(20, 0))]),
    ("negative scale", [([1200], pa.int16()), ([Decimal(1200)], pa.decimal128(5, -2))]),
    ("floats", [([0.5, None], pa.float16()), ([0.5, None], pa.float32()), ([0.5, None], pa.float64())]),
    ("instants", [([1], pa.timestamp("s", "UTC")), ([10**9], pa.timestamp("ns", "Europe/Berlin"))]),
    ("clocks", [([1], pa.timestamp("s")), ([10**6], pa.timestamp("us"))]),
    ("dates", [([3], pa.date32()), ([3 * 86_400_000], pa.date64())]),
    ("times", [([7], pa.time32("s")), ([7 * 10**9], pa.time64("ns"))]),
    ("durations", [([-7], pa.duration("s")), ([-7000], pa.duration("ms"))]),
    ("bytes", [([b"ab"], pa.binary()), ([b"ab"], pa.binary(2)), ([b"ab"], pa.binary_view()), ([b"ab"], pa.large_binary())]),
    ("lists", [([[1, None], None, []], pa.list_(pa.int8())), ([[1, None], None, []], pa.list_view(pa.int64()))]),
    ("fixed lists", [([[1, 2], None], pa.list_(pa.int8(), 2)), ([[1, 2], None], pa.list_(pa.field("element", pa.int8())))]),
    ("fields of structs", [
        ([{"a": 1, "b": "x"}], pa.struct({"a": pa.int64(), "b": pa.string()})),
        ([{"a": 1, "b": "x"}], pa.struct({"b": pa.string_view(), "a": pa.int8()})),
    ]),
    ("nothing", [([None, None], pa.null()), ([None, None], pa.string()), ([None, None], pa.list_(pa.int8()))]),
    ("extensions", [([b"0" * 16], pa.uuid()), ([b"0" * 16], pa.binary(16))]),
]  # fmt: skip


@pytest.mark.parametrize("cases", [cases for _, cases in EQUAL], ids=[name for name, _ in EQUAL])
def test_equal(cases: list[tuple[list[Any], pa.DataType]]) -> None:
    digests = [column(values, type_) for values, type_ in cases]
    assert digests == [digests[0]] * len(digests)


LONG = "x" * 193
DIFFERENT: list[tuple[list[Any], pa.DataType]] = [
    ([], pa.int64()),
    ([None], pa.int64()),
    ([None, None], pa.int64()),
    *(([value], pa.int64()) for value in (0, 1, -1, 2**32, -(2**32), 2**63 - 1, -(2**63))),
    *(([prime], pa.int64()) for prime in (4294967291, 4294967279)),
    ([2**64 - 1], pa.uint64()),
    ([Decimal("1.01")], pa.decimal128(5, 2)),
    ([Decimal("-1.01")], pa.decimal128(5, 2)),
    ([1, 1], pa.int64()),
    ([1, 1, 1], pa.int64()),
    *(([value], pa.float64()) for value in (0.0, -0.0, 1.0, float("nan"), float("inf"), 5e-324)),
    *(([value], pa.bool_()) for value in (True, False)),
    *(
        ([value], pa.string())
        for value in ("", " ", "0", "a", "a\0", "\0", "\0\0", "ab", "ba", "abcdefgh", "abcdefgh\0",
                      "12345678abcdefgh", "abcdefgh12345678", LONG, LONG[:-1], LONG + "x", LONG[:-1] + "y")
    ),
    *(([value], pa.binary()) for value in (b"", b"a")),
    ([0], pa.timestamp("us")),
    ([0], pa.timestamp("us", "UTC")),
    ([0], pa.date32()),
    ([0], pa.time64("us")),
    ([0], pa.duration("us")),
    ([(0, 0, 0)], pa.month_day_nano_interval()),
    ([(1, 0, 0)], pa.month_day_nano_interval()),
    ([(0, 30, 0)], pa.month_day_nano_interval()),
    ([(0, 0, 1)], pa.month_day_nano_interval()),
    *(([value], pa.list_(pa.int8())) for value in ([], [None], [1, 2], [2, 1], [1], [1, 1])),
    ([[1], [2]], pa.list_(pa.int8())),
    ([[1, 2], []], pa.list_(pa.int8())),
    ([{"a": None}], pa.struct({"a": pa.int8()})),
    ([{"a": 1}], pa.struct({"a": pa.int8()})),
    ([{"b": 1}], pa.struct({"b": pa.int8()})),
    ([[("k", 1)]], pa.map_(pa.string(), pa.int8())),
    ([[("k", 2)]], pa.map_(pa.string(), pa.int8())),
    ([[("k", 1), ("l", 2)]], pa.map_(pa.string(), pa.int8())),
    ([[("k", 2), ("l", 1)]], pa.map_(pa.string(), pa.int8())),
]  # fmt: skip


def test_different() -> None:
    digests = [column(values, type_) for values, type_ in DIFFERENT]
    for (i, first), (j, second) in itertools.combinations(enumerate(digests), 2):
        assert first != second, (DIFFERENT[i], DIFFERENT[j])
    assert column([1], pa.int64(), "a") != column([1], pa.int64(), "b")


def test_swapped_columns_and_rows_differ() -> None:
    def rows(a: list[int], b: list[int]) -> Digest:
        return Digest.of([pa.record_batch({"a": a, "b": b})])

    digests = [rows([1, 3], [2, 4]), rows([2, 4], [1, 3]), rows([1, 3], [4, 2])]
    assert len({one.hexdigest() for one in digests}) == 3
    twice = [
        pa.record_batch([pa.array([x]), pa.array([y])], names=["a", "a"])
        for x, y in [(1, 2), (2, 1)]
    ]
    assert Digest.of(twice[:1]) != Digest.of(twice[1:])


def test_every_nan_is_one() -> None:
    payloads = pa.array([0x7FF8000000000001, -1], pa.int64()).view(pa.float64())
    assert Digest.of([pa.record_batch({"a": payloads})]) == column([float("nan")] * 2, pa.float64())


def test_maps_and_nested_slices() -> None:
    type_ = pa.map_(pa.string(), pa.list_(pa.struct({"d": pa.date32()})))
    values = [[("k", [{"d": dt.date(2020, 1, day)}, None])] for day in range(1, 6)]
    whole = pa.record_batch({"a": pa.array([*values, None, []], type_)})
    assert Digest.of([whole.slice(2, 4)]) == column([*values[2:], None], type_)


def test_large_and_small_dictionaries() -> None:
    words = [str(number) for number in range(100)]
    small = pa.DictionaryArray.from_arrays(pa.array([5, None, 7], pa.int8()), words)
    large = pa.DictionaryArray.from_arrays(
        pa.array([5, None, 7] * 50), pa.array(["x", None, *words])
    )
    assert Digest.of([pa.record_batch({"a": small})]) == column(["5", None, "7"], pa.string())
    assert Digest.of([pa.record_batch({"a": large})]) == column(["3", None, "5"] * 50, pa.string())


def test_slices_of_large_batches() -> None:
    values = list(range(20_000))
    assert column(values, pa.int64()) == column(values[::-1], pa.int32())


def test_run_ends() -> None:
    runs = pa.RunEndEncodedArray.from_arrays([2, 3], pa.array(["a", None]))
    assert Digest.of([pa.record_batch({"a": runs})]) == column(["a", "a", None], pa.string())


def test_shape_and_pickle() -> None:
    digest = column([1, 2], pa.int64())
    assert len(digest.hexdigest()) == 32
    assert Digest().hexdigest() == "0" * 32
    assert pickle.loads(pickle.dumps(digest)) == digest


def test_a_union_is_refused_by_name() -> None:
    union = pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])
    with pytest.raises(SchemaMismatchError, match="column 'u'"):
        Digest.of([pa.record_batch({"u": union})])
