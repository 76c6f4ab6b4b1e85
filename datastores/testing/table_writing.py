"""What writing promises: each mode as declared, all or nothing, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest

from datastores.drivers.base import TableDriver
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    DataError,
    DatastoreError,
    NotFoundError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import TableCase, read, write
from datastores.values import TableName, WriteMode

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("day", pa.string()),
        pa.field("total", pa.float64()),
    ]
)
OLD = pa.table({"id": [1, 2, 3], "day": ["mon", "mon", "tue"], "total": [1.0, None, 3.0]}, SCHEMA)
NEW = pa.table({"id": [3, 4], "day": ["tue", "wed"], "total": [33.0, 4.0]}, SCHEMA)
OPTIONS: dict[WriteMode, dict[str, Any]] = {
    WriteMode.UPSERT: {"keys": ("id",)},
    WriteMode.REPLACE_PARTITIONS: {"partition_by": ("day",)},
}
# Which rows of the old table stay, beside all of the new.
STAYS: dict[WriteMode, list[int]] = {
    WriteMode.APPEND: [0, 1, 2],
    WriteMode.CREATE_APPEND: [0, 1, 2],
    WriteMode.REPLACE: [],
    WriteMode.UPSERT: [0, 1],
    WriteMode.REPLACE_PARTITIONS: [0, 1],
}
MODES_ON_EXISTING = tuple(STAYS)
# Known to be one part, a write may need no staging.
either_way = pytest.mark.parametrize("parts", [None, 1], ids=["staged", "one part"])


class BrokenSourceError(Exception):
    """Raised in the middle of a source by the tests."""


def broken(data: pa.Table) -> pa.RecordBatchReader:
    """Return a reader that yields some rows and then fails."""

    def batches() -> Iterator[pa.RecordBatch]:
        yield from data.to_batches()
        raise BrokenSourceError("the source broke")

    return pa.RecordBatchReader.from_batches(data.schema, batches())


class WritingConformance(TableCase):
    """Each write mode in both directions: declared works, undeclared changes nothing."""

    def options(self, mode: WriteMode) -> dict[str, Any]:
        """Return what a write in this mode needs."""
        return OPTIONS.get(mode, {})

    def create_options(self, mode: WriteMode) -> dict[str, Any]:
        """Return what `create` needs so that a write in `mode` may follow.

        A file store, which partitions when it creates, returns `options(mode)`.
        """
        return {"keys": self.options(mode).get("keys", ())}

    def create_old(self, driver: TableDriver, table: TableName, mode: WriteMode) -> None:
        """Create the table that a write in `mode` then meets."""
        write(driver, table, OLD, WriteMode.CREATE, **self.create_options(mode))

    @either_way
    @pytest.mark.parametrize("mode", MODES_ON_EXISTING)
    def test_a_mode_on_a_table_that_exists(
        self, driver: TableDriver, table: TableName, mode: WriteMode, parts: int | None
    ) -> None:
        if mode not in driver.capabilities.write_modes:
            write(driver, table, OLD)
            with pytest.raises(UnsupportedOperationError):
                write(driver, table, NEW, mode, **self.options(mode))
            assert_same_table(read(driver, table), OLD)
            return
        self.create_old(driver, table, mode)
        write(driver, table, NEW, mode, parts=parts, **self.options(mode))
        expected = pa.concat_tables([OLD.take(pa.array(STAYS[mode], pa.int64())), NEW])
        assert_same_table(read(driver, table, 2).select(SCHEMA.names), expected)
        assert not self.staging_left(driver)

    @either_way
    @pytest.mark.parametrize("mode", [WriteMode.CREATE, WriteMode.REPLACE, WriteMode.CREATE_APPEND])
    def test_a_mode_on_a_table_that_does_not_exist(
        self, driver: TableDriver, table: TableName, mode: WriteMode, parts: int | None
    ) -> None:
        if mode not in driver.capabilities.write_modes:
            with pytest.raises(UnsupportedOperationError):
                write(driver, table, NEW, mode)
            assert driver.tables() == []
            return
        write(driver, table, NEW, mode, parts=parts)
        assert_same_table(read(driver, table), NEW)

    def test_create_refuses_a_table_that_exists(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        with pytest.raises(AlreadyExistsError):
            driver.plan_write(WriteRequest(table=table, schema=SCHEMA))
        with pytest.raises(AlreadyExistsError):
            write(driver, table, NEW)
        assert_same_table(read(driver, table), OLD)

    def test_create_refuses_a_table_that_came_to_be_meanwhile(
        self, driver: TableDriver, table: TableName
    ) -> None:
        slow = driver.begin(WriteRequest(table=table, schema=SCHEMA))
        receipt = slow.write("0", NEW.to_reader())
        write(driver, table, OLD)
        with pytest.raises(AlreadyExistsError):
            slow.publish([receipt])
        slow.discard()
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    def test_append_needs_a_table(self, driver: TableDriver, table: TableName) -> None:
        if WriteMode.APPEND not in driver.capabilities.write_modes:
            pytest.skip("append is not declared")
        with pytest.raises(NotFoundError):
            driver.plan_write(WriteRequest(table=table, schema=SCHEMA, mode=WriteMode.APPEND))
        assert driver.tables() == []

    @pytest.mark.parametrize(
        ("data", "named"),
        [
            (NEW.drop_columns(["total"]), "total"),
            (NEW.append_column("extra", pa.array(["x", "y"])), "extra"),
            (NEW.set_column(1, "day", pa.array([True, False])), "day"),
            (NEW.rename_columns(["id", "Day", "total"]), "Day|day"),
        ],
        ids=["missing", "extra", "type", "case"],
    )
    def test_a_schema_that_does_not_fit_is_named(
        self, driver: TableDriver, table: TableName, data: pa.Table, named: str
    ) -> None:
        write(driver, table, OLD)
        with pytest.raises(SchemaMismatchError, match=named):
            write(driver, table, data, WriteMode.APPEND)
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    def test_columns_are_matched_by_name(self, driver: TableDriver, table: TableName) -> None:
        write(driver, table, OLD)
        write(driver, table, NEW.select(["total", "id", "day"]), WriteMode.APPEND)
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))

    def test_a_table_without_columns_is_refused(
        self, driver: TableDriver, table: TableName
    ) -> None:
        with pytest.raises(SchemaMismatchError):
            driver.begin(WriteRequest(table=table, schema=pa.schema([])))
        assert driver.tables() == []

    @either_way
    @pytest.mark.parametrize("mode", MODES_ON_EXISTING)
    def test_a_source_that_breaks_changes_nothing(
        self, driver: TableDriver, table: TableName, mode: WriteMode, parts: int | None
    ) -> None:
        if mode not in driver.capabilities.write_modes:
            pytest.skip("the mode is not declared")
        self.create_old(driver, table, mode)
        session = driver.begin(
            WriteRequest(table=table, schema=SCHEMA, mode=mode, parts=parts, **self.options(mode))
        )
        session.write("0", NEW.to_reader())
        with pytest.raises(BrokenSourceError):
            session.write("0" if parts == 1 else "1", broken(NEW))
        session.discard()
        assert_same_table(read(driver, table).select(SCHEMA.names), OLD)
        assert not self.staging_left(driver)

    @either_way
    def test_a_part_written_twice_counts_once(
        self, driver: TableDriver, table: TableName, parts: int | None
    ) -> None:
        session = driver.begin(WriteRequest(table=table, schema=SCHEMA, parts=parts))
        session.write("0", OLD.to_reader())
        again = session.write("0", OLD.to_reader())
        session.publish([again])
        session.discard()
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    @either_way
    def test_publishing_twice_publishes_once(
        self, driver: TableDriver, table: TableName, parts: int | None
    ) -> None:
        write(driver, table, OLD)
        request = WriteRequest(table=table, schema=SCHEMA, mode=WriteMode.APPEND, parts=parts)
        session = driver.begin(request)
        receipts = [session.write("0", NEW.to_reader())]
        session.publish(receipts)
        session.publish(receipts)
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))
        session.discard()
        session.discard()
        assert_same_table(read(driver, table), pa.concat_tables([OLD, NEW]))
        assert not self.staging_left(driver)

    def test_several_parts_are_one_table(self, driver: TableDriver, table: TableName) -> None:
        session = driver.begin(WriteRequest(table=table, schema=SCHEMA))
        receipts = [
            session.write(str(at), OLD.slice(at, 1).to_reader()) for at in range(OLD.num_rows)
        ]
        receipts.append(session.write("empty", OLD.slice(0, 0).to_reader()))
        assert [receipt.rows for receipt in receipts] == [1, 1, 1, 0]
        session.publish(receipts)
        session.discard()
        assert_same_table(read(driver, table, 2), OLD)

    @either_way
    def test_two_appends_are_both_kept(
        self, driver: TableDriver, table: TableName, parts: int | None
    ) -> None:
        write(driver, table, OLD)
        request = {"table": table, "schema": SCHEMA, "mode": WriteMode.APPEND, "parts": parts}
        one, other = (driver.begin(WriteRequest(**request)) for _ in range(2))
        first, second = one.write("0", NEW.to_reader()), other.write("0", OLD.to_reader())
        other.publish([second])
        one.publish([first])
        one.discard()
        other.discard()
        assert_same_table(read(driver, table), pa.concat_tables([OLD, OLD, NEW]))
        assert not self.staging_left(driver)

    @either_way
    @pytest.mark.parametrize("key", [3, None], ids=["twice", "null"])
    def test_upsert_refuses_keys_that_name_no_single_row(
        self, driver: TableDriver, table: TableName, key: int | None, parts: int | None
    ) -> None:
        if WriteMode.UPSERT not in driver.capabilities.write_modes:
            pytest.skip("upsert is not declared")
        write(driver, table, OLD, keys=("id",))
        loose = SCHEMA.set(0, pa.field("id", pa.int64()))
        data = pa.table({"id": [3, key], "day": ["x", "y"], "total": [1.0, 2.0]}, loose)
        with pytest.raises(DataError, match="id"):
            write(driver, table, data, WriteMode.UPSERT, keys=("id",), parts=parts)
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    def test_upsert_needs_a_declared_key(self, driver: TableDriver, table: TableName) -> None:
        if WriteMode.UPSERT not in driver.capabilities.write_modes:
            pytest.skip("upsert is not declared")
        write(driver, table, OLD)
        with pytest.raises(SchemaMismatchError, match="id"):
            write(driver, table, NEW, WriteMode.UPSERT, keys=("id",))
        assert_same_table(read(driver, table), OLD)

    @pytest.mark.parametrize(
        "name", ['a"b', "a.b", "x'; drop table canary; --", "日本 😀", "a%2Eb", "select", " "]
    )
    def test_hostile_names_and_values_harm_nothing(self, driver: TableDriver, name: str) -> None:
        canary = self.table_named("canary")
        write(driver, canary, OLD)
        hostile = "x'); drop table canary; --\"\\"
        data = pa.table({name: [hostile, None], f"{name}2": [1, 2]})
        try:
            table = self.table_named(name)
            write(driver, table, data)
        except DatastoreError as error:
            # Refused is as good as kept, if it says which name.
            assert repr(name)[1:-1] in str(error)  # noqa: PT017
        else:
            assert_same_table(read(driver, table), data)
            found = read(driver, table, filters=[(name, "=", hostile)])
            assert found.num_rows == 1
        assert_same_table(read(driver, canary), OLD)
