"""What a write promises where the data's columns are not those of a table that exists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pytest

from datastores.drivers.base import TableDriver
from datastores.drivers.writing import DriftKind, WriteRequest
from datastores.errors import DataError, SchemaMismatchError
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.testing.table_writing import MODES_ON_EXISTING, STAYS, WritingConformance
from datastores.types.fields import without_metadata
from datastores.values import Drift, TableName, WriteMode

OLD = pa.table(
    {"id": [1, 2, 3], "day": ["mon", "mon", "tue"], "pieces": [10, None, 30]},
    pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("day", pa.string()),
            pa.field("pieces", pa.int32()),
        ]
    ),
)
_SAME = pa.table({"id": [3, 4], "day": ["tue", "wed"], "pieces": [33, 44]}, OLD.schema)
DRIFTED: Mapping[DriftKind, pa.Table] = {
    DriftKind.ADDED: _SAME.append_column("remark", pa.array(["x", None])),
    DriftKind.DROPPED: _SAME.drop_columns(["pieces"]),
    DriftKind.WIDENED: _SAME.set_column(2, "pieces", pa.array([33, 44], pa.int64())),
    DriftKind.NARROWED: _SAME.set_column(2, "pieces", pa.array([33, 44], pa.int16())),
}
"""Rows for the table `OLD`, each with one column that is not as it is there."""
_COLUMNS = dict.fromkeys(DriftKind, "pieces") | {DriftKind.ADDED: "remark"}
_TOO_LARGE = _SAME.set_column(2, "pieces", pa.array([33, 1 << 40], pa.int64()))

drifts = pytest.mark.parametrize("kind", list(DRIFTED))


def after(mode: WriteMode, policy: Drift, kind: DriftKind) -> pa.Table:
    """Return what the table holds once the rows that drifted in some way are written."""
    new = DRIFTED[kind]
    schema = OLD.schema
    if policy is Drift.EVOLVE and kind is DriftKind.ADDED:
        schema = schema.append(new.schema.field("remark"))
    if policy is Drift.EVOLVE and kind is DriftKind.WIDENED:
        schema = new.schema
    written = new.to_pylist()
    if kind is DriftKind.DROPPED and mode is WriteMode.UPSERT:
        # The row is there, and its value is none of the data's.
        written[0]["pieces"] = 30
    rows = OLD.take(pa.array(STAYS[mode], pa.int64())).to_pylist() + written
    return pa.Table.from_pylist(
        [{name: row.get(name) for name in schema.names} for row in rows], schema
    )


class DriftConformance(WritingConformance):
    """Each policy for each kind of drift, in each mode that meets a table."""

    def each_write(
        self, driver: TableDriver, kind: DriftKind, *, ways: tuple[int | None, ...]
    ) -> Iterator[tuple[TableName, Any]]:
        """Yield a table that holds `OLD`, and how it is written to: in each mode, staged or not."""
        for mode in MODES_ON_EXISTING:
            if mode not in driver.capabilities.write_modes:
                continue
            for parts in ways:
                table = self.table_named(f"{kind}_{mode}_{parts}")
                write(driver, table, OLD, **self.create_options(mode))
                yield table, {"mode": mode, "parts": parts, **self.options(mode)}

    @drifts
    def test_refuse_names_the_column_before_a_row_moves(
        self, driver: TableDriver, kind: DriftKind
    ) -> None:
        for table, options in self.each_write(driver, kind, ways=(None,)):
            request = WriteRequest(
                table=table, schema=DRIFTED[kind].schema, drift=Drift.REFUSE, **options
            )
            for refused in (driver.plan_write, driver.begin):
                with pytest.raises(SchemaMismatchError, match=f"'{_COLUMNS[kind]}' is {kind}"):
                    refused(request)
            assert_same_table(read(driver, table).select(OLD.column_names), OLD)
        assert not self.staging_left(driver)

    @drifts
    @pytest.mark.parametrize("policy", [Drift.IGNORE, Drift.EVOLVE])
    def test_what_becomes_of_drift(
        self, driver: TableDriver, policy: Drift, kind: DriftKind
    ) -> None:
        for table, options in self.each_write(driver, kind, ways=(None, 1)):
            data = DRIFTED[kind]
            request = WriteRequest(table=table, schema=data.schema, drift=policy, **options)
            [planned] = driver.plan_write(request).drifted
            assert (planned.column, planned.kind) == (_COLUMNS[kind], kind)
            assert planned.outcome
            write(driver, table, data, drift=policy, **options)
            expected = after(options["mode"], policy, kind)
            found = read(driver, table, 2)
            assert set(found.column_names) == set(expected.column_names)
            found = found.select(expected.column_names)
            assert_same_table(found, expected)
            assert without_metadata(found.schema).types == expected.schema.types
        assert not self.staging_left(driver)

    @pytest.mark.parametrize("policy", Drift)
    def test_columns_that_are_the_same_are_no_drift(
        self, driver: TableDriver, table: TableName, policy: Drift
    ) -> None:
        write(driver, table, OLD)
        options: dict[str, Any] = {"mode": WriteMode.APPEND, "drift": policy}
        shuffled = _SAME.select(["pieces", "id", "day"])
        plan = driver.plan_write(WriteRequest(table=table, schema=shuffled.schema, **options))
        assert not plan.drifted
        assert not plan.statements
        write(driver, table, shuffled, **options)
        assert_same_table(read(driver, table), pa.concat_tables([OLD, _SAME]))

    def test_ignore_refuses_a_value_that_does_not_fit(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        with pytest.raises(DataError, match=f"pieces.*{1 << 40}"):
            write(driver, table, _TOO_LARGE, WriteMode.APPEND, drift=Drift.IGNORE)
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    def test_evolve_makes_room_for_a_value(self, driver: TableDriver, table: TableName) -> None:
        write(driver, table, OLD)
        write(driver, table, _TOO_LARGE, WriteMode.APPEND, drift=Drift.EVOLVE)
        pieces = pa.table({"pieces": pa.array([10, None, 30, 33, 1 << 40], pa.int64())})
        assert_same_table(read(driver, table).select(["pieces"]), pieces)

    @pytest.mark.parametrize("policy", [Drift.IGNORE, Drift.EVOLVE])
    def test_a_column_that_is_never_null_is_not_left_out(
        self, driver: TableDriver, table: TableName, policy: Drift
    ) -> None:
        write(driver, table, OLD)
        with pytest.raises(SchemaMismatchError, match=r"'id'.*NOT NULL"):
            write(driver, table, _SAME.drop_columns(["id"]), WriteMode.APPEND, drift=policy)
        assert_same_table(read(driver, table), OLD)

    def test_a_write_that_fails_leaves_the_table_as_it_was(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        data = DRIFTED[DriftKind.ADDED]
        session = driver.begin(
            WriteRequest(table=table, schema=data.schema, mode=WriteMode.APPEND, drift=Drift.EVOLVE)
        )
        session.write("0", data.to_reader())
        assert_same_table(read(driver, table), OLD)
        session.discard()
        assert_same_table(read(driver, table), OLD)
        assert not self.staging_left(driver)

    def test_two_writes_may_add_the_same_column(
        self, driver: TableDriver, table: TableName
    ) -> None:
        write(driver, table, OLD)
        data = DRIFTED[DriftKind.ADDED]
        sessions = [
            driver.begin(
                WriteRequest(
                    table=table, schema=data.schema, mode=WriteMode.APPEND, drift=Drift.EVOLVE
                )
            )
            for _ in range(2)
        ]
        receipts = [one.write("0", data.to_reader()) for one in sessions]
        for session, receipt in zip(sessions, receipts, strict=True):
            session.publish([receipt])
            session.discard()
        remarks = pa.table({"remark": [None, None, None, "x", None, "x", None]})
        assert_same_table(read(driver, table).select(["remark"]), remarks)
        assert not self.staging_left(driver)
