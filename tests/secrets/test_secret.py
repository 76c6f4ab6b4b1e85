"""A planted secret shows in nothing that people print, log, dump or send."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datastores.errors import ConfigurationError, DatastoreError
from datastores.secrets import Resolver, Secret, SecretRef, parse_secret
from tests.secrets.shown import shown

PLANTED = "pl4nted-s3cret"


def test_it_shows_when_asked() -> None:
    assert Secret(PLANTED).reveal() == PLANTED
    assert Secret("").reveal() == ""


SHOW: list[Callable[[Secret], str]] = [
    repr,
    str,
    ascii,
    lambda secret: f"{secret}",
    lambda secret: f"{secret!r} {[secret]} {(secret,)}",
    lambda secret: "%s %r" % (secret, secret),  # noqa: UP031
    "{0} {0!r}".format,
    lambda secret: json.dumps({"a": secret}, default=str),
    lambda secret: repr([getattr(secret, name, None) for name in dir(secret)]),
]


@pytest.mark.parametrize("show", SHOW)
def test_it_does_not_show(show: Callable[[Secret], str]) -> None:
    assert PLANTED not in show(Secret(PLANTED))


def test_it_has_no_attributes_to_dump() -> None:
    secret = Secret(PLANTED)
    with pytest.raises(TypeError):
        vars(secret)
    with pytest.raises(AttributeError):
        secret.value = 1  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="unsupported format"):
        f"{secret:>20}"


def test_log_records(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("secret %s %r", Secret(PLANTED), {"a": Secret(PLANTED)})
    assert len(caplog.records) == 1
    assert PLANTED not in caplog.text + repr(vars(caplog.records[0]))


@pytest.mark.parametrize("send", [pickle.dumps, copy.deepcopy, copy.copy])
def test_it_is_not_pickled(send: Callable[[Secret], Any]) -> None:
    with pytest.raises(ConfigurationError, match="a literal secret is not pickled"):
        send(Secret(PLANTED))


def test_equality_without_a_hash() -> None:
    assert Secret(PLANTED) == Secret(PLANTED)
    assert Secret(PLANTED) != Secret(PLANTED + "x")
    assert Secret("ä\udcff") == Secret("ä\udcff")
    assert Secret(PLANTED) != PLANTED
    with pytest.raises(TypeError, match="unhashable"):
        hash(Secret(PLANTED))


def test_a_traceback_with_locals_of_a_caller_that_holds_it() -> None:
    def connect(secret: Secret) -> None:
        listed = [secret]
        raise DatastoreError(f"cannot sign in with {listed}")

    with pytest.raises(DatastoreError) as caught:
        connect(Secret(PLANTED))
    assert PLANTED not in shown(caught.value)


@pytest.mark.parametrize(
    "content", [PLANTED, f'{{"user": "{PLANTED}"}}', f'["{PLANTED}"]', f'"{PLANTED}"']
)
def test_a_field_that_is_not_there(monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    monkeypatch.setenv("PLANTED_SECRET", content)
    with pytest.raises(
        ConfigurationError, match="not a JSON object with the key 'password'"
    ) as caught:
        Resolver().resolve(SecretRef(source="env", name="PLANTED_SECRET", field="password"))
    # Pytest's own frame holds the content; those below it must not.
    error: Any = caught.value
    assert PLANTED not in shown(error.with_traceback(error.__traceback__.tb_next))


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "pw").write_bytes(PLANTED.encode() + b"\xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8") as caught:
        Resolver().resolve(SecretRef(source="file", name=str(tmp_path / "pw")))
    assert PLANTED not in f"{caught.value!r}{caught.value.__context__!r}{vars(caught.value)}"


def test_parsing_shows_nothing() -> None:
    assert PLANTED not in repr(parse_secret(PLANTED))
    assert PLANTED not in repr(parse_secret(f"literal:{PLANTED}"))
