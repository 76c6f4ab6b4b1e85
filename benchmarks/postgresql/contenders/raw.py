"""The least there is to do: the bytes of a binary COPY, moved and dropped, or sent as they are."""

import threading
from pathlib import Path

import psycopg

_CHUNK_BYTES = 1 << 17


def read(url: str, table: str, connections: int) -> int:
    """Read a table's rows by psycopg, in ranges of pages, and drop them."""
    with psycopg.connect(url) as connection:
        [(pages,)] = connection.execute(
            f"SELECT pg_relation_size('{table}') / current_setting('block_size')::int".encode()
        ).fetchall()
    ends = [pages * at // connections for at in range(connections)]
    counts = [0] * connections

    def drop(at: int) -> None:
        last = f"AND ctid < '({ends[at + 1]},0)'" if at + 1 < connections else ""
        query = f"SELECT * FROM {table} WHERE ctid >= '({ends[at]},0)' {last}"
        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT binary)".encode()) as copy:
                for _ in copy:
                    pass
            counts[at] = cursor.rowcount

    threads = [threading.Thread(target=drop, args=(at,)) for at in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts)


def write(url: str, file: str, table: str) -> None:
    """Send a file that holds a binary COPY already into a table that is there already."""
    with (
        Path(f"{file}.copy").open("rb") as source,
        psycopg.connect(url) as connection,
        connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)".encode()) as copy,
    ):
        while chunk := source.read(_CHUNK_BYTES):
            copy.write(chunk)
