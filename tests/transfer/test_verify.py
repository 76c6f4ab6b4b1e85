"""`verify`: equal where a copy would be, and else the columns or keys that differ, and no others."""

from __future__ import annotations

import datetime as dt
import json
import math
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import datastores
from datastores import Workspace
from datastores.errors import ConfigurationError, ConflictError, SchemaMismatchError
from datastores.transfer import Comparison, differences, histogram
from datastores.types.digest import Digest
from datastores.values import column_names

from .conftest import ROWS

MANY = 100_000


@pytest.fixture(scope="module")
def cache() -> Iterator[datastores.Datastore]:
    """A memory store that all examples of a property share."""
    with Workspace.from_mapping({"datastores": {"cache": {"type": "memory"}}}) as workspace:
        yield workspace["cache"]


def compared(
    store: datastores.Datastore, one: pa.Table, other: pa.Table, **words: Any
) -> Comparison:
    for path, table in (("one.arrow", one), ("other.arrow", other)):
        store.write_table(path, table, mode="replace")
    return datastores.verify(store / "one.arrow", store / "other.arrow", **words)


def keyed(found: Comparison) -> dict[Any, tuple[int, int]]:
    return {
        next(iter(one.key.values())): (one.one_rows, one.other_rows) for one in found.differences
    }


def test_what_a_copy_wrote_is_equal(workspace: Workspace, orders: pa.Table) -> None:
    warehouse, files, cache = (workspace[name] for name in ("warehouse", "files", "cache"))
    warehouse.write_table("orders", orders)
    words: dict[str, Any] = {
        "columns": ["total", "id", "region"],
        "filters": [[("id", "<", 100)], [("region", "is null")]],
        "rename": {"id": "order", "region": "part"},
        "types": {"total": "string"},
    }
    for target in (files / "a/", files / "b.csv", cache / "c.jsonl", files / "d.arrow"):
        report = datastores.copy(warehouse / "orders", target, verify=True, **words)
        # The rows are filtered by now, and OTHER is asked for them by its own names.
        found = datastores.verify(warehouse / "orders", target, **words, workers=2)
        assert found
        assert found.one_rows == found.other_rows == report.rows
        assert found.one_digest == found.other_digest == report.digest
        assert f"{report.rows} rows: equal" in str(found)


@pytest.mark.parametrize("type_", ["int64", "int16", "decimal(9,1)", "string"])
def test_a_renamed_and_cast_key_that_differs(
    workspace: Workspace, orders: pa.Table, type_: str
) -> None:
    words: dict[str, Any] = {"rename": {"id": "order"}, "types": {"order": type_}}
    warehouse, files = workspace["warehouse"], workspace["files"]
    warehouse.write_table("orders", orders, keys=["id"])
    datastores.copy(warehouse / "orders", files / "a/", filters=[("id", "!=", 700)], **words)
    found = datastores.verify(warehouse / "orders", files / "a/", **words)
    # The primary key is known as what it was.
    assert found.keys == ("order",)
    assert {
        str(one.key["order"]).removesuffix(".0"): one.other_rows for one in found.differences
    } == {"700": 0}


def test_urls_scans_and_queries(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("shop.orders", orders)
    workspace["files"].write_table("orders/", orders)
    url = "datastore://files/orders/"
    for one in (
        "datastore://warehouse/shop/orders",
        workspace["warehouse"].scan("shop.orders"),
        workspace["warehouse"].query("select * from shop.orders where id < :n", {"n": ROWS}),
    ):
        assert datastores.verify(one, url, workspace=workspace)
    few = workspace["files"].scan("orders/", limit=3)
    assert datastores.verify(few, url, workspace=workspace).one_rows == 3


@pytest.mark.parametrize(
    "words", [{}, {"keys": "id"}, {"keys": ["region", "id"]}, {"keys": "note"}]
)
def test_one_value_of_many_rows(workspace: Workspace, words: dict[str, Any]) -> None:
    ids = range(MANY)
    plain = {
        "id": pa.array(ids, pa.int64()),
        "region": [f"region {i % 7}" for i in ids],
        "total": pa.array([Decimal(i) / 100 for i in ids], pa.decimal128(12, 2)),
        "note": [f"note {i}" for i in ids],
    }
    totals = plain["total"].to_pylist()
    totals[76_300] = Decimal("19.91")
    changed = pa.table({**plain, "total": pa.array(totals, pa.decimal128(12, 2))})
    workspace["warehouse"].write_table("orders", pa.table(plain), keys=["id"])
    workspace["files"].write_table("orders/", changed, rows_per_file=30_000)

    found = datastores.verify(
        workspace["warehouse"] / "orders", workspace["files"] / "orders/", workers=2, **words
    )

    assert not found
    [difference] = found.differences
    [value] = difference.values
    assert (value.column, value.one, value.other) == ("total", "763.00", "19.91")
    assert found.complete
    assert found.keys == column_names(words.get("keys", "id"))
    lines = str(found).splitlines()
    assert lines[0] == "warehouse/orders 100,000 rows · files/orders/ 100,000 rows: different"
    assert lines[-1].endswith("   total    warehouse 763.00    files 19.91")
    if words in ({}, {"keys": "id"}):
        [place] = found.ranges
        low, _, high = place.removeprefix("id ").partition(" to ")
        assert int(low) <= 76_300 <= int(high) < int(low) + 100


def test_missing_extra_and_repeated_rows(cache: datastores.Datastore) -> None:
    one = pa.table({"id": [1, 2, 3, 3, 3, 4, None], "v": ["a", "b", "c", "c", "c", "d", "n"]})
    other = pa.table({"id": [1, 3, 3, 4, 4, 5, None], "v": ["a", "c", "c", "d", "e", "f", "N"]})
    by_key = compared(cache, one, other, keys="id")
    assert keyed(by_key) == {None: (1, 1), 2: (1, 0), 3: (3, 2), 4: (1, 2), 5: (0, 1)}
    assert str(by_key).splitlines()[1:] == [
        "5 keys differ in id NULL; id 2; and 3 ranges more:",
        "  id NULL   v    cache/one.arrow n    cache/other.arrow N",
        "  id 2   only in cache/one.arrow",
        "  id 3   rows    cache/one.arrow 3    cache/other.arrow 2",
        "  id 4   rows    cache/one.arrow 1    cache/other.arrow 2",
        "  id 5   only in cache/other.arrow",
    ]
    whole = compared(cache, one, other)
    assert whole.keys == ()
    assert "keys=" in str(whole.note)
    assert {
        tuple(one.key.values()): (one.one_rows, one.other_rows) for one in whole.differences
    } == {
        (2, "b"): (1, 0),
        (3, "c"): (3, 2),
        (4, "e"): (0, 1),
        (5, "f"): (0, 1),
        (None, "n"): (1, 0),
        (None, "N"): (0, 1),
    }


def test_more_differences_than_are_shown(cache: datastores.Datastore) -> None:
    one = pa.table({"id": range(1000), "v": range(1000)})
    found = compared(cache, one, pa.table({"id": range(1000), "v": range(1, 1001)}), keys="id")
    assert [one.key["id"] for one in found.differences] == list(range(20))
    assert not found.complete
    assert "the first 20 keys in id 0" in str(found)
    html = found._repr_html_()
    assert html.count("<tr>") >= 20
    assert json.loads(found.to_json())["differences"][0] == {
        "key": {"id": 0},
        "one_rows": 1,
        "other_rows": 1,
        "values": [{"column": "v", "one": 0, "other": 1}],
    }


def test_columns_that_differ_are_named_before_a_row_is_read(workspace: Workspace) -> None:
    files = workspace["files"]
    one = {
        "id": [1],
        "a": [1.5],
        "b": [Decimal("1.5")],
        "c": ["x"],
        "d": [dt.datetime.fromisoformat("2026-01-01")],
    }
    files.write_table("one.arrow", pa.table(one))
    other = pa.table(
        {
            "c": pa.array(["x"]).dictionary_encode(),
            "b": pa.array([Decimal("1.50")], pa.decimal128(9, 2)),
            "a": [Decimal("1.5")],
            "d": pa.array([dt.datetime.fromisoformat("2026-01-01")], pa.timestamp("ns", "UTC")),
            "e": [1],
        }
    )
    files.write_table("other.arrow", other)
    found = datastores.verify(files / "one.arrow", files / "other.arrow")
    assert not found
    assert found.one_rows is None
    assert {one.name: (one.one, one.other) for one in found.columns} == {
        "id": ("int64", None),
        "a": ("double", "decimal128(2, 1)"),
        "d": ("timestamp[us]", "timestamp[ns, tz=UTC]"),
        "e": (None, "int64"),
    }
    assert str(found).splitlines() == [
        "files/one.arrow · files/other.arrow: different",
        "4 columns, and no row was read:",
        "  id   files/one.arrow int64    not in files/other.arrow",
        "  a   files/one.arrow double    files/other.arrow decimal128(2, 1)",
        "  d   files/one.arrow timestamp[us]    files/other.arrow timestamp[ns, tz=UTC]",
        "  e   not in files/one.arrow    files/other.arrow int64",
    ]
    assert "<th>column</th>" in found._repr_html_()
    assert datastores.verify(files / "one.arrow", files / "other.arrow", columns=["b", "c"])


def test_arguments_that_are_wrong(workspace: Workspace, orders: pa.Table) -> None:
    files = workspace["files"]
    files.write_table("a.arrow", orders)
    ends = (files / "a.arrow", files / "a.arrow")
    with pytest.raises(ConfigurationError, match=r"no column 'noet'.*Did you mean 'note'"):
        datastores.verify(*ends, keys=["noet"])
    with pytest.raises(ConfigurationError, match="no column 'total'"):
        datastores.verify(*ends, keys=["total"], columns=["id"])
    with pytest.raises(SchemaMismatchError, match="total"):
        datastores.verify(*ends, types={"total": "date32"})
    with pytest.raises(ConfigurationError, match="neither a source nor a target"):
        datastores.verify(orders, files / "a.arrow")


def test_values_that_look_alike(cache: datastores.Datastore) -> None:
    long = "x" * 500
    one = {"f": 0.0, "t": "NULL", "s": "a ", "n": 0.1, "l": f"{long}a", "b": b"\x00"}
    other = {"f": -0.0, "t": None, "s": "a", "n": 0.1, "l": f"{long}b", "b": b"\x01"}
    narrow = pa.float32()
    tables = [
        pa.table({"id": [1], **{name: [value] for name, value in row.items()}})
        for row in (one, other)
    ]
    tables[1] = tables[1].set_column(4, "n", tables[1]["n"].cast(narrow))
    found = compared(cache, *tables, keys="id")
    shown = {value.column: (value.one, value.other) for value in found.differences[0].values}
    assert shown["f"] == (0.0, -0.0)
    assert math.copysign(1, shown["f"][1]) == -1
    assert shown["n"] == (0.1, 0.10000000149011612)
    text = str(found)
    assert "one.arrow 'NULL'" in text
    assert "other.arrow NULL" in text
    assert "one.arrow 'a '" in text
    assert "xxxa" in text
    assert "xxxb" in text
    assert max(map(len, text.splitlines())) < 200


def test_values_that_no_text_holds(cache: datastores.Datastore) -> None:
    far = 2**62
    tables = [
        pa.table({"id": pa.array([far], pa.timestamp("s")), "x": [[x]]})
        for x in (math.nan, math.inf)
    ]
    found = compared(cache, *tables, keys="id")
    [difference] = found.differences
    assert difference.key == {"id": f"{far} as timestamp[s]"}
    assert "nan" in str(difference.values[0].one)
    assert compared(cache, tables[0], tables[0], keys="id")


def test_a_side_that_changes_meanwhile(
    workspace: Workspace, orders: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = workspace["files"]
    files.write_table("one.arrow", orders)
    files.write_table("other.arrow", orders.slice(1))
    again = differences.Finder._opened

    def meddle(*arguments: Any) -> Any:
        files.write_table("other.arrow", orders, mode="replace")
        return again(*arguments)

    monkeypatch.setattr(differences.Finder, "_opened", meddle)
    with pytest.raises(ConflictError, match=r"files/other\.arrow changed") as caught:
        datastores.verify(files / "one.arrow", files / "other.arrow", keys="id")
    assert caught.value.store == "files"


# What a key's number becomes, on either side; both are equal, and so are their positions.
KEYS: dict[str, tuple[Callable[[int], Any], pa.DataType, pa.DataType]] = {
    "integer": (int, pa.int64(), pa.int16()),
    "decimal": (lambda n: Decimal(n) / 4, pa.decimal128(12, 2), pa.decimal256(40, 5)),
    "date": (lambda n: dt.date(2026, 1, 1) + dt.timedelta(n), pa.date32(), pa.date64()),
    "timestamp": (
        lambda n: dt.datetime.fromisoformat("2026-01-01") + dt.timedelta(seconds=n),
        pa.timestamp("s"),
        pa.timestamp("ns"),
    ),
    "text": (str, pa.string(), pa.large_string()),
    "uuid": (lambda n: n.to_bytes(16, "big", signed=True), pa.binary(16), pa.binary()),
    "float": (float, pa.float64(), pa.float32()),
}
RECORD = st.tuples(
    st.none() | st.integers(-300, 300),
    st.sampled_from(["a", "b"]),
    st.sampled_from([None, 0.0, -0.0, 1.5, math.nan]),
)
Record = tuple[Any, str, float | None]


def tabular(
    records: list[Record], make: Callable[[int], Any], type_: pa.DataType
) -> tuple[pa.Table, list[Any]]:
    keys = pa.array([None if key is None else make(key) for key, *_ in records], type_)
    columns = [
        keys,
        *(
            pa.array([one[at] for one in records], t)
            for at, t in ((1, pa.string()), (2, pa.float64()))
        ),
    ]
    return pa.table(columns, names=["k", "p", "v"]), keys.to_pylist()


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("columns", [("k",), ("p", "k"), ()])
@settings(max_examples=20)
@given(
    records=st.lists(RECORD, max_size=60),
    edits=st.lists(st.tuples(st.integers(0, 100), RECORD | st.none()), max_size=6),
    added=st.lists(RECORD, max_size=3),
    data=st.data(),
)
def test_the_keys_that_differ_are_those_and_no_others(
    cache: datastores.Datastore,
    kind: str,
    columns: tuple[str, ...],
    records: list[Record],
    edits: list[tuple[int, Record | None]],
    added: list[Record],
    data: st.DataObject,
) -> None:
    others: list[Record | None] = list(records)
    for at, record in edits:
        if at < len(others):
            others[at] = record
    second = data.draw(st.permutations([*filter(None, others), *added]))
    make, one_type, other_type = KEYS[kind]
    with pytest.MonkeyPatch.context() as patch:
        # So that a few rows are too many to hold, and ranges are narrowed down in turn.
        patch.setattr(histogram, "MAX_RANGES", 4)
        patch.setattr(differences, "MAX_ROWS_KEPT", 12)
        patch.setattr(differences, "MAX_SHOWN", 500)
        found = compared(
            cache,
            tabular(records, make, one_type)[0],
            tabular(second, make, other_type)[0],
            keys=columns,
            workers=2,
        )

    names = found.keys or ("k", "p", "v")
    assert found.keys == columns or found.note

    def by_key(rows: list[Record]) -> dict[Any, Counter[str]]:
        grouped: dict[Any, Counter[str]] = defaultdict(Counter)
        for row in rows:
            values = dict(zip(("k", "p", "v"), row, strict=True))
            grouped[tuple(str(values[name]) for name in names)][str(row)] += 1
        return grouped

    mine, theirs = by_key(records), by_key(second)
    expected = {
        key: (mine[key].total(), theirs[key].total())
        for key in {*mine, *theirs}
        if mine[key] != theirs[key]
    }
    # A key's value is named as its own side holds it; both name the same number.
    read = {
        **{_text(value): str(number) for number, value in _values(records, make, one_type)},
        **{_text(value): str(number) for number, value in _values(second, make, other_type)},
    }
    shown = {
        tuple(
            read[value] if name == "k" and value is not None else str(_float(value))
            for name, value in one.key.items()
        ): (one.one_rows, one.other_rows)
        for one in found.differences
    }
    assert shown == expected
    assert found.equal == (expected == {})
    assert found.complete


def _values(
    records: list[Record], make: Callable[[int], Any], type_: pa.DataType
) -> list[tuple[int, Any]]:
    numbers = [key for key, *_ in records if key is not None]
    return [(number, pa.array([make(number)], type_)) for number in numbers]


def _text(array: pa.Array) -> Any:
    return differences._value(differences._Kept((0, 0), 0, pa.record_batch({"k": array}), 0), "k")


def _float(value: Any) -> Any:
    return math.nan if value == "NaN" else value


def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
import datastores
import pyarrow as pa
store = datastores.Datastore(type="duckdb", path=sys.argv[2])
store.write_table("nothing", pa.table({"id": [1]}), mode="replace")
sql = "select range as id, repeat('x', 100) || range as text, {} as v from range(:n)"
rows = {"n": int(sys.argv[1])}
one, other = (store.query(sql.format(v), rows) for v in ("1", "case range when 90000 then 2 else 1 end"))
found = datastores.verify(one, other, keys=["id"], workers=1)
[difference] = found.differences
assert difference.key == {"id": 90_000}
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].removesuffix("kB")) // 1024)
"""
    peaks = [
        int(
            subprocess.check_output(
                [sys.executable, "-c", script, str(rows), str(tmp_path / "a.db")], text=True
            )
        )
        for rows in (MANY, 4 * MANY)
    ]
    # The larger two have 70 MB more of text alone.
    assert peaks[1] - peaks[0] < 50, peaks


def test_a_digest_is_that_of_the_rows(cache: datastores.Datastore) -> None:
    table = pa.table({"id": range(10_000), "v": ["v"] * 10_000})
    found = compared(cache, table, table, keys="id")
    assert found.one_digest == Digest.of(table.to_batches()).hexdigest()
