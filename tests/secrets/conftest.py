"""A vault of the test's own, opened by the code under test."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from datastores.secrets import KeyVault, key_vault
from tests.services.key_vault import Tokens, Vault


@pytest.fixture
def opened(vault: Vault) -> Iterator[Callable[..., KeyVault]]:
    """Open the vault, with a credential and settings of the test's choice."""
    with contextlib.ExitStack() as stack:

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
