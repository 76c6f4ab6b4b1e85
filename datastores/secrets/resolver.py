"""From a reference to its secret: cached with a lifetime, fetched once however many ask."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping

from datastores.errors import ConfigurationError, UnsupportedOperationError
from datastores.secrets import environment, file
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret

SecretSource = Callable[[SecretRef], Secret]
"""Fetches the secret that a reference names; the seam where Key Vault joins."""

LIFETIME_SECONDS = 300.0

_SOURCES: Mapping[str, SecretSource] = {"env": environment.fetch, "file": file.fetch}


class Resolver:
    """Turns references into secrets, and keeps those in memory for `lifetime_seconds`.

    Args:
        sources: By the name in `SecretRef.source`; added to `env` and `file`.
        lifetime_seconds: How long a fetched value serves before it is fetched again.
    """

    def __init__(
        self,
        sources: Mapping[str, SecretSource] | None = None,
        *,
        lifetime_seconds: float = LIFETIME_SECONDS,
    ) -> None:
        self._sources = {**_SOURCES, **(sources or {})}
        self._lifetime_seconds = lifetime_seconds
        self._lock = threading.Lock()
        self._flights: dict[SecretRef, threading.Lock] = {}
        self._cache: dict[SecretRef, tuple[float, Secret]] = {}

    def resolve(self, value: Secret | SecretRef, *, refresh: bool = False) -> Secret:
        """Return the secret; `refresh` skips the cache, as after a refused login.

        Raises:
            NotFoundError: The reference names nothing that exists.
            UnsupportedOperationError: No source of that kind is installed.
        """
        if isinstance(value, Secret):
            return value
        with self._lock:
            flight = self._flights.setdefault(value, threading.Lock())
        asked = time.monotonic()
        with flight:
            fetched, secret = self._cache.get(value, (float("-inf"), None))
            # Whoever waited here while another thread fetched takes that thread's value.
            fresh_since = asked if refresh else asked - self._lifetime_seconds
            if secret is not None and fetched >= fresh_since:
                return secret
            secret = self._fetch(value)
            self._cache[value] = (time.monotonic(), secret)
            return secret

    def _fetch(self, ref: SecretRef) -> Secret:
        source = self._sources.get(ref.source)
        if source is None:
            raise UnsupportedOperationError(
                f"no secret source {ref.source!r} is installed",
                target=str(ref),
                advice=f"Installed are {', '.join(sorted(self._sources))}",
            )
        secret = source(ref)
        return _pick(secret, ref) if ref.field else secret


def _pick(secret: Secret, ref: SecretRef) -> Secret:
    value = None
    # Raised outside: even as a mere context, the parser's error would hold the secret's text.
    with contextlib.suppress(ValueError, KeyError, TypeError):
        value = Secret(_text(json.loads(secret.reveal())[ref.field]))
    if value is None:
        raise ConfigurationError(
            f"the secret {ref} is not a JSON object with the key {ref.field!r}", target=str(ref)
        )
    return value


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
