"""This library, by its public calls."""

import functools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow as pa

from datastores import Datastore, Workspace, copy
from datastores.drivers.base import TableDriver
from datastores.drivers.reading import ScanRequest, Split
from datastores.values import TableName


def read(url: str, table: str, connections: int) -> int:
    """Read a table's splits under one snapshot, so many at a time."""
    with workspace(url, ".") as stores:
        driver = stores["server"].driver
        assert isinstance(driver, TableDriver)  # noqa: S101

        def drain(split: Split) -> int:
            return sum(batch.num_rows for batch in driver.read(split))

        request = ScanRequest(table=TableName(table, "public"))
        with driver.plan_read(request, connections) as plan:
            if connections == 1:
                return sum(map(drain, plan.splits))
            with ThreadPoolExecutor(connections) as pool:
                return sum(pool.map(drain, plan.splits))


def to_parquet(url: str, table: str, folder: str, workers: int) -> None:
    """Copy a table into one file, or with more workers into a folder of them."""
    place = "result.parquet" if workers == 1 else "result/"
    with workspace(url, folder) as stores:
        copy(
            stores["server"] / f"public/{table}",
            stores["files"] / place,
            workspace=stores,
            workers=workers,
        )


def from_parquet(url: str, file: str, table: str, workers: int, mode: str) -> None:
    """Copy a file into a table."""
    path = Path(file)
    with workspace(url, str(path.parent)) as stores:
        copy(
            stores["files"] / path.name,
            stores["server"] / f"public/{table}",
            workspace=stores,
            workers=workers,
            mode=mode,
        )


def to_table(url: str, table: str, target: str, workers: int) -> None:
    """Copy a table into another one of the same server."""
    with workspace(url, ".") as stores:
        server = stores["server"]
        copy(server / f"public/{table}", server / f"public/{target}", workers=workers)


def fetch(url: str, table: str) -> pa.Table:
    return _server(url).scan(f"public.{table}").to_arrow()


def store(url: str, table: str, data: pa.Table) -> None:
    _server(url).write_table(f"public.{table}", data)


@functools.cache
def _server(url: str) -> Datastore:
    """Return a store that stays open, since values are many and small."""
    return workspace(url, ".")["server"]


def workspace(url: str, folder: str) -> Workspace:
    """Return the server and a folder, side by side."""
    parts = urlsplit(url)
    stores = {
        "files": {"type": "local", "path": str(Path(folder).resolve())},
        "server": {
            "type": "postgresql",
            "server_name": parts.hostname,
            "port": parts.port,
            "database_name": parts.path[1:],
            "credentials": {"username": parts.username, "password": parts.password},
            "tls": "disable",
        },
    }
    return Workspace.from_mapping({"datastores": stores})
