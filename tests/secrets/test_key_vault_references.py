"""KV-01 to KV-07: what a reference may be, and that nothing is sent before it is needed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from datastores import Datastore, Workspace
from datastores.errors import ConfigurationError, NotFoundError
from datastores.secrets import KeyVault, Resolver, Secret, SecretRef, parse_secret
from tests.services.key_vault import Tokens, Vault
from tests.services.postgresql import Database
from tests.services.proxy import Proxy

Open = Callable[..., KeyVault]
HOST = "acme-kv.vault.azure.net"


@pytest.mark.usefixtures("no_network")
def test_kv_01_an_address_that_is_not_https_is_refused_at_once() -> None:
    begun = time.monotonic()
    for url in (f"http://{HOST}", f"HTTP://{HOST}", f"ftp://{HOST}", HOST):
        with pytest.raises(ConfigurationError, match="https"):
            KeyVault(url=url, credential=Tokens())
        if "://" in url:
            with pytest.raises(ConfigurationError, match="https"):
                parse_secret(f"{url}/secrets/a")
    assert time.monotonic() - begun < 0.05


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "uri",
    [
        f"https://user:pl4nted@{HOST}/secrets/a", f"https://pl4nted@{HOST}/secrets/a",
        f"https://evil.example\\@{HOST}/secrets/a", f"https://evil.example\\.{HOST}/secrets/a",
        f"https://{HOST}/keys/a", f"https://{HOST}/certificates/a", f"https://{HOST}/secrets/a#",
        f"https://{HOST}/secrets/a?x=1", f"https://{HOST}/secrets/a/0a/1b", f"https://{HOST}/",
        f"https://{HOST}/secrets/a\n", f" https://{HOST}/secrets/a", f"https://{HOST}:x/secrets/a",
    ],
)  # fmt: skip
def test_kv_02_what_is_not_plainly_a_secret_is_refused(uri: str) -> None:
    for written in (uri, f"@Microsoft.KeyVault(SecretUri={uri})"):
        with pytest.raises(ConfigurationError) as caught:
            parse_secret(written)
        assert "pl4nted" not in str(caught.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "url",
    [f"https://{HOST}/secrets/a", f"https://{HOST}/#x", f"https://u@{HOST}", f"https://{HOST}?x"],
)
def test_kv_02_a_vault_is_a_host_and_nothing_more(url: str) -> None:
    with pytest.raises(ConfigurationError):
        KeyVault(url=url, credential=Tokens())


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["", "a_b", "a/b", "ä", "a b", "a" * 128, "..", "a%2Fb"])
def test_kv_03_names_are_looked_at_before_anything_is_sent(name: str) -> None:
    with pytest.raises(ConfigurationError):
        KeyVault(url=f"https://{HOST}", credential=Tokens()).secret(name)
    for written in (f"https://{HOST}/secrets/{name}", {"vault": "acme-kv", "name": name}):
        if name != "a/b" or isinstance(written, dict):  # which as a URI has a version
            with pytest.raises(ConfigurationError):
                parse_secret(written)


@pytest.mark.usefixtures("no_network")
def test_kv_04_a_host_is_one_of_azures_or_one_that_code_allows() -> None:
    for suffix in ("vault.azure.net", "vault.azure.cn", "vault.usgovcloudapi.net"):
        found = parse_secret(f"https://acme-kv.{suffix}/secrets/a")
        assert isinstance(found, SecretRef)
        assert found.vault == f"acme-kv.{suffix}"
    evil = (
        "evil.example",
        "vault.azure.net.evil.example",
        "x.evilvault.azure.net.co",
        "vault.azure.net",
    )
    for host in evil:
        with pytest.raises(ConfigurationError, match="is not the host of a vault"):
            parse_secret(f"https://{host}/secrets/a")
        with pytest.raises(ConfigurationError, match="in code only"):
            KeyVault(url=f"https://{host}", credential=Tokens())
    allowed = KeyVault(
        url="https://kv.acme.internal:8443", credential=Tokens(), host_suffixes=("acme.internal",)
    )
    assert allowed.host == "kv.acme.internal:8443"


def workspace_of(vaults: dict[str, Any], given: dict[str, KeyVault] | None = None) -> Workspace:
    store = {"type": "azure_postgresql", "server_name": "localhost", "database_name": "d",
             "credentials": {"username": "u", "password": {"vault": "main", "name": "pw"}}}  # fmt: skip
    return Workspace.from_mapping({"vaults": vaults, "datastores": {"pg": store}}, vaults=given)


@pytest.mark.usefixtures("no_network")
def test_kv_04_a_file_cannot_allow_another_host() -> None:
    elsewhere = {"identity": "default", "url": "https://kv.acme.internal"}
    with pytest.raises(ConfigurationError, match="is not the host of a vault"):
        workspace_of({"main": elsewhere})
    with pytest.raises(ConfigurationError, match="unknown key 'host_suffixes'"):
        workspace_of({"main": {**elsewhere, "host_suffixes": ["acme.internal"]}})
    ours = KeyVault(
        url="https://kv.acme.internal", credential=Tokens(), host_suffixes=("acme.internal",)
    )
    password = workspace_of({}, {"main": ours})["pg"].config.password  # type: ignore[attr-defined]
    assert password.key_vault is ours


def test_kv_05_with_a_version_a_reference_is_pinned(vault: Vault, opened: Open) -> None:
    first = vault.put("a", "one")
    one = opened(lifetime_seconds=0)
    resolver = Resolver()
    newest, pinned = one.secret("a"), one.secret("a", version=first)
    assert [resolver.resolve(ref).reveal() for ref in (newest, pinned)] == ["one", "one"]
    vault.put("a", "two")
    assert [resolver.resolve(ref).reveal() for ref in (newest, pinned)] == ["two", "one"]


def test_kv_06_nothing_is_sent_before_it_is_needed() -> None:
    script = """
import sys
def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.__new__"}:
        raise AssertionError(event)
sys.addaudithook(refuse)
import datastores
workspace = datastores.Workspace.from_mapping({
    "vaults": {"acme-kv": {"identity": "default"}},
    "datastores": {"pg": {
        "type": "azure_postgresql", "server_name": "x.postgres.database.azure.com", "database_name": "d",
        "credentials": {"username": "u", "password": "https://acme-kv.vault.azure.net/secrets/pw"},
    }},
})
store = workspace["pg"]
assert store.config.password.key_vault.credential.name == "default"
assert store.driver
workspace.close()
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_kv_07_a_reference_that_leads_nowhere_is_no_password(
    database: Database, vault: Vault, opened: Open, proxy: Callable[[int], Proxy]
) -> None:
    login = database.owner
    through = proxy(login.port)
    store = Datastore(
        type="azure_postgresql",
        server_name=login.host,
        port=through.port,
        database_name=login.database,
        ca_bundle=str(login.ca_file),
        username=login.username,
        password=opened().secret("none"),
    )
    with store, pytest.raises(NotFoundError, match=r"none of the vault kv-.* does not exist"):
        store.tables()
    assert through.connections == 0
    assert vault.log()


def test_an_alias_with_capitals() -> None:
    vaults = {"Main": {"url": "https://acme-kv.vault.azure.net", "identity": "default"}}
    store = {
        "type": "postgresql", "server_name": "h", "database_name": "d",
        "credentials": {"username": "u", "password": {"vault": "Main", "name": "pw"}},
    }  # fmt: skip
    with Workspace.from_mapping({"vaults": vaults, "datastores": {"pg": store}}) as workspace:
        [ref] = workspace["pg"].config.secret_refs().values()
        assert ref.key_vault is workspace.vault("Main") is workspace.vault("main")
        assert ref.key_vault.host == "acme-kv.vault.azure.net"


def test_aliases_hosts_and_fields(vault: Vault, opened: Open) -> None:
    vault.put("pw", '{"user": "u", "password": "p"}')
    one = opened()
    given = {"main": one}
    refs = [
        {"vault": "main", "name": "pw", "field": "password"},
        {"vault": vault.name, "secret_name": "pw", "field": "password"},
        f"{vault.url}/secrets/pw#password",
        f"@Microsoft.KeyVault(SecretUri={vault.url}/secrets/pw#password)",
    ]
    for ref in refs:
        store = {"type": "azure_postgresql", "server_name": "localhost", "database_name": "d",
                 "credentials": {"username": "u", "password": ref}}  # fmt: skip
        workspace = Workspace.from_mapping({"datastores": {"pg": store}}, vaults=given)
        password = workspace["pg"].config.password  # type: ignore[attr-defined]
        assert Resolver().resolve(password) == Secret("p")
        assert Workspace.from_mapping(workspace.to_mapping()).to_mapping() == workspace.to_mapping()
    # The challenge, and one read for all forms and fields.
    assert len(vault.log()) == 2
