"""A Dask cluster as the executor of a copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from datastores.errors import ConfigurationError, ConnectionFailedError, MissingDependencyError

_CONNECT_SECONDS = 10


@contextmanager
def on_dask(address: str) -> Iterator[Mapping[str, Any]]:
    """Connect to a scheduler; hand out a copy's `executor`, and as many `workers` as it has threads.

    Raises:
        ConnectionFailedError: No scheduler answers there, or it has no worker.
        MissingDependencyError: The package is not installed.
    """
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            "--dask needs the package 'distributed', which is not installed",
            advice="pip install 'datastores[dask]'",
        ) from error
    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
    except ValueError as error:
        raise ConfigurationError(
            f"{address!r} is no address of a Dask scheduler", advice="Write tcp://HOST:PORT"
        ) from error
    except OSError as error:
        raise ConnectionFailedError(
            f"no Dask scheduler answers at {address}",
            advice="Start one with `dask scheduler`, and its workers with `dask worker`",
        ) from error
    with client:
        threads = sum(client.nthreads().values())  # type: ignore[no-untyped-call]
        if not threads:
            raise ConnectionFailedError(
                f"the Dask scheduler at {address} has no worker",
                advice=f"Start some with: dask worker {address}",
            )
        yield {"executor": client.get_executor(), "workers": threads}  # type: ignore[no-untyped-call]
