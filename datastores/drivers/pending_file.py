"""Files being written: they appear when they are closed, and only if no exception went by."""

from __future__ import annotations

import io
import os
import sys
import warnings
from contextlib import suppress
from typing import IO

from typing_extensions import Buffer, override


class PendingFile(io.BufferedIOBase):
    """A file being written: it appears when closed, and only if no exception went by.

    Args:
        sink: Holds the bytes until then; this class closes it.
        start: Where `tell` begins: the size of a file that is appended to.
        autocommit: False leaves it to `commit` or `discard`, as fsspec's transactions do.
    """

    def __init__(
        self, path: str, mode: str, sink: IO[bytes], *, start: int, autocommit: bool
    ) -> None:
        self.path = path
        self.mode = mode
        self._sink = sink
        self._start = start
        self._autocommit = autocommit
        self._failed = False
        self._settled = False
        self._raised_before = sys.exc_info()[1]

    def _publish(self) -> None:
        """Make the flushed sink's bytes appear under the path."""
        raise NotImplementedError

    def _drop(self) -> None:
        """Close and remove the sink, if it is still there."""
        raise NotImplementedError

    @override
    def writable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        # Python writes a byte order mark only to files in which it can ask for the position.
        return True

    @override
    def tell(self) -> int:
        return self._start + self._sink.tell()

    @override
    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET:
            offset -= self._start
            if offset < 0:
                raise io.UnsupportedOperation("what a file held before it was opened stays")
        return self._start + self._sink.seek(offset, whence)

    @override
    def write(self, data: Buffer, /) -> int:
        if self.closed:
            raise ValueError(f"{self.path!r} is closed")
        if self._settled:
            # Text that is still buffered when the file is discarded goes nowhere.
            return memoryview(data).nbytes
        try:
            return self._sink.write(data)
        except BaseException:
            # Part of the data may be there: closing now must not make it a file.
            self._failed = True
            raise

    def commit(self) -> None:
        """Make the file appear now; a second call does nothing."""
        if self._settled:
            return
        self._settled = True
        try:
            self._publish()
        finally:
            self._drop()

    def discard(self) -> None:
        """Forget what was written; the path stays as it was."""
        if not self._settled:
            self._settled = True
            self._drop()

    @override
    def close(self) -> None:
        if self.closed:
            return
        try:
            if self._failed or _leaving_by_exception(self._raised_before):
                self.discard()
            elif self._autocommit:
                self.commit()
        finally:
            super().close()

    @override
    def __exit__(self, kind: object, *exception: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def abandon(self) -> None:
        """Discard a file that is collected and was never closed: it was never finished."""
        if not self._settled:
            self.discard()
            if self._autocommit:
                warnings.warn(
                    f"{self.path!r} was not closed, and is not written",
                    ResourceWarning,
                    stacklevel=3,
                )

    @override
    def __del__(self) -> None:
        # Without a sink the file could not even be opened.
        if hasattr(self, "_sink"):
            self.abandon()
        super().close()


class TextFile(io.TextIOWrapper):
    """Text on top of a file that may be pending."""

    @override
    def __exit__(self, *exception: object) -> None:
        # The inherited one is written in C, where `_leaving_by_exception` cannot see it.
        self.close()

    @override
    def __del__(self) -> None:
        # The inherited one closes, and what was written so far would appear.
        with suppress(ValueError):
            if not self.closed and isinstance(self.buffer, PendingFile):
                self.buffer.abandon()
            self.close()


def _leaving_by_exception(before: BaseException | None) -> bool:
    """Tell whether a `with` block is being left by an exception raised since the file was opened.

    `fsspec.open` and pandas close the file inside their own `__exit__` and say nothing of the
    exception; what was written so far would pass for a finished file.
    """
    if sys.exc_info()[1] in (None, before):
        return False
    frame = sys._getframe(1)  # noqa: SLF001  # inspect.stack() reads source files
    while frame.f_back is not None:
        frame = frame.f_back
        if frame.f_code.co_name == "__exit__":
            return True
    return False
