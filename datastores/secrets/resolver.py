"""From a reference to its secret: whichever source it names, and one key of it where one was meant."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from typing_extensions import override

from datastores.errors import ConfigurationError, DatastoreError, UnsupportedOperationError
from datastores.secrets import environment, file
from datastores.secrets.cache import LIFETIME_SECONDS, Fetched, Keeping, SecretCache
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret

_SHOWN_VERSION = 4
# A value that is older was not to be had when it was asked for again.
_JUST_NOW_SECONDS = 10.0
_UNITS: Mapping[str, int] = {"day": 86_400, "hour": 3_600, "minute": 60, "second": 1}

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

    @override
    def __str__(self) -> str:
        return ", ".join([self.reference, *self.known()])

    def known(self) -> list[str]:
        """Return what its source says of it, for people: `version 3f2a…`, `12 days old`."""
        found = []
        if self.version is not None:
            found.append(f"version {self.version[:_SHOWN_VERSION]}…")
        if self.created is not None:
            found.append(f"{_age(self.created)} old")
        if self.expires is not None:
            ends = "expired" if self.expires < datetime.now(tz=UTC) else "expires"
            found.append(f"{ends} {self.expires:%Y-%m-%d}")
        return found


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
        return value if isinstance(value, Secret) else _meant(self._get(value), value)

    def is_renewed(
        self, value: Secret | SecretRef, refused: Secret, refusal: DatastoreError
    ) -> bool:
        """Read a secret once more after a service refused it; return whether it is another now.

        Args:
            value: What the config holds.
            refused: What `resolve` returned for it.
            refusal: Its advice says where an unchanged secret came from, and that a pinned one is
                never read again.
        """
        if isinstance(value, Secret):
            return False
        if value.version is not None:
            pinned = f"{value} is pinned to its version: a newer one is not looked for"
            refusal.advice = f"{refusal.advice}; {pinned}" if refusal.advice else pinned
            return False
        fetched = self._get(value, reread=True)
        if _meant(fetched, value) != refused:
            return True
        blamed = _blamed(value, self._facts(value, fetched))
        refusal.advice = f"{refusal.advice}. {blamed}" if refusal.advice else blamed
        return False

    def describe(self, ref: SecretRef) -> SecretFacts:
        """Return what may be told of a secret; fetches it if it is not kept."""
        fetched = self._get(ref)
        _meant(fetched, ref)
        return self._facts(ref, fetched)

    def _facts(self, ref: SecretRef, fetched: Fetched) -> SecretFacts:
        return SecretFacts(
            reference=str(ref),
            place=ref.key_vault.host if ref.key_vault is not None else ref.source,
            name=ref.name,
            version=fetched.version,
            age_seconds=self._cache_of(ref).age_seconds(ref),
            created=fetched.created,
            expires=fetched.expires,
        )

    def _get(self, ref: SecretRef, *, reread: bool = False) -> Fetched:
        return self._cache_of(ref).get(ref, reread=reread)

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


def _meant(fetched: Fetched, ref: SecretRef) -> Secret:
    return _pick(fetched.secret, ref) if ref.field else fetched.secret


def _blamed(ref: SecretRef, facts: SecretFacts) -> str:
    """Return what is said of a secret that was refused, and is still the same."""
    known = f" ({', '.join(found)})" if (found := facts.known()) else ""
    is_new = facts.age_seconds <= _JUST_NOW_SECONDS
    again = "was read again and has not changed" if is_new else "could not be read again"
    text = f"The secret came from {ref}{known}; it {again}"
    if ref.source != "key_vault":
        return text
    return f"{text}. Set a new one: datastores secrets set {ref.vault} {ref.name}"


def _age(since: datetime) -> str:
    """Return how long ago a moment was, in the largest unit that is not less than one."""
    seconds = max(0.0, (datetime.now(tz=UTC) - since).total_seconds())
    for unit, length in _UNITS.items():
        if (count := int(seconds // length)) or unit == "second":
            return f"{count} {unit}{'' if count == 1 else 's'}"
    raise AssertionError


def _pick(secret: Secret, ref: SecretRef) -> Secret:
    value = None
    # Raised outside: even as a mere context, the parser's error would hold the secret's text.
    with contextlib.suppress(ValueError, KeyError, TypeError):
        value = Secret(_text(json.loads(secret.reveal())[ref.field]))
    if value is None:
        raise ConfigurationError(
            f"the secret {ref} is not a JSON object with the key {ref.field!r} and a text there",
            target=str(ref),
        )
    return value


def _text(value: object) -> str:
    # Other numbers than integers, and null, are not read as the text that was written.
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError
    return str(value)
