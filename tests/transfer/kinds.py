"""How tests get a store of each kind, and which columns of the shop it refuses, in its own words.

A new kind joins the matrix by one entry in `KINDS`, and a new format by one in `FORMATS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from datastores import Datastore
from datastores.secrets import Secret
from tests.drivers.test_azure_postgresql import config_of
from tests.services.azurite import Azurite
from tests.services.postgresql import PostgreSQL

Opener = Callable[[pytest.FixtureRequest, Path], AbstractContextManager[Datastore]]
"""Opens an empty store, given the run's fixtures and an empty folder, and ends it afterwards."""

Refused = Mapping[str, tuple[str, ...]]
"""From the reason, as the error's message says it, to the columns of the shop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """What a kind or format does not hold. Whatever else it refuses is a defect."""

    types: Refused = field(default_factory=dict)
    """Refused by the plan, whatever the values are."""
    values: Refused = field(default_factory=dict)
    """Refused when a value is met that has no equal there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One driver in the matrix."""

    open: Opener
    refusals: Refusals = field(default_factory=Refusals)


@contextmanager
def _local(_: pytest.FixtureRequest, folder: Path) -> Iterator[Datastore]:
    with Datastore(type="local", path=str(folder)) as store:
        yield store


@contextmanager
def _memory(_: pytest.FixtureRequest, _folder: Path) -> Iterator[Datastore]:
    with Datastore(type="memory") as store:
        yield store


@contextmanager
def _duckdb(_: pytest.FixtureRequest, folder: Path) -> Iterator[Datastore]:
    with Datastore(type="duckdb", path=str(folder / "shop.duckdb")) as store:
        yield store


@contextmanager
def _azure_blob(request: pytest.FixtureRequest, _: Path) -> Iterator[Datastore]:
    azurite: Azurite = request.getfixturevalue("azurite_server")
    azurite.start()
    with (
        azurite.container() as container,
        Datastore(
            type="azure_blob",
            account_name=azurite.account_name,
            account_url=azurite.account_url,
            container_name=container.container_name,
            account_key=Secret(azurite.account_key),
        ) as store,
    ):
        yield store


@contextmanager
def _azure_postgresql(request: pytest.FixtureRequest, _: Path) -> Iterator[Datastore]:
    server: PostgreSQL = request.getfixturevalue("postgresql_server")
    server.start()
    with (
        server.database() as database,
        Datastore.from_config(config_of(database.owner)) as store,
    ):
        yield store


_UNITS = ("s", "ms", "us", "ns")
_ZONES = ("", ", tz=UTC", ", tz=Europe/Copenhagen", ", tz=+05:30")
_NANOSECONDS = tuple(f"timestamp[ns{zone}]" for zone in _ZONES)
_FAR_TIMESTAMPS = tuple(f"far timestamp[{unit}{zone}]" for unit in _UNITS for zone in _ZONES[:2])
_NO_DATES = ("far date32", "date32 BC", "date32 after 9999")
_VIEWS = ("list view", "large list view")

KINDS: Mapping[str, Kind] = {
    "azure_blob": Kind(open=_azure_blob),
    "azure_postgresql": Kind(
        open=_azure_postgresql,
        refusals=Refusals(
            types={
                "PostgreSQL here has no type that holds it": (
                    *("struct", "deep struct", "list of structs"),
                    *("map", "map of lists", "sorted map"),
                )
            },
            values={
                "holds U+0000, which PostgreSQL's text cannot": (
                    *("string", "large_string", "string_view", "NUL"),
                ),
                "invalid input syntax for type json": ("not json",),
                "has no equal in timestamp[us": (
                    *_NANOSECONDS,
                    *(one for one in _FAR_TIMESTAMPS if "[us" not in one),
                ),
                "has no equal in time64[us]": ("time ns",),
                "has no equal in microseconds": ("interval",),
                "has no equal in PostgreSQL": (
                    *("far date32", "far timestamp[us]", "far timestamp[us, tz=UTC]"),
                    "list of lists",
                ),
                "has no equal in an array of PostgreSQL, whose rows are equally long": (
                    "jagged lists",
                ),
            },
        ),
    ),
    "duckdb": Kind(
        open=_duckdb,
        refusals=Refusals(
            types={
                "which DuckDB cannot hold": _VIEWS,
                "which duckdb cannot hold exactly": ("sorted map",),
            },
            values={
                "has no equal in JSON": ("not json",),
                "is infinite or out of range": (*_NANOSECONDS, *_FAR_TIMESTAMPS, "far date32"),
                "has no equal in microseconds": ("interval",),
            },
        ),
    ),
    "local": Kind(open=_local),
    "memory": Kind(open=_memory),
}

FORMATS: Mapping[str, Refusals] = {
    "parquet": Refusals(
        types={"Parquet holds no": ("thousands", "large labels", "interval", "whole interval")},
        values={"has no form in Parquet": _FAR_TIMESTAMPS[:2]},
    ),
    "csv": Refusals(
        types={"has no text form": _VIEWS, "has no written form": ("sorted map",)},
        values={
            "is outside the years": (*_NO_DATES, *_FAR_TIMESTAMPS, "timestamp[us] BC"),
            "has no JSON form": ("list of floats",),
        },
    ),
    "jsonl": Refusals(
        types={"has no text form": _VIEWS, "has no written form": ("sorted map",)},
        values={
            "is outside the years": (*_NO_DATES, *_FAR_TIMESTAMPS, "timestamp[us] BC"),
            "has no JSON form": ("half nan", "float nan", "double nan", "list of floats"),
        },
    ),
    "arrow": Refusals(),
}
"""By name as `format=` takes it; a format without an entry is held to refuse nothing."""


def kind_of(name: str) -> Kind:
    """Return the entry of a kind, or fail with what to add."""
    if name not in KINDS:
        pytest.fail(
            f"the kind {name!r} is registered and not in the matrix: add an entry to KINDS in "
            "tests/transfer/kinds.py that opens an empty store of it, and says which columns of "
            "tests/transfer/shop.py it refuses and why"
        )
    return KINDS[name]
