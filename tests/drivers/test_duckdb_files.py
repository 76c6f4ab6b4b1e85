# SQL from constants
from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from datastores.drivers.duckdb.files import query_files
from datastores.errors import ConfigurationError, DatastoreError, PermissionDeniedError


@pytest.fixture
def store(tmp_path: Path) -> AbstractFileSystem:
    root = tmp_path / "store"
    (root / "flights").mkdir(parents=True)
    pq.write_table(pa.table({"id": [1, 2], "word": ["x", None]}), root / "flights/a.parquet")
    pq.write_table(pa.table({"id": [3], "word": ["it's"]}), root / "flights/b.parquet")
    (root / "names.csv").write_text("id,name\n1,one\n3,three\n")
    (tmp_path / "secret.csv").write_text("word\nsecret\n")
    return DirFileSystem(str(root), LocalFileSystem())


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("select count(*) n from 'flights/*.parquet'", [{"n": 3}]),
        ("from 'names.csv' where id = 3", [{"id": 3, "name": "three"}]),
        (
            "select name from 'flights/*.parquet' f join 'names.csv' n on n.id = f.id and word = :w",
            [{"name": "three"}],
        ),
        ("select max(id) m from read_parquet(['flights/a.parquet', 'flights/b.parquet'])", [{"m": 3}]),
        (
            "with a as (select * from read_csv('names.csv', delim = ',')) select count(*) n from a",
            [{"n": 2}],
        ),
        ("select 'flights/a.parquet' as path /* from 'x.csv' */", [{"path": "flights/a.parquet"}]),
    ],
)  # fmt: skip
def test_file_names_are_relative_to_the_store(
    store: AbstractFileSystem, sql: str, rows: list[dict[str, object]]
) -> None:
    parameters = {"w": "it's"} if ":w" in sql else {}
    with query_files(store, sql, parameters, 100) as reader:
        assert reader.read_all().to_pylist() == rows


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{outside}')",
        "select * from read_csv('{outside}')",
        "select * from '{outside}'",
        "select * from read_text('file://{outside}')",
        "select * from read_text('../secret.csv')",
        "select * from '../secret.csv'",
        "select * from read_text('datastore-files://../secret.csv')",
        "select * from read_text(['flights/../../secret.csv'])",
        "select * from glob('{outside}')",
        'select * from "{outside}"',
        "attach '{outside}'",
        "copy (select 1) to '{outside}'",
        "copy (select 1) to 'new.csv'",
        "set enable_external_access = true",
        "select * from 'https://localhost:1/x.csv'",
        "install httpfs",
        "load '{outside}'",
    ],
)
def test_nothing_outside_the_store_can_be_reached(
    store: AbstractFileSystem, tmp_path: Path, sql: str
) -> None:
    outside = tmp_path / "secret.csv"
    try:
        with query_files(store, sql.format(outside=outside), {}, 100) as reader:
            found = str(reader.read_all().to_pylist())
    except DatastoreError:
        found = ""
    assert "secret" not in found
    assert outside.read_text() == "word\nsecret\n"
    assert not (tmp_path / "store/new.csv").exists()


def test_a_file_outside_is_refused_and_a_second_statement_too(
    store: AbstractFileSystem, tmp_path: Path
) -> None:
    with pytest.raises(PermissionDeniedError):
        query_files(store, f"select * from read_text('{tmp_path / 'secret.csv'}')", {}, 100)
    with pytest.raises(ConfigurationError):
        query_files(store, "select 1; select 2", {}, 100)


def test_batches_are_bounded(store: AbstractFileSystem) -> None:
    with query_files(store, "select * from range(1000)", {}, 300) as reader:
        sizes = [batch.num_rows for batch in reader]
    assert sum(sizes) == 1000
    assert 0 < min(sizes) <= max(sizes) <= 300
