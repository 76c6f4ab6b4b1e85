"""Copies of rows between stores of each kind: what arrives, under each mode and option."""

from __future__ import annotations

import itertools
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import datastores
from datastores import Datastore, Workspace
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DataError,
    NotFoundError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.location import Location
from datastores.transfer import CopyOptions
from datastores.types.fields import without_metadata
from tests.drivers.test_azure_postgresql import config_of
from tests.services.postgresql import Database

from .conftest import ROWS, staging_of

PLACES = {
    "duckdb": ("warehouse", "orders"),
    "parquet folder": ("files", "orders/"),
    "parquet file": ("files", "orders.parquet"),
    "csv folder": ("files", "csv/"),
    "csv file": ("files", "orders.csv"),
    "json lines": ("files", "orders.jsonl"),
    "arrow": ("files", "orders.arrow"),
    "memory": ("cache", "orders/"),
}


def held(workspace: Workspace, store: str, path: str) -> pa.Table:
    table = (
        workspace[store].scan(path.replace("/", "") if store == "warehouse" else path).to_arrow()
    )
    return table.cast(without_metadata(table.schema)).sort_by("id")


@pytest.mark.parametrize(("source", "target"), list(itertools.permutations(PLACES, 2)))
def test_every_pair_of_kinds_is_equal(
    workspace: Workspace, orders: pa.Table, source: str, target: str
) -> None:
    store, path = PLACES[source]
    workspace[store].write_table(path, orders, format="csv" if path == "csv/" else None)
    end_store, end_path = PLACES[target]
    end_path = f"copied-{end_path}" if end_store == store else end_path
    options: CopyOptions = {"workers": 2, "verify": True}
    if target == "csv folder":
        options["format"] = "csv"
    elif end_path.endswith("/"):
        options["rows_per_file"] = 400

    report = datastores.copy(
        workspace[store] / path,
        workspace[end_store] / end_path,
        **options,
    )

    assert held(workspace, end_store, end_path).equals(orders)
    if report.rows is not None:
        assert report.rows == ROWS
        assert report.digest is not None
    assert staging_of(workspace) == []


def test_a_source_is_a_url_a_location_a_scan_or_a_query(
    workspace: Workspace, orders: pa.Table
) -> None:
    warehouse, files = workspace["warehouse"], workspace["files"]
    warehouse.write_table("shop.orders", orders)
    url = "datastore://warehouse/shop/orders"
    sources = {
        "url": url,
        "location": Location.parse(url),
        "path": warehouse / "shop/orders",
        "scan": warehouse.scan("shop.orders", filters=[("id", "<", 10)]),
        "query": warehouse.query("select * from shop.orders where id < :n", {"n": 10}),
    }
    for name, source in sources.items():
        report = datastores.copy(source, files / f"{name}/", workspace=workspace)
        assert report.rows == (10 if name in {"scan", "query"} else ROWS)


def test_columns_filters_rename_and_types(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders)
    datastores.copy(
        workspace["warehouse"] / "orders",
        workspace["files"] / "narrow/",
        columns=["total", "id"],
        filters=[("region", "=", "north"), ("id", "<", 10)],
        rename={"id": "order_id"},
        types={"order_id": "int16"},
    )
    table = workspace["files"].scan("narrow/").to_arrow()
    assert table.schema.names == ["total", "order_id"]
    assert table.schema.field("order_id").type == pa.int16()
    assert sorted(table["order_id"].to_pylist()) == [0, 3, 6, 9]


def test_a_value_that_the_type_cannot_hold_is_refused(
    workspace: Workspace, orders: pa.Table
) -> None:
    workspace["warehouse"].write_table("orders", orders)
    with pytest.raises(DataError, match="total"):
        datastores.copy(
            workspace["warehouse"] / "orders",
            workspace["files"] / "whole/",
            types={"total": "int64"},
        )
    assert not workspace["files"].exists("whole")
    assert staging_of(workspace) == []


def test_partitions_come_back_with_their_types(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders)
    datastores.copy(
        workspace["warehouse"] / "orders",
        workspace["files"] / "by_region/",
        partition_by=["region"],
        workers=2,
        verify=True,
    )
    folders = {one.path for one in workspace["files"].list("by_region") if one.is_folder}
    assert folders == {
        "by_region/region=north",
        "by_region/region=south",
        "by_region/region=__HIVE_DEFAULT_PARTITION__",
    }
    back = workspace["files"].scan("by_region/", columns=orders.schema.names).to_arrow()
    assert back.sort_by("id").cast(orders.schema).equals(orders)


def test_replace_partitions_leaves_the_others(workspace: Workspace, orders: pa.Table) -> None:
    files = workspace["files"]
    target = files / "by_region/"
    files.write_table("by_region/", orders, partition_by=["region"])
    changed = orders.filter(pc.equal(orders["region"], "north")).slice(0, 5)
    files.write_table("changed.parquet", changed)
    datastores.copy(
        files / "changed.parquet", target, mode="replace_partitions", partition_by=["region"]
    )
    back = files.scan("by_region/").to_arrow()
    counts = dict(
        zip(*back.group_by("region").aggregate([("id", "count")]).to_pydict().values(), strict=True)
    )
    assert counts == {"north": 5, "south": 333, None: 333}


@pytest.mark.parametrize("place", ["duckdb", "parquet folder", "memory"])
def test_modes(workspace: Workspace, orders: pa.Table, place: str) -> None:
    store, path = PLACES[place]
    target = workspace[store] / path
    workspace["other"].write_table("in.parquet", orders)
    source = workspace["other"] / "in.parquet"
    types = {"id": "int64"}  # an option of rows, so that no file is copied as it is

    with pytest.raises(NotFoundError):
        datastores.copy(source, target, mode="append", types=types)
    datastores.copy(source, target, types=types)
    with pytest.raises(AlreadyExistsError):
        datastores.copy(source, target, types=types)
    assert held(workspace, store, path).equals(orders)
    datastores.copy(source, target, mode="append", verify=True, types=types)
    assert len(held(workspace, store, path)) == 2 * ROWS
    datastores.copy(source, target, mode="create_append", verify=True, types=types)
    assert len(held(workspace, store, path)) == 3 * ROWS
    datastores.copy(source, target, mode="replace", verify=True, types=types)
    assert held(workspace, store, path).equals(orders)
    assert staging_of(workspace) == []


def test_upsert(workspace: Workspace, orders: pa.Table) -> None:
    warehouse = workspace["warehouse"]
    # Keys given at its creation become the table's primary key.
    warehouse.write_table("orders", orders.slice(0, 600), keys=["id"])
    newer = orders.slice(400).set_column(
        2, "total", pa.array([Decimal("1.50")] * 600, pa.decimal128(12, 2))
    )
    workspace["files"].write_table("newer.parquet", newer)
    datastores.copy(
        workspace["files"] / "newer.parquet", warehouse / "orders", mode="upsert", keys=["id"]
    )
    back = held(workspace, "warehouse", "orders")
    assert back.cast(orders.schema).equals(pa.concat_tables([orders.slice(0, 400), newer]))


def test_columns_that_do_not_fit_are_named(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders)
    workspace["files"].write_table(
        "odd.parquet", orders.rename_columns(["id", "region", "sum", "placed", "note"])
    )
    with pytest.raises(SchemaMismatchError, match=r"sum|total"):
        datastores.copy(
            workspace["files"] / "odd.parquet", workspace["warehouse"] / "orders", mode="append"
        )
    assert held(workspace, "warehouse", "orders").equals(orders)


def test_a_part_is_decoded_by_one_thread_and_a_scan_by_many(
    workspace: Workspace, orders: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several threads hold twice the memory, and a copy has enough of them."""
    asked: list[bool] = []
    iter_batches = pq.ParquetFile.iter_batches

    def watched(file: pq.ParquetFile, **options: Any) -> Any:
        asked.append(options["use_threads"])
        return iter_batches(file, **options)

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", watched)
    workspace["files"].write_table("orders.parquet", orders)
    datastores.copy(workspace["files"] / "orders.parquet", workspace["warehouse"] / "orders")
    assert asked == [False]
    workspace["files"].scan("orders.parquet").to_arrow()
    assert asked == [False, True]


def test_a_plan_writes_nothing(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders)
    target = workspace["files"] / "orders/"
    plan = datastores.plan_copy(workspace["warehouse"] / "orders", target, workers=2)
    assert plan.rows == ROWS
    assert [column.name for column in plan.columns] == orders.schema.names
    assert not workspace["files"].exists("orders")
    assert "1,000 rows" in str(plan)
    assert "<table>" in plan._repr_html_()
    with pytest.raises(NotFoundError):
        datastores.plan_copy(workspace["warehouse"] / "nothing", target)


def test_an_empty_table_keeps_its_schema(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders.slice(0, 0))
    for path in ("empty/", "empty.csv", "empty.arrow"):
        report = datastores.copy(
            workspace["warehouse"] / "orders", workspace["files"] / path, verify=True
        )
        assert report.rows == 0
        table = workspace["files"].scan(path).to_arrow()
        assert table.cast(without_metadata(table.schema)).equals(orders.slice(0, 0))


@pytest.mark.parametrize("path", ["orders.csv", "orders.jsonl", "orders.parquet", "orders/"])
def test_files_that_are_replaced_are_verified_with_their_new_types(
    workspace: Workspace, path: str
) -> None:
    files, warehouse = workspace["files"], workspace["warehouse"]
    files.write_table(path, pa.table({"id": ["one", "two"]}))
    warehouse.write_table("orders", pa.table({"id": [1, 2, 3]}))
    source = warehouse / "orders"
    report = datastores.copy(source, files / path, mode="replace", verify=True)
    assert report.digest is not None
    assert files.scan(path).schema.field("id").type == pa.int64()


def test_a_table_without_columns_is_refused(workspace: Workspace, database: Database) -> None:
    database.run("CREATE TABLE bare ()")
    with Datastore.from_config(config_of(database.owner)) as server:
        source, target = server / "public/bare", workspace["files"] / "bare/"
        for refused in (
            lambda: datastores.copy(source, target),
            lambda: datastores.copy_all(server, target),
            lambda: datastores.verify(source, source),
        ):
            with pytest.raises(SchemaMismatchError, match="without columns"):
                refused()
    assert not workspace["files"].exists("bare")


def test_verify_finds_rows_that_came_in_between(workspace: Workspace, orders: pa.Table) -> None:
    files = workspace["files"]
    files.write_table("orders/", orders)
    workspace["warehouse"].write_table("more", orders.slice(0, 10))

    def meddle(progress: datastores.transfer.PartProgress) -> None:
        if progress.done:
            files.write_table("orders/", orders.slice(0, 1), mode="append")

    with pytest.raises(DataError, match=r"expected 1,010 rows .* found 1,011"):
        datastores.copy(
            workspace["warehouse"] / "more",
            files / "orders/",
            mode="append",
            verify=True,
            progress=meddle,
            workers=1,
        )


@pytest.mark.parametrize(
    ("source", "target", "options", "message"),
    [
        ("files/a.csv", "datastore://files/b.csv", {}, "not a URL"),
        (3, "datastore://files/b.csv", {}, "neither a source nor a target"),
        ("datastore://warehouse/", "datastore://files/b/", {}, "names no table"),
        ("datastore://filse/a.csv", "datastore://files/b.csv", {}, "no datastore named 'filse'"),
        ("datastore://u:p@files/a.csv", "datastore://files/b.csv", {}, "credentials"),
        ("datastore://files/a.csv", "datastore://files/b.csv", {"mood": "append"}, "no option"),
        ("datastore://files/a.csv", "datastore://files/b.csv", {"mode": "add"}, "no write mode"),
    ],
)
def test_bad_arguments(
    workspace: Workspace, source: object, target: object, options: Any, message: str
) -> None:
    with pytest.raises((ConfigurationError, NotFoundError), match=message):
        datastores.copy(source, target, **{"workspace": workspace, **options})


def test_upsert_is_refused_by_a_file_store(workspace: Workspace, orders: pa.Table) -> None:
    workspace["warehouse"].write_table("orders", orders)
    with pytest.raises(UnsupportedOperationError):
        datastores.copy(
            workspace["warehouse"] / "orders",
            workspace["files"] / "orders/",
            mode="upsert",
            keys=["id"],
        )
    assert not workspace["files"].exists("orders")


@pytest.mark.parametrize("target", ["duckdb", "parquet folder", "memory"])
def test_the_same_append_twice_adds_twice(
    workspace: Workspace, orders: pa.Table, target: str
) -> None:
    workspace["other"].write_table("orders/", orders)
    store, path = PLACES[target]
    for _ in range(2):
        datastores.copy(
            workspace["other"] / "orders/",
            workspace[store] / path,
            mode="create_append",
            types={"id": "int64"},
        )
    assert held(workspace, store, path).num_rows == 2 * ROWS
