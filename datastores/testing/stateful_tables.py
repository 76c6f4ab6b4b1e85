"""A table driver against a list of rows: write modes, reads and failures in any order.

TestTables = machine_for(make_driver, TableName("t", "main")).TestCase
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from datastores.drivers.base import TableDriver
from datastores.drivers.writing import WriteRequest
from datastores.errors import AlreadyExistsError, DataError, NotFoundError
from datastores.testing.table_case import read, write
from datastores.testing.table_reading import keeps
from datastores.testing.table_writing import BrokenSourceError, broken
from datastores.values import TableName, WriteMode

SCHEMA = pa.schema(
    [pa.field("id", pa.int64(), nullable=False), ("part", pa.string()), ("value", pa.float64())]
)
_ROW = st.fixed_dictionaries(
    {
        "id": st.integers(0, 15),
        "part": st.sampled_from([None, "", "a", "ä/b"]),
        "value": st.none() | st.floats(-4, 4, width=16),
    }
)
_ROWS = st.lists(_ROW, max_size=6, unique_by=lambda row: row["id"])
_FILTERS = st.sampled_from(
    [
        [("id", ">", 7)],
        [("part", "is null")],
        [("part", "in", ["a", ""]), ("value", "<=", 0.5)],
        [[("value", "is null")], [("id", "!=", 3)]],
    ]
)
_PARTS = st.sampled_from([None, 1])
_UNKEYED = (WriteMode.CREATE, WriteMode.REPLACE, WriteMode.APPEND, WriteMode.CREATE_APPEND)


class TableMachine(RuleBasedStateMachine):
    """The model is a list of rows, or None while there is no table; ids stay unique in it."""

    make_driver: Callable[[], TableDriver]
    table: TableName

    @initialize()
    def open(self) -> None:
        """Start with an empty store."""
        self.driver = self.make_driver()
        self.rows: list[dict[str, Any]] | None = None

    @override
    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.driver.close()

    @rule(mode=st.sampled_from(_UNKEYED), rows=_ROWS, parts=_PARTS)
    def write(self, mode: WriteMode, rows: list[dict[str, Any]], parts: int | None) -> None:
        """Write in one of the modes that know no key."""
        if mode not in self.driver.capabilities.write_modes:
            return
        keeps_old = mode in {WriteMode.APPEND, WriteMode.CREATE_APPEND}
        old = self.rows or []
        if keeps_old:
            known = {row["id"] for row in old}
            rows = [row for row in rows if row["id"] not in known]
        wrong = AlreadyExistsError if mode == WriteMode.CREATE else NotFoundError
        try:
            self._write(rows, mode, parts)
        except wrong:
            assert (self.rows is None) == (mode == WriteMode.APPEND)
        else:
            self.rows = [*old, *rows] if keeps_old else rows

    @precondition(lambda self: self.rows is not None)
    @rule(rows=_ROWS, parts=_PARTS)
    def upsert(self, rows: list[dict[str, Any]], parts: int | None) -> None:
        """Update the rows that are there, and insert the others."""
        if WriteMode.UPSERT not in self.driver.capabilities.write_modes:
            return
        assert self.rows is not None
        self._write(rows, WriteMode.UPSERT, parts)
        merged = {row["id"]: row for row in [*self.rows, *rows]}
        self.rows = list(merged.values())

    @precondition(lambda self: bool(self.rows))
    @rule(row=_ROW, parts=_PARTS)
    def upsert_twice(self, row: dict[str, Any], parts: int | None) -> None:
        """Be refused for a key that is there twice in the data."""
        if WriteMode.UPSERT not in self.driver.capabilities.write_modes:
            return
        try:
            self._write([row, row], WriteMode.UPSERT, parts)
        except DataError:
            return
        raise AssertionError("a duplicate key was taken")

    @precondition(lambda self: self.rows is not None)
    @rule(mode=st.sampled_from([WriteMode.REPLACE, WriteMode.APPEND]), rows=_ROWS, parts=_PARTS)
    def fail(self, mode: WriteMode, rows: list[dict[str, Any]], parts: int | None) -> None:
        """Break in the middle of a source, and change nothing."""
        request = WriteRequest(table=self.table, schema=SCHEMA, mode=mode, parts=parts)
        session = self.driver.begin(request)
        try:
            session.write("0", broken(pa.Table.from_pylist(rows, SCHEMA)))
        except BrokenSourceError:
            session.discard()
        else:
            raise AssertionError("a broken source was taken for a whole one")

    @precondition(lambda self: self.rows is not None)
    @rule(filters=_FILTERS, splits=st.integers(1, 4))
    def filter(self, filters: Any, splits: int) -> None:
        """Read the rows that pass a filter."""
        assert self.rows is not None
        found = read(self.driver, self.table, splits, filters=filters).to_pylist()
        assert _sorted(found) == _sorted([row for row in self.rows if keeps(row, filters)])

    @rule()
    def reopen(self) -> None:
        """Close the driver; the next call opens it again."""
        self.driver.close()

    @invariant()
    def holds_the_rows(self) -> None:
        """The table is what the model is."""
        if not hasattr(self, "driver"):
            return
        if self.rows is None:
            assert self.driver.tables() == []
        else:
            assert _sorted(read(self.driver, self.table, 2).to_pylist()) == _sorted(self.rows)

    def _write(self, rows: list[dict[str, Any]], mode: WriteMode, parts: int | None) -> None:
        keyed = WriteMode.UPSERT in self.driver.capabilities.write_modes
        keys = ("id",) if keyed else ()
        data = pa.Table.from_pylist(rows, SCHEMA)
        write(self.driver, self.table, data, mode, keys=keys, parts=parts)


def _sorted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["id"])


def machine_for(
    make_driver: Callable[[], TableDriver], table: TableName, *, max_examples: int = 25
) -> type[TableMachine]:
    """Return the machine for one driver; pytest runs its `TestCase`.

    Args:
        make_driver: Returns a driver of an empty store of its own, each time.
        table: A table that does not exist there.
        max_examples: How many histories to try.
    """

    class Machine(TableMachine):
        pass

    Machine.make_driver = staticmethod(make_driver)
    Machine.table = table
    Machine.TestCase.settings = settings(
        max_examples=max_examples, stateful_step_count=15, deadline=None
    )
    return Machine
