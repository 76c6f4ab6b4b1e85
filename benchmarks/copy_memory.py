"""Peak memory of a copy at 1x and at 10x its rows, each in a fresh process.

Usage: copy_memory.py [ROWS], 4,000,000 if not given. A copy's memory is to stay about the same.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from datastores import Workspace

# Memory is bounded by settings: at this size the smaller copy fills DuckDB's cache and the writers'
# buffers already, as every larger one does.
ROWS = 4_000_000
FACTOR = 10
LIMIT = 1.10
BATCH_ROWS = 65_536
DIRECTIONS = {
    "DuckDB -> Parquet": ("warehouse/orders", "files/orders/"),
    "Parquet -> DuckDB": ("files/orders/", "warehouse/orders_back"),
}


def workspace(folder: str) -> Workspace:
    """Return a warehouse and a folder of files, side by side."""
    from datastores import Workspace

    stores = {
        "files": {"type": "local", "path": f"{folder}/files"},
        "warehouse": {
            "type": "duckdb",
            "path": f"{folder}/warehouse.duckdb",
            "memory_limit": "64MB",
        },
    }
    return Workspace.from_mapping({"datastores": stores})


def orders(rows: int) -> Iterator[pa.RecordBatch]:
    """Yield rows of the usual types, of which no two batches compress alike."""
    import numpy as np
    import pyarrow as pa

    chance = np.random.default_rng(1)
    for first in range(0, rows, BATCH_ROWS):
        size = min(BATCH_ROWS, rows - first)
        ids = np.arange(first, first + size)
        yield pa.record_batch(
            {
                "id": ids,
                "month": pa.array(ids % 12 + 1, pa.int32()),
                "total": chance.random(size),
                "placed": pa.array(ids * 1_000_000, pa.timestamp("us")),
                "note": [f"order {value}" for value in chance.integers(0, 1 << 40, size)],
            }
        )


def fill(folder: str, rows: int) -> None:
    """Write the warehouse's table."""
    import pyarrow as pa

    batches = orders(rows)
    schema = next(orders(1)).schema
    with workspace(folder) as stores:
        reader = pa.RecordBatchReader.from_batches(schema, batches)
        stores["warehouse"].write_table("orders", reader)


def copy(folder: str, direction: str) -> None:
    """Make one copy, and print its seconds and the process's peak memory in bytes."""
    import datastores

    source, target = (f"datastore://{place}" for place in DIRECTIONS[direction])
    began = time.perf_counter()
    with workspace(folder) as stores:
        partitions = ["month"] if target.endswith("/") else []
        datastores.copy(source, target, workspace=stores, partition_by=partitions, workers=2)
    print(time.perf_counter() - began, peak_bytes())


def peak_bytes() -> int:
    """Return the peak of resident memory since this program started."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage also counts the parent's memory, which this process shared until its start.
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].removesuffix("kB")) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def in_fresh_process(*arguments: str) -> list[float]:
    """Run one step of this script in a process of its own; return the numbers it prints."""
    result = subprocess.run(
        [sys.executable, __file__, *arguments], check=True, stdout=subprocess.PIPE, text=True
    )
    return [float(word) for word in result.stdout.split()]


def main(rows: int) -> None:
    """Print seconds and peak memory of both directions at 1x and 10x, and the ratios."""
    peaks: dict[str, list[float]] = {direction: [] for direction in DIRECTIONS}
    for count in (rows, rows * FACTOR):
        with tempfile.TemporaryDirectory() as folder:
            in_fresh_process("fill", folder, str(count))
            for direction in DIRECTIONS:
                seconds, peak = in_fresh_process("copy", folder, direction)
                peaks[direction].append(peak)
                print(
                    f"  {direction}  {count:>12,} rows  {seconds:6.1f} s  {peak / 2**20:6.0f} MiB"
                )
    for direction, (one, ten) in peaks.items():
        verdict = "within" if ten <= one * LIMIT else "ABOVE"
        print(f"{direction}: 10x the rows take {ten / one:.2f} x the memory: {verdict} {LIMIT} x")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["fill", folder, count]:
            fill(folder, int(count))
        case ["copy", folder, direction]:
            copy(folder, direction)
        case [count]:
            main(int(count))
        case _:
            main(ROWS)
