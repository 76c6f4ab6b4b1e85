"""What a job leaves for the call that goes on from it: plain values as text, versioned and checked."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from datastores.drivers.writing import JobEntry, Receipt
from datastores.errors import DataError, DatastoreWarning

_VERSION = 1
_WORD = "datastores"
# With its store: no list of jobs names one whose documents cannot be read.
_FORGET = "forget it: datastores jobs clean --store NAME ID"


def dump(values: Mapping[str, Any]) -> str:
    """Return values as a document: a line with its version and checksum, and a line of JSON."""
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return f"{_WORD} {_VERSION} {_checksum(body)}\n{body}"


def load(text: str, what: str) -> dict[str, Any]:
    """Return the values of a document.

    Args:
        text: As `dump` returned it.
        what: What it is of, for the error.

    Raises:
        DataError: It is damaged, or was written by a newer version.
    """
    head, _, body = text.partition("\n")
    word, version, checksum, *_ = [*head.split(" "), "", "", ""]
    if word == _WORD and version.isdigit() and int(version) > _VERSION:
        raise DataError(
            f"{what} was written by a newer version of datastores (its journal is {version}, ours "
            f"{_VERSION})",
            advice=f"Go on from it with that version, or {_FORGET}",
        )
    if (word, version, checksum) != (_WORD, str(_VERSION), _checksum(body)):
        raise DataError(
            f"{what} is damaged",
            advice=f"Look whether the target has its rows, and {_FORGET}",
        )
    values: dict[str, Any] = json.loads(body)
    return values


def readable(entry: Callable[[], JobEntry | None]) -> JobEntry | None:
    """Return a job's entry for a list of all; one that cannot be read is warned of, and None."""
    try:
        return entry()
    except DataError as error:
        warnings.warn(str(error), DatastoreWarning, stacklevel=2)
        return None


def packed(values: Any) -> str:
    """Return plain values as a short text, where many are alike."""
    body = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return base64.b64encode(zlib.compress(body)).decode()


def unpacked(text: str) -> Any:
    """Return what was packed."""
    return json.loads(zlib.decompress(base64.b64decode(text)))


def receipt_values(receipts: Iterable[Receipt]) -> list[dict[str, Any]]:
    """Return receipts as plain values, without what did not fit: that is in their notes."""
    listed = []
    for one in receipts:
        values = dataclasses.asdict(one)
        del values["unfit"]
        listed.append(values)
    return listed


def receipts_of(listed: Iterable[Mapping[str, Any]]) -> tuple[Receipt, ...]:
    """Return the receipts that `receipt_values` listed."""
    return tuple(Receipt(**{**one, "outputs": tuple(one["outputs"])}) for one in listed)


def now() -> str:
    """Return this moment as documents hold it."""
    return datetime.now(UTC).isoformat()


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode(), digest_size=8).hexdigest()
