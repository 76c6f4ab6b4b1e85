"""The messages of one COPY, gathered to the rows of a batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from datastores.drivers.azure_postgresql.codec.layout import SIGNATURE, TRAILER
from datastores.drivers.azure_postgresql.codec.window import Window
from datastores.errors import DriverError

BATCH_BYTES = 4 * 2**20
"""About how many bytes of COPY make a batch, if its rows are not enough before."""
_STEP_ROWS = 1024


def windows_of(messages: Iterable[Any], batch_rows: int) -> Iterator[Window]:
    """Yield the rows of one batch after the other.

    Raises:
        DriverError: This is no COPY, or it ends too early.
    """
    stream = iter(messages)
    rest = after_header(next(stream, b""))
    rows = _until_trailer(chain([rest] if rest else [], stream))
    held: list[Any] = []
    size, step = 0, 1
    while chunk := list(islice(rows, min(step, batch_rows - len(held)))):
        held += chunk
        size += sum(map(len, chunk))
        # Rows of a megabyte come one by one, small ones by the thousand.
        step = max(1, min(_STEP_ROWS, BATCH_BYTES * len(held) // (8 * max(1, size))))
        if len(held) == batch_rows or size >= BATCH_BYTES:
            yield Window.of(held)
            held, size = [], 0
    if held:
        yield Window.of(held)


def after_header(message: Any) -> bytes:
    """Return what follows the header in the first message."""
    first = bytes(message)
    head = len(SIGNATURE) + 8
    if len(first) < head or not first.startswith(SIGNATURE):
        raise DriverError("the server's answer is no binary COPY", driver="azure_postgresql")
    return first[head + int.from_bytes(first[head - 4 : head], "big") :]


def wrong_end(*, early: bool) -> DriverError:
    """Return the error for a COPY without its trailer, or with more behind it."""
    return DriverError(
        f"the rows {'end before' if early else 'go on after'} the end of the COPY",
        driver="azure_postgresql",
        operation="read",
    )


def _until_trailer(messages: Iterator[Any]) -> Iterator[Any]:
    for message in messages:
        if message == TRAILER:
            break
        yield message
    else:
        raise wrong_end(early=True)
    # Asked for once more, since the server says only then how the statement went.
    if next(messages, None) is not None:
        raise wrong_end(early=False)
