"""The secrets that are planted, and whatever is logged or warned about while a test runs."""

from __future__ import annotations

import base64
import logging
import secrets
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest
from psycopg import sql
from typing_extensions import override

from datastores import KeyVault, Secret, SecretRef
from tests.redaction.planted import Planted, shown
from tests.services import entra, key_vault
from tests.services.certificates import Certificates
from tests.services.fakes import FakeServer, named
from tests.services.key_vault import Tokens, Vault
from tests.services.postgresql import Database, PostgreSQL

PASSWORD = Planted("password", 'pl4nted/Pa55"w0rd+&<ü>')
ACCOUNT_KEY = Planted(
    "account key", base64.b64encode(b"planted-account-key/1234567890-\xff\x00").decode()
)
SIGNATURE = "cGw0bnRlZC1zaWduYXR1cmUtb2YtYS1zYXM/+z8="
SAS = Planted(
    "SAS",
    "sv=2021-08-06&ss=b&srt=sco&sp=rl&se=2099-01-01T00%3A00%3A00Z&sig="
    + SIGNATURE.replace("/", "%2F").replace("+", "%2B").replace("=", "%3D"),
    SIGNATURE,
)
CLIENT_SECRET = Planted("client secret", "pl4nted~client.s3cret/+ü")
TOKEN = Planted("token", "eyJwbDRudGVkIjoidG9rZW4ifQ.eyJwbDRudGVkIjoidG9rZW4ifQ.cGxhbnRlZA")
OF_POSTGRESQL = Planted(
    "connection string",
    "postgresql://loader:pl4nted%2Furi-pa55%C3%BC@127.0.0.1:1/sales",
    "pl4nted/uri-pa55ü",
)
OF_STORAGE = Planted(
    "connection string",
    "BlobEndpoint=http://127.0.0.1:1/acme;AccountName=acme;AccountKey="
    + base64.b64encode(b"planted-key-of-a-connection-string").decode(),
    base64.b64encode(b"planted-key-of-a-connection-string").decode(),
)
PLANTED = (
    *(PASSWORD, ACCOUNT_KEY, SAS, CLIENT_SECRET, TOKEN),
    *(OF_POSTGRESQL, OF_STORAGE),
)

# Of these some are quiet unless they are told to speak, and some are told by us to be quiet.
_LOGGERS = (
    *("adlfs", "aiohttp", "asyncio", "azure", "azure.core", "azure.identity", "azure.storage"),
    *("concurrent.futures", "datastores", "distributed", "fsspec", "msal", "opentelemetry"),
    *("psycopg", "requests", "urllib3"),
)


class Records(logging.Handler):
    """Keeps what is logged, and all that a formatter might print of it."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.texts: list[str] = []
        self.loggers: set[str] = set()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.loggers.add(record.name.partition(".")[0])
        self.texts.append(f"{record.name}: {record.getMessage()} {shown(vars(record))}")


@contextmanager
def everything_logged() -> Iterator[Records]:
    """Let every package tell all it can."""
    records = Records()
    loggers = [logging.getLogger(), *map(logging.getLogger, _LOGGERS)]
    before = [(one, one.level) for one in loggers]
    for one in loggers:
        one.setLevel(logging.DEBUG)
    loggers[0].addHandler(records)
    try:
        yield records
    finally:
        loggers[0].removeHandler(records)
        for one, level in before:
            one.setLevel(level)


@pytest.fixture
def logged() -> Iterator[Records]:
    with everything_logged() as records:
        yield records


@pytest.fixture
def warned() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        yield found


Refer = Callable[[Planted, str], Secret | SecretRef]


@pytest.fixture
def refer(
    vault: Vault, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Refer]:
    """Put a secret where a kind of reference finds it, and return what a config holds of it."""
    folder = tmp_path_factory.mktemp("secrets")
    with KeyVault(url=vault.url, credential=Tokens(), ca_bundle=str(vault.ca_file)) as opened:

        def make(one: Planted, source: str) -> Secret | SecretRef:
            name = f"s-{secrets.token_hex(4)}"
            match source:
                case "env":
                    monkeypatch.setenv(name, one.value)
                    return SecretRef(source="env", name=name)
                case "file":
                    (folder / name).write_text(one.value)
                    return SecretRef(source="file", name=str(folder / name))
                case "key_vault":
                    vault.put(name, one.value)
                    return opened.secret(name)
            return Secret(one.value)

        yield make


@contextmanager
def planted_database(server: PostgreSQL) -> Iterator[Database]:
    """Yield a database whose owner signs in by the planted password, and whose log has all statements."""
    name = f"planted_{secrets.token_hex(4)}"
    role = sql.Identifier(name)
    server.start()
    with server.admin.connect() as admin:
        made = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, PASSWORD.value)
        admin.execute(made)
        admin.execute(sql.SQL("ALTER ROLE {} SET log_statement = 'all'").format(role))
    try:
        with server.database() as database:
            owner = database.owner
            with server.admin.connect() as admin:
                grant = sql.SQL("GRANT {} TO {}").format(sql.Identifier(owner.username), role)
                admin.execute(grant)
            login = replace(owner, username=name, password=PASSWORD.value)
            yield replace(database, owner=login)
    finally:
        with server.admin.connect() as admin:
            admin.execute(sql.SQL("DROP ROLE {}").format(role))


Served = tuple[Vault, entra.Tenant]


@pytest.fixture(scope="module")
def served(
    key_vault_server: FakeServer, entra_server: FakeServer, certificates: Certificates
) -> Iterator[Served]:
    """A vault and a tenant for all tests of a module; its application signs in by the planted secret."""
    ports = {
        key_vault.ENDING: key_vault_server.process.port,
        entra.ENDING: entra_server.process.port,
    }
    with ExitStack() as stack:
        stack.enter_context(named(ports))
        vault = Vault(key_vault_server, certificates.authority)
        tenant = entra.Tenant(entra_server, certificates.authority)
        tenant.accept(CLIENT_SECRET.value)
        vault.change(tenant=tenant.id)
        yield vault, tenant
