"""KV-30 to KV-36: a secret that was changed while it was in use, with the drivers that use it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from datastores import Datastore, Identity
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.errors import AuthenticationError, DatastoreError, PermissionDeniedError
from datastores.secrets import KeyVault, Resolver, SecretRef, key_vault
from tests.secrets.stores import NEW, REFUSED, Blob, Change, store_of
from tests.services.azurite import Azurite
from tests.services.entra import Tenant
from tests.services.key_vault import Vault
from tests.services.postgresql import Database
from tests.services.proxy import Faults, Proxy

Open = Callable[..., KeyVault]
WRONG_KEY = "d3Jvbmc="


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


def test_kv_34_a_new_account_key_is_tried_once(
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Blob
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
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Blob
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
    azurite: Azurite, vault: Vault, opened: Open, through: Proxy, blob: Blob
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


def _in_one_request(store: Datastore) -> None:
    store.write("new", b"2")


def _in_blocks(store: Datastore) -> None:
    with store.open("new", "xb") as file:
        file.write(b"2" * (9 << 20))


def _at_the_end(store: Datastore) -> None:
    with store.open("old", "ab") as file:
        file.write(b"2")


CHANGES: dict[str, tuple[Callable[[Datastore], None], dict[str, bytes]]] = {
    "write": (_in_one_request, {"old": b"1", "new": b"2"}),
    "create": (_in_blocks, {"old": b"1", "new": b"2" * (9 << 20)}),
    "append": (_at_the_end, {"old": b"12"}),
    "copy": (lambda store: store.filesystem.copy("old", "new"), {"old": b"1", "new": b"1"}),
    "move": (lambda store: store.filesystem.mv("old", "new"), {"new": b"1"}),
    "delete": (lambda store: store.delete("old"), {}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_kv_36_a_request_that_is_refused_has_done_nothing(
    change: str,
    change_signature: Callable[[str], str],
    blob_container: ContainerClient,
    vault: Vault,
    opened: Open,
    blob: Blob,
) -> None:
    """So a call to Blob storage is made again, whatever it was to do: it is done once."""
    vault.put("sas", change_signature("first"))
    store = blob(sas_token=opened().secret("sas"))
    store.write("old", b"1")
    vault.put("sas", change_signature("second"))
    vault.log()
    make, wanted = CHANGES[change]
    make(store)
    names = blob_container.list_blob_names()
    assert {name: blob_container.download_blob(name).readall() for name in names} == wanted
    assert len(vault.log()) == 1


def test_a_file_that_is_being_written_outlives_its_signature(
    change_signature: Callable[[str], str],
    vault: Vault,
    opened: Open,
    blob: Blob,
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
