"""KV-20 to KV-27: what is kept, for how long, for whom."""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.identity import ClientSecretCredential

from datastores import Datastore, Identity
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
)
from datastores.retry import retried
from datastores.secrets import KeyVault, Resolver, Secret, SecretRef, key_vault
from datastores.secrets.cache import Fetched, Keeping, SecretCache
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.key_vault import Tokens, Vault
from tests.services.process import forked

Open = Callable[..., KeyVault]


def test_kv_20_one_fetch_for_16_cold_threads(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    credential = Tokens()
    ref = opened(credential).secret("a")
    barrier = threading.Barrier(16)

    def ask(_: int) -> str:
        barrier.wait()
        # Each store has a resolver of its own; the vault is theirs together.
        return Resolver().resolve(ref).reveal()

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(ask, range(16))) == ["x"] * 16
    assert len(vault.log()) == 2
    assert len(credential.asked) == 1


def test_kv_21_a_warm_read_asks_nothing_until_its_time(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    ref, resolver = opened(lifetime_seconds=0.5).secret("a"), Resolver()
    for _ in range(5):
        resolver.resolve(ref)
    assert len(vault.log()) == 2
    time.sleep(0.55)
    vault.put("a", "y")
    assert resolver.resolve(ref) == Secret("y")
    assert len(vault.log()) == 1


def test_kv_21_a_lifetime_of_0_asks_each_time(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    ref, resolver = opened(lifetime_seconds=0).secret("a"), Resolver()
    for _ in range(3):
        resolver.resolve(ref)
    assert len(vault.log()) == 1 + 3


def test_kv_21_lifetimes_differ() -> None:
    def fetch(ref: SecretRef, *, patient: bool) -> Fetched:
        return Fetched(secret=Secret("x"))

    cache = SecretCache(fetch, Keeping(lifetime_seconds=100))
    for number in range(20):
        cache.get(SecretRef(source="env", name=str(number)))
    lifetimes = {one.good_until - one.fetched_at for one in cache._entries.values()}
    assert len({round(one, 6) for one in lifetimes}) > 10
    assert min(lifetimes) >= 79.9
    assert max(lifetimes) <= 100.1


def test_kv_22_what_tells_one_kept_secret_from_another(vault: Vault, opened: Open) -> None:
    version = vault.put("Pw", '{"user": "x"}')
    one, other = opened(), opened(Tokens())
    resolver = Resolver()
    for ref in (one.secret("Pw"), one.secret("pw"), one.secret("PW", field="user")):
        resolver.resolve(ref)
    assert len(vault.log()) == 2
    resolver.resolve(one.secret("pw", version=version))
    assert len(vault.log()) == 1
    # Somebody else may not be allowed to read it.
    resolver.resolve(other.secret("pw"))
    assert len(vault.log()) == 1


def test_kv_23_pinned_versions_are_kept(vault: Vault, opened: Open) -> None:
    version = vault.put("a", "x")
    one, resolver = opened(lifetime_seconds=0), Resolver()
    for _ in range(3):
        resolver.resolve(one.secret("a", version=version))
    assert len(vault.log()) == 2
    for _ in range(3):
        resolver.resolve(one.secret("a"))
    assert len(vault.log()) == 3


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 429, "headers": {"Retry-After": "9"}}, {"drop": True}]
)
def test_kv_24_an_outage_is_bridged_with_one_warning(
    vault: Vault, opened: Open, fault: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "FAILURE_SECONDS", 0.0)
    vault.put("a", "x")
    ref, resolver = opened(lifetime_seconds=0).secret("a"), Resolver()
    resolver.resolve(ref)
    vault.put("a", "y")
    vault.fail(**fault, times=3)
    with pytest.warns(DatastoreWarning, match="is used as it was") as warned:
        assert [resolver.resolve(ref).reveal() for _ in range(3)] == ["x"] * 3
    assert len(warned) == 1
    assert resolver.resolve(ref) == Secret("y")


def test_kv_24_an_outage_is_not_bridged_for_ever(
    vault: Vault, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "STALE_SECONDS", 0.0)
    vault.put("a", "x")
    ref = opened(lifetime_seconds=0).secret("a")
    Resolver().resolve(ref)
    vault.fail(status=503, code="Busy")
    with pytest.raises(DatastoreError, match="failed"):
        Resolver().resolve(ref)


def test_kv_24_a_refusal_is_never_bridged(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    for fault, kind in (
        ({"status": 401}, AuthenticationError),
        ({"status": 403, "inner": "ForbiddenByRbac"}, PermissionDeniedError),
        ({"status": 404}, NotFoundError),
    ):
        ref = opened(lifetime_seconds=0).secret("a")
        Resolver().resolve(ref)
        vault.fail(**fault)
        with pytest.raises(kind):
            Resolver().resolve(ref)
        # Nor does it come back while the refusal is remembered.
        with pytest.raises(kind):
            Resolver().resolve(ref)


def test_kv_25_a_failure_is_not_asked_for_again_at_once(vault: Vault, opened: Open) -> None:
    ref = opened().secret("none")
    seen = set()
    for _ in range(50):
        with pytest.raises(NotFoundError) as caught:
            Resolver().resolve(ref)
        seen.add(id(caught.value))
    assert len(vault.log()) == 2


def test_kv_25_an_outage_is_asked_about_by_the_next_attempt(vault: Vault, opened: Open) -> None:
    """The pauses between attempts of a copy are shorter than a refusal is remembered."""
    vault.put("a", "x")
    ref = opened(deadline_seconds=0.2).secret("a")
    vault.fail(status=503)
    assert retried(lambda: Resolver().resolve(ref)) == Secret("x")
    vault.log()
    busy = opened(deadline_seconds=0.2).secret("a")
    vault.fail(status=429, headers={"Retry-After": "9"}, times=9)
    with pytest.raises(RateLimitedError):
        retried(lambda: Resolver().resolve(busy))
    assert len(vault.log()) == 1


def test_kv_25_an_outage_is_told_to_all_who_waited(
    vault: Vault, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_vault, "OUTAGE_SECONDS", 0.0)
    ref = opened(deadline_seconds=0.2).secret("a")
    vault.fail(status=503, delay_seconds=0.5, times=99)
    barrier = threading.Barrier(8)

    def ask(_: int) -> None:
        barrier.wait()
        with pytest.raises(DatastoreError):
            Resolver().resolve(ref)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(vault.log()) == 1


def test_kv_26_values_go_nowhere(
    vault: Vault, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.put("a", "pl4nted")
    monkeypatch.setenv("SP", "s3cond-pl4nted")
    identity = Identity(
        name="service_principal",
        tenant_id="t",
        client_id="c",
        client_secret=SecretRef(source="env", name="SP"),
    )
    store = Datastore(
        type="azure_postgresql",
        server_name="x",
        database_name="d",
        username="u",
        password=KeyVault(url=vault.url, credential=identity).secret("a"),
    )
    sent = pickle.dumps(store)
    assert b"pl4nted" not in sent
    came = pickle.loads(sent)
    assert came.config == store.config
    assert came.config.password.key_vault is not store.config.password.key_vault  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "credential",
    [
        Tokens(),
        Identity(
            name="azure_pipelines",
            tenant_id="t",
            client_id="c",
            service_connection_id="s",
            system_access_token=Secret("x"),
        ),
        # It would take the client secret along.
        ClientSecretCredential("t", "c", "s"),
    ],
)
def test_kv_26_what_cannot_go_says_why(opened: Open, credential: object) -> None:
    with pytest.raises(
        ConfigurationError, match=r"goes to no other process|literal secret is not pickled"
    ):
        pickle.dumps(opened(credential).secret("a"))


def test_kv_27_a_forked_process_has_a_client_of_its_own(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    one = opened()
    parents = one.cache
    assert Resolver().resolve(one.secret("a")) == Secret("x")
    vault.put("a", "y")
    vault.log()

    def resolved() -> bytes:
        found = Resolver().resolve(one.secret("a")).reveal()
        assert one.cache is not parents
        return found.encode()

    assert forked(resolved) == b"y"
    assert Resolver().resolve(one.secret("a")) == Secret("x")


def test_kv_27_another_process_signs_in_itself(
    vault: Vault, tenant: Tenant, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SP", FIRST_SECRET)
    vault.put("a", "x")
    vault.change(tenant=tenant.id)
    identity = Identity(
        name="service_principal",
        tenant_id=tenant.id,
        client_id=tenant.client_id,
        client_secret=SecretRef(source="env", name="SP"),
        ca_bundle=str(tenant.ca_file),
    )
    here = opened(identity)
    there = pickle.loads(pickle.dumps(here.secret("a")))
    with there.key_vault:
        assert [Resolver().resolve(ref) for ref in (here.secret("a"), there)] == [Secret("x")] * 2
    assert tenant.tokens_asked() == 2
    identity.close()
    there.key_vault.credential.close()
