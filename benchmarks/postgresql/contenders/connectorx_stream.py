"""ConnectorX, as a stream of Arrow batches."""

import connectorx
import pyarrow as pa

_BATCH_ROWS = 65_536


def read(url: str, table: str) -> int:
    return _rows(url, table)


def read_divided(url: str, table: str, key: str, partitions: int) -> int:
    """Read a table in ranges of a column, each of which sees a moment of its own."""
    return _rows(url, table, partition_on=key, partition_num=partitions)


def _rows(url: str, table: str, **options: str | int) -> int:
    reader = connectorx.read_sql(
        url,
        f"SELECT * FROM {table}",
        return_type="arrow_stream",
        batch_size=_BATCH_ROWS,
        **options,
    )
    return sum(batch.num_rows for batch in reader)


def fetch(url: str, table: str) -> pa.Table:
    return connectorx.read_sql(url, f"SELECT * FROM {table}", return_type="arrow")
