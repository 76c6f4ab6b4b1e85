"""DuckDB with its postgres extension, which comes as a package and pins DuckDB's version."""

from importlib import import_module
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

_BATCH_ROWS = 65_536


def read(url: str, table: str, threads: int) -> int:
    connection = _attached(url, threads)
    result = connection.execute(f"SELECT * FROM server.public.{table}")
    return sum(batch.num_rows for batch in result.fetch_record_batch(_BATCH_ROWS))


def to_parquet(url: str, table: str, folder: str, threads: int, row_group_rows: int) -> None:
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {row_group_rows}"
    place = f"{folder}/result.parquet"
    if threads > 1:
        place, options = f"{folder}/result", f"{options}, PER_THREAD_OUTPUT"
    connection = _attached(url, threads)
    connection.execute(f"COPY (FROM server.public.{table}) TO '{place}' ({options})")


def from_parquet(url: str, file: str, table: str, threads: int, mode: str) -> None:
    statement = {
        "create": f"CREATE TABLE server.public.{table} AS FROM '{file}'",
        "append": f"INSERT INTO server.public.{table} FROM '{file}'",
    }[mode]
    _attached(url, threads).execute(statement)


def _attached(url: str, threads: int) -> Any:
    scanner = import_module("duckdb_extension_postgres_scanner")
    (extension,) = Path(scanner.__path__[0]).glob("**/*.duckdb_extension")
    connection = duckdb.connect(config={"threads": threads, "allow_unsigned_extensions": "true"})
    connection.load_extension(str(extension))
    connection.execute(f"ATTACH '{url}' AS server (TYPE postgres)")
    return connection


def fetch(url: str, table: str) -> pa.Table:
    return _attached(url, 1).execute(f"SELECT * FROM server.public.{table}").to_arrow_table()


def store(url: str, table: str, data: pa.Table) -> None:
    connection = _attached(url, 1)
    connection.register("data", data)
    connection.execute(f'CREATE TABLE server.public."{table}" AS FROM data')
