"""What the suites for table drivers share: reaching a table, writing to it, reading it whole."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest

from datastores.drivers.base import TableDriver
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import WriteRequest
from datastores.filters import parse_filters
from datastores.values import TableName, WriteMode


class TableCase:
    """One driver under test. A subclass gives `driver`, and says where tables and staging are."""

    @pytest.fixture
    def driver(self) -> TableDriver:
        """A driver of an empty store of its own."""
        raise NotImplementedError("the test class has no fixture named driver")

    @pytest.fixture
    def table(self) -> TableName:
        """A table that does not exist yet."""
        return self.table_named("orders")

    def table_named(self, name: str) -> TableName:
        """Return where a table of this name is; file stores make a path of it."""
        return TableName(name)

    def holds(self, data: pa.Table) -> bool:
        """Return whether the driver can hold these values; those it refuses have tests of their own."""
        return True

    def staging_left(self, driver: TableDriver) -> Sequence[str]:
        """Return what is in the driver's staging, looked up without the driver."""
        raise NotImplementedError("the test class does not say what is left in staging")


def write(
    driver: TableDriver,
    table: TableName,
    data: pa.Table,
    mode: WriteMode = WriteMode.CREATE,
    **options: Any,
) -> None:
    """Write a table in one part, and discard the staging whatever happens."""
    options = {"parts": 1, **options}
    session = driver.begin(WriteRequest(table=table, schema=data.schema, mode=mode, **options))
    try:
        taken = data.select(session.request.schema.names)
        session.publish([session.write("0", taken.to_reader())])
    finally:
        session.discard()


def read(driver: TableDriver, table: TableName, splits: int = 1, **request: Any) -> pa.Table:
    """Read a table through all splits of a plan, each pickled on its way."""
    request["filters"] = parse_filters(request.get("filters"))
    return read_request(driver, ScanRequest(table=table, **request), splits)


def read_request(driver: TableDriver, request: ScanRequest, splits: int = 1) -> pa.Table:
    """Read a request, checking what every batch must be."""
    with driver.plan_read(request, splits) as plan:
        batches = []
        for split in plan.splits:
            with driver.read(pickle.loads(pickle.dumps(split))) as reader:  # our own
                for batch in reader:
                    assert batch.schema.equals(plan.schema, check_metadata=True)
                    assert 0 < batch.num_rows <= request.batch_rows
                    batch.validate(full=True)
                    batches.append(batch)
        return pa.Table.from_batches(batches, schema=plan.schema)
