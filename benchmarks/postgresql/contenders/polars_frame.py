"""Polars, by each of the engines that it reads and writes databases with."""

import polars as pl
import pyarrow as pa


def fetch_by_connectorx(url: str, table: str) -> pa.Table:
    return pl.read_database_uri(f"SELECT * FROM {table}", url, engine="connectorx").to_arrow()


def fetch_by_adbc(url: str, table: str) -> pa.Table:
    return pl.read_database_uri(f"SELECT * FROM {table}", url, engine="adbc").to_arrow()


def store_by_adbc(url: str, table: str, data: pa.Table) -> None:
    frame = pl.DataFrame(data)
    frame.write_database(table, url, engine="adbc")
