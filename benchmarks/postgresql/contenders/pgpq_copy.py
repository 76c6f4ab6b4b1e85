"""pgpq, which encodes Arrow as binary COPY, and psycopg, which sends it."""

import pgpq
import psycopg
import pyarrow.parquet as pq


def from_parquet(url: str, file: str, table: str) -> None:
    opened = pq.ParquetFile(file)
    encoder = pgpq.ArrowToPostgresBinaryEncoder(opened.schema_arrow)
    with psycopg.connect(url) as connection:
        connection.execute(encoder.schema().ddl(table, temp_table=False).encode())
        statement = f"COPY {table} FROM STDIN (FORMAT binary)"
        with connection.cursor().copy(statement.encode()) as copy:
            copy.write(encoder.write_header())
            for batch in opened.iter_batches():
                copy.write(encoder.write_batch(batch))
            copy.write(encoder.finish())
