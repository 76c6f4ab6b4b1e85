"""Whether a datastore can be used from here, found out a stage at a time: from its name to a write."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from typing_extensions import override

from datastores.datastore import Datastore
from datastores.display import html_table, text_table
from datastores.drivers.base import FileDriver
from datastores.drivers.network import Endpoint, connect, find_addresses, handshake, is_private
from datastores.drivers.writing import WriteRequest
from datastores.errors import DatastoreError, without_frames
from datastores.values import TableName, WriteMode

STAGES = ("name", "tcp", "tls", "sign-in", "read", "write")
CONNECT_SECONDS = 5.0

_PLACE_WIDTH = 44


class Outcome(StrEnum):
    """What became of one stage."""

    OK = "ok"
    FAILED = "no"
    NOT_TRIED = "-"
    """An earlier stage failed, or the store has no such stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreCheck:
    """What was found of one store. Prints as a line of a table."""

    store: str
    type: str
    place: str
    outcomes: dict[str, Outcome]
    """By stage, each of `STAGES`."""
    details: dict[str, str]
    """What a stage that went well showed: addresses, the TLS version, who signed in."""
    failures: dict[str, DatastoreError]
    """By stage; the advice names the setting or role that is missing."""

    @property
    def passed(self) -> bool:
        """Whether no stage failed."""
        return not self.failures

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table's line."""
        cells = [
            self.details.get(stage, str(outcome))
            if stage == "sign-in" and outcome is Outcome.OK
            else str(outcome)
            for stage, outcome in self.outcomes.items()
        ]
        place = self.place
        if len(place) > _PLACE_WIDTH:
            # The outcomes behind it are what the table is for.
            half = _PLACE_WIDTH // 2
            place = f"{place[:half]}…{place[-half:]}"
        return (self.store, self.type, place, *cells)

    @override
    def __str__(self) -> str:
        lines = [text_table(HEADS, [self.row()])]
        lines += [f"{stage}: {error}" for stage, error in self.failures.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(HEADS, [self.row()])


HEADS = ("store", "type", "where", *STAGES)


def check_store(store: Datastore, *, stages: Sequence[str] = STAGES) -> StoreCheck:
    """Try each stage in turn, and say what was found; raises nothing of a service.

    Costs a connection, a listing, and one small write, which is taken back before it shows.

    Args:
        store: Which one.
        stages: The first of `STAGES`, up to which it is tried.
    """
    found = StoreCheck(
        store=store.label,
        type=store.type,
        place=store.driver.place,
        outcomes=dict.fromkeys(stages, Outcome.NOT_TRIED),
        details={},
        failures={},
    )
    for stage, attempt in _attempts(store):
        if stage not in stages:
            break
        try:
            found.details[stage] = attempt() or ""
        except DatastoreError as error:
            found.failures[stage] = error.located(store=store.name, operation="check")
            found.outcomes[stage] = Outcome.FAILED
            # Whoever may read need not be allowed to write, but without a sign-in there is neither.
            if stage not in {"read", "write"}:
                break
        else:
            if found.outcomes[stage] is not Outcome.FAILED:
                found.outcomes[stage] = Outcome.OK
    return found


def _attempts(store: Datastore) -> Iterator[tuple[str, Callable[[], str | None]]]:
    driver = store.driver
    try:
        endpoints = driver.endpoints
    except DatastoreError as error:
        # The connection string is not to be had, which is who signs in as well as where.
        yield "sign-in", partial(_raise, without_frames(error))
        return
    for endpoint in endpoints:
        yield "name", partial(_name, endpoint)
        yield "tcp", partial(_tcp, endpoint)
        if endpoint.tls:
            yield "tls", partial(_tls, endpoint)
    if endpoints:
        yield "sign-in", driver.sign_in
    yield "read", partial(_read, store)
    if store.capabilities.writable_files:
        yield "write", partial(_write_file, store)
    elif store.capabilities.write_modes:
        yield "write", partial(_write_table, store)


def _raise(error: DatastoreError) -> None:
    raise error


def _name(endpoint: Endpoint) -> str:
    addresses = find_addresses(endpoint)
    kinds = [f"{one} ({'private' if is_private(one) else 'public'})" for one in addresses]
    return ", ".join(kinds)


def _tcp(endpoint: Endpoint) -> None:
    connect(endpoint, timeout_seconds=CONNECT_SECONDS).close()


def _tls(endpoint: Endpoint) -> str:
    with connect(endpoint, timeout_seconds=CONNECT_SECONDS) as connection:
        return handshake(endpoint, connection)


def _read(store: Datastore) -> None:
    if isinstance(store.driver, FileDriver):
        store.filesystem.ls("")
    else:
        store.tabular.tables()


def _write_file(store: Datastore) -> None:
    staging = getattr(store.config, "staging_path", "")
    folder = f"{staging}/check-{uuid.uuid4().hex[:12]}".lstrip("/")
    with store.filesystem.open(f"{folder}/written", "xb") as file:
        file.write(b"datastores check")
    store.filesystem.rm(folder, recursive=True)


def _write_table(store: Datastore) -> None:
    import pyarrow as pa

    table = pa.table({"datastores_check": [1]})
    name = TableName(f"datastores_check_{uuid.uuid4().hex[:12]}")
    session = store.tabular.begin(
        WriteRequest(table=name, schema=table.schema, mode=WriteMode.CREATE, parts=1)
    )
    # Written and taken back: what is tried is all that publishing does not.
    try:
        session.write("0", table.to_reader())
    finally:
        session.discard()
