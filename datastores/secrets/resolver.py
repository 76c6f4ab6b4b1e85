"""From a reference to its secret: whichever source it names, and one key of it where one was meant."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from datastores.errors import ConfigurationError, DatastoreError, UnsupportedOperationError
from datastores.secrets import environment, file
from datastores.secrets.cache import LIFETIME_SECONDS, Fetched, Keeping, SecretCache
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret

SecretSource = Callable[[SecretRef], Secret]
"""Fetches the secret that a reference names, from a place that needs no sign-in."""

_SOURCES: Mapping[str, SecretSource] = {"env": environment.fetch, "file": file.fetch}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretFacts:
    """What may be told of a secret: all but its value."""

    reference: str
    place: str
    """The vault's host, or the source."""
    name: str
    version: str | None
    """Which one a reference to the newest means now; None where the source has no versions."""
    age_seconds: float
    """How long ago it was fetched."""
    created: datetime | None
    """Since when this version is there."""
    expires: datetime | None


class Resolver:
    """Turns references into secrets. A vault keeps its own; others are kept for `lifetime_seconds`.

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
        self._cache = SecretCache(self._fetch, Keeping(lifetime_seconds=lifetime_seconds))

    def resolve(self, value: Secret | SecretRef) -> Secret:
        """Return the secret.

        Raises:
            NotFoundError: The reference names nothing that exists.
            ConfigurationError: Nothing says who opens its vault.
            UnsupportedOperationError: No source of that kind is installed.
        """
        return value if isinstance(value, Secret) else self._get(value)

    def is_renewed(
        self, value: Secret | SecretRef, refused: Secret, refusal: DatastoreError
    ) -> bool:
        """Read a secret once more after a service refused it; return whether it is another now.

        Args:
            value: What the config holds.
            refused: What `resolve` returned for it.
            refusal: Its advice says so if the reference is pinned and so never read again.
        """
        if isinstance(value, Secret):
            return False
        if value.version is not None:
            pinned = f"{value} is pinned to its version: a newer one is not looked for"
            refusal.advice = f"{refusal.advice}; {pinned}" if refusal.advice else pinned
            return False
        return self._get(value, reread=True) != refused

    def describe(self, ref: SecretRef) -> SecretFacts:
        """Return what may be told of a secret; fetches it if it is not kept."""
        cache = self._cache_of(ref)
        fetched = cache.get(ref)
        return SecretFacts(
            reference=str(ref),
            place=ref.key_vault.host if ref.key_vault is not None else ref.source,
            name=ref.name,
            version=fetched.version,
            age_seconds=cache.age_seconds(ref),
            created=fetched.created,
            expires=fetched.expires,
        )

    def _get(self, ref: SecretRef, *, reread: bool = False) -> Secret:
        secret = self._cache_of(ref).get(ref, reread=reread).secret
        return _pick(secret, ref) if ref.field else secret

    def _cache_of(self, ref: SecretRef) -> SecretCache:
        return self._cache if ref.key_vault is None else ref.key_vault.cache

    def _fetch(self, ref: SecretRef, *, patient: bool) -> Fetched:  # noqa: ARG002  # at hand or not
        if source := self._sources.get(ref.source):
            return Fetched(secret=source(ref))
        if ref.source == "key_vault":
            raise ConfigurationError(
                f"nothing says who opens the vault of {ref}",
                target=str(ref),
                advice=f"Write vaults: {{{ref.vault}: {{identity: default}}}} in the workspace "
                "file, or give KeyVault(...).secret(...) in code",
            )
        raise UnsupportedOperationError(
            f"no secret source {ref.source!r} is installed",
            target=str(ref),
            advice=f"Installed are {', '.join(sorted(self._sources))}",
        )


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
