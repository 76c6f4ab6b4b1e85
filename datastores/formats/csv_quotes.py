"""Finding a quote that is never closed: Arrow takes what follows it, to the file's end, for one value."""

from __future__ import annotations

import codecs
import io
import re
import threading
from typing import IO

from typing_extensions import override

_CHUNK_BYTES = 1 << 20


class CsvSource(io.RawIOBase):
    """Passes a file's bytes on as Arrow needs them.

    Quotes are counted, since an odd number of them is suspicious, and the last line gets an end,
    without which Arrow does not take a header for one. Once closed it leaves the file alone: a thread
    of Arrow's that reads ahead would move it under the next reader.
    """

    def __init__(self, source: IO[bytes], quote: str | None, encoding: str) -> None:
        self._source = source
        self._quote = (quote or "").encode()
        self._end = b"\n" if "\n".encode(encoding) == b"\n" else b""
        self._last = b"\n"
        self._reading = threading.Lock()
        self.quotes = 0

    @override
    def close(self) -> None:
        with self._reading:
            super().close()

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes:
        with self._reading:
            return b"" if self.closed else self._read(size)

    def _read(self, size: int) -> bytes:
        data = self._source.read(size)
        while size > 0 and len(data) < size and (more := self._source.read(size - len(data))):
            data += more
        # In the same piece: Arrow looks for a header in the first one only.
        if len(data) < size and (data[-1:] or self._last) != b"\n":
            data += self._end
        self.quotes += data.count(self._quote) if self._quote else 0
        self._last = data[-1:] or b"\n"
        return data


def ends_inside_quotes(file: IO[bytes], *, quote: str, delimiter: str, encoding: str) -> bool:
    """Return whether the file, read from where it stands, ends inside a quoted value.

    A quote opens a value only at its beginning, and one that follows a closing quote stands for
    itself, as Arrow reads them.
    """
    token = re.compile(
        f"[{re.escape(quote)}{re.escape(delimiter)}\r\n]|[^{re.escape(quote)}{re.escape(delimiter)}\r\n]+"
    )
    decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
    inside, fresh, closed = False, True, False
    while data := file.read(_CHUNK_BYTES):
        for match in token.finditer(decode(data).removeprefix("\ufeff")):
            found = match[0]
            if inside:
                inside, closed = found != quote, found == quote
            elif found == quote and (fresh or closed):
                inside, fresh, closed = True, False, False
            else:
                fresh, closed = found in {delimiter, "\r", "\n"}, False
    return inside
