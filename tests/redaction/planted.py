"""Secrets that are planted, and where one of them shows: in which value, file or frame, and how spelt."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import html
import json
import re
import traceback
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

_DEPTH = 8
_HERE = Path(__file__).parent
_GZIP = b"\x1f\x8b\x08"


@dataclass(frozen=True)
class Planted:
    """A secret that nobody writes by chance."""

    kind: str
    value: str
    part: str | None = None
    """What of it is secret, where that is not the whole: a connection string's password."""

    @property
    def spellings(self) -> dict[str, bytes]:
        """The ways in which a text or file may hold it."""
        text = self.part or self.value
        plain = text.encode()
        quoted = {f"quoted {safe!r}": quote(text, safe=safe) for safe in ("", "/", "/+=")}
        texts = {
            **quoted,
            "quoted +": quote_plus(text),
            **{f"{name} small": re.sub("%..", _lower, one) for name, one in quoted.items()},
            "json": json.dumps(text)[1:-1],
            "json utf-8": json.dumps(text, ensure_ascii=False)[1:-1],
            "repr": repr(text)[1:-1],
            "repr of bytes": repr(plain)[2:-1],
            "html": html.escape(text),
            "html quote": html.escape(text, quote=False),
            "hex": plain.hex(),
        }
        return {
            "plain": plain,
            **{name: one.encode() for name, one in texts.items()},
            **{f"base64 at {at}": _base64(plain, at) for at in range(3)},
            **{f"base64url at {at}": _base64(plain, at, b"-_") for at in range(3)},
            **{f"utf-16-{end}": text.encode(f"utf-16-{end}") for end in ("le", "be")},
            **self._key(),
        }

    def _key(self) -> dict[str, bytes]:
        """An account key is text for bytes, which are as secret."""
        if self.kind != "account key":
            return {}
        key = base64.b64decode(self.part or self.value)
        return {
            "key": key,
            "key in hex": key.hex().encode(),
            "repr of key": repr(key)[2:-1].encode(),
        }


def found(planted: Iterable[Planted], places: Mapping[str, str | bytes]) -> list[str]:
    """Return which secrets show where, how they are spelt, and what stands before them."""
    needles = [(one.kind, how, text) for one in planted for how, text in one.spellings.items()]
    return [
        f"{place}: {kind} ({how}) behind {_before(text, layer)}"
        for place, content in places.items()
        for layer in _layers(content)
        for kind, how, text in needles
        if text in layer
    ]


def shown(value: Any) -> str:
    """Return all that a debugger, `vars` or a printing of fields and containers shows of a value."""
    return "\n".join(_shown(value, set(), _DEPTH))


def shown_error(error: BaseException) -> str:
    """Return all that a report shows of an error: its chain, notes, and the variables of all frames."""
    return "\n".join(_shown_error(error, set()))


def without_callers(error: BaseException) -> BaseException:
    """Return an error without the first frames: those of a test hold all that is planted."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).parent == _HERE:
        trace = trace.tb_next
    return error.with_traceback(trace)


def files_below(*folders: Path) -> dict[str, bytes]:
    """Return names and contents of all files in some folders."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return {str(path): str(path).encode() + path.read_bytes() for path in files}


def _before(text: bytes, layer: bytes) -> str:
    return layer.partition(text)[0].rpartition(b"\n")[2][:200].decode(errors="replace")


def _lower(found: re.Match[str]) -> str:
    return found[0].lower()


def _base64(plain: bytes, at: int, altchars: bytes | None = None) -> bytes:
    """Return the middle of a base64 text that holds the bytes somewhere: what their neighbours leave alone."""
    encoded = base64.b64encode(b"\0" * at + plain, altchars)
    first = -(-at * 8 // 6)
    return encoded[first : (at + len(plain)) * 8 // 6]


def _layers(content: str | bytes) -> Iterator[bytes]:
    """Yield a content as bytes, and what is packed in it."""
    raw = content.encode(errors="surrogatepass") if isinstance(content, str) else content
    yield raw
    begin = raw.find(_GZIP)
    while begin >= 0:
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(wbits=31).decompress(raw[begin:])
        begin = raw.find(_GZIP, begin + 1)


def _shown(value: Any, seen: set[int], depth: int) -> Iterator[str]:
    yield from _printed(value)
    if depth == 0 or id(value) in seen:
        return
    seen.add(id(value))
    parts: list[Any] = []
    with contextlib.suppress(Exception):
        parts.extend(_parts(value))
    for part in parts:
        yield from _shown(part, seen, depth - 1)


def _printed(value: Any) -> Iterator[str]:
    # What a frame left half-built may not print at all.
    with contextlib.suppress(Exception):
        yield repr(value)
        yield str(value)
        if callable(show := getattr(type(value), "_repr_html_", None)):
            yield str(show(value))


def _parts(value: Any) -> Iterator[Any]:
    """Yield what is in a container or in fields; of objects of other packages only what prints."""
    if isinstance(value, Mapping):
        yield from list(value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from list(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from (getattr(value, one.name, None) for one in dataclasses.fields(value))
    elif type(value).__module__.startswith(("datastores", "tests.redaction")):
        yield from dict(getattr(value, "__dict__", {})).items()
        for kind in type(value).__mro__:
            slots = kind.__dict__.get("__slots__", ())
            names = [slots] if isinstance(slots, str) else slots
            yield from (getattr(value, name, None) for name in names)


def _shown_error(error: BaseException, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:
        return
    seen.add(id(error))
    yield from (repr(error), str(error), repr(error.args))
    yield from _shown(dict(vars(error)), set(), _DEPTH)
    yield "".join(traceback.format_exception(error))
    yield from _frames(error.__traceback__)
    # Packages keep others where no chain leads to.
    hidden = [one for one in vars(error).values() if isinstance(one, BaseException)]
    grouped = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    for one in (error.__cause__, error.__context__, *hidden, *grouped):
        if one is not None:
            yield from _shown_error(one, seen)
    for one in vars(error).values():
        if isinstance(one, TracebackType):
            yield from _frames(one)


def _frames(trace: TracebackType | None) -> Iterator[str]:
    for frame, line in traceback.walk_tb(trace):
        for name, value in list(frame.f_locals.items()):
            where = f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name} {name}"
            yield from (f"{where} = {text}" for text in _shown(value, set(), 4))
