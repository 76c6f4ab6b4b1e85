"""Tables of files over the local and the memory driver."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datastores.bridges import file_reads, part_files
from datastores.bridges.files_as_tables import FilesAsTables
from datastores.drivers.base import FileDriver
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.drivers.memory.config import MemoryConfig
from datastores.drivers.memory.driver import MemoryDriver
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import Receipt, WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DataError,
    NotFoundError,
    PreconditionFailedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.filters import parse_filters
from datastores.values import TableName, WriteMode

FORMATS = ["parquet", "csv", "jsonl", "arrow"]

ORDERS = pa.table(
    {
        "id": pa.array(range(100), pa.int64()),
        "name": pa.array(
            [None if i % 7 == 0 else "" if i % 5 == 0 else f"n{i:05}" for i in range(100)]
        ),
        "total": pa.array([decimal.Decimal(i) / 4 for i in range(100)], pa.decimal128(12, 2)),
        "day": pa.array([dt.date(2024, 1, 1 + i % 3) for i in range(100)], pa.date32()),
        "region": pa.array([[None, "", "a/b=c", "é %", "x"][i % 5] for i in range(100)]),
    }
)


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FileDriver]:
    driver: FileDriver
    if request.param == "local":
        driver = LocalDriver(LocalConfig(path=str(tmp_path / "store")))
    else:
        driver = MemoryDriver(MemoryConfig())
    with driver:
        yield driver


@pytest.fixture
def store(files: FileDriver) -> FilesAsTables:
    return FilesAsTables(files)


@pytest.fixture
def local(tmp_path: Path) -> FilesAsTables:
    return FilesAsTables(LocalDriver(LocalConfig(path=str(tmp_path / "store"))))


def write(
    store: FilesAsTables, path: str, table: pa.Table, parts: int = 1, **request: object
) -> list[Receipt]:
    session = store.begin(
        WriteRequest(table=store.table_name(path), schema=table.schema, **request)  # type: ignore[arg-type]
    )
    receipts = []
    step = -(-table.num_rows // parts) or 1
    for part in range(parts):
        piece = table.slice(part * step, step)
        receipts.append(session.write(f"{part:04}", piece.to_reader(max_chunksize=7)))
    session.publish(receipts)
    session.discard()
    return receipts


def read(store: FilesAsTables, path: str, splits: int = 1, **request: object) -> pa.Table:
    scan = ScanRequest(table=store.table_name(path), batch_rows=16, **request)  # type: ignore[arg-type]
    with store.plan_read(scan, splits) as plan:
        batches = []
        for split in plan.splits:
            for batch in store.read(pickle.loads(pickle.dumps(split))):  # our own
                assert 0 < batch.num_rows <= 16
                assert batch.schema.equals(plan.schema)
                batches.append(batch)
        return pa.Table.from_batches(batches, plan.schema)


def rows(table: pa.Table) -> list[dict[str, object]]:
    return sorted(table.to_pylist(), key=lambda row: repr(sorted(row.items())))


def staged(files: FileDriver) -> list[str]:
    found: list[str] = files.filesystem.find("_datastores")
    return found


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("partition_by", [(), ("region",), ("day", "region")])
def test_what_was_written_is_read(
    store: FilesAsTables, files: FileDriver, format_name: str, partition_by: tuple[str, ...]
) -> None:
    write(store, "orders/", ORDERS, parts=3, format=format_name, partition_by=partition_by)
    found = read(store, "orders", splits=4)
    assert found.schema == ORDERS.schema
    assert store.schema(TableName("orders")) == ORDERS.schema
    assert rows(found) == rows(ORDERS)
    assert staged(files) == []
    assert store.tables() == [TableName("orders/")]


@pytest.mark.parametrize(
    "suffix", [".parquet", ".csv", ".tsv", ".csv.gz", ".jsonl", ".jsonl.bz2", ".arrow"]
)
def test_single_files(store: FilesAsTables, files: FileDriver, suffix: str) -> None:
    path = f"a/orders{suffix}"
    write(store, path, ORDERS)
    assert read(store, path) == ORDERS
    changed = ORDERS.slice(3, 5)
    write(store, path, changed, mode=WriteMode.REPLACE)
    assert read(store, path) == changed
    with pytest.raises(AlreadyExistsError, match="exists already"):
        write(store, path, ORDERS)
    with pytest.raises(UnsupportedOperationError, match="cannot be added to"):
        write(store, path, ORDERS, mode=WriteMode.APPEND)
    assert read(store, path) == changed
    assert store.tables("a") == [TableName(path)]
    assert (
        store.plan_write(WriteRequest(table=TableName("new.csv"), schema=ORDERS.schema)).max_parts
        == 1
    )
    assert staged(files) == []


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("partition_by", [(), ("region",)])
def test_no_rows_keep_the_schema(
    store: FilesAsTables, format_name: str, partition_by: tuple[str, ...]
) -> None:
    none = ORDERS.slice(0, 0)
    write(store, "t/", none, parts=2, format=format_name, partition_by=partition_by)
    assert read(store, "t/") == none
    write(store, "t/", ORDERS, mode=WriteMode.APPEND, format=format_name, partition_by=partition_by)
    assert rows(read(store, "t/")) == rows(ORDERS)


def test_field_metadata_survives(store: FilesAsTables) -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.int32(), nullable=False, metadata={"datastores:source": "{}"}),
            ("p", pa.int8()),
        ]
    )
    table = pa.table([pa.array([1, 2], pa.int32()), pa.array([1, None], pa.int8())], schema=schema)
    for format_name in FORMATS:
        write(store, f"{format_name}/", table, format=format_name, partition_by=("p",))
        found = read(store, f"{format_name}/").schema
        assert found.equals(schema, check_metadata=True), format_name


def test_append_replace_and_partitions(store: FilesAsTables, files: FileDriver) -> None:
    write(store, "t/", ORDERS, partition_by=("region",))
    write(store, "t/", ORDERS, mode=WriteMode.APPEND)
    assert rows(read(store, "t/")) == rows(pa.concat_tables([ORDERS, ORDERS]))
    some = ORDERS.filter(pa.compute.field("region") == "x").slice(0, 2)
    write(store, "t/", some, mode=WriteMode.REPLACE_PARTITIONS, partition_by=("region",))
    others = ORDERS.filter(
        (pa.compute.field("region") != "x") | pa.compute.field("region").is_null()
    )
    assert rows(read(store, "t/")) == rows(pa.concat_tables([others, others, some]))
    write(store, "t/", ORDERS.select(["id"]), mode=WriteMode.REPLACE)
    assert read(store, "t/") == ORDERS.select(["id"])
    write(store, "new/", some, mode=WriteMode.CREATE_APPEND)
    write(store, "new/", some, mode=WriteMode.CREATE_APPEND)
    assert read(store, "new/").num_rows == 4
    assert staged(files) == []


def test_an_append_that_does_not_fit_is_refused_by_column(store: FilesAsTables) -> None:
    write(store, "t/", ORDERS)
    other = ORDERS.set_column(0, "id", ORDERS["id"].cast(pa.int32()))
    with pytest.raises(
        SchemaMismatchError, match="column 'id' is int64 and the new rows have int32"
    ):
        write(store, "t/", other, mode=WriteMode.APPEND)
    with pytest.raises(SchemaMismatchError, match="'name'"):
        write(store, "t/", ORDERS.drop(["name"]), mode=WriteMode.APPEND)
    with pytest.raises(SchemaMismatchError, match="partitioned by nothing"):
        write(store, "t/", ORDERS, mode=WriteMode.APPEND, partition_by=("day",))
    reordered = ORDERS.select(["region", "id", "total", "day", "name"])
    write(store, "t/", reordered, mode=WriteMode.APPEND)
    assert rows(read(store, "t/")) == rows(pa.concat_tables([ORDERS, ORDERS]))


def test_modes_that_are_refused(store: FilesAsTables) -> None:
    with pytest.raises(NotFoundError, match="mode is append"):
        write(store, "t/", ORDERS, mode=WriteMode.APPEND)
    with pytest.raises(UnsupportedOperationError, match="upsert"):
        write(store, "t/", ORDERS, mode=WriteMode.UPSERT, keys=("id",))
    with pytest.raises(ConfigurationError, match="needs partition_by"):
        write(store, "t/", ORDERS, mode=WriteMode.REPLACE_PARTITIONS)
    with pytest.raises(SchemaMismatchError, match="at least one column"):
        write(store, "t/", pa.table({}))
    with pytest.raises(SchemaMismatchError, match="no column 'nope'"):
        write(store, "t/", ORDERS, partition_by=("nope",))
    with pytest.raises(ConfigurationError, match="every column"):
        write(store, "t/", ORDERS.select(["id"]), partition_by=("id",))
    with pytest.raises(ConfigurationError, match="is one file"):
        write(store, "t.parquet", ORDERS, partition_by=("day",))
    with pytest.raises(NotFoundError):
        store.schema(TableName("t"))


FILTERS: list[Any] = [
    [("id", "<", 10)],
    [("id", "in", [1, 50, 99, 1000])],
    [("name", "is null")],
    [("name", "=", "")],
    [("name", "not in", ["", "n00001"])],
    [("region", "=", "a/b=c")],
    [("region", "is null"), ("id", ">=", 50)],
    [("region", "!=", "x")],
    [[("region", "=", "")], [("id", "=", 7), ("total", "<=", decimal.Decimal(50))]],
    [("day", ">", dt.date(2024, 1, 2)), ("total", ">", 10)],
]


@pytest.mark.parametrize("format_name", FORMATS)
def test_filters_are_exact_with_and_without_partitions(
    local: FilesAsTables, format_name: str
) -> None:
    write(local, "plain/", ORDERS, parts=3, format=format_name)
    write(local, "parted/", ORDERS, format=format_name, partition_by=("region", "day"))
    for given in FILTERS:
        filters = parse_filters(given)
        expected = [row for row in ORDERS.to_pylist() if passes(row, given)]
        assert 0 < len(expected) < 100
        for path in ("plain", "parted"):
            found = read(local, path, splits=3, filters=filters, columns=("total", "id"))
            assert found.column_names == ["total", "id"]
            assert sorted(found["id"].to_pylist()) == [row["id"] for row in expected], (path, given)


def passes(row: dict[str, object], filters: list[Any]) -> bool:
    groups = filters if isinstance(filters[0], list) else [filters]
    return any(all(meets(row[one[0]], *one[1:]) for one in group) for group in groups)


def meets(cell: Any, operator: str, value: Any = None) -> bool:
    if operator == "is null":
        return cell is None
    if cell is None:
        return False
    operations: dict[str, Callable[[], bool]] = {
        "=": lambda: cell == value,
        "!=": lambda: cell != value,
        "<": lambda: cell < value,
        "<=": lambda: cell <= value,
        ">": lambda: cell > value,
        ">=": lambda: cell >= value,
        "in": lambda: cell in value,
        "not in": lambda: cell not in value,
    }
    return bool(operations[operator]())


def test_lists_of_no_values(local: FilesAsTables) -> None:
    write(local, "t/", ORDERS, partition_by=("day",))
    for column in ("id", "name", "day"):
        none = read(local, "t/", filters=parse_filters([(column, "in", [])]))
        assert none == ORDERS.slice(0, 0)
        valid = read(local, "t/", filters=parse_filters([(column, "not in", [])]))
        assert valid.num_rows == 100 - ORDERS[column].null_count


def test_statistics_and_folders_prune(local: FilesAsTables) -> None:
    write(local, "t/", ORDERS, format_options={"row_group_rows": 10})
    whole = local.plan_read(ScanRequest(table=TableName("t")), 100)
    assert len(whole.splits) > 5
    assert whole.rows == 100
    few = local.plan_read(
        ScanRequest(table=TableName("t"), filters=parse_filters([("id", ">", 84)])), 1
    )
    (split,) = few.splits
    assert isinstance(split, file_reads.FileSplit)
    assert [part.first for _, part in split.pieces] == [8]
    write(local, "p/", ORDERS, partition_by=("day",))
    day = dt.date(2024, 1, 2)
    (split,) = local.plan_read(
        ScanRequest(table=TableName("p"), filters=parse_filters([("day", "=", day)])), 1
    ).splits
    assert isinstance(split, file_reads.FileSplit)
    assert [file.keys for file, _ in split.pieces] == [(("day", "2024-01-02"),)]


def test_columns_and_limit(store: FilesAsTables) -> None:
    write(store, "t/", ORDERS, parts=4, partition_by=("region",))
    assert read(store, "t/", splits=3, columns=("region", "id")).column_names == ["region", "id"]
    assert rows(read(store, "t/", columns=("region",))) == rows(ORDERS.select(["region"]))
    for limit in (0, 1, 33, 1000):
        assert read(store, "t/", splits=5, limit=limit).num_rows == min(limit, 100)
    with pytest.raises(SchemaMismatchError, match=r"Did you mean 'region'"):
        read(store, "t/", columns=("regoin",))
    with pytest.raises(SchemaMismatchError, match="no column 'nope'"):
        read(store, "t/", filters=parse_filters([("nope", "=", 1)]))
    with pytest.raises(ConfigurationError, match="does not compare"):
        read(store, "t/", filters=parse_filters([("id", "=", "x")]))


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("=", 1.5, []),
        ("!=", 1.5, [1, 2]),
        ("<", 1.5, [1]),
        (">", 1.5, [2]),
        (">=", 1.5, [2]),
        ("<=", 2.0, [1, 2]),
        ("in", (1.5, 2), [2]),
        ("in", (1.5,), []),
        ("not in", (1.5, 2.0), [1]),
    ],
)
def test_a_number_that_the_column_cannot_hold_is_not_rounded(
    store: FilesAsTables, operator: str, value: Any, expected: list[int]
) -> None:
    write(store, "t/", pa.table({"id": [1, 2]}))
    found = read(store, "t/", filters=parse_filters([("id", operator, value)]))
    assert found["id"].to_pylist() == expected


def test_a_limit_below_nothing_is_refused(store: FilesAsTables) -> None:
    write(store, "t/", ORDERS)
    with pytest.raises(ConfigurationError, match="limit is at least 0"):
        read(store, "t/", limit=-1)


def test_splits_tile(store: FilesAsTables) -> None:
    write(store, "t/", ORDERS, rows_per_file=9)
    for splits in (1, 2, 5, 50):
        assert rows(read(store, "t/", splits=splits)) == rows(ORDERS)


@pytest.mark.parametrize(
    ("splits", "expected"), [(1, [4]), (2, [2, 2]), (3, [1, 2, 1]), (4, [1] * 4)]
)
def test_splits_of_files_that_are_almost_alike_are_alike(
    store: FilesAsTables, splits: int, expected: list[int]
) -> None:
    # Each is a little smaller than the one before, so that two of them are more than their share.
    for number in range(4):
        write(store, f"t/{number}.csv", ORDERS.slice(number), mode=WriteMode.CREATE)
    with store.plan_read(ScanRequest(table=TableName("t/")), splits) as plan:
        found = [one for one in plan.splits if isinstance(one, file_reads.FileSplit)]
    assert [len({file.path for file, _ in one.pieces}) for one in found] == expected


def test_rows_per_file(store: FilesAsTables, files: FileDriver) -> None:
    write(store, "t/", ORDERS, rows_per_file=9)
    paths = files.filesystem.find("t")
    sizes = sorted(read(store, path).num_rows for path in paths)
    assert sizes == [1, *[9] * 11]


def test_many_partitions_need_few_open_files(store: FilesAsTables, files: FileDriver) -> None:
    count = part_files.MAX_OPEN_FILES * 3
    table = pa.table({"k": [i % count for i in range(count * 4)], "v": range(count * 4)})
    write(store, "t/", table, partition_by=("k",), format="csv")
    assert rows(read(store, "t/")) == rows(table)
    assert len({path.rpartition("/")[0] for path in files.filesystem.find("t")} - {"t"}) == count


def test_globs_and_parts_of_a_table(store: FilesAsTables) -> None:
    write(store, "a/one.csv", ORDERS)
    write(store, "a/two.csv", ORDERS)
    write(store, "a/three.jsonl", ORDERS)
    found = read(store, "a/*.csv")
    assert found == pa.concat_tables([ORDERS, ORDERS])
    with pytest.raises(ConfigurationError, match=r"several formats.*three\.jsonl"):
        read(store, "a")
    with pytest.raises(ConfigurationError, match=r"csv by its name.*asked for is parquet"):
        read(store, "a/one.csv", format="parquet")
    write(store, "t/", ORDERS, partition_by=("region", "day"))
    inner = read(store, "t/region=x/")
    assert rows(inner) == rows(ORDERS.filter(pa.compute.field("region") == "x").drop(["region"]))
    assert {str(one) for one in store.tables()} == {
        "a/one%2Ecsv",
        "a/two%2Ecsv",
        "a/three%2Ejsonl",
        "t/",
    }


def test_folders_of_other_tools(local: FilesAsTables, tmp_path: Path) -> None:
    root = tmp_path / "store" / "foreign"
    for year, letter in ((2023, "a"), (2024, "b")):
        folder = root / f"year={year}" / f"code=0{year}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"v": [letter]}), folder / "x.parquet")
    (root / "_SUCCESS").touch()
    (root / "readme.txt").write_text("not data")
    found = read(local, "foreign")
    assert found.schema == pa.schema(
        [("v", pa.string()), ("year", pa.int64()), ("code", pa.string())]
    )
    assert found.to_pylist() == [
        {"v": "a", "year": 2023, "code": "02023"},
        {"v": "b", "year": 2024, "code": "02024"},
    ]
    pq.write_table(pa.table({"v": [1]}), root / "year=2024" / "code=02024" / "y.parquet")
    with pytest.raises(SchemaMismatchError, match=r"y\.parquet: column 'v' is int64 here"):
        read(local, "foreign")


def test_a_file_that_changed_is_not_read(local: FilesAsTables, tmp_path: Path) -> None:
    write(local, "t.parquet", ORDERS)
    plan = local.plan_read(ScanRequest(table=TableName("t.parquet")), 1)
    pq.write_table(ORDERS.slice(1), tmp_path / "store" / "t.parquet")
    with pytest.raises(PreconditionFailedError, match="changed"):
        local.read(plan.splits[0]).read_all()


def test_damage_names_the_file(local: FilesAsTables, tmp_path: Path) -> None:
    write(local, "t.parquet", ORDERS)
    path = tmp_path / "store" / "t.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"t\.parquet: not a whole Parquet file"):
        local.schema(TableName("t.parquet"))
    (tmp_path / "store" / "r.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(DataError, match=r"r\.csv: row 2 has 1 values where 2 are expected"):
        read(local, "r.csv")


def test_a_failing_source_leaves_nothing(store: FilesAsTables, files: FileDriver) -> None:
    write(store, "t/", ORDERS, partition_by=("region",))
    before = files.filesystem.find("t")

    def failing() -> Iterator[pa.RecordBatch]:
        yield from ORDERS.to_batches()
        raise DataError("the source broke")

    session = store.begin(
        WriteRequest(table=TableName("t/"), schema=ORDERS.schema, mode=WriteMode.APPEND)
    )
    with pytest.raises(DataError, match="the source broke"):
        session.write("0", pa.RecordBatchReader.from_batches(ORDERS.schema, failing()))
    session.discard()
    assert files.filesystem.find("t") == before
    assert staged(files) == []
    assert not files.filesystem.exists("_datastores/" + session.request.job)


def test_a_part_written_twice_counts_once(store: FilesAsTables, files: FileDriver) -> None:
    session = store.begin(WriteRequest(table=TableName("t/"), schema=ORDERS.schema))
    lost = session.write("0", ORDERS.slice(0, 50).to_reader())
    kept = session.write("0", ORDERS.slice(0, 50).to_reader())
    other = session.write("1", ORDERS.slice(50).to_reader())
    assert lost.outputs != kept.outputs
    session.publish([kept, other])
    assert rows(read(store, "t/")) == rows(ORDERS)
    session.publish([kept, other])
    session.discard()
    session.discard()
    assert rows(read(store, "t/")) == rows(ORDERS)
    assert staged(files) == []
    session.publish([kept, other])
    assert rows(read(store, "t/")) == rows(ORDERS)


@pytest.mark.parametrize("path", ["t.parquet", "t.csv"])
def test_publishing_a_file_twice_finds_the_first(store: FilesAsTables, path: str) -> None:
    for mode in (WriteMode.CREATE, WriteMode.REPLACE):
        session = store.begin(WriteRequest(table=TableName(path), schema=ORDERS.schema, mode=mode))
        receipt = session.write("0", ORDERS.to_reader())
        session.publish([receipt])
        session.publish([receipt])
        session.discard()
        assert read(store, path) == ORDERS


def test_of_two_creators_one_wins(store: FilesAsTables) -> None:
    for path in ("t/", "t.parquet"):
        request = [WriteRequest(table=TableName(path), schema=ORDERS.schema) for _ in range(2)]
        first, second = (store.begin(one) for one in request)
        receipts = first.write("0", ORDERS.to_reader()), second.write("0", ORDERS.to_reader())
        second.publish([receipts[1]])
        with pytest.raises(AlreadyExistsError):
            first.publish([receipts[0]])
        first.discard()
        assert read(store, path) == ORDERS


def test_two_appends_at_once_are_both_kept(store: FilesAsTables) -> None:
    write(store, "t/", ORDERS)

    def append() -> None:
        write(store, "t/", ORDERS, mode=WriteMode.APPEND)

    threads = [threading.Thread(target=append) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert read(store, "t/").num_rows == 500


def test_sessions_go_to_other_processes_or_say_no(store: FilesAsTables, files: FileDriver) -> None:
    session = store.begin(WriteRequest(table=TableName("t/"), schema=ORDERS.schema))
    if not files.capabilities.processes:
        with pytest.raises(UnsupportedOperationError, match="another process"):
            pickle.dumps(session)
        return
    there = pickle.loads(pickle.dumps(session))  # our own
    receipt = there.write("0", ORDERS.to_reader())
    session.publish([receipt])
    session.discard()
    assert read(store, "t/") == ORDERS


def test_plans_say_what_will_be(store: FilesAsTables) -> None:
    plan = store.plan_write(
        WriteRequest(table=TableName("t/"), schema=ORDERS.schema, partition_by=("day",))
    )
    assert plan.bulk_path == "Parquet (zstd), partitioned by day"
    assert plan.publish == "appears at once when finished"
    assert {one.name: one.target_type for one in plan.columns}["day"] == "folder name"
    csv = store.plan_write(WriteRequest(table=TableName("t.csv"), schema=ORDERS.schema))
    assert [str(one.verdict) for one in csv.columns] == [
        "tagged",
        "exact",
        "tagged",
        "tagged",
        "exact",
    ]
    interval = pa.schema([("i", pa.month_day_nano_interval())])
    with pytest.raises(SchemaMismatchError, match="column 'i': Parquet holds no"):
        store.plan_write(WriteRequest(table=TableName("t/"), schema=interval))


def test_a_long_partition_value_is_refused(store: FilesAsTables) -> None:
    table = pa.table({"k": ["x" * 300], "v": [1]})
    with pytest.raises(DataError, match=r"column 'k'.*too long"):
        write(store, "t/", table, partition_by=("k",))


def test_types_and_infer(local: FilesAsTables, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "x.csv").write_text("a,b\n00123,1\n7,2\n")
    assert read(local, "x.csv").to_pylist() == [{"a": "00123", "b": "1"}, {"a": "7", "b": "2"}]
    typed = read(local, "x.csv", format_options={"types": {"a": "int64"}})
    assert typed["a"].to_pylist() == [123, 7]
    inferred = read(local, "x.csv", format_options={"infer": True})
    assert inferred.schema == pa.schema([("a", pa.string()), ("b", pa.int64())])
