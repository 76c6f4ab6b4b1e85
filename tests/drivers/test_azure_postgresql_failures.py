"""What goes wrong with PostgreSQL: one clear error of ours, the target unchanged, nothing left over."""

from __future__ import annotations

import pickle
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
)
from datastores.secrets import Secret, SecretRef
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.certificates import make_certificates
from tests.services.postgresql import Database, Login, PostgreSQL
from tests.services.proxy import Faults, Proxy

ORDERS = TableName("orders", "public")
DATA = pa.table({"id": [1, 2, 3], "word": ["a", None, "c"]})
PLANTED = "planted-Pa55word"


def driver_of(login: Login, **fields: Any) -> AzurePostgreSQLDriver:
    return AzurePostgreSQLDriver(config_of(login, **fields))


def locals_shown(error: BaseException) -> str:
    """Return what a traceback with locals shows of an error and all that led to it."""
    assert error.__traceback__ is not None
    # Without the test's own frame, which knows the secrets.
    inner = error.__traceback__.tb_next
    shown = traceback.TracebackException(type(error), error, inner, capture_locals=True)
    return "".join(shown.format())


@contextmanager
def refused(login: Login, kind: type[DatastoreError], **fields: Any) -> Iterator[list[str]]:
    """Expect one error from signing in, which tells no secret; collect its text."""
    texts: list[str] = []
    driver = driver_of(login, **fields)
    with pytest.raises(kind) as caught:
        driver.tables()
    assert type(caught.value) is kind
    assert caught.value.advice
    for secret in (login.password, PLANTED):
        assert secret not in locals_shown(caught.value)
        assert secret not in repr(driver) + repr(driver.config) + repr(vars(driver))
    texts.append(str(caught.value))
    yield texts


def test_a_wrong_password_is_no_missing_table(database: Database) -> None:
    with refused(database.owner, AuthenticationError, password=Secret(PLANTED)) as texts:
        assert "password authentication failed" in texts[0]
        assert database.owner.username in texts[0]


def test_an_unknown_user_cannot_sign_in(database: Database) -> None:
    with refused(database.owner, AuthenticationError, username="nobody"):
        pass


def test_a_missing_database_is_named(database: Database) -> None:
    with refused(database.owner, NotFoundError, database_name="nowhere") as texts:
        assert "nowhere" in texts[0]


def test_a_port_where_nobody_listens(database: Database) -> None:
    with refused(database.owner, ConnectionFailedError, port=1) as texts:
        assert "refused" in texts[0]


def test_an_unknown_host_is_named() -> None:
    # In a process of its own: tests look up no names.
    script = """
from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.errors import ConnectionFailedError
from datastores.secrets import Secret
config = AzurePostgreSQLConfig(
    server_name="nowhere.invalid", database_name="d", username="u", password=Secret("p")
)
try:
    AzurePostgreSQLDriver(config).tables()
except ConnectionFailedError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert "no host named 'nowhere.invalid'" in done.stdout


def test_an_untrusted_certificate_is_refused(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    others = make_certificates(tmp_path_factory.mktemp("others"))
    with refused(database.owner, ConfigurationError, ca_bundle=str(others.authority)) as texts:
        assert "not trusted" in texts[0]


def test_a_server_without_tls_never_sees_the_password(
    postgresql_without_tls: PostgreSQL, proxy: Callable[[int], Proxy]
) -> None:
    admin = postgresql_without_tls.admin
    between = proxy(admin.port)
    # What libpq and our own question send before they give up: two requests for TLS.
    between.faults = Faults(reset_after_sent=8)
    with refused(replace(admin, port=between.port), ConfigurationError) as texts:
        assert "no TLS" in texts[0]
    with pytest.warns(DatastoreWarning, match="in clear"):
        driver = driver_of(admin, tls="disable")
    with driver:
        assert driver.tables() == []


def test_a_password_that_changed_is_read_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_PASSWORD", PLANTED)
    ref = SecretRef(source="env", name="PG_PASSWORD")
    with driver_of(database.owner, password=ref) as driver:
        with pytest.raises(AuthenticationError):
            driver.tables()
        monkeypatch.setenv("PG_PASSWORD", database.owner.password)
        assert driver.tables() == []


def test_a_connection_string_is_enough(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    login = database.owner
    url = (
        f"postgresql+psycopg://{login.username}:{login.password}@{login.host}:{login.port}/"
        f"{login.database}?sslmode=disable"
    )
    monkeypatch.setenv("PG_URL", url)
    config = AzurePostgreSQLConfig.from_mapping(
        {"ca_bundle": str(login.ca_file), "credentials": {"connection_string": "env:PG_URL"}}
    )
    with AzurePostgreSQLDriver(config) as driver:
        write(driver, ORDERS, DATA)
        # It is verified whatever the string says.
        [(tls,)] = database.run(
            "SELECT count(*) FROM pg_stat_ssl WHERE NOT ssl AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'datastores')"
        )
        assert tls == 0
        request = WriteRequest(table=ORDERS, schema=DATA.schema, mode=WriteMode.APPEND)
        bytes_ = pickle.dumps(driver.begin(request))
        assert login.password.encode() not in bytes_
        session = pickle.loads(bytes_)
        session.publish([pickle.loads(bytes_).write("0", DATA.to_reader())])
        session.discard()
        assert_same_table(read(driver, ORDERS), pa.concat_tables([DATA, DATA]))
    monkeypatch.setenv("PG_URL", f"host {PLANTED}")
    with pytest.raises(ConfigurationError) as caught:
        AzurePostgreSQLDriver(config).tables()
    assert PLANTED not in locals_shown(caught.value)


def test_a_connection_string_says_whom_to_trust(database: Database) -> None:
    login = database.owner
    text = (
        f"host={login.host} port={login.port} dbname={login.database} user={login.username} "
        f"password={login.password} sslrootcert={{}}"
    )

    def tables(file: str, **fields: Any) -> Any:
        string = Secret(text.format(file))
        with AzurePostgreSQLDriver(
            AzurePostgreSQLConfig(connection_string=string, **fields)
        ) as driver:
            return driver.tables()

    assert tables(str(login.ca_file)) == []
    assert tables("/missing.pem", ca_bundle=str(login.ca_file)) == []
    with pytest.raises(ConfigurationError, match="is not trusted"):
        tables("system")
    with pytest.raises(ConfigurationError, match=r"missing\.pem"):
        tables("/missing.pem")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hun/ter2@127.0.0.1/d?user=u",
        "postgresql://u:p@hunter2@127.0.0.1/d",
        "host=127.0.0.1 port=hunter2 dbname=d user=u",
        "host=127.0.0.1 port=70000 dbname=d user=u password=hunter2",
        "host=127.0.0.1,127.0.0.1 port=5432,5432 dbname=d user=u password=hunter2",
        "jdbc:postgresql://127.0.0.1/d?user=u&password=hunter2",
        "Server=127.0.0.1;Database=d;User Id=u;Password=hunter2",
    ],
)
def test_a_connection_string_that_is_none(text: str) -> None:
    config = AzurePostgreSQLConfig(connection_string=Secret(text))
    words = r"is not one of PostgreSQL's.*%40 for @"
    with (
        AzurePostgreSQLDriver(config) as driver,
        pytest.raises(ConfigurationError, match=words) as caught,
    ):
        driver.tables()
    assert not [part for part in ("hun", "ter2") if part in locals_shown(caught.value)]


def test_a_connection_string_with_a_line_end(database: Database) -> None:
    login = database.owner
    url = (
        f"postgresql://{login.username}:{login.password}@{login.host}:{login.port}/{login.database}"
    )
    string = Secret(f" {url}\n")
    config = AzurePostgreSQLConfig(connection_string=string, ca_bundle=str(login.ca_file))
    with AzurePostgreSQLDriver(config) as driver:
        assert driver.tables() == []


def test_an_empty_password_is_refused_in_our_words_alone(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        driver_of(database.owner, password=Secret("")) as driver,
        pytest.raises(AuthenticationError, match="no password supplied"),
    ):
        driver.tables()
    assert capfd.readouterr().err == ""


def test_what_is_no_text_that_could_be_sent(database: Database) -> None:
    with (
        driver_of(database.owner, password=Secret("hunter2\udcff")) as driver,
        pytest.raises(AuthenticationError, match="no text that could be sent") as caught,
    ):
        driver.tables()
    assert "hunter2" not in locals_shown(caught.value)


@pytest.mark.parametrize("name", ["a..b", "a" * 64])
def test_a_host_that_can_have_no_such_name(database: Database, name: str) -> None:
    config = replace(driver_of(database.owner).config, server_name=name)
    with (
        AzurePostgreSQLDriver(config) as driver,
        pytest.raises(ConnectionFailedError, match="no host named"),
    ):
        driver.tables()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        *(
            {
                "server_name": "x",
                "database_name": "y",
                "port": port,
                "username": "u",
                "password": "env:P",
            }
            for port in (-1, 0, 65_536)
        ),
        {"server_name": "", "database_name": "y", "username": "u", "password": "env:P"},
        {"server_name": "x", "database_name": "y"},
        {"server_name": "x", "credentials": {"username": "u", "password": "env:P"}},
        {"tls": "maybe", "credentials": {"connection_string": "env:P"}},
    ],
    ids=str,
)
def test_a_config_that_cannot_connect_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AzurePostgreSQLConfig.from_mapping(fields)


def test_a_store_says_where_it_is_without_a_connection() -> None:
    password = SecretRef(source="env", name="P")
    named = AzurePostgreSQLConfig(
        server_name="x", database_name="d", username="u", password=password
    )
    assert named.where == "x/d"
    assert (
        AzurePostgreSQLConfig(connection_string=password).where == "(host of the connection string)"
    )


def test_a_literal_password_is_not_pickled(database: Database) -> None:
    with driver_of(database.owner) as driver:
        session = driver.begin(WriteRequest(table=ORDERS, schema=DATA.schema))
        with pytest.raises(ConfigurationError):
            pickle.dumps(session)
        session.discard()


def test_no_right_to_a_table_is_no_missing_table(database: Database) -> None:
    with driver_of(database.owner) as owner:
        write(owner, ORDERS, DATA)
    with driver_of(database.stranger) as driver:
        with pytest.raises(PermissionDeniedError, match="orders"):
            read(driver, ORDERS)
        with pytest.raises(PermissionDeniedError) as caught:
            write(driver, ORDERS, DATA, WriteMode.REPLACE)
    assert "GRANT" in str(caught.value)
    assert database.run("SELECT count(*) FROM orders") == [(3,)]


def test_a_missing_right_to_stage_is_named_with_its_grant(database: Database) -> None:
    with driver_of(database.owner) as owner:
        write(owner, ORDERS, DATA, keys=("id",))
    clerk = database.clerk
    with driver_of(clerk) as driver:
        assert_same_table(read(driver, ORDERS), DATA)
        with pytest.raises(PermissionDeniedError, match="GRANT CREATE ON DATABASE"):
            write(driver, ORDERS, DATA, WriteMode.APPEND, parts=2)
    database.run("CREATE SCHEMA staging")
    with driver_of(clerk, staging_schema="staging") as driver:
        with pytest.raises(PermissionDeniedError, match='GRANT USAGE, CREATE ON SCHEMA "staging"'):
            write(driver, ORDERS, DATA, WriteMode.APPEND, parts=2)
        database.run(f'GRANT USAGE, CREATE ON SCHEMA staging TO "{clerk.username}"')
        more = pa.table({"id": [3, 4], "word": ["x", "y"]})
        write(driver, ORDERS, more, WriteMode.UPSERT, keys=("id",), parts=2)
        with pytest.raises(PermissionDeniedError, match='GRANT USAGE, CREATE ON SCHEMA "public"'):
            write(driver, TableName("other", "public"), DATA)
    assert database.run("SELECT word FROM orders ORDER BY id") == [("a",), (None,), ("x",), ("y",)]
    # The schema was there before, and stays.
    assert database.run(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'staging'::regnamespace"
    ) == [(0,)]
    assert not staged(database)


def test_a_split_of_a_closed_plan_is_refused(database: Database) -> None:
    with driver_of(database.owner) as driver:
        write(driver, ORDERS, DATA)
        with driver.plan_read(ScanRequest(table=ORDERS), 1) as plan:
            [split] = plan.splits
        with pytest.raises(PreconditionFailedError, match="plan is closed"):
            driver.read(split).read_all()


def test_a_config_warns_of_clear_text_only_when_asked_to() -> None:
    config = AzurePostgreSQLConfig(
        server_name="x", database_name="d", username="u", password=Secret("p")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AzurePostgreSQLDriver(config).close()
