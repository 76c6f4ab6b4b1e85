"""The front: the same calls on a store of files and a store of tables."""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from datastores import Datastore
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)

TABLE = pa.table({"id": [1, 2, 3], "name": ["a", None, ""]})


@pytest.fixture(params=["local", "memory"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Datastore:
    fields = {"path": str(tmp_path / "files")} if request.param == "local" else {}
    return Datastore(type=request.param, **fields)


@pytest.fixture
def warehouse(tmp_path: Path) -> Datastore:
    return Datastore(type="duckdb", path=str(tmp_path / "warehouse.duckdb"))


def test_bytes(files: Datastore) -> None:
    files.write("raw/a.bin", b"one")
    assert files.read("raw/a.bin") == b"one"
    with pytest.raises(AlreadyExistsError, match="mode='replace'"):
        files.write("raw/a.bin", b"two")
    assert files.read("raw/a.bin") == b"one"
    files.write("raw/a.bin", b"two", mode="replace")
    files.write("raw/a.bin", b"!", mode="append")
    assert files.read("raw/a.bin") == b"two!"
    with pytest.raises(ConfigurationError, match="not written in mode 'upsert'"):
        files.write("raw/a.bin", b"", mode="upsert")
    info = files.stat("raw/a.bin")
    assert (info.path, info.size, info.is_folder) == ("raw/a.bin", 4, False)
    assert files.exists("raw")
    with pytest.raises(ConfigurationError, match="recursive=True"):
        files.delete("raw")
    files.delete("raw/a.bin")
    with pytest.raises(NotFoundError):
        files.read("raw/a.bin")
    with pytest.raises(PermissionDeniedError, match="the root"):
        files.delete("", recursive=True)
    with pytest.raises(PermissionDeniedError):
        files.read("../secret")


NAMES = ("*", "*.txt", "[a].txt", "a.txt", "b.txt", "d1/x", "d?/x", "d[1]/x")


@pytest.mark.parametrize("kind", ["local", "memory", "azure_blob"])
@pytest.mark.parametrize("name", ["*", "*.txt", "[a].txt", "d[1]", "d?"])
def test_a_name_that_looks_like_a_pattern_is_one_name(
    kind: str, name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    fields: dict[str, Any] = {"path": str(tmp_path)} if kind == "local" else {}
    if kind == "azure_blob":
        azurite = request.getfixturevalue("azurite")
        container = request.getfixturevalue("blob_container").container_name
        fields = {
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "account_key": azurite.account_key,
            "container_name": container,
        }
    with Datastore(type=kind, **fields) as store:
        for one in NAMES:
            store.write(one, b"")
        store.delete(name, recursive=True)
        left = [info.path for info in store.list(recursive=True)]
        assert left == [one for one in NAMES if one.partition("/")[0] != name]
        with pytest.raises(NotFoundError):
            store.delete(name, recursive=True)
        with pytest.raises(NotFoundError):
            store.delete("?.txt")
        assert len(store.list(recursive=True)) == len(left)


def test_a_folder_that_is_not_there_is_not_listed(files: Datastore) -> None:
    files.write("raw/a.bin", b"")
    for recursive in (False, True):
        with pytest.raises(NotFoundError):
            files.list("rwa", recursive=recursive)
    files.delete("raw/a.bin")
    assert not files.list("", recursive=True)


def test_a_folder_is_not_written_anew(files: Datastore) -> None:
    files.write("raw/a.bin", b"")
    with pytest.raises(AlreadyExistsError) as caught:
        files.write("raw", b"")
    assert "mode='replace'" not in str(caught.value)


def test_text_and_binary_files(files: Datastore) -> None:
    with files.open("a.txt", "w") as file:
        file.write("ü\r\n")
    assert files.read("a.txt") == "ü\r\n".encode()
    with files.open("a.txt", "r") as file:
        assert file.read() == "ü\r\n"
    with contextlib.suppress(RuntimeError), files.open("b.txt", "wb") as file:
        file.write(b"half")
        raise RuntimeError
    assert not files.exists("b.txt")


def test_listings_show_as_tables(files: Datastore) -> None:
    files.write("raw/a.bin", b"one")
    files.write("b.bin", b"")
    listing = files.list()
    assert [(one.path, one.size) for one in listing] == [("b.bin", 0), ("raw", None)]
    assert [one.path for one in files.list(recursive=True)] == ["b.bin", "raw/a.bin"]
    assert "raw/a.bin" in repr(files.list("raw"))
    assert "<td>raw/a.bin</td>" in files.list("raw")._repr_html_()


@pytest.mark.parametrize("name", ["orders.parquet", "orders/", "orders.csv", "orders.jsonl"])
def test_tables_in_files(files: Datastore, name: str) -> None:
    assert files.write_table(name, TABLE) == 3
    with pytest.raises(AlreadyExistsError):
        files.write_table(name, TABLE)
    scan = files.scan(name, columns=["name"], filters=[("id", ">", 1)])
    assert scan.to_arrow().to_pydict() == {"name": [None, ""]}
    assert scan.count() == 2
    assert files.scan(name).head(1).num_rows == 1
    assert files.scan(name, limit=2).count() == 2


def test_tables_in_a_database(warehouse: Datastore) -> None:
    with warehouse:
        warehouse.write_table("shop.orders", TABLE)
        assert [str(one) for one in warehouse.tables("shop")] == ["shop.orders"]
        assert warehouse.schema("shop.orders").names == ["id", "name"]
        day = warehouse.query("select name from shop.orders where id = :id", {"id": 1})
        assert day.to_arrow().to_pydict() == {"name": ["a"]}
        with pytest.raises(NotFoundError, match="ordres") as caught:
            warehouse.scan("shop.ordres").to_arrow()
        assert caught.value.target is not None
        with pytest.raises(SchemaMismatchError, match="other"):
            warehouse.write_table(
                "shop.orders", TABLE.rename_columns(["id", "other"]), mode="append"
            )


def test_the_other_face_of_a_database(warehouse: Datastore) -> None:
    with warehouse:
        warehouse.write_table("shop.orders", TABLE)
        with warehouse.open("shop/orders.parquet") as file:
            assert pa.parquet.read_table(file).to_pydict() == TABLE.to_pydict()
        assert "shop" in [one.path for one in warehouse.list()]
        with pytest.raises(UnsupportedOperationError):
            warehouse.write("shop/other.parquet", b"")
        with pytest.raises(UnsupportedOperationError):
            warehouse.delete("shop/orders.parquet")


def test_a_query_over_files(files: Datastore) -> None:
    files.write_table("raw/orders.parquet", TABLE)
    query = files.query("select sum(id) as total from 'raw/*.parquet' where id > :n", {"n": 1})
    assert query.to_arrow()["total"].to_pylist() == [5]


def test_scans_go_where_arrow_goes(files: Datastore) -> None:
    files.write_table("orders/", TABLE)
    scan = files.scan("orders/")
    assert pl.DataFrame(scan).shape == (3, 2)
    assert scan.to_polars().shape == (3, 2)
    frame = scan.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert frame["id"].sum() == 6
    assert pa.table(scan).num_rows == 3
    assert sum(len(batch) for batch in scan) == 3
    assert "name" in repr(scan)
    assert "<td>a</td>" in scan._repr_html_()


@pytest.mark.parametrize(
    "data",
    [
        lambda: TABLE,
        lambda: TABLE.to_batches()[0],
        TABLE.to_reader,
        TABLE.to_pandas,
        lambda: pl.DataFrame(TABLE),
    ],
    ids=["table", "batch", "reader", "pandas", "polars"],
)
def test_what_can_be_written(files: Datastore, data: Callable[[], object]) -> None:
    assert files.write_table("t.parquet", data()) == 3


def test_what_cannot(files: Datastore) -> None:
    with pytest.raises(ConfigurationError, match="a int is not a table"):
        files.write_table("t.parquet", 3)
    with pytest.raises(ConfigurationError, match="'nmae'"):
        files.write_table("t.parquet", TABLE, filters=[("nmae", "=", "a")])
    with pytest.raises(SchemaMismatchError):
        files.write_table("t.parquet", pa.table({}))
    assert not files.exists("t.parquet")


def test_columns_rename_types_and_filters_of_a_write(files: Datastore) -> None:
    files.write_table(
        "t.parquet",
        TABLE,
        columns=["id"],
        filters=[("id", "in", [1, 3])],
        rename={"id": "n"},
        types={"n": "decimal(5,1)"},
    )
    assert [str(n) for n in files.scan("t.parquet").to_arrow()["n"].to_pylist()] == ["1.0", "3.0"]


def test_a_store_without_a_workspace_pickles(tmp_path: Path) -> None:
    store = Datastore(type="local", path=str(tmp_path))
    store.write("a", b"1")
    again: Datastore = pickle.loads(pickle.dumps(store))  # ours
    assert again.read("a") == b"1"
    assert "local" in repr(store)
    assert str(tmp_path) in store._repr_html_()


def test_a_table_shown_as_a_file_is_never_old(warehouse: Datastore) -> None:
    with warehouse:
        for rows in (1, 2):
            warehouse.write_table("orders", TABLE.slice(0, rows), mode="replace")
            with warehouse.open("main/orders.parquet") as file:
                assert pa.parquet.read_table(file).num_rows == rows
