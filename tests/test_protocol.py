import asyncio
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet
import pytest
import yaml
from fsspec import AbstractFileSystem
from typing_extensions import override

from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedOperationError,
)
from datastores.protocol import DatastoreFileSystem
from datastores.testing.filesystems import ODD_NAMES, FilesystemConformance

STORES = ["files", "other", "cache", "warehouse"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    stores = {
        "files": {"type": "local", "path": "files"},
        "other": {"type": "local", "path": "other"},
        "cache": {"type": "memory"},
        "warehouse": {"type": "duckdb", "path": str(tmp_path / "warehouse.duckdb")},
    }
    path = tmp_path / "datastores.yaml"
    path.write_text(yaml.safe_dump({"datastores": stores}, sort_keys=False))
    monkeypatch.setenv("DATASTORES_FILE", str(path))
    return path


@pytest.fixture
def fs(workspace: Path) -> Iterator[Any]:
    filesystem = fsspec.filesystem("datastore")
    yield filesystem
    filesystem.workspace.close()
    DatastoreFileSystem.clear_instance_cache()


class TestOverLocal(FilesystemConformance):
    @pytest.fixture
    @override
    def fs(self, fs: Any) -> AbstractFileSystem:
        return fs

    @pytest.fixture
    @override
    def fs_path(self) -> str:
        return "files/conformance"


class TestOverMemory(TestOverLocal):
    @pytest.fixture
    @override
    def fs_path(self) -> str:
        return "cache/conformance"


class TestPaths:
    def test_behind_the_prefix_it_is_encoded(self, fs: Any) -> None:
        fs.pipe_file("files/a b%20c", b"1")
        assert fs.cat_file("datastore://files/a%20b%2520c") == b"1"
        assert fs.ls("datastore://files", detail=False) == ["files/a b%20c"]
        assert fs.unstrip_protocol("files/a b%20c") == "datastore://files/a%20b%2520c"

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_urls_of_odd_names(self, fs: Any, name: str) -> None:
        fs.pipe_file(f"files/{name}/{name}", b"1")
        (path,) = fs.find("files")
        url = fs.unstrip_protocol(path)
        assert fs._strip_protocol(url) == path == f"files/{name}/{name}"
        with fsspec.core.OpenFile(fs, fs._strip_protocol(url), "rb") as file:
            assert file.read() == b"1"
        assert fs.info(url)["name"] == path

    def test_the_root_lists_the_stores(self, fs: Any) -> None:
        for root in ("", "/", "datastore://", "datastore:///"):
            assert fs.ls(root, detail=False) == STORES
            assert fs.isdir(root)
        assert fs.ls("files") == []
        fs.pipe({"files/a": b"1", "cache/b/c": b"2"})
        assert fs.find("") == ["cache/b/c", "files/a"]
        assert fs.exists("")
        assert not fs.isfile("")
        assert fs.glob("*/b/*") == ["cache/b/c"]
        assert fs.unstrip_protocol("") == "datastore://"

    def test_unknown_store(self, fs: Any) -> None:
        with pytest.raises(NotFoundError, match="Did you mean 'files'"):
            fs.ls("datastore://file/a")

    def test_secrets_are_refused_and_not_shown(self, fs: Any) -> None:
        for url in (
            "datastore://user:planted@files/a",
            "datastore://files/a?sig=planted&se=2030",
        ):
            with pytest.raises(ConfigurationError) as caught:
                fs.info(url)
            assert "planted" not in str(caught.value)

    @pytest.mark.parametrize("path", ["%2e%2e/x", "a/%2E%2E/x", "a%5Cb", "a%00b"])
    def test_encoded_ways_out_are_refused(self, fs: Any, path: str) -> None:
        with pytest.raises(PermissionDeniedError):
            fs.cat_file(f"datastore://files/{path}")

    def test_stores_are_neither_made_nor_opened(self, fs: Any) -> None:
        with pytest.raises(ConfigurationError):
            fs.open("datastore://", "wb")
        with pytest.raises(AlreadyExistsError):
            fs.mkdir("files")
        with pytest.raises(NotFoundError):
            fs.makedirs("nothing/here")

    def test_errors_name_the_store(self, fs: Any) -> None:
        with pytest.raises(NotFoundError) as caught:
            fs.cat_file("files/missing")
        assert caught.value.store == "files"
        assert caught.value.driver == "local"


class TestInstances:
    def test_the_file_that_was_found_is_part_of_it(
        self, workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = fsspec.filesystem("datastore")
        assert fsspec.filesystem("datastore") is first
        other = tmp_path / "second.yaml"
        other.write_text("datastores: {only: {type: memory}}\n")
        monkeypatch.setenv("DATASTORES_FILE", str(other))
        second = fsspec.filesystem("datastore")
        assert second is not first
        assert second != first
        assert second.ls("", detail=False) == ["only"]
        assert first.ls("", detail=False) == STORES
        assert fsspec.filesystem("datastore", workspace=str(workspace)) is first

    def test_another_process_finds_the_same(
        self, fs: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fs.pipe_file("files/a", b"content")
        pickled = pickle.dumps((fs, fsspec.open("datastore://files/a", "rb")))
        script = (
            "import pickle, sys; fs, file = pickle.load(sys.stdin.buffer)\n"
            "with file as opened: print(fs.cat_file('files/a') == opened.read() == b'content')"
        )
        environment = {k: v for k, v in os.environ.items() if k != "DATASTORES_FILE"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            input=pickled,
            capture_output=True,
            check=True,
            cwd=tmp_path / "files",
            env=environment,
        )
        assert done.stdout == b"True\n"

    def test_nothing_opens_before_use(self, fs: Any, tmp_path: Path) -> None:
        assert "workspace" not in vars(fs)
        fs.ls("")
        assert not (tmp_path / "files").exists()

    def test_to_json_and_back(self, fs: Any, workspace: Path) -> None:
        text = fs.to_json()
        assert str(workspace) in text
        assert AbstractFileSystem.from_json(text) == fs

    def test_without_a_workspace(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DATASTORES_FILE", str(tmp_path / "none.yaml"))
        with pytest.raises(NotFoundError, match=r"none\.yaml"):
            fsspec.filesystem("datastore")

    def test_asynchronous(self, workspace: Path) -> None:
        async def use() -> bytes:
            fs = fsspec.filesystem("datastore", asynchronous=True)
            await fs._pipe_file("files/a", b"1")
            await asyncio.gather(*(fs._cp_file("files/a", f"cache/{n}") for n in range(20)))
            assert len(await fs._find("cache")) == 20
            content: bytes = await fs._cat_file("cache/7")
            return content

        assert asyncio.run(use()) == b"1"


class TestBetweenStores:
    def test_copy_and_move(self, fs: Any) -> None:
        fs.pipe({"files/folder/a": b"1", "files/folder/b/c": b"2"})
        fs.cp("files/folder", "cache/copy", recursive=True)
        copied = {"cache/copy/a": b"1", "cache/copy/b/c": b"2"}
        assert {path: fs.cat_file(path) for path in fs.find("cache")} == copied
        fs.mv("cache/copy/a", "other/moved")
        assert fs.cat_file("other/moved") == b"1"
        assert not fs.exists("cache/copy/a")
        fs.mv("files/folder", "files/renamed", recursive=True)
        assert fs.find("files") == ["files/renamed/a", "files/renamed/b/c"]

    def test_a_failed_copy_leaves_nothing(self, fs: Any) -> None:
        with pytest.raises(NotFoundError):
            fs.cp_file("files/missing", "cache/copy")
        assert fs.find("files") == fs.find("cache") == []


class TestTables:
    @pytest.fixture(autouse=True)
    def orders(self, fs: Any) -> None:
        table = pa.table({"id": [1, 2, 3], "name": ["a", "ß", None]})
        fs.workspace["warehouse"].write_table("main.a b", table)

    def test_they_are_files(self, fs: Any) -> None:
        assert fs.ls("warehouse", detail=False) == ["warehouse/main"]
        assert fs.ls("warehouse/main", detail=False) == ["warehouse/main/a b.parquet"]
        assert fs.exists("warehouse/main/a b.csv")
        assert not fs.exists("warehouse/main/none.csv")
        read = pd.read_parquet("datastore://warehouse/main/a%20b.parquet")
        assert read["id"].tolist() == [1, 2, 3]
        assert pd.read_csv("datastore://warehouse/main/a%20b.csv")["name"].tolist()[1] == "ß"

    def test_they_are_copied(self, fs: Any) -> None:
        fs.cp("warehouse/main/a b.parquet", "files/copy.parquet")
        assert pd.read_parquet("datastore://files/copy.parquet")["id"].tolist() == [1, 2, 3]

    def test_they_are_not_written(self, fs: Any) -> None:
        calls: tuple[Callable[[], object], ...] = (
            lambda: fs.pipe_file("warehouse/main/a b.parquet", b"1"),
            lambda: fs.rm("warehouse/main/a b.parquet"),
            lambda: fs.makedirs("warehouse/new"),
            lambda: fs.cp("files/copy", "warehouse/main/new.parquet"),
        )
        fs.pipe_file("files/copy", b"1")
        for call in calls:
            with pytest.raises(UnsupportedOperationError):
                call()
        assert fs.workspace["warehouse"].scan("main.a b").count() == 3


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame({"id": [1, 2, 3], "name": ["a", "ß", ""]})


@pytest.mark.parametrize("store", ["files", "cache"])
class TestOtherLibraries:
    def test_pandas(self, fs: Any, store: str, frame: pd.DataFrame) -> None:
        url = f"datastore://{store}/new%20folder/x"
        frame.to_parquet(f"{url}.parquet")
        pd.testing.assert_frame_equal(pd.read_parquet(f"{url}.parquet"), frame)
        frame.to_csv(f"{url}.csv.gz", index=False)
        read = pd.read_csv(f"{url}.csv.gz", keep_default_na=False)
        pd.testing.assert_frame_equal(read, frame, check_dtype=False)
        assert sorted(fs.ls(f"{store}/new folder", detail=False)) == [
            f"{store}/new folder/x.csv.gz",
            f"{store}/new folder/x.parquet",
        ]

    def test_pandas_that_fails_leaves_nothing(self, fs: Any, store: str) -> None:
        class Unwritable:
            @override
            def __str__(self) -> str:
                raise RuntimeError("no text")

        bad = pd.DataFrame({"id": [1, Unwritable()]})
        with pytest.raises(RuntimeError, match="no text"):
            bad.to_csv(f"datastore://{store}/x.csv")
        assert fs.find(store) == []

    def test_polars(self, fs: Any, store: str, frame: pd.DataFrame) -> None:
        with fsspec.open(f"datastore://{store}/x.parquet", "wb") as file:
            pl.DataFrame({"id": [1, 2]}).write_parquet(file)
        with fsspec.open(f"datastore://{store}/x.parquet", "rb") as file:
            assert pl.read_parquet(file)["id"].to_list() == [1, 2]

    def test_pyarrow(self, fs: Any, store: str) -> None:
        table = pa.table({"id": [1, 2, 3, 4], "part": ["a", "b", "a", "b c%"]})
        pa.dataset.write_dataset(
            table, f"{store}/set", filesystem=fs, format="parquet",
            partitioning=["part"], partitioning_flavor="hive",
        )  # fmt: skip
        found = pa.dataset.dataset(f"{store}/set", filesystem=fs, partitioning="hive")
        assert found.to_table().sort_by("id").to_pydict() == table.to_pydict()
        pa.parquet.write_table(table, f"{store}/one.parquet", filesystem=fs)
        assert pa.parquet.read_table(f"{store}/one.parquet", filesystem=fs) == table

    def test_duckdb(self, fs: Any, store: str, frame: pd.DataFrame) -> None:
        fs.makedirs(f"{store}/a folder", exist_ok=True)
        frame.to_parquet(f"datastore://{store}/a%20folder/1.parquet")
        frame.to_parquet(f"datastore://{store}/a%20folder/2%25.parquet")
        with duckdb.connect() as connection:
            connection.register_filesystem(fs)
            one = f"select count(*) from 'datastore://{store}/a%20folder/2%25.parquet'"
            assert connection.sql(one).fetchall() == [(3,)]
            both = f"select count(*) from 'datastore://{store}/a%20folder/*.parquet'"
            assert connection.sql(both).fetchall() == [(6,)]
            connection.sql(f"copy (select 1 as x) to 'datastore://{store}/out.csv' (header)")
        assert fs.cat_file(f"{store}/out.csv") == b"x\n1\n"
