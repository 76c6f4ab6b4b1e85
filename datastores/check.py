"""Whether stores can be used, stage by stage: reached, signed in to, read, written to."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from datastores.datastore import Datastore
from datastores.drivers.base import TableDriver
from datastores.drivers.network import Reached, Stage, reach
from datastores.errors import DatastoreError
from datastores.values import TableName


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How far one store could be used."""

    stages: tuple[Reached, ...]
    """In order; those that a store does not have, or that were not come to, are not there."""

    @property
    def ok(self) -> bool:
        """Whether every stage went well."""
        return self.error is None

    @property
    def error(self) -> DatastoreError | None:
        """What went wrong, with its likely cause, or None."""
        return next((one.error for one in self.stages if one.error is not None), None)

    def word(self, stage: Stage) -> str:
        """Return how a stage went in a word: `ok`, `no`, `-`, or as whom."""
        for one in self.stages:
            if one.stage == stage:
                return "no" if one.error else (one.note if stage == Stage.SIGN_IN else "ok")
        return "-"


def check(store: Datastore) -> Check:
    """Try a store, stage by stage, up to the first that fails; nothing is left there."""
    return Check(stages=tuple(_stages(store)))


def _stages(store: Datastore) -> Iterator[Reached]:
    signed_in: list[str | None] = []
    for one in _network(store):
        yield one
        if one.error is not None:
            return
    tries: tuple[tuple[Stage, Callable[[], None]], ...] = (
        (Stage.SIGN_IN, lambda: signed_in.append(store.driver.sign_in())),
        (Stage.READ, lambda: _read(store)),
        (Stage.WRITE, lambda: _write(store)),
    )
    for stage, attempt in tries:
        try:
            attempt()
        except DatastoreError as error:
            yield Reached(stage=stage, error=error.located(store=store.name))
            return
        if stage != Stage.SIGN_IN:
            yield Reached(stage=stage)
        elif signed_in[0] is not None:
            yield Reached(stage=stage, note=signed_in[0])


def _network(store: Datastore) -> Iterator[Reached]:
    try:
        endpoints = store.driver.endpoints()
    except DatastoreError as error:
        yield Reached(stage=Stage.NAME, error=error.located(store=store.name))
        return
    for endpoint in endpoints:
        for one in reach(endpoint):
            if one.error is not None:
                one.error.located(store=store.name, driver=store.type)
            yield one


def _read(store: Datastore) -> None:
    if isinstance(store.driver, TableDriver):
        store.driver.tables()
    else:
        store.list("")


def _write(store: Datastore) -> None:
    """Stage a part of a table that is never published."""
    import pyarrow as pa

    from datastores.drivers.base import WriteRequest

    data = pa.table({"checked": [True]})
    name = TableName(f"datastores_check_{uuid.uuid4().hex[:8]}")
    session = store.tabular.begin(WriteRequest(table=name, schema=data.schema))
    try:
        session.write("0", data.to_reader())
    finally:
        session.discard()
