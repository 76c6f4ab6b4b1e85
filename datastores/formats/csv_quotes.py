"""Finding a quote that is never closed: Arrow takes what follows it, to the file's end, for one value."""

from __future__ import annotations

import codecs
import io
import re
from typing import IO

from typing_extensions import override

_CHUNK_BYTES = 1 << 20


class QuoteCount(io.RawIOBase):
    """Passes a file's bytes on and counts the quotes, since an odd number of them is suspicious."""

    def __init__(self, source: IO[bytes], quote: str) -> None:
        self._source = source
        self._quote = quote.encode()
        self.count = 0

    @override
    def readable(self) -> bool:
        return True

    @override
    def read(self, size: int = -1, /) -> bytes:
        data = self._source.read(size)
        self.count += data.count(self._quote)
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
