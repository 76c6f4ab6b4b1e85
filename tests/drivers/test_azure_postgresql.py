"""PostgreSQL passes the suite of table drivers, on a server that the run starts."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pytest
from hypothesis.stateful import run_state_machine_as_test
from typing_extensions import override

from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.base import TableDriver
from datastores.secrets import Secret
from datastores.testing.arrow import TYPES
from datastores.testing.stateful_tables import machine_for
from datastores.testing.tables import TableDriverConformance
from datastores.testing.tls import PLANTED, Line, PlantedCredential, TlsConformance, TlsServer
from datastores.values import TableName
from tests.services.certificates import Certificates
from tests.services.postgresql import Database, Login


def config_of(login: Login, **fields: Any) -> AzurePostgreSQLConfig:
    """Return how the driver signs in as one of the tests' roles."""
    given: dict[str, Any] = {
        "server_name": login.host,
        "port": login.port,
        "database_name": login.database,
        "username": login.username,
        "password": Secret(login.password),
        "ca_bundle": str(login.ca_file) if login.ca_file else None,
    }
    return AzurePostgreSQLConfig(**{**given, **fields})


def staged(database: Database) -> list[str]:
    """Return what is in the staging schema, and the schema itself, looked up without the driver."""
    return [
        str(name)
        for (name,) in database.run(
            "SELECT nspname FROM pg_namespace WHERE nspname = '_datastores' UNION ALL "
            "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace('_datastores')"
        )
    ]


class TestAzurePostgreSQL(TableDriverConformance, TlsConformance):
    refused_types: ClassVar[tuple[pa.DataType, ...]] = tuple(
        type_
        for type_ in TYPES
        if pa.types.is_struct(type_)
        or pa.types.is_map(type_)
        or (pa.types.is_list(type_) and pa.types.is_struct(type_.value_type))
    )

    @pytest.fixture
    def database(self, database: Database) -> Database:
        self.reached = database
        return database

    @override
    @pytest.fixture
    def driver(self, database: Database) -> Iterator[TableDriver]:
        with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
            yield driver

    @override
    @pytest.fixture
    def tls_server(self, database: Database, certificates: Certificates) -> TlsServer:
        login = database.owner
        self.place = {"database_name": login.database, "username": login.username}
        return TlsServer(
            host=login.host,
            port=login.port,
            ca_bundle=str(login.ca_file),
            elsewhere=str(certificates.elsewhere),
            credentials={"password": Secret(login.password)},
            planted=[{"password": Secret(PLANTED)}, {"identity": PlantedCredential()}],
        )

    @override
    def driver_at(self, host: str, port: int, **fields: Any) -> TableDriver:
        place = {"server_name": host, "port": port, **self.place}
        return AzurePostgreSQLDriver(AzurePostgreSQLConfig.from_mapping({**place, **fields}))

    @override
    def before_tls(self, line: Line, *, offered: bool) -> None:
        # https://www.postgresql.org/docs/current/protocol-message-formats.html
        if line.receive(8)[4:] == struct.pack("!i", 80877103):
            line.send(b"S" if offered else b"N")
        if not offered:
            line.receive(65_536)
            line.send(b"R" + struct.pack("!ii", 8, 3))

    @override
    def table_named(self, name: str) -> TableName:
        return TableName(name, "public")

    @override
    def holds(self, data: pa.Table) -> bool:
        return all(holds_exactly(chunk) for column in data.columns for chunk in column.chunks)

    @override
    def staging_left(self, driver: TableDriver) -> Sequence[str]:
        return staged(self.reached)


def test_any_history_of_writes_and_reads(database: Database) -> None:
    table = TableName("t", "public")

    def fresh_driver() -> TableDriver:
        database.run("DROP TABLE IF EXISTS t")
        return AzurePostgreSQLDriver(config_of(database.owner))

    # Each step is a dozen statements of a server with a disk.
    machine = machine_for(fresh_driver, table, max_examples=8)
    run_state_machine_as_test(machine, settings=machine.TestCase.settings)
    assert not staged(database)


def holds_exactly(array: pa.Array) -> bool:
    """Return whether PostgreSQL has these values: no U+0000 in text, no nanoseconds, no ragged arrays."""
    type_ = array.type
    if pa.types.is_dictionary(type_):
        return holds_exactly(array.dictionary_decode())
    if pa.types.is_list(type_) and pa.types.is_list(type_.value_type):
        return all(_is_rectangular(value.as_py() if value.is_valid else []) for value in array)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return holds_exactly(array.flatten())
    if pa.types.is_time(type_) or pa.types.is_timestamp(type_):
        integers = array.view(pa.int64() if type_.bit_width == 64 else pa.int32())
        numbers = integers.drop_null().to_numpy()
        return type_.unit != "ns" or bool(np.all(numbers % 1000 == 0))
    if "string" in str(type_):
        return not any("\0" in value for value in array.to_pylist() if value is not None)
    return True


def _is_rectangular(lists: list[Any]) -> bool:
    return (
        len({-1 if one is None else len(one) for one in lists}) < 2
        and None not in lists
        and [] not in lists
    )
