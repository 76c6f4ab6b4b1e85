"""ADBC's PostgreSQL driver, and pyarrow where files are."""

from pathlib import Path

import adbc_driver_postgresql.dbapi as adbc
import pyarrow as pa
import pyarrow.parquet as pq


def read(url: str, table: str) -> int:
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def to_parquet(url: str, table: str, folder: str, row_group_rows: int) -> None:
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        reader = cursor.fetch_record_batch()
        path = Path(folder, "result.parquet")
        with pq.ParquetWriter(path, reader.schema, compression="zstd") as writer:
            held: list[pa.RecordBatch] = []
            rows = 0
            for batch in reader:
                held.append(batch)
                rows += batch.num_rows
                if rows >= row_group_rows:
                    writer.write_table(pa.Table.from_batches(held), row_group_rows)
                    held, rows = [], 0
            if held:
                writer.write_table(pa.Table.from_batches(held), row_group_rows)


def from_parquet(url: str, file: str, table: str, mode: str) -> None:
    opened = pq.ParquetFile(file)
    reader = pa.RecordBatchReader.from_batches(opened.schema_arrow, opened.iter_batches())
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, reader, mode=mode)
        connection.commit()


def fetch(url: str, table: str) -> pa.Table:
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")
        return cursor.fetch_arrow_table()


def store(url: str, table: str, data: pa.Table) -> None:
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest(table, data, mode="create")
        connection.commit()
