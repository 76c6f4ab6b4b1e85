"""That a planted secret is found wherever it shows: the other tests here rely on it."""

from __future__ import annotations

import base64
import gzip
import html
import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus, urlencode

import pytest

from tests.redaction.planted import Planted, files_below, found, shown, shown_error

PASSWORD = Planted("password", 'pl4nted/Pa55"w0rd+&<ü>')
KEY = Planted("account key", base64.b64encode(b"planted-account-key/1234567890-\xff\x00").decode())
WITHIN = Planted("connection string", f"host=h password={PASSWORD.value}", PASSWORD.value)

Spell = Callable[[str], str | bytes]
SPELT: dict[str, Spell] = {
    "plain": lambda text: f"the {text} of",
    "url": lambda text: urlencode({"a": text, "b": 1}),
    "path": quote,
    "quoted in small letters": lambda text: re.sub(
        "%..", lambda one: one[0].lower(), quote(text, safe="")
    ),
    "form": quote_plus,
    "json": lambda text: json.dumps({"a": [text]}),
    "json utf-8": lambda text: json.dumps([text], ensure_ascii=False),
    "repr": lambda text: repr({"a": text}),
    "bytes": lambda text: repr(text.encode()),
    "html": html.escape,
    "hex": lambda text: text.encode().hex(),
    "utf-16": lambda text: b"\x00" + text.encode("utf-16-be") + b"\x00",
    "windows": lambda text: text.encode("utf-16"),
    "pickle": lambda text: pickle.dumps({"a": text}),
    "gzip": lambda text: b"head" + gzip.compress(f"x{text}y".encode()),
    **{
        f"base64 behind {count}": lambda text, count=count: base64.b64encode(  # type: ignore[misc]
            b"x" * count + text.encode() + b"yz"
        )
        for count in range(6)
    },
    "base64 of a url": lambda text: base64.urlsafe_b64encode(f"user:{text}".encode()),
}


@pytest.mark.parametrize("spell", SPELT)
@pytest.mark.parametrize("one", [PASSWORD, KEY, WITHIN], ids=lambda one: one.kind)
def test_each_spelling_is_found(one: Planted, spell: str) -> None:
    text = SPELT[spell](one.part or one.value)
    assert found([one], {"here": text})
    assert not found([Planted(one.kind, "bm90aGluZyBvZiB0aGUga2luZA==")], {"here": text})


def test_the_bytes_of_a_key_are_found() -> None:
    key = base64.b64decode(KEY.value)
    assert found([KEY], {"a": key, "b": repr(key), "c": key.hex()}) == [
        "a: account key (key) behind ",
        "b: account key (repr of key) behind b'",
        "c: account key (key in hex) behind ",
    ]


@dataclass
class Holder:
    inner: object


class Plain:
    def __init__(self) -> None:
        self.hidden = {"a": [Holder((PASSWORD.value,))]}


class Slotted:
    __slots__ = ("hidden",)

    def __init__(self) -> None:
        self.hidden = Plain()


class Notebook:
    def _repr_html_(self) -> str:
        return PASSWORD.value


@pytest.mark.parametrize("value", [Plain(), Slotted(), {"a": {Holder: (Plain(),)}}, Notebook()])
def test_what_is_in_fields_is_found(value: object) -> None:
    assert PASSWORD.value not in repr(value)
    assert found([PASSWORD], {"shown": shown(value)})


def test_a_circle_ends() -> None:
    value: list[object] = [PASSWORD.value]
    value.append(value)
    assert found([PASSWORD], {"shown": shown(value)})


def with_variable() -> None:
    used = Plain()
    raise KeyError(id(used))


def with_note() -> None:
    error = KeyError("a")
    error.add_note(PASSWORD.value)
    raise error


def with_attribute() -> None:
    error = KeyError("a")
    error.response = Plain()  # type: ignore[attr-defined]
    raise error


def with_cause() -> None:
    raise ValueError("b") from KeyError(PASSWORD.value)


def with_hidden_context() -> None:
    try:
        with_variable()
    except KeyError:
        raise ValueError("b") from None


def with_inner() -> None:
    error = ValueError("c")
    try:
        with_variable()
    except KeyError as inner:
        error.inner = inner  # type: ignore[attr-defined]
    raise error


def with_group() -> None:
    raise ExceptionGroup("several", [KeyError(PASSWORD.value)])


@pytest.mark.parametrize(
    "call",
    [
        *(with_variable, with_note, with_attribute, with_cause, with_hidden_context),
        *(with_inner, with_group),
    ],
)
def test_what_an_error_shows_is_found(call: Callable[[], None]) -> None:
    with pytest.raises((KeyError, ValueError, ExceptionGroup)) as caught:
        call()
    assert found([PASSWORD], {"error": shown_error(caught.value)})


def test_files_are_looked_through(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").write_text(f"x{PASSWORD.value}")
    assert len(found([PASSWORD], files_below(tmp_path))) >= 1
    assert not found([KEY], files_below(tmp_path))
