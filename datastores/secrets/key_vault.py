"""One Azure Key Vault: its secrets read and set, with deadlines of our own and nothing told twice."""

from __future__ import annotations

import inspect
import os
import random
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from datastores.errors import (
    ConfigurationError,
    DatastoreError,
    DatastoreWarning,
    DriverError,
    MissingDependencyError,
    PermissionDeniedError,
)
from datastores.secrets.cache import LIFETIME_SECONDS, Fetched, Keeping, SecretCache
from datastores.secrets.reference import SecretRef, in_vault
from datastores.secrets.secret import Secret
from datastores.secrets.vault_address import host_of_vault
from datastores.trust import readable

if TYPE_CHECKING:
    from azure.keyvault.secrets import KeyVaultSecret, SecretClient

# Where the service does not say how long to wait.
# https://learn.microsoft.com/azure/key-vault/general/overview-throttling
PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
_JITTER = (0.5, 1.0)

STALE_SECONDS = 3600.0
FAILURE_SECONDS = 5.0
# Less than the shortest pause of `retry.py`, so that another attempt does ask again.
OUTAGE_SECONDS = 0.2
REREAD_SECONDS = 5.0
# Of one request; the deadline is of all attempts together.
CONNECT_SECONDS = 10.0
READ_SECONDS = 10.0


class _Opened:
    """What one process has open: after a fork it is another one's."""

    def __init__(self, vault: KeyVault) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.client: SecretClient | None = None
        self.cache = SecretCache(
            vault._fetch,  # noqa: SLF001  # the same module's
            Keeping(
                lifetime_seconds=vault.lifetime_seconds,
                stale_seconds=STALE_SECONDS,
                failure_seconds=FAILURE_SECONDS,
                outage_seconds=OUTAGE_SECONDS,
                reread_seconds=REREAD_SECONDS,
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyVault:
    """A vault, and who signs in to it. Opens on first use; safe for threads.

    Equal by value. Pickles as its settings: another process signs in itself, and reads anew.
    """

    url: str
    """`https://NAME.vault.azure.net`, or the like in another of Azure's clouds."""
    credential: Any
    """An object with `get_token` or `get_token_info`, as azure-identity makes them."""
    ca_bundle: str | None = None
    """File of trusted certificates, in PEM; None for the usual ones."""
    host_suffixes: tuple[str, ...] = ()
    """Other names than Azure's that the host may be or end in; no workspace file can say so."""
    lifetime_seconds: float = LIFETIME_SECONDS
    """How long a value serves before it is read again; 0 reads it each time."""
    deadline_seconds: float = 30.0
    """For all attempts of one read together."""
    grace_seconds: float = 0.0
    """How long a missing role is waited for: one that was given just now takes minutes to work."""
    refuse_expired: bool = False
    """Whether a secret outside its dates is an error, not a warning, where the vault gives it."""
    _opened: _Opened = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse what could not be asked, or must not be, before anything is sent."""
        object.__setattr__(self, "url", f"https://{host_of_vault(self.url, self.host_suffixes)}")
        methods = [getattr(self.credential, name, None) for name in ("get_token", "get_token_info")]
        if not any(map(callable, methods)):
            raise ConfigurationError(
                f"the credential for {self.url} has neither get_token nor get_token_info",
                advice="Give one of azure.identity's, such as DefaultAzureCredential()",
            )
        if any(map(inspect.iscoroutinefunction, methods)):
            raise ConfigurationError(
                f"the credential for {self.url} is asynchronous",
                advice="Give the one of azure.identity, not of azure.identity.aio",
            )
        object.__setattr__(self, "_opened", _Opened(self))

    @property
    def host(self) -> str:
        """The vault's host, in small letters."""
        return self.url.removeprefix("https://")

    @property
    def resource(self) -> str:
        """What a token for it is for: the part of its host that all vaults of a cloud share."""
        return self.host.partition(":")[0].partition(".")[2]

    def secret(
        self, name: str, *, version: str | None = None, field: str | None = None
    ) -> SecretRef:
        """Return a reference to one of its secrets, for a datastore's config; asks nothing.

        Args:
            name: The secret's.
            version: None for the newest; else it is pinned.
            field: One key, if the secret is a JSON object.
        """
        ref = in_vault("vault", name, version, field)
        return SecretRef(
            source=ref.source,
            name=ref.name,
            vault=self.host,
            version=ref.version,
            field=ref.field,
            key_vault=self,
        )

    @property
    def cache(self) -> SecretCache:
        """What this process has read of it, and how it reads more."""
        return self._here().cache

    def set(self, name: str, value: Secret) -> SecretRef:
        """Set a secret, and return the reference to this version of it; tried once.

        Raises:
            PreconditionFailedError: One of that name was deleted, and can be recovered.
        """
        ref = self.secret(name)
        timeouts = _timeouts(self.deadline_seconds)
        found = self._asked(ref, lambda one: one.set_secret(name, value.reveal(), **timeouts))
        if isinstance(found, _Failure):
            raise found.error
        return self.secret(name, version=found.properties.version)

    def close(self) -> None:
        """Close its connections, and forget what was read; the next use opens others."""
        client = self._here().client
        object.__setattr__(self, "_opened", _Opened(self))
        if client is not None:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        # Those of azure-identity pickle with the client secret that they were made with.
        if not getattr(self.credential, "pickles_without_secret", False):
            raise ConfigurationError(
                f"the credential for {self.host} goes to no other process",
                advice="Name an identity in the workspace file's vaults:, which each process asks",
            )
        return (_rebuilt, (settings,))

    def _here(self) -> _Opened:
        # A fork's child has its parent's sockets, and perhaps a lock that nobody will open.
        if self._opened.process != os.getpid():
            object.__setattr__(self, "_opened", _Opened(self))
        return self._opened

    def _fetch(self, ref: SecretRef, *, patient: bool) -> Fetched:
        began = time.monotonic()
        number = 1
        while True:
            left = max(0.1, began + self.deadline_seconds - time.monotonic())
            timeouts = _timeouts(left)
            found = self._asked(ref, lambda one: one.get_secret(ref.name, ref.version, **timeouts))  # noqa: B023  # called at once
            if not isinstance(found, _Failure):
                return self._fetched(ref, found)
            pause = found.pause_seconds(number)
            until = began + (self.grace_seconds if found.lacks_a_role else self.deadline_seconds)
            may_pass = found.error.transient or found.lacks_a_role
            if not (patient and may_pass) or time.monotonic() + pause > until:
                raise found.noted(number)
            time.sleep(pause)
            number += 1

    def _fetched(self, ref: SecretRef, found: KeyVaultSecret) -> Fetched:
        if found.value is None:
            raise DriverError(f"the vault {self.host} answered without a value for {ref}")
        properties = found.properties
        for words, advice in _out_of_time(properties.not_before, properties.expires_on):
            text = f"the secret {ref} of the vault {self.host} {words}"
            if self.refuse_expired:
                raise PermissionDeniedError(text, advice=advice)
            warnings.warn(f"{text}, and is given all the same", DatastoreWarning, stacklevel=6)
        return Fetched(
            secret=Secret(found.value),
            version=properties.version,
            created=properties.created_on,
            expires=properties.expires_on,
        )

    def _asked(
        self, ref: SecretRef, ask: Callable[[SecretClient], KeyVaultSecret]
    ) -> KeyVaultSecret | _Failure:
        client = self._client()
        from azure.core.exceptions import AzureError

        from datastores.secrets import key_vault_errors as errors

        # Not raised from here: the client's errors and frames hold tokens, and a value that is set.
        try:
            return ask(client)
        except (DatastoreError, AzureError, ValueError) as error:
            return _Failure(
                error=errors.translate(error, str(ref), self.host),
                retry_after_seconds=errors.retry_after_seconds(error),
                lacks_a_role=errors.inner_code(error) == errors.NO_ROLE,
            )

    def _client(self) -> SecretClient:
        opened = self._here()
        with opened.lock:
            if opened.client is None:
                opened.client = self._connected()
            return opened.client

    def _connected(self) -> SecretClient:
        try:
            from azure.keyvault.secrets import SecretClient
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "a Key Vault reference needs the package 'azure-keyvault-secrets', which is not installed",
                advice="pip install 'datastores[key_vault]'",
            ) from error
        verify = readable(self.ca_bundle) or True
        # Its own retries wait as long as the service says, whatever the deadline.
        return SecretClient(self.url, self.credential, retry_total=0, connection_verify=verify)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What became of one attempt."""

    error: DatastoreError
    retry_after_seconds: float | None
    lacks_a_role: bool

    def pause_seconds(self, number: int) -> float:
        """Return how long to wait before the attempt after this one."""
        if self.retry_after_seconds is not None:
            return self.retry_after_seconds
        longest = PAUSES_SECONDS[min(number, len(PAUSES_SECONDS)) - 1]
        return longest * random.uniform(*_JITTER)  # noqa: S311  # no secret

    def noted(self, number: int) -> DatastoreError:
        """Return the error with what is known of the attempts."""
        if number > 1 or self.retry_after_seconds is not None:
            asked = self.retry_after_seconds
            more = f"; the service asks to wait {asked:g} s" if asked is not None else ""
            self.error.add_note(f"after {number} attempts{more}")
        return self.error


def _out_of_time(begins: datetime | None, ends: datetime | None) -> Iterator[tuple[str, str]]:
    """Yield what is the matter with a secret's dates now, and what to do."""
    now = datetime.now(tz=UTC)
    if begins is not None and begins > now:
        yield f"is not valid before {begins:%Y-%m-%d}", "Wait for its activation date, or move that"
    if ends is not None and ends < now:
        yield f"has expired on {ends:%Y-%m-%d}", "Set a new version, or move its expiry"


def _timeouts(left_seconds: float) -> dict[str, Any]:
    return {
        "connection_timeout": min(CONNECT_SECONDS, left_seconds),
        "read_timeout": min(READ_SECONDS, left_seconds),
    }


def _rebuilt(settings: dict[str, Any]) -> KeyVault:
    return KeyVault(**settings)
