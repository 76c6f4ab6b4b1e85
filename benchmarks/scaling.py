"""Copies by 1, 2 and 4 workers: threads, processes of a pool, and processes of a local Dask cluster.

Usage: python -m benchmarks.scaling [--rows N] [--repeats N] [--far MB] [--json FILE]. Linux only.

PostgreSQL to Parquet files on this machine, and those files to a new table: all rows, a quarter of
them, and a hundred, which shows what a copy and a part cost of themselves. Server and workers share
the machine's cores: with --far each connection to the server carries so many megabytes a second at most,
as from another machine. Workers are started, and import what they need, before the clock runs.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import datastores
from benchmarks import machine
from benchmarks.far import far
from benchmarks.postgresql.server import BenchmarkServer, benchmark_server
from datastores import Workspace

WORKERS = (1, 2, 4)
_TICK = os.sysconf("SC_CLK_TCK")
_TABLE = "lineitem"
_LOOPBACK = "127.0.0.1"


@contextmanager
def threads(workers: int) -> Iterator[Executor]:
    with ThreadPoolExecutor(workers) as pool:
        yield pool


@contextmanager
def processes(workers: int) -> Iterator[Executor]:
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


@contextmanager
def dask(workers: int) -> Iterator[Executor]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=workers,
            threads_per_worker=1,
            host=_LOOPBACK,
            dashboard_address=f"{_LOOPBACK}:0",
            worker_dashboard_address=f"{_LOOPBACK}:0",
        ) as cluster,
        Client(cluster) as client,  # type: ignore[no-untyped-call]
    ):
        yield client.get_executor()


EXECUTORS: dict[str, Callable[[int], AbstractContextManager[Executor]]] = {
    "threads": threads,
    "processes": processes,
    "dask": dask,
}


@contextmanager
def workspace(url: str, folder: str) -> Iterator[Workspace]:
    """The server and a folder; other processes find the address in a file."""
    secret = Path(folder) / "url"
    secret.write_text(url)
    secret.chmod(0o600)
    stores = {
        "warehouse": {
            "type": "postgresql",
            "tls": "disable",
            "credentials": {"connection_string": f"file:{secret}"},
        },
        "files": {"type": "local", "path": f"{folder}/files"},
    }
    with Workspace.from_mapping({"datastores": stores}) as found:
        yield found


def cpu_seconds() -> float:
    """Return what this process and all below it have used, but for the server's."""
    children: dict[int, list[int]] = {}
    ticks: dict[int, int] = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = place.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if "(postgres" in name:
            continue
        fields = rest.split()
        pid = int(place.parent.name)
        children.setdefault(int(fields[1]), []).append(pid)
        # 14 utime and 15 stime, counted from the number of the process.
        ticks[pid] = int(fields[11]) + int(fields[12])
    total, waiting = 0, [os.getpid()]
    while waiting:
        pid = waiting.pop()
        total += ticks.get(pid, 0)
        waiting += children.get(pid, [])
    return total / _TICK


def measure(
    stores: Workspace, server: BenchmarkServer, table: str, executor: Executor, workers: int
) -> dict[str, dict[str, float]]:
    """Copy a table out and in once; return what each took."""
    copies = {
        "PostgreSQL to Parquet": (f"warehouse/public/{table}", "files/out/"),
        "Parquet to PostgreSQL": (f"files/{table}/", "warehouse/public/back"),
    }
    found = {}
    for name, (source, target) in copies.items():
        server.settle()
        cpu, began = cpu_seconds(), time.perf_counter()
        report = datastores.copy(
            f"datastore://{source}",
            f"datastore://{target}",
            workspace=stores,
            executor=executor,
            workers=workers,
        )
        wall = time.perf_counter() - began
        phases = {one.name: one.ended_seconds - one.began_seconds for one in report.phases}
        found[name] = {
            "wall_seconds": wall,
            "client_cpu_seconds": cpu_seconds() - cpu,
            "rows": float(report.rows or 0),
            "bytes": float(report.bytes_read),
            "parts": float(report.parts),
            "plan_seconds": phases["plan"],
            "stage_seconds": phases["stage"],
            "publish_seconds": phases["publish"],
        }
        server.run("DROP TABLE IF EXISTS back")
        if target == "files/out/":
            stores["files"].filesystem.rm("out", recursive=True)
    return found


@contextmanager
def reached(url: str, megabytes_per_second: float | None) -> Iterator[str]:
    """Yield the server's address: its own, or one from afar."""
    if megabytes_per_second is None:
        yield url
        return
    port = urlsplit(url).port
    assert port is not None  # noqa: S101
    with far(port, megabytes_per_second) as other:
        yield url.replace(f":{port}/", f":{other}/")


def run(rows: int, repeats: int, megabytes_per_second: float | None) -> list[dict[str, Any]]:
    """Measure every executor with every number of workers, in turn; return the medians."""
    runs: dict[tuple[str, str, int, str], list[dict[str, float]]] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        benchmark_server(rows) as server,
        reached(server.url, megabytes_per_second) as url,
        workspace(url, folder) as stores,
    ):
        tables = (server.table(_TABLE), server.table(_TABLE, 4), server.warm_up_table(_TABLE))
        for table in tables:
            # Four files, so that four workers have one each.
            datastores.copy(
                stores["warehouse"] / f"public/{table}", stores["files"] / f"{table}/", workers=4
            )
        for _ in range(repeats):
            for kind, workers in product(EXECUTORS, WORKERS):
                with EXECUTORS[kind](workers) as executor:
                    # Every worker imports and connects.
                    measure(stores, server, tables[1], executor, workers)
                    for table in tables:
                        found = measure(stores, server, table, executor, workers)
                        for name, figures in found.items():
                            runs.setdefault((name, kind, workers, table), []).append(figures)
                print(kind, workers, file=sys.stderr)
    return [
        {
            "copy": name,
            "executor": kind,
            "workers": workers,
            **{one: statistics.median(run[one] for run in found) for one in found[0]},
        }
        for (name, kind, workers, _), found in runs.items()
    ]


def table_of(points: list[dict[str, Any]]) -> str:
    """Return the points as a table in Markdown."""
    lines = [
        "| copy | executor | workers | seconds | rows a second | MB a second | speed-up | client CPU seconds |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    most = max(one["rows"] for one in points)
    shown = [one for one in points if one["rows"] == most]
    alone = {
        (one["copy"], one["executor"]): one["wall_seconds"] for one in shown if one["workers"] == 1
    }
    for one in sorted(shown, key=lambda one: one["copy"], reverse=True):
        wall = one["wall_seconds"]
        lines.append(
            f"| {one['copy']} | {one['executor']} | {one['workers']} | {wall:.2f} "
            f"| {one['rows'] / wall:,.0f} | {one['bytes'] / wall / 1e6:,.0f} "
            f"| {alone[one['copy'], one['executor']] / wall:.2f} | {one['client_cpu_seconds']:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--far", type=float, metavar="MB")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    # That it has no TLS is no news, and each worker would say it.
    os.environ["PYTHONWARNINGS"] = "ignore"
    before = machine.load()
    points = run(given.rows, given.repeats, given.far)
    print(table_of(points))
    if given.json is not None:
        record = {
            "machine": machine.describe(),
            "load_before": before,
            "load_after": machine.load(),
            "repeats": given.repeats,
            "megabytes_per_second": given.far,
            "points": points,
        }
        given.json.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
