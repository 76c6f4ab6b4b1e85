"""KV-30 to KV-36: a secret that was changed while it was in use, with the drivers that use it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from psycopg import sql

import datastores
from datastores import Datastore, Identity
from datastores.drivers.azure_blob import client as blob_client
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.errors import AuthenticationError, DatastoreError, PermissionDeniedError
from datastores.secrets import KeyVault, Resolver, Secret, SecretRef, key_vault
from tests.services.azurite import Azurite
from tests.services.entra import Tenant
from tests.services.key_vault import Vault
from tests.services.postgresql import Database, Login
from tests.services.proxy import Faults, Proxy
from tests.transfer.between_parts import BetweenParts

Open = Callable[..., KeyVault]
NEW = "new-passw0rd"
WRONG_KEY = "d3Jvbmc="
# Azurite's word for a wrong key, and the service's.
REFUSED = Faults(replace_received=(b"AuthorizationFailure", b"AuthenticationFailed"))


def store_of(login: Login, password: Secret | SecretRef) -> Datastore:
    return Datastore(
        type="azure_postgresql",
        server_name=login.host,
        port=login.port,
        database_name=login.database,
        ca_bundle=str(login.ca_file),
        username=login.username,
        password=password,
    )


Change = Callable[[str], None]


@pytest.fixture
def change_password(database: Database) -> Iterator[Change]:
    """Give the owner another password, until the test ends; what is connected stays so."""
    login = database.owner
    current = [login.password]

    def change(password: str) -> None:
        with replace(login, password=current[-1]).connect() as connection:
            role, text = sql.Identifier(login.username), sql.Literal(password)
            connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(role, text))
        current.append(password)

    yield change
    # The role is of the whole run.
    change(login.password)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The passwords of each attempt to sign in to PostgreSQL."""
    tried: list[str] = []
    genuine = Connection.connect

    def connect(**arguments: Any) -> Any:
        tried.append(arguments["password"])
        return genuine(**arguments)

    monkeypatch.setattr(Connection, "connect", connect)
    return tried


def test_kv_30_a_new_password_is_tried_once(
    database: Database,
    change_password: Change,
    vault: Vault,
    opened: Open,
    attempts: list[str],
) -> None:
    old = database.owner.password
    vault.put("pg", old)
    with store_of(database.owner, opened().secret("pg")) as store:
        store.tables()
        store.close()
        assert attempts == [old]
        change_password(NEW)
        vault.put("pg", NEW)
        vault.log()
        assert store.tables() == []
    assert attempts == [old, old, NEW]
    assert len(vault.log()) == 1


def test_kv_30_a_wrong_password_is_tried_once(
    database: Database, vault: Vault, opened: Open, attempts: list[str]
) -> None:
    vault.put("pg", "wrong")
    ref = opened().secret("pg")
    Resolver().resolve(ref)
    vault.log()
    store = store_of(database.owner, ref)
    with store, pytest.raises(AuthenticationError, match="password authentication failed"):
        store.tables()
    assert attempts == ["wrong"]
    assert len(vault.log()) == 1


def test_kv_30_a_vault_that_is_away_does_not_hide_the_refusal(
    database: Database, vault: Vault, opened: Open
) -> None:
    vault.put("pg", "wrong")
    ref = opened(deadline_seconds=0.5).secret("pg")
    Resolver().resolve(ref)
    vault.fail(status=503, times=9)
    with (
        store_of(database.owner, ref) as store,
        pytest.warns(match="is used as it was"),
        pytest.raises(AuthenticationError, match="password authentication failed"),
    ):
        store.tables()


def test_kv_31_many_refused_logins_read_once(vault: Vault, opened: Open) -> None:
    vault.put("pg", "wrong")
    ref = opened().secret("pg")
    wrong = Resolver().resolve(ref)
    vault.log()
    barrier = threading.Barrier(16)

    def ask(_: int) -> bool:
        barrier.wait()
        one = Resolver()
        return any(one.is_renewed(ref, wrong, AuthenticationError("no")) for _ in range(5))

    with ThreadPoolExecutor(16) as pool:
        assert not any(pool.map(ask, range(16)))
    assert len(vault.log()) == 1


def test_kv_31_and_again_some_seconds_later(
    vault: Vault, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "REREAD_SECONDS", 0.0)
    vault.put("pg", "wrong")
    ref = opened().secret("pg")
    wrong = Resolver().resolve(ref)
    assert not Resolver().is_renewed(ref, wrong, AuthenticationError("no"))
    vault.put("pg", "right")
    assert Resolver().is_renewed(ref, wrong, AuthenticationError("no"))


def test_kv_32_a_pinned_version_is_not_read_again(
    database: Database, vault: Vault, opened: Open, attempts: list[str]
) -> None:
    version = vault.put("pg", "wrong")
    vault.put("pg", database.owner.password)
    ref = opened().secret("pg", version=version)
    Resolver().resolve(ref)
    vault.log()
    store = store_of(database.owner, ref)
    with store, pytest.raises(AuthenticationError, match="is pinned to its version"):
        store.tables()
    assert attempts == ["wrong"]
    assert not vault.log()


def test_kv_33_connections_that_are_open_stay(
    database: Database,
    change_password: Change,
    vault: Vault,
    opened: Open,
    attempts: list[str],
) -> None:
    old = database.owner.password
    vault.put("pg", old)
    with store_of(database.owner, opened().secret("pg")) as store:
        store.tables()
        change_password(NEW)
        vault.put("pg", NEW)
        vault.log()
        store.tables()
        assert (attempts, vault.log()) == ([old], [])
        reader = store.query("select 1 as x").reader()
        # The one that waited is in use now, so this needs another.
        store.tables()
        reader.close()
    assert attempts == [old, old, NEW]
    assert len(vault.log()) == 1


@pytest.fixture
def through(azurite: Azurite, proxy: Callable[[int], Proxy]) -> Proxy:
    return proxy(azurite.port)


@pytest.fixture
def blob(
    azurite: Azurite,
    blob_container: ContainerClient,
    through: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[..., Datastore]]:
    """Open the container through the proxy, signed in as said."""
    monkeypatch.setattr(blob_client, "RETRIES", 0)
    stores = []

    def make(**credentials: Any) -> Datastore:
        store = Datastore(
            type="azure_blob",
            account_name=azurite.account_name,
            container_name=blob_container.container_name,
            account_url=azurite.account_url.replace(str(azurite.port), str(through.port)),
            **credentials,
        )
        stores.append(store)
        return store

    yield make
    for store in stores:
        store.close()


def test_kv_34_a_new_account_key_is_tried_once(
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Callable[..., Datastore]
) -> None:
    through.faults = REFUSED
    vault.put("key", WRONG_KEY)
    ref = opened().secret("key")
    Resolver().resolve(ref)
    vault.put("key", azurite.account_key)
    vault.log()
    store = blob(account_key=ref)
    assert list(store.list("")) == []
    assert len(vault.log()) == 1


def test_kv_34_a_401_is_a_refused_login(
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Callable[..., Datastore]
) -> None:
    through.faults = Faults(replace_received=(b"HTTP/1.1 403", b"HTTP/1.1 401"))
    vault.put("key", WRONG_KEY)
    ref = opened().secret("key")
    Resolver().resolve(ref)
    vault.log()
    with pytest.raises(AuthenticationError, match="it was read again and has not changed"):
        list(blob(account_key=ref).list(""))
    assert len(vault.log()) == 1
    vault.put("key", azurite.account_key)
    again = opened().secret("key")
    Resolver().resolve(again)
    assert list(blob(account_key=again).list("")) == []


def test_kv_34_what_is_no_refused_login_reads_nothing(
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Callable[..., Datastore]
) -> None:
    vault.put("sas", azurite.sas(permissions="rl"))
    vault.put("key", WRONG_KEY)
    one = opened()
    reader = blob(sas_token=one.secret("sas"))
    assert list(reader.list("")) == []
    vault.log()
    # AuthorizationPermissionMismatch, and AuthorizationFailure.
    with pytest.raises(PermissionDeniedError):
        reader.write("a", b"1")
    stranger = blob(account_key=one.secret("key"))
    with pytest.raises(PermissionDeniedError, match="AuthorizationFailure"):
        list(stranger.list(""))
    # The stranger's key was read for the first time.
    assert [entry["path"] for entry in vault.log()] == ["/secrets/key/"]


def test_kv_35_a_new_client_secret_is_tried_once(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SP", "first-s3cret")
    identity = Identity(
        name="service_principal",
        tenant_id=tenant.id,
        client_id=tenant.client_id,
        client_secret=SecretRef(source="env", name="SP"),
        ca_bundle=str(tenant.ca_file),
    )
    identity.get_token("https://vault.azure.net/.default")
    tenant.accept("second-s3cret")
    with pytest.raises(AuthenticationError, match="AADSTS7000215") as caught:
        identity.get_token("https://storage.azure.com/.default")
    assert "its value is meant" in str(caught.value)
    monkeypatch.setenv("SP", "second-s3cret")
    tenant.tokens_asked()
    assert identity.get_token_info("https://storage.azure.com/.default").token
    assert tenant.tokens_asked() == 2
    identity.close()


def test_kv_36_only_the_sign_in_is_made_again(
    database: Database,
    change_password: Change,
    vault: Vault,
    opened: Open,
    attempts: list[str],
) -> None:
    vault.put("pg", database.owner.password)
    database.run("create table t (x int)")
    with store_of(database.owner, opened().secret("pg")) as store:
        driver: Any = store.driver
        sent = 0

        def insert() -> None:
            nonlocal sent
            with driver._client.transaction("write") as connection:
                sent += 1
                connection.execute("insert into t values (1)")
                change_password(NEW)
                with replace(database.owner, password=NEW).connect() as other:
                    other.execute("select pg_terminate_backend(%s)", [connection.info.backend_pid])
                connection.execute("insert into t values (2)")

        with pytest.raises(DatastoreError):
            insert()
        assert (sent, len(attempts)) == (1, 1)
    with replace(database.owner, password=NEW).connect() as connection:
        assert connection.execute("select count(*) from t").fetchall() == [(0,)]


@pytest.fixture
def change_signature(
    azurite: Azurite, blob_container: ContainerClient, through: Proxy
) -> Callable[[str], str]:
    """Return a signature for the container by a policy of that name; those by another one end."""
    through.faults = REFUSED
    return lambda policy: azurite.sas_by_policy(blob_container, policy)


def test_a_file_that_is_being_written_outlives_its_signature(
    change_signature: Callable[[str], str],
    vault: Vault,
    opened: Open,
    blob: Callable[..., Datastore],
) -> None:
    """Of its blocks some are sent with the old one, and some refused under way."""
    vault.put("sas", change_signature("first"))
    store = blob(sas_token=opened().secret("sas"))
    half = bytes(range(256)) * (12 << 12)
    with store.open("big", "wb") as file:
        file.write(half)
        vault.put("sas", change_signature("second"))
        vault.log()
        file.write(half)
    assert store.read("big") == half + half
    assert len(vault.log()) == 1


def test_a_copy_ends_right_while_its_secrets_are_changed(
    database: Database,
    change_password: Change,
    change_signature: Callable[[str], str],
    vault: Vault,
    opened: Open,
    blob: Callable[..., Datastore],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The password of its source and the signature of its target, after the first of its parts."""
    database.run("create table orders as select n as id from generate_series(1, 40000) n")
    vault.put("pg", database.owner.password)
    vault.put("sas", change_signature("first"))
    one = opened()
    source = store_of(database.owner, one.secret("pg"))
    target = blob(sas_token=one.secret("sas"))

    def change() -> None:
        for entry in vault.log():
            between.note(f"the vault is asked for {entry['path']}", entry["at"])
        change_password(NEW)
        vault.put("pg", NEW)
        vault.put("sas", change_signature("second"))
        between.note("password and signature are changed, and put into the vault")

    between = BetweenParts(monkeypatch, change)
    with source:
        report = datastores.copy(
            source / "public/orders", target / "orders/", workers=4, progress=between.progress
        )
    between.note(f"published: {report.rows} rows in {report.parts} parts")
    log = vault.log()
    for entry in log:
        between.note(f"the vault is asked for {entry['path']} again", entry["at"])
    between.show()
    assert report.parts > 1
    assert (report.rows, target.scan("orders/").count()) == (40_000, 40_000)
    assert sorted(entry["path"] for entry in log) == ["/secrets/pg/", "/secrets/sas/"]
