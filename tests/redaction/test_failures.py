"""What is shown when a sign-in fails: errors with the variables of all frames, logs, warnings, screens."""

from __future__ import annotations

import base64
import dataclasses
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote
from warnings import WarningMessage

import pytest

from datastores import Datastore, Identity, Secret
from datastores.check import check_store
from datastores.cli.failures import report_error
from datastores.drivers.azure_blob import client as blob_client
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    NotFoundError,
    PermissionDeniedError,
)
from datastores.secrets import KeyVault
from tests.redaction.conftest import (
    ACCOUNT_KEY,
    CLIENT_SECRET,
    OF_POSTGRESQL,
    OF_STORAGE,
    PASSWORD,
    PLANTED,
    SAS,
    Records,
    Refer,
)
from tests.redaction.planted import Planted, found, shown, shown_error, without_callers
from tests.services.azurite import Azurite
from tests.services.entra import Tenant
from tests.services.key_vault import Vault
from tests.services.postgresql import Database
from tests.services.proxy import Faults, Proxy

MALFORMED_KEY = Planted("account key", "planted~is~no~base64~at~all", "planted~is~no~base64~at~all")
MALFORMED_STRING = Planted("connection string", "AccountName;pl4nted-without-a-form")
ALL = (*PLANTED, dataclasses.replace(MALFORMED_KEY, kind="malformed key"), MALFORMED_STRING)

Look = Callable[..., None]


@pytest.fixture
def refused(
    logged: Records,
    warned: list[WarningMessage],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Look:
    """Make a call that fails, and look for secrets in all that tells of it."""
    monkeypatch.setattr(blob_client, "RETRIES", 0)

    def look(call: Callable[[], Any], kind: type[DatastoreError], *more: Planted) -> None:
        capfd.readouterr()
        with pytest.raises(kind) as caught:
            call()
        monkeypatch.setenv("DATASTORES_DEBUG", "1")
        for as_json in (True, False):
            report_error(caught.value, as_json=as_json, color=False)
        screen = capfd.readouterr()
        assert "Traceback" in screen.err
        places = {
            "error": shown_error(without_callers(caught.value)),
            "traceback": "".join(traceback.format_exception(caught.value)),
            "logs": "\n".join(logged.texts),
            "warnings": repr([vars(one) for one in warned]),
            "screen": screen.out + screen.err,
        }
        assert places["error"]
        shown = found((*ALL, *more), places)
        assert not shown, f"shown: {shown}"

    return look


def kinds_of_calls(store: Datastore) -> Iterator[Callable[[], Any]]:
    """Yield a listing, a read, a write and a table: each has frames of its own."""
    yield lambda: list(store.list(""))
    yield lambda: store.read("a.parquet")
    yield lambda: store.write("a", b"1")
    yield lambda: store.scan("a.parquet").to_arrow()


@pytest.mark.parametrize("source", ["literal", "key_vault"])
def test_a_password(database: Database, refer: Refer, refused: Look, source: str) -> None:
    login = database.owner
    given: dict[str, Any] = {
        "type": "azure_postgresql",
        "server_name": login.host,
        "port": login.port,
        "database_name": login.database,
        "ca_bundle": str(login.ca_file),
    }
    with Datastore(**given, username="nobody", password=refer(PASSWORD, source)) as store:
        refused(store.tables, AuthenticationError)
        refused(lambda: store.query("select 1").to_arrow(), AuthenticationError)
        shows = check_store(store)
        assert not found(ALL, {"check": f"{shown(shows)} {shows}"})
    given |= {"username": login.username, "database_name": "none"}
    with Datastore(**given, password=refer(PASSWORD, source)) as store:
        refused(store.tables, AuthenticationError)
    with Datastore(**{**given, "port": 1}, password=refer(PASSWORD, source)) as store:
        refused(store.tables, ConnectionFailedError)
    with Datastore(**{**given, "ca_bundle": None}, password=refer(PASSWORD, source)) as store:
        refused(store.tables, ConfigurationError)


@pytest.mark.parametrize("source", ["literal", "env"])
def test_a_connection_string_of_postgresql(
    database: Database, refer: Refer, refused: Look, source: str
) -> None:
    login = database.owner
    here = OF_POSTGRESQL.value.replace("127.0.0.1:1", f"{login.host}:{login.port}")
    for text, kind in (
        (here, AuthenticationError),
        (OF_POSTGRESQL.value, ConnectionFailedError),
        (OF_POSTGRESQL.value.replace("://", ":/"), ConfigurationError),
        (OF_POSTGRESQL.value.replace("%C3%BC", "%zz"), ConfigurationError),
    ):
        value = refer(dataclasses.replace(OF_POSTGRESQL, value=text), source)
        with Datastore(
            type="azure_postgresql", connection_string=value, ca_bundle=str(login.ca_file)
        ) as store:
            refused(store.tables, kind)


Blob = Callable[..., Datastore]


@pytest.fixture
def blob(azurite: Azurite) -> Iterator[Blob]:
    """Open a container of the emulator's account; the caller signs in."""
    stores = []

    def make(**given: Any) -> Datastore:
        fields: dict[str, Any] = {
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "container_name": "landing",
        }
        stores.append(Datastore("azure_blob", **{**fields, **given}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize("source", ["literal", "file"])
@pytest.mark.parametrize(
    ("field", "planted", "kind"),
    [
        ("account_key", ACCOUNT_KEY, PermissionDeniedError),
        ("account_key", MALFORMED_KEY, AuthenticationError),
        ("sas_token", SAS, PermissionDeniedError),
    ],
    ids=["key", "malformed key", "SAS"],
)
def test_blob_storage(
    blob: Blob,
    refer: Refer,
    refused: Look,
    source: str,
    field: str,
    planted: Planted,
    kind: type[DatastoreError],
) -> None:
    store = blob(**{field: refer(planted, source)})
    for call in kinds_of_calls(store):
        refused(call, kind)
    away = blob(account_url="http://127.0.0.1:1/acme", **{field: refer(planted, source)})
    for call in kinds_of_calls(away):
        refused(call, AuthenticationError if planted is MALFORMED_KEY else ConnectionFailedError)
    nowhere = blob(account_url="http://[x", **{field: refer(planted, source)})
    refused(lambda: list(nowhere.list("")), ConfigurationError)


def test_what_a_blob_server_breaks(
    azurite: Azurite,
    proxy: Callable[[int], Proxy],
    blob: Blob,
    refer: Refer,
    refused: Look,
) -> None:
    through = proxy(azurite.port)
    address = azurite.account_url.replace(str(azurite.port), str(through.port))
    with azurite.container() as container:
        container.upload_blob("a.parquet", b"PAR1 and no more")
        name = container.container_name
        value = azurite.sas()
        sas = Planted("SAS", value, unquote(value.partition("sig=")[2].partition("&")[0]))
        store = blob(account_url=address, container_name=name, sas_token=refer(sas, "literal"))
        refused(lambda: store.read("missing"), NotFoundError, sas)
        refused(lambda: store.scan("a.parquet").to_arrow(), DatastoreError, sas)
        # No HTTP at all: what aiohttp says of it names the whole address.
        through.faults = Faults(replace_received=(b"HTTP/1.1", b"GARBAGE!"))
        store.close()
        for call in kinds_of_calls(store):
            refused(call, DatastoreError, sas)


def test_a_connection_string_of_storage(azurite: Azurite, refer: Refer, refused: Look) -> None:
    here = OF_STORAGE.value.replace("http://127.0.0.1:1/acme", azurite.account_url)
    here = here.replace("AccountName=acme", f"AccountName={azurite.account_name}")
    key = OF_STORAGE.part or ""
    broken = OF_STORAGE.value.replace("AccountName=", "")
    for one, kind in (
        (dataclasses.replace(OF_STORAGE, value=here), PermissionDeniedError),
        (OF_STORAGE, ConnectionFailedError),
        (dataclasses.replace(OF_STORAGE, value=broken), ConfigurationError),
        (dataclasses.replace(OF_STORAGE, value=key), ConfigurationError),
        (MALFORMED_STRING, ConfigurationError),
    ):
        fields = {"container_name": "landing", "connection_string": refer(one, "literal")}
        with Datastore("azure_blob", **fields) as store:
            refused(lambda store=store: list(store.list("")), kind)


def test_a_token(azurite_tls: Azurite, refused: Look) -> None:
    """Azurite reads a token's claims, so this one is made of them."""
    wrong = azurite_tls.token(aud="https://pl4nted.example", note="pl4nted-cl4im")
    token = Planted("token", wrong.get_token().token)
    with Datastore(
        "azure_blob",
        account_name=azurite_tls.account_name,
        account_url=azurite_tls.account_url,
        container_name="landing",
        ca_bundle=str(azurite_tls.ca_file),
        identity=wrong,
    ) as store:
        for call in kinds_of_calls(store):
            refused(call, DatastoreError, token)


@pytest.mark.parametrize("source", ["literal", "env", "file"])
def test_a_client_secret(
    tenant: Tenant, vault: Vault, refer: Refer, refused: Look, source: str
) -> None:
    vault.change(tenant=tenant.id)
    vault.put("pw", PASSWORD.value)
    identity = Identity(
        name="service_principal",
        tenant_id=tenant.id,
        client_id=tenant.client_id,
        client_secret=refer(CLIENT_SECRET, source),
        ca_bundle=str(tenant.ca_file),
    )
    opened = KeyVault(url=vault.url, credential=identity, ca_bundle=str(vault.ca_file))
    with Datastore(
        "azure_blob",
        account_name="acme",
        account_url="http://127.0.0.1:1/acme",
        container_name="landing",
        account_key=opened.secret("pw"),
    ) as store:
        refused(lambda: identity.get_token("https://vault.azure.net/.default"), AuthenticationError)
        refused(lambda: list(store.list("")), AuthenticationError)
        refused(lambda: opened.set("pw", Secret(PASSWORD.value)), AuthenticationError)
        opened.close()
        tenant.accept(CLIENT_SECRET.value)
        for fault in ({"status": 403, "inner": "AccessDenied"}, {"status": 401}, {"drop": True}):
            vault.fail(**fault, times=9)
            refused(lambda: opened.set("pw", Secret(PASSWORD.value)), DatastoreError)
            vault.heal()
    identity.close()


def test_a_planted_error_would_be_found(refused: Look) -> None:
    def leak() -> None:
        raise NotFoundError("nothing") from KeyError(base64.b64encode(PASSWORD.value.encode()))

    with pytest.raises(AssertionError, match="error: password"):
        refused(leak, NotFoundError)
