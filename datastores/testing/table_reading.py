"""What reading promises: splits that tile, exact filters, bounded batches, types as they were."""

from __future__ import annotations

import operator as operators
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from datastores.drivers.base import TableDriver
from datastores.drivers.reading import ScanRequest
from datastores.errors import DatastoreError, NotFoundError, UnsupportedOperationError
from datastores.testing.arrow import TYPES, assert_same_table, tables
from datastores.testing.table_case import TableCase, read, read_request, write
from datastores.types.fields import without_metadata
from datastores.values import OnUnfit, Snapshot, TableName, WriteMode

ROWS = 300
FILTERS: tuple[Any, ...] = (
    [("id", "=", -150)],
    [("id", "!=", 7)],
    [("id", "<", -100), ("id", ">=", -140)],
    [("id", "<=", -149)],
    [("word", "in", ["w1", "O'Neil; drop table x --", "nowhere"])],
    [("word", "not in", ["w1", "w2"])],
    [("word", "in", [])],
    [("word", "not in", [])],
    [("word", "is null")],
    [("word", "is not null"), ("skew", "=", 0)],
    [("word", "!=", "w1")],
    [("score", ">", 1.5)],
    [[("id", ">", 140)], [("score", "<", 0.0), ("skew", "is null")]],
    [("id", "=", 2**62)],
)


def sample(rows: int = ROWS) -> pa.Table:
    """Return rows with negative, skewed, NULL and hostile values."""
    words = [None, "w1", "w2", "O'Neil; drop table x --", "", "日本"]
    return pa.table(
        {
            "id": pa.array(range(-(rows // 2), rows - rows // 2), pa.int64()),
            "skew": pa.array([None if n % 50 == 0 else 0 for n in range(rows)], pa.int32()),
            "word": pa.array([words[n % len(words)] for n in range(rows)], pa.string()),
            "score": pa.array([None if n % 9 == 0 else n / 8 - 10 for n in range(rows)]),
        }
    )


def keeps(row: Mapping[str, Any], groups: Sequence[Any]) -> bool:
    """Evaluate filters on one row in plain Python, as SQL does: a NULL meets only `is null`."""
    nested = groups if isinstance(groups[0], list) else [groups]
    return any(all(_meets(row[one[0]], *one[1:]) for one in group) for group in nested)


def _meets(value: Any, operator: str, wanted: Any = None) -> bool:
    if operator.endswith("null"):
        return (value is None) == (operator == "is null")
    if value is None:
        return False
    return bool(_COMPARE[operator](value, wanted))


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operators.eq,
    "!=": operators.ne,
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "in": lambda value, wanted: value in wanted,
    "not in": lambda value, wanted: value not in wanted,
}


class ReadingConformance(TableCase):
    """Reading, on whatever the driver's `create` wrote."""

    refused_types: ClassVar[tuple[pa.DataType, ...]] = ()
    """Of `TYPES`, those that the driver refuses by naming the column."""

    @pytest.fixture
    def rows(self, driver: TableDriver, table: TableName) -> pa.Table:
        """The rows in `table`."""
        write(driver, table, sample())
        return sample()

    @pytest.mark.parametrize("splits", [1, 2, 3, 7, ROWS + 5])
    def test_splits_tile_the_table(
        self, driver: TableDriver, table: TableName, rows: pa.Table, splits: int
    ) -> None:
        assert_same_table(read(driver, table, splits), rows)
        with driver.plan_read(ScanRequest(table=table), splits) as plan:
            assert len(plan.splits) <= splits + 1

    @pytest.mark.usefixtures("rows")
    def test_a_split_reads_the_same_rows_again(self, driver: TableDriver, table: TableName) -> None:
        with driver.plan_read(ScanRequest(table=table), 3) as plan:
            first = [driver.read(split).read_all() for split in plan.splits]
            again = [driver.read(split).read_all() for split in reversed(plan.splits)]
        for one, other in zip(first, reversed(again), strict=True):
            assert_same_table(one, other)

    @pytest.mark.parametrize("batch_rows", [1, 7, ROWS, 10 * ROWS])
    def test_batches_are_bounded(
        self, driver: TableDriver, table: TableName, rows: pa.Table, batch_rows: int
    ) -> None:
        assert_same_table(read(driver, table, 2, batch_rows=batch_rows), rows)

    def test_rows_that_are_left_out_are_handed_over(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, sample())
        policies = OnUnfit.parse("reject") if driver.capabilities.on_unfit else OnUnfit()
        with driver.plan_read(ScanRequest(table=table, on_unfit=policies), 3) as plan:
            counted = plan.unfit()
            handed = [len(why) for one in plan.splits for _, why in driver.rejected(one)]
        assert counted is not None
        assert sum(handed) == counted.rows_rejected

    @pytest.mark.parametrize("splits", [1, 3])
    @pytest.mark.parametrize("filters", FILTERS, ids=str)
    def test_filters_keep_what_python_keeps(
        self, driver: TableDriver, table: TableName, rows: pa.Table, filters: Any, splits: int
    ) -> None:
        wanted = [row for row in rows.to_pylist() if keeps(row, filters)]
        expected = pa.Table.from_pylist(wanted, schema=rows.schema)
        assert_same_table(read(driver, table, splits, filters=filters), expected)

    @pytest.mark.usefixtures("rows")
    def test_a_filter_on_a_column_that_is_not_read(
        self, driver: TableDriver, table: TableName
    ) -> None:
        found = read(driver, table, 2, columns=("word",), filters=[("id", ">=", 145)])
        assert found.schema.names == ["word"]
        assert found.num_rows == 5

    def test_columns_come_in_the_order_asked(
        self, driver: TableDriver, table: TableName, rows: pa.Table
    ) -> None:
        found = read(driver, table, 2, columns=("word", "id"))
        assert_same_table(found, rows.select(["word", "id"]))

    @pytest.mark.usefixtures("rows")
    def test_an_unknown_column_is_named(self, driver: TableDriver, table: TableName) -> None:
        with pytest.raises(DatastoreError, match="wrod"):
            driver.plan_read(ScanRequest(table=table, columns=("wrod",)), 1)
        with pytest.raises(DatastoreError, match="wrod"):
            read(driver, table, filters=[("wrod", "=", "w1")])

    @pytest.mark.parametrize("limit", [0, 1, 17, ROWS, ROWS * 2])
    def test_a_limit_bounds_the_rows(
        self, driver: TableDriver, table: TableName, rows: pa.Table, limit: int
    ) -> None:
        found = read(driver, table, 3, limit=limit)
        assert found.num_rows == min(limit, ROWS)
        assert set(found["id"].to_pylist()) <= set(rows["id"].to_pylist())

    def test_the_schema_is_that_of_the_batches(
        self, driver: TableDriver, table: TableName, rows: pa.Table
    ) -> None:
        schema = driver.schema(table)
        assert schema.names == rows.schema.names
        assert schema.types == rows.schema.types
        with driver.plan_read(ScanRequest(table=table), 2) as plan:
            assert without_metadata(plan.schema) == without_metadata(schema)

    def test_an_empty_table_keeps_its_schema(self, driver: TableDriver, table: TableName) -> None:
        empty = sample().slice(0, 0)
        write(driver, table, empty)
        assert driver.schema(table).types == empty.schema.types
        assert_same_table(read(driver, table, 4), empty)

    def test_a_missing_table_is_not_found(self, driver: TableDriver) -> None:
        missing = self.table_named("nowhere")
        with pytest.raises(NotFoundError, match="nowhere"):
            driver.schema(missing)
        with pytest.raises(NotFoundError, match="nowhere"):
            driver.plan_read(ScanRequest(table=missing), 1)

    @pytest.mark.usefixtures("rows")
    def test_a_written_table_is_listed(self, driver: TableDriver, table: TableName) -> None:
        assert driver.tables() == [table]

    @pytest.mark.usefixtures("rows")
    def test_what_is_listed_is_described(self, driver: TableDriver) -> None:
        described = driver.describe_tables()
        assert [one.table for one in described] == driver.tables()
        assert {one.not_its_own for one in described} == {None}

    def test_plans_share_a_snapshot_where_declared(
        self, driver: TableDriver, table: TableName
    ) -> None:
        other = self.table_named("other")
        for one in (table, other):
            write(driver, one, sample(4))
        with driver.snapshot([table, other]) as snapshot:
            declared = driver.capabilities.snapshot is Snapshot.TRANSFERABLE
            assert (snapshot is not None) == declared
            if snapshot is None:
                return
            write(driver, other, sample(4), WriteMode.APPEND)
            # The first plan's end is not the snapshot's.
            for one in (table, other):
                request = ScanRequest(table=one, snapshot=snapshot)
                assert read_request(driver, request, splits=2).num_rows == 4
                with driver.plan_read(request, 1) as plan:
                    assert plan.snapshot == snapshot
        assert read(driver, other).num_rows == 8

    @pytest.mark.usefixtures("rows")
    def test_a_query_is_run_where_declared(self, driver: TableDriver) -> None:
        request = ScanRequest(query="select :n + 1 as n, :w as w", parameters={"n": 1, "w": ":n"})
        if driver.capabilities.query:
            found = read_request(driver, request)
            assert found.to_pylist() == [{"n": 2, "w": ":n"}]
        else:
            with pytest.raises(UnsupportedOperationError):
                driver.plan_read(request, 1)

    @pytest.mark.usefixtures("rows")
    def test_a_key_to_split_by_is_taken_where_declared(
        self, driver: TableDriver, table: TableName, rows: pa.Table
    ) -> None:
        key = ("skew", "word")
        if driver.capabilities.split_by:
            assert_same_table(read(driver, table, 5, split_by=key), rows)
            with pytest.raises(DatastoreError, match="wrod"):
                driver.plan_read(ScanRequest(table=table, split_by=("wrod",)), 2)
        else:
            with pytest.raises(UnsupportedOperationError):
                driver.plan_read(ScanRequest(table=table, split_by=key), 2)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            # Each driver's class inherits this test, and has its own driver.
            HealthCheck.differing_executors,
        ],
    )
    @given(data=st.data())
    def test_any_table_comes_back_as_it_was(self, driver: TableDriver, data: st.DataObject) -> None:
        refused = [str(type_) for type_ in self.refused_types]
        types = [type_ for type_ in TYPES if str(type_) not in refused]
        original = data.draw(tables(types))
        assume(original.num_columns and self.holds(original))
        table = self.table_named(f"t{uuid.uuid4().hex}")
        write(driver, table, original)
        assert_same_table(read(driver, table, data.draw(st.integers(1, 3))), original)
        assert_same_table(read(driver, table, 1, limit=100), original)

    @pytest.mark.parametrize("type_", TYPES, ids=str)
    def test_each_type_is_exact_or_refused_by_name(
        self, driver: TableDriver, table: TableName, type_: pa.DataType
    ) -> None:
        data = pa.table({"the column": pa.nulls(2, type_)})
        if type_ in self.refused_types:
            with pytest.raises(DatastoreError, match="the column"):
                write(driver, table, data, WriteMode.CREATE)
            return
        write(driver, table, data)
        assert_same_table(read(driver, table), data)
