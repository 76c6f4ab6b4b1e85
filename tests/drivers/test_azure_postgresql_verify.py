"""PostgreSQL beside other stores: the keys that differ, whatever their type; and a failed verify."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datastores import Datastore, Workspace, copy, verify
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.reading import BATCH_ROWS, ScanRequest
from datastores.errors import DataError, UnsupportedOperationError
from datastores.secrets import SecretRef
from tests.drivers.test_azure_postgresql import config_of
from tests.services.postgresql import Database

ROWS = 100_000
ORDERS = f"""
    CREATE TABLE orders (
        id bigint PRIMARY KEY, code uuid, name text, day date, total numeric(12, 2),
        placed timestamptz, region smallint, line int
    );
    INSERT INTO orders
    SELECT n, md5(n::text)::uuid, 'name ' || n, date '2020-01-01' + n % 1000, n / 100.0,
        timestamptz '2026-01-01 00:00Z' + n * interval '1 second', n % 3, n / 3
    FROM generate_series(1, {ROWS}) n
"""


@pytest.fixture
def workspace(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workspace]:
    monkeypatch.setenv("PG_PASSWORD", database.owner.password)
    config = config_of(database.owner, password=SecretRef(source="env", name="PG_PASSWORD"))
    stores: dict[str, Any] = {
        "warehouse": {"type": "postgresql", **config.to_mapping()},
        "lake": {"type": "local", "path": str(tmp_path / "lake")},
        "duck": {"type": "duckdb", "path": str(tmp_path / "duck.db")},
    }
    with Workspace.from_mapping({"default": "lake", "datastores": stores}) as workspace:
        yield workspace


def test_one_value_of_many_rows_is_found_by_reading_its_range_again(
    workspace: Workspace, blob: Datastore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.run(ORDERS)
    source, target = workspace["warehouse"] / "public/orders", blob / "orders/"
    report = copy(source, target, workers=2, verify=True)
    same = verify(source, target, workers=2)
    assert same
    assert same.one_digest == report.digest
    assert same.one_rows == ROWS

    requests: list[ScanRequest] = []
    plan_read = AzurePostgreSQLDriver.plan_read

    def watched(self: AzurePostgreSQLDriver, request: ScanRequest, splits: int) -> Any:
        requests.append(request)
        return plan_read(self, request, splits)

    monkeypatch.setattr(AzurePostgreSQLDriver, "plan_read", watched)
    database.run("UPDATE orders SET total = 19.90, name = NULL WHERE id = 76300")
    database.run("DELETE FROM orders WHERE id = 12")
    found = verify(source, target, workers=2)
    assert found.keys == ("id",)
    assert [one.key for one in found.differences] == [{"id": 12}, {"id": 76_300}]
    assert str(found).splitlines()[-3:] == [
        f"  id 12   only in {blob.label}/orders/",
        f"  id 76300   name    warehouse NULL    {blob.label} name 76300",
        f"             total    warehouse 19.90    {blob.label} 763.00",
    ]
    # The second read asks for the two ranges alone.
    [whole, narrow] = requests
    assert whole.filters == ()
    with workspace["warehouse"].tabular.plan_read(narrow, 1) as plan:
        again = sum(
            len(batch)
            for split in plan.splits
            for batch in workspace["warehouse"].tabular.read(split)
        )
    assert 0 < again < ROWS / 100


@pytest.mark.parametrize(
    "keys", ["code", "name", "placed", ["region", "line"], ["day", "id"], "total"]
)
def test_keys_of_each_type(workspace: Workspace, database: Database, keys: str | list[str]) -> None:
    database.run(ORDERS.replace(str(ROWS), "5000"))
    source, target = workspace["warehouse"] / "public/orders", workspace["duck"] / "main/orders"
    copy(source, target)
    assert verify(source, target, keys=keys)
    database.run("UPDATE orders SET line = line, region = region, id = -id WHERE id = 4321")
    database.run("DELETE FROM orders WHERE id = 99")
    found = verify(source, target, keys=keys)
    if "id" in keys:
        assert {one.key["id"] for one in found.differences} == {99, 4321, -4321}
        return
    [missing] = [one for one in found.differences if one.one_rows == 0]
    assert missing.other_rows == 1
    [changed] = [one for one in found.differences if one.one_rows]
    [value] = changed.values
    assert (value.column, value.one, value.other) == ("id", -4321, 4321)


def test_a_key_that_most_rows_share(workspace: Workspace, database: Database) -> None:
    database.run(ORDERS)
    source, target = workspace["warehouse"] / "public/orders", workspace["lake"] / "orders/"
    copy(source, target, columns=["region", "id", "total"], filters=[("region", "=", 0)])
    database.run("UPDATE orders SET region = 1; UPDATE orders SET total = 0 WHERE id = 30")
    words: dict[str, Any] = {"columns": ["region", "id", "total"], "keys": "region"}
    found = verify(source, target, **words)
    assert (
        found.note == f"more than {BATCH_ROWS:,} rows have the same region: whole rows are compared"
    )
    assert (found.one_rows, found.other_rows) == (ROWS, ROWS // 3)
    assert len(found.differences) == 20
    assert not found.complete


def test_a_failed_verify_names_the_keys(workspace: Workspace, database: Database) -> None:
    database.run(ORDERS.replace(str(ROWS), "5000"))
    database.run(
        """
        CREATE TABLE target (LIKE orders INCLUDING ALL);
        CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN NEW.total := NEW.total + 1; RETURN NEW; END $$;
        CREATE TRIGGER meddle BEFORE INSERT ON target FOR EACH ROW
            WHEN (NEW.id IN (17, 4711)) EXECUTE FUNCTION meddle()
        """
    )
    source, target = (
        workspace["warehouse"] / "public/orders",
        workspace["warehouse"] / "public/target",
    )
    with pytest.raises(DataError) as caught:
        copy(source, target, mode="replace", verify=True)
    assert "what differs first is id 17: total is 0.17 in warehouse/public.orders and 1.17" in str(
        caught.value.message
    )
    assert "id 4711: total is 47.11" in caught.value.message
    assert str(caught.value.advice).endswith(
        "datastores diff datastore://warehouse/public/orders datastore://warehouse/public/target"
    )
    # A target that held rows before has none of the source's to be compared with.
    database.run("DELETE FROM orders WHERE id > 20; DELETE FROM target")
    with pytest.raises(DataError) as caught:
        copy(source, target, mode="append", verify=True, filters=[("id", "<", 19)])
    assert "differs first" not in caught.value.message
    assert str(caught.value.advice).endswith("with the copy's options")


def test_a_number_that_is_read_back_as_text_is_not_verified(
    workspace: Workspace, database: Database
) -> None:
    database.run("CREATE TABLE source AS SELECT 1::bigint AS id, 1.50::numeric(6, 2) AS price")
    database.run("CREATE TABLE target (id bigint, price numeric)")
    ends = workspace["warehouse"] / "public/source", workspace["warehouse"] / "public/target"
    with pytest.raises(UnsupportedOperationError, match="'price' is not verified: decimal128"):
        copy(*ends, mode="append", verify=True)
    assert database.run("SELECT count(*) FROM target") == [(0,)]
    assert copy(*ends, mode="append").rows == 1
