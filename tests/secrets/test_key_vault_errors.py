"""KV-40 to KV-48: what the vault may answer, and what a user is told of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
)
from datastores.secrets import KeyVault, Resolver, Secret
from tests.services.certificates import Certificates
from tests.services.fakes import named
from tests.services.key_vault import Tokens, Vault
from tests.services.process import free_port

Open = Callable[..., KeyVault]


def refusal_of(
    one: KeyVault, kind: type[DatastoreError], name: str = "a", **words: Any
) -> DatastoreError:
    """Return the error of resolving a secret."""
    with pytest.raises(kind) as caught:
        Resolver().resolve(one.secret(name, **words))
    assert type(caught.value) is kind
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value


def test_kv_40_a_secret_that_is_not_there(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    error = refusal_of(opened(), NotFoundError, version="0" * 32)
    for word in (vault.host, "/a/", "0" * 32):
        assert word in str(error)
    assert len(vault.log()) == 2
    assert error.context()["driver"] == "key_vault"


def test_kv_41_a_disabled_secret(vault: Vault, opened: Open) -> None:
    vault.put("a", "older")
    vault.put("a", "newest", enabled=False)
    error = refusal_of(opened(), PermissionDeniedError)
    assert "is disabled" in str(error)
    assert len(vault.log()) == 2


def test_kv_42_three_refusals_with_a_hint_each(vault: Vault, opened: Open) -> None:
    advice = set()
    for inner in ("ForbiddenByRbac", "AccessDenied", "ForbiddenByFirewall"):
        vault.change(denied={"get": inner})
        vault.log()
        error = refusal_of(opened(), PermissionDeniedError)
        advice.add(str(error.advice))
        assert len(vault.log()) <= 2
    assert len(advice) == 3
    assert any("Key Vault Secrets User" in one for one in advice)


@pytest.mark.usefixtures("quick")
def test_kv_42_a_fresh_role_is_waited_for_where_asked(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    vault.change(denied={"get": "ForbiddenByRbac"})
    threading.Timer(0.3, lambda: vault.change(denied={})).start()
    assert Resolver().resolve(opened(grace_seconds=20).secret("a")) == Secret("x")
    vault.change(denied={"get": "ForbiddenByRbac"})
    begun = time.monotonic()
    refusal_of(opened(grace_seconds=0.2), PermissionDeniedError)
    assert time.monotonic() - begun < 5


def test_kv_43_an_expired_secret_that_is_still_given(vault: Vault, opened: Open) -> None:
    vault.put("a", "x", exp=int(time.time()) - 86_400)
    with pytest.warns(DatastoreWarning, match="has expired on"):
        assert Resolver().resolve(opened().secret("a")) == Secret("x")
    given = refusal_of(opened(refuse_expired=True), PermissionDeniedError)
    vault.change(window_is_strict=True)
    kept = refusal_of(opened(), PermissionDeniedError)
    assert "has expired" in str(given)
    assert "has expired" in str(kept)
    vault.put("b", "x", nbf=int(time.time()) + 86_400)
    assert "is not valid yet" in str(refusal_of(opened(), PermissionDeniedError, "b"))


def test_kv_43_a_secret_that_is_given_before_its_time(vault: Vault, opened: Open) -> None:
    vault.put("a", "x", nbf=4_102_444_800)
    with pytest.warns(DatastoreWarning, match="is not valid before 2100-01-01"):
        assert Resolver().resolve(opened().secret("a")) == Secret("x")
    given = refusal_of(opened(refuse_expired=True), PermissionDeniedError)
    assert "is not valid before 2100-01-01" in str(given)
    assert "activation date" in str(given)


def _date() -> str:
    return format_datetime(datetime.now(tz=UTC) + timedelta(seconds=2), usegmt=True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (lambda: {"Retry-After": "1"}, (1.0, 2.5)),
        (lambda: {"Retry-After": _date()}, (0.5, 3.5)),
        (lambda: {"retry-after-ms": "300", "Retry-After": "50"}, (0.3, 2.0)),
        (lambda: {"x-ms-retry-after-ms": "300"}, (0.3, 2.0)),
    ],
)
def test_kv_44_a_throttled_vault_says_how_long(
    vault: Vault, opened: Open, headers: Callable[[], dict[str, str]], seconds: tuple[float, float]
) -> None:
    vault.put("a", "x")
    vault.put("b", "x")
    one, resolver = opened(), Resolver()
    resolver.resolve(one.secret("b"))
    vault.fail(status=429, code="Throttled", headers=headers())
    begun = time.monotonic()
    assert resolver.resolve(one.secret("a")) == Secret("x")
    assert seconds[0] <= time.monotonic() - begun < seconds[1] + 3


def test_kv_44_but_not_beyond_the_deadline(vault: Vault, opened: Open) -> None:
    vault.fail(status=429, headers={"Retry-After": "60"}, times=9)
    begun = time.monotonic()
    error = refusal_of(opened(deadline_seconds=5), RateLimitedError)
    assert time.monotonic() - begun < 5
    assert error.__notes__ == ["after 1 attempts; the service asks to wait 60 s"]


@pytest.mark.usefixtures("quick")
def test_kv_44_the_whole_is_bounded(vault: Vault, opened: Open) -> None:
    vault.fail(status=429, times=-1)
    error = refusal_of(opened(deadline_seconds=0.5), RateLimitedError)
    (note,) = error.__notes__
    assert note == f"after {len(vault.log())} attempts"
    assert note != "after 1 attempts"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"drop": True}])
def test_kv_45_a_read_is_tried_again(vault: Vault, opened: Open, fault: dict[str, Any]) -> None:
    vault.put("a", "x")
    vault.fail(**fault, times=2)
    assert Resolver().resolve(opened().secret("a")) == Secret("x")
    assert len(vault.log()) == 2 + 2


def test_kv_45_silence_ends_with_the_deadline(vault: Vault, opened: Open) -> None:
    vault.fail(delay_seconds=20, times=-1)
    begun = time.monotonic()
    refusal_of(opened(deadline_seconds=0.5), OperationTimeoutError)
    assert time.monotonic() - begun < 3


def test_kv_45_nobody_listens(opened: Open, vault: Vault) -> None:
    with named({vault.host: free_port()}):
        error = refusal_of(opened(deadline_seconds=0.3), ConnectionFailedError)
    assert vault.host in str(error)


def test_kv_45_a_write_is_tried_once(vault: Vault, opened: Open) -> None:
    vault.fail(status=503)
    with pytest.raises(ConnectionFailedError):
        opened().set("a", Secret("x"))
    assert len(vault.log()) == 1


def test_kv_46_an_empty_secret_is_empty(vault: Vault, opened: Open) -> None:
    vault.put("a", "")
    assert Resolver().resolve(opened().secret("a")) == Secret("")


def test_kv_47_a_deleted_secret_is_recovered_or_purged_by_people(
    vault: Vault, opened: Open
) -> None:
    vault.put("a", "x")
    vault.remove("a")
    one = opened()
    with pytest.raises(PreconditionFailedError, match="Recover it") as caught:
        one.set("a", Secret("y"))
    assert "purge" in str(caught.value)
    assert {entry["method"] for entry in vault.log()} == {"PUT"}


def test_kv_48_nothing_but_the_secret_is_asked_for(vault: Vault, opened: Open) -> None:
    version = vault.put("a", "x")
    vault.change(denied=dict.fromkeys(("list", "set", "delete"), "ForbiddenByRbac"))
    one, resolver = opened(), Resolver()
    resolver.resolve(one.secret("a"))
    resolver.resolve(one.secret("a", version=version))
    resolver.describe(one.secret("a"))
    asked = {(entry["method"], entry["path"]) for entry in vault.log()}
    assert asked == {("GET", "/secrets/a/"), ("GET", f"/secrets/a/{version}")}


def test_a_certificate_of_somebody_else(
    vault: Vault, certificates: Certificates, opened: Open
) -> None:
    error = refusal_of(opened(ca_bundle=str(certificates.stranger)), ConfigurationError)
    assert "is not trusted" in str(error)
    assert "ca_bundle" in str(error)


def test_what_is_no_file_of_authorities_is_named(opened: Open, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("none")
    for name in ("missing.pem", "no.pem"):
        error = refusal_of(opened(ca_bundle=str(tmp_path / name)), ConfigurationError)
        assert f"{name}: " in str(error)


def test_entra_that_is_busy_is_asked_again(vault: Vault, opened: Open) -> None:
    """A credential's passing failure is the vault's: within the same deadline."""
    vault.put("a", "x")
    failures = [ConnectionFailedError("busy")]

    class Busy(Tokens):
        @override
        def get_token(self, *scopes: str, **options: Any) -> Any:
            if failures:
                raise failures.pop()
            return super().get_token(*scopes, **options)

    assert Resolver().resolve(opened(Busy()).secret("a")) == Secret("x")
