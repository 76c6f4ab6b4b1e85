"""What was fetched serves for a while: once for all who ask, through an outage, never through a refusal."""

from __future__ import annotations

import copy
import random
import threading
import time
import warnings
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from datastores.errors import (
    DatastoreError,
    DatastoreWarning,
    RateLimitedError,
    without_frames,
)
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret

LIFETIME_SECONDS = 300.0
# Processes that began together do not come back together.
_JITTER = (0.8, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A secret as its source has it."""

    secret: Secret
    version: str | None = None
    """Which one it is, where the source has versions."""
    created: datetime | None = None
    """Since when this version is there."""
    expires: datetime | None = None
    """When it ends, as its source says."""


class Fetch(Protocol):
    """Asks a source for the whole of a secret, whichever field was meant."""

    def __call__(self, ref: SecretRef, *, patient: bool) -> Fetched:
        """Return it; one attempt is enough unless `patient`, since there is a value to go on with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How long what became of a fetch is kept, in seconds."""

    lifetime_seconds: float = LIFETIME_SECONDS
    """A value serves so long without a question; 0 asks each time."""
    stale_seconds: float = 0.0
    """And so much longer while its source is out of reach."""
    failure_seconds: float = 0.0
    """A failure is told again so long, and the source not asked."""
    outage_seconds: float = 0.0
    """The same of one that may pass, unless the source asks to slow down."""
    reread_seconds: float = 0.0
    """A value is read anew before its time at most once in these."""


@dataclass(slots=True)
class _Entry:
    """One secret's state; whoever holds its lock is the one who asks the source."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    fetched: Fetched | None = None
    fetched_at: float = float("-inf")
    good_until: float = float("-inf")
    failure: DatastoreError | None = None
    failed_at: float = float("-inf")
    failed_until: float = float("-inf")
    reread_at: float = float("-inf")
    is_stale: bool = False


class SecretCache:
    """Keeps secrets in memory. Safe for threads, of which one fetches and the others wait.

    Args:
        fetch: Called by one thread at a time for one secret.
        keeping: For how long.
    """

    def __init__(self, fetch: Fetch, keeping: Keeping) -> None:
        self._fetch = fetch
        self._keeping = keeping
        self._lock = threading.Lock()
        self._entries: dict[SecretRef, _Entry] = {}

    def get(self, ref: SecretRef, *, reread: bool = False) -> Fetched:
        """Return the secret; `reread` asks for a newer one, as after a refused login.

        Raises:
            DatastoreError: The source refuses, or is out of reach and nothing is kept.
        """
        entry, asked = self._entry(ref), time.monotonic()
        with entry.lock:
            # Whoever waited here while another thread fetched takes that thread's value.
            if not self._is_due(entry, asked, ref, reread=reread):
                return _kept(entry)
            if reread:
                entry.reread_at = asked
            failure: DatastoreError | None = None
            try:
                patient = reread or entry.fetched is None
                self._keep(entry, self._fetch(ref, patient=patient), ref)
            except DatastoreError as error:
                failure = error
            if failure is not None:
                self._fail(entry, failure, ref)
            return _kept(entry)

    def age_seconds(self, ref: SecretRef) -> float:
        """Return how long ago what is kept of a secret was fetched."""
        return time.monotonic() - self._entry(ref).fetched_at

    def _entry(self, ref: SecretRef) -> _Entry:
        # Key Vault does not tell capitals apart, and one fetch serves all fields.
        name = ref.name.lower() if ref.source == "key_vault" else ref.name
        key = replace(ref, name=name, field=None, vault=None, key_vault=None)
        with self._lock:
            return self._entries.setdefault(key, _Entry())

    def _is_due(self, entry: _Entry, asked: float, ref: SecretRef, *, reread: bool) -> bool:
        is_told_again = asked <= entry.failed_at or time.monotonic() < entry.failed_until
        if entry.failure is not None and is_told_again:
            return False
        if entry.fetched is None:
            return True
        if reread:
            is_limited = asked < entry.reread_at + self._keeping.reread_seconds
            return entry.fetched_at < asked and not is_limited and ref.version is None
        return asked > entry.good_until

    def _keep(self, entry: _Entry, fetched: Fetched, ref: SecretRef) -> None:
        now = time.monotonic()
        lifetime = self._keeping.lifetime_seconds * random.uniform(*_JITTER)  # noqa: S311  # no secret
        entry.fetched, entry.fetched_at = fetched, now
        entry.good_until = now + lifetime if ref.version is None else float("inf")
        entry.failure, entry.is_stale = None, False

    def _fail(self, entry: _Entry, failure: DatastoreError, ref: SecretRef) -> None:
        now, keeping = time.monotonic(), self._keeping
        serves_until = entry.fetched_at + keeping.lifetime_seconds + keeping.stale_seconds
        if failure.transient and entry.fetched is not None and now < serves_until:
            entry.good_until = now + keeping.failure_seconds
            if not entry.is_stale:
                entry.is_stale = True
                warnings.warn(
                    f"the secret {ref} is used as it was {now - entry.fetched_at:.0f} s ago: {failure}",
                    DatastoreWarning,
                    stacklevel=5,
                )
            return
        entry.fetched = None
        may_pass = failure.transient and not isinstance(failure, RateLimitedError)
        entry.failure, entry.failed_at = without_frames(failure), now
        entry.failed_until = now + (keeping.outage_seconds if may_pass else keeping.failure_seconds)


def _kept(entry: _Entry) -> Fetched:
    if entry.fetched is not None:
        return entry.fetched
    assert entry.failure is not None  # noqa: S101  # one of the two is what a fetch leaves
    # Of its own for each thread, whose frames it is going to collect.
    raise copy.copy(entry.failure)
