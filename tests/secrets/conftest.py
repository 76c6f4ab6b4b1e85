"""A vault of the test's own, opened by the code under test, and stores whose secrets change."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from psycopg import sql

from datastores import Datastore
from datastores.drivers.azure_blob import client as blob_client
from datastores.secrets import KeyVault, key_vault
from tests.secrets.stores import REFUSED, Blob, Change
from tests.services.azurite import Azurite
from tests.services.key_vault import Tokens, Vault
from tests.services.postgresql import Database
from tests.services.proxy import Proxy


@pytest.fixture
def opened(vault: Vault) -> Iterator[Callable[..., KeyVault]]:
    """Open the vault, with a credential and settings of the test's choice."""
    with ExitStack() as stack:

        def make(credential: Any = None, **settings: Any) -> KeyVault:
            given = {"url": vault.url, "ca_bundle": str(vault.ca_file), **settings}
            return stack.enter_context(KeyVault(credential=credential or Tokens(), **given))

        yield make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let attempts follow one another at once where the service does not say how long to wait."""
    monkeypatch.setattr(key_vault, "PAUSES_SECONDS", (0.02, 0.04))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whoever connects, or looks for a host, fail."""

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing was to be sent")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


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
def through(azurite: Azurite, proxy: Callable[[int], Proxy]) -> Proxy:
    return proxy(azurite.port)


@pytest.fixture
def blob_at() -> Iterator[Blob]:
    """Open a container of an emulator through a proxy, signed in as said."""
    with ExitStack() as stack:

        def make(azurite: Azurite, name: str, through: Proxy, **credentials: Any) -> Datastore:
            url = azurite.account_url.replace(str(azurite.port), str(through.port))
            store = Datastore(
                type="azure_blob",
                account_name=azurite.account_name,
                container_name=name,
                account_url=url,
                **credentials,
            )
            return stack.enter_context(store)

        yield make


@pytest.fixture
def blob(
    azurite: Azurite,
    blob_container: ContainerClient,
    through: Proxy,
    blob_at: Blob,
    monkeypatch: pytest.MonkeyPatch,
) -> Blob:
    """Open the test's container through the proxy, signed in as said."""
    monkeypatch.setattr(blob_client, "RETRIES", 0)
    return partial(blob_at, azurite, blob_container.container_name, through)


@pytest.fixture
def change_signature(
    azurite: Azurite, blob_container: ContainerClient, through: Proxy
) -> Callable[[str], str]:
    """Return a signature for the container by a policy of that name; those by another one end."""
    through.faults = REFUSED
    return lambda policy: azurite.sas_by_policy(blob_container, policy)
