"""From reference to secret: once for many threads, again after its lifetime or a refused login."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedOperationError,
)
from datastores.secrets import Resolver, Secret, SecretFacts, SecretRef

REF = SecretRef(source="vault", name="a")
OTHER = SecretRef(source="vault", name="b")


class Source:
    """A secret source that counts, and gives a new value each time."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[str] = []
        self.seconds = seconds

    def __call__(self, ref: SecretRef) -> Secret:
        self.calls.append(ref.name)
        time.sleep(self.seconds)
        return Secret(f"{ref.name}{len(self.calls)}")


def test_one_fetch_for_many_threads() -> None:
    source = Source(seconds=0.05)
    resolver = Resolver({"vault": source})
    barrier = threading.Barrier(8)

    def ask(_: int) -> str:
        barrier.wait()
        return resolver.resolve(REF).reveal()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"a1"}
    assert source.calls == ["a"]


def test_one_refresh_for_many_threads() -> None:
    source = Source(seconds=0.1)
    resolver = Resolver({"vault": source})
    refused = resolver.resolve(REF)
    barrier = threading.Barrier(8)

    def ask(_: int) -> str:
        barrier.wait()
        assert resolver.is_renewed(REF, refused, AuthenticationError("no"))
        return resolver.resolve(REF).reveal()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(8))) == {"a2"}
    assert source.calls == ["a", "a"]


def test_references_do_not_wait_for_one_another() -> None:
    release = threading.Event()

    def fetch(ref: SecretRef) -> Secret:
        if ref == REF:
            assert release.wait(10)
        return Secret(ref.name)

    resolver = Resolver({"vault": fetch})
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(resolver.resolve, REF)
        assert resolver.resolve(OTHER).reveal() == "b"
        assert not slow.done()
        release.set()
        assert slow.result().reveal() == "a"


def test_lifetime() -> None:
    source = Source()
    resolver = Resolver({"vault": source}, lifetime_seconds=0.2)
    assert [resolver.resolve(REF).reveal() for _ in range(3)] == ["a1"] * 3
    time.sleep(0.25)
    assert resolver.resolve(REF).reveal() == "a2"


def test_a_refused_secret_is_read_again() -> None:
    source = Source()
    resolver = Resolver({"vault": source})
    refused = resolver.resolve(REF)
    assert resolver.is_renewed(REF, refused, AuthenticationError("no"))
    assert resolver.resolve(REF).reveal() == "a2"
    assert not resolver.is_renewed(REF, Secret("a3"), AuthenticationError("no"))
    assert not resolver.is_renewed(Secret("x"), Secret("x"), AuthenticationError("no"))


def test_a_failure_is_not_kept() -> None:
    answers: Iterator[Secret | NotFoundError] = iter([NotFoundError("not yet"), Secret("now")])

    def fetch(_: SecretRef) -> Secret:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    resolver = Resolver({"vault": fetch})
    with pytest.raises(NotFoundError):
        resolver.resolve(REF)
    assert resolver.resolve(REF).reveal() == "now"


def test_a_secret_is_itself() -> None:
    secret = Secret("x")
    assert Resolver().resolve(secret) is secret


def test_an_unknown_source() -> None:
    with pytest.raises(UnsupportedOperationError, match="'vault'") as caught:
        Resolver().resolve(REF)
    assert "env, file" in str(caught.value)


def test_a_vault_that_nobody_opens() -> None:
    with pytest.raises(ConfigurationError, match="nothing says who opens the vault") as caught:
        Resolver().resolve(SecretRef(source="key_vault", name="a", vault="b"))
    assert "vaults: {b: {identity: default}}" in str(caught.value)


def test_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORES_TEST_SECRET", "pl4nted")
    facts = Resolver().describe(SecretRef(source="env", name="DATASTORES_TEST_SECRET"))
    assert (facts.place, facts.name, facts.version) == ("env", "DATASTORES_TEST_SECRET", None)
    assert 0 <= facts.age_seconds < 5
    assert "pl4nted" not in repr(facts)


def test_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ref = SecretRef(source="env", name="DATASTORES_TEST_SECRET")
    monkeypatch.delenv("DATASTORES_TEST_SECRET", raising=False)
    with pytest.raises(NotFoundError, match="'DATASTORES_TEST_SECRET' is not set"):
        Resolver().resolve(ref)
    monkeypatch.setenv("DATASTORES_TEST_SECRET", "")
    assert Resolver().resolve(ref).reveal() == ""
    monkeypatch.setenv("DATASTORES_TEST_SECRET", "hunter2\udcff")
    with pytest.raises(ConfigurationError, match="is not UTF-8"):
        Resolver().resolve(ref)


def test_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORES_TEST_SECRET", json.dumps({"user": "ä", "port": 5}))
    found = {
        field: Resolver().resolve(
            SecretRef(source="env", name="DATASTORES_TEST_SECRET", field=field)
        )
        for field in ("user", "port")
    }
    assert {field: secret.reveal() for field, secret in found.items()} == {"user": "ä", "port": "5"}


@pytest.mark.parametrize("value", ["null", "1.10", "1e5", "true", "[]", '{"a": 1}'])
def test_a_field_that_is_no_text(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORES_TEST_SECRET", f'{{"field": {value}}}')
    ref = SecretRef(source="env", name="DATASTORES_TEST_SECRET", field="field")
    with pytest.raises(ConfigurationError, match="the key 'field' and a text there"):
        Resolver().resolve(ref)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"pw", "pw"), (b"pw\n", "pw"), (b"pw\r\n", "pw"), (b"pw\n\n", "pw\n"), (b" pw ", " pw "),
     (b"a\r\nb\rc\n", "a\r\nb\rc"), ("ä".encode(), "ä"), (b"", "")],
)  # fmt: skip
def test_files(tmp_path: Path, content: bytes, expected: str) -> None:
    (tmp_path / "pw").write_bytes(content)
    ref = SecretRef(source="file", name=str(tmp_path / "pw"))
    assert Resolver().resolve(ref).reveal() == expected


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), "~nobody-of-this-name/x", "a\0b"):
        with pytest.raises(NotFoundError, match="does not exist"):
            Resolver().resolve(SecretRef(source="file", name=name))
    with pytest.raises(PermissionDeniedError, match="cannot be read"):
        Resolver().resolve(SecretRef(source="file", name=str(tmp_path)))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (61, "1 minute"), (7_300, "2 hours"), (90_000, "1 day"), (1e6, "11 days")],
)
def test_how_old_a_version_is_said_to_be(seconds: float, words: str) -> None:
    facts = SecretFacts(
        reference="acme-kv/secrets/pg",
        place="acme-kv.vault.azure.net",
        name="pg",
        version="3f2a0123456789abcdef0123456789ab",
        age_seconds=0,
        created=datetime.now(tz=UTC) - timedelta(seconds=seconds),
        expires=datetime(2020, 1, 1, tzinfo=UTC),
    )
    assert str(facts) == f"acme-kv/secrets/pg, version 3f2a…, {words} old, expired 2020-01-01"


def test_an_unchanged_secret_is_blamed_by_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    ref = SecretRef(source="env", name="A_SECRET")
    refusal = AuthenticationError("could not sign in", advice="Look at the user name")
    assert not Resolver().is_renewed(ref, Secret("x"), refusal)
    assert refusal.advice == (
        "Look at the user name. The secret came from env:A_SECRET; it was read again and has not changed"
    )
