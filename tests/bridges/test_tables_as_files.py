"""Tables of a DuckDB file, read as files by what people read files with."""

from __future__ import annotations

import datetime as dt
import gc
import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import IO

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from datastores.bridges import renderings
from datastores.bridges.tables_as_files import TablesAsFiles
from datastores.drivers.duckdb.config import DuckDBConfig
from datastores.drivers.duckdb.driver import DuckDBDriver
from datastores.errors import NotFoundError, UnsupportedOperationError

ROWS = [
    {"id": 1, "total": Decimal("1.50"), "day": dt.date(2020, 1, 1), "name": "ä"},
    {"id": 2, "total": None, "day": None, "name": ""},
]


def run(config: DuckDBConfig, *statements: str) -> None:
    with duckdb.connect(config.path) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def config(tmp_path: Path) -> DuckDBConfig:
    config = DuckDBConfig(path=str(tmp_path / "shop.duckdb"))
    run(
        config,
        "create table orders (id integer primary key, total decimal(12,2), day date, name text)",
        "insert into orders values (1, 1.50, '2020-01-01', 'ä'), (2, null, null, '')",
        "create schema other",
        'create table other."a/b.csv" as select 7 as n',
        "create table other.empty (n integer)",
    )
    return config


@pytest.fixture
def driver(config: DuckDBConfig) -> Iterator[DuckDBDriver]:
    with DuckDBDriver(config) as driver:
        yield driver


@pytest.fixture
def files(driver: DuckDBDriver) -> TablesAsFiles:
    return TablesAsFiles(driver)


def test_listing(files: TablesAsFiles) -> None:
    assert files.ls("", detail=False) == ["main", "other"]
    assert files.ls("main", detail=False) == ["main/orders.parquet"]
    assert files.ls("/other/", detail=False) == ["other/a%2Fb.csv.parquet", "other/empty.parquet"]
    assert files.find("") == [
        "main/orders.parquet",
        "other/a%2Fb.csv.parquet",
        "other/empty.parquet",
    ]
    assert files.glob("*/ord*.parquet") == ["main/orders.parquet"]
    listed = files.ls("main")[0]
    assert (listed["size"], listed["type"]) == (None, "file")
    size = files.info("main/orders.parquet")["size"]
    assert files.ls("main")[0]["size"] == size > 0
    assert files.ls("main/orders.parquet", detail=False) == ["main/orders.parquet"]


def test_what_stands_where(files: TablesAsFiles) -> None:
    assert files.info("main")["type"] == "directory"
    assert files.info("main/orders")["type"] == "table"
    assert files.isdir("")
    assert files.isdir("other")
    assert not files.isdir("main/orders.parquet")
    for suffix in (".parquet", ".csv", ".csv.gz", ".jsonl", ".arrow"):
        assert files.isfile(f"main/orders{suffix}")
        assert files.exists(f"main/orders{suffix}")
    for path in (
        "main/none.parquet",
        "none",
        "main/none",
        "none/orders.csv",
        "main/orders.exe",
        "a/b/c.csv",
    ):
        assert not files.exists(path)
        assert not files.isfile(path)


def test_parquet_by_its_readers(files: TablesAsFiles, driver: DuckDBDriver) -> None:
    with files.open("main/orders.parquet", "rb") as file:
        table = pq.read_table(file)
    assert table.to_pylist() == ROWS
    assert table.schema.field("total").type == pa.decimal128(12, 2)
    found = ds.dataset("main/orders.parquet", filesystem=files, format="parquet")
    assert found.to_table().to_pylist() == ROWS
    assert list(pd.read_parquet("main/orders.parquet", filesystem=files)["id"]) == [1, 2]


def test_the_other_faces(files: TablesAsFiles) -> None:
    with files.open("main/orders.arrow", "rb") as file:
        assert pa.ipc.open_file(file).read_all().to_pylist() == ROWS
    with files.open("main/orders.csv", "r", encoding="utf-8") as text:
        lines = text.read().splitlines()
    assert lines[0].replace('"', "") == "id,total,day,name"
    assert len(lines) == 3
    objects = [json.loads(line) for line in files.cat_file("main/orders.jsonl").splitlines()]
    assert [one["id"] for one in objects] == [1, 2]
    assert [one["name"] for one in objects] == ["ä", ""]
    assert files.cat_file("main/orders.csv.gz")[:2] == b"\x1f\x8b"


def test_hostile_names_and_empty_tables(files: TablesAsFiles) -> None:
    with files.open("other/a%2Fb.csv.parquet") as file:
        assert pq.read_table(file).to_pylist() == [{"n": 7}]
    with files.open("other/empty.parquet") as file:
        assert pq.read_schema(file).names == ["n"]


def test_one_rendering_for_many_opens(files: TablesAsFiles, driver: DuckDBDriver) -> None:
    def read(_: int) -> tuple[str, bytes]:
        other = TablesAsFiles(driver)
        return other.info("main/orders.parquet")["etag"], other.cat_file("main/orders.parquet")

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(read, range(8)))
    assert len(found) == 1
    info = files.info("main/orders.parquet")
    etag, content = found.pop()
    assert (info["etag"], info["size"]) == (etag, len(content))
    assert files.modified("main/orders.parquet") <= dt.datetime.now(dt.UTC)


def test_a_stale_rendering_is_made_anew(
    config: DuckDBConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderings, "SHARED_SECONDS", 0.0)
    with DuckDBDriver(config) as driver:
        files = TablesAsFiles(driver)
        first = files.open("main/orders.parquet")
        before = files.info("main/orders.parquet")["etag"]
        assert pq.read_table(first).num_rows == 2
        driver.close()
        run(config, "insert into orders values (3, 1, null, null)")
        # While somebody reads it, all read the same.
        assert files.info("main/orders.parquet")["etag"] == before
        first.close()
    with DuckDBDriver(config) as driver, TablesAsFiles(driver).open("main/orders.parquet") as file:
        assert pq.read_table(file).num_rows == 3


def test_invalidating_renders_anew_and_keeps_open_files(
    files: TablesAsFiles, driver: DuckDBDriver, config: DuckDBConfig
) -> None:
    with files.open("main/orders.csv") as old:
        driver.close()
        run(config, "insert into orders values (3, 1, null, null)")
        files.invalidate_cache()
        assert len(files.cat_file("main/orders.csv").splitlines()) == 4
        assert len(old.read().splitlines()) == 3
        old.seek(0)
        assert old.read(2) != b""


def test_temporary_files_go(
    config: DuckDBConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with DuckDBDriver(config) as driver:
        files = TablesAsFiles(driver)
        files.cat_file("main/orders.parquet")
        folders = list(tmp_path.glob("datastores-*"))
        assert len(folders) == 1
        assert len(list(folders[0].iterdir())) == 1
        files.invalidate_cache()
        assert list(folders[0].iterdir()) == []
    del files, driver
    gc.collect()
    assert list(tmp_path.glob("datastores-*")) == []


@pytest.mark.parametrize(
    "path", ["main/none.parquet", "none/orders.csv", "none", "main/orders.exe"]
)
def test_what_is_not_there(files: TablesAsFiles, path: str) -> None:
    for call in (files.open, files.info, files.cat_file):
        with pytest.raises(NotFoundError):
            call(path)


def test_a_table_is_no_file(files: TablesAsFiles) -> None:
    with pytest.raises(UnsupportedOperationError, match="is a table") as caught:
        files.open("main/orders")
    assert ".parquet" in str(caught.value)
    with pytest.raises(UnsupportedOperationError, match="is a directory"):
        files.open("main")


def test_writing_is_refused_and_changes_nothing(files: TablesAsFiles) -> None:
    before = files.find("")
    for mode in ("wb", "ab", "xb", "w"):
        with pytest.raises(UnsupportedOperationError):
            files.open("main/orders.parquet", mode)
    calls: list[Callable[[], object]] = [
        lambda: files.pipe_file("main/new.parquet", b"x"),
        lambda: files.rm("main/orders.parquet"),
        lambda: files.rm("main", recursive=True),
        lambda: files.mkdir("new"),
        lambda: files.makedirs("new/inner"),
        lambda: files.rmdir("other"),
        lambda: files.touch("main/new.parquet"),
        lambda: files.mv("main/orders.parquet", "main/new.parquet"),
        lambda: files.cp_file("main/orders.parquet", "main/new.parquet"),
    ]
    for call in calls:
        with pytest.raises(UnsupportedOperationError, match="not written as files"):
            call()
    files.invalidate_cache()
    assert files.find("") == before


def test_a_failed_rendering_leaves_nothing(config: DuckDBConfig, tmp_path: Path) -> None:
    broken = renderings.Renderings()

    def fail(file: object) -> None:
        assert isinstance(file, io.BufferedWriter)
        file.write(b"half")
        raise NotFoundError("gone")

    def write_whole(file: IO[bytes]) -> None:
        file.write(b"whole")

    for _ in range(2):
        with pytest.raises(NotFoundError):
            broken.open("a", fail)
    assert broken.known("a") is None
    with broken.open("a", write_whole) as file:
        assert file.read() == b"whole"
