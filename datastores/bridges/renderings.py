"""Files made on demand and shared by all that open them within one process."""

from __future__ import annotations

import io
import shutil
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from typing_extensions import override

SHARED_SECONDS = 5.0
"""How old a rendering may be when it is opened again; readers open a file two or three times."""

Render = Callable[[IO[bytes]], None]
"""Writes one file's content."""


@dataclass(slots=True)
class _Rendering:
    file: Path
    finished: float
    """On the monotonic clock."""
    modified: float
    """In seconds since 1970."""
    size: int
    readers: int = 0
    etag: str = field(default_factory=lambda: uuid.uuid4().hex)

    def stat(self, path: str) -> dict[str, Any]:
        return {
            "name": path,
            "size": self.size,
            "type": "file",
            "mtime": self.modified,
            "created": self.modified,
            "etag": self.etag,
        }


class Renderings:
    """Temporary files by path, each rendered once however many ask.

    One is used again while somebody has it open, and for `SHARED_SECONDS` after it was made. The
    files go when they are stale and another is asked for, and all of them with this object or
    the process.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="datastores-"))
        self._lock = threading.Lock()
        self._flights: dict[str, threading.Lock] = {}
        self._kept: dict[str, _Rendering] = {}
        weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)

    def open(self, path: str, render: Render) -> IO[bytes]:
        """Return the file of a path, open for reading and seeking."""
        with self._flight(path):
            rendering = self._get(path, render)
            file = _SharedFile(rendering.file, lambda: self._let_go(rendering))
            with self._lock:
                rendering.readers += 1
            return file

    def stat(self, path: str, render: Render) -> dict[str, Any]:
        """Return name, size, type, times and etag of the file that `open` gives."""
        with self._flight(path):
            return self._get(path, render).stat(path)

    def known(self, path: str) -> dict[str, Any] | None:
        """Return what `stat` would, if it need not render."""
        with self._lock:
            rendering = self._kept.get(path)
            return rendering.stat(path) if rendering and _is_fresh(rendering) else None

    def forget(self) -> None:
        """Render anew what is asked for from now on; open files stay as they are."""
        with self._lock:
            forgotten, self._kept = self._kept, {}
        for rendering in forgotten.values():
            _remove(rendering)

    def _flight(self, path: str) -> threading.Lock:
        with self._lock:
            return self._flights.setdefault(path, threading.Lock())

    def _get(self, path: str, render: Render) -> _Rendering:
        with self._lock:
            rendering = self._kept.get(path)
            if rendering and _is_fresh(rendering):
                return rendering
            stale = [name for name, one in self._kept.items() if not _is_fresh(one)]
            removed = [self._kept.pop(name) for name in stale]
        for one in removed:
            _remove(one)
        rendering = self._make(render)
        with self._lock:
            self._kept[path] = rendering
        return rendering

    def _make(self, render: Render) -> _Rendering:
        place = self._folder / uuid.uuid4().hex
        try:
            with place.open("wb") as file:
                render(file)
        except BaseException:
            place.unlink(missing_ok=True)
            raise
        return _Rendering(place, time.monotonic(), time.time(), place.stat().st_size)

    def _let_go(self, rendering: _Rendering) -> None:
        with self._lock:
            rendering.readers -= 1


class _SharedFile(io.BufferedReader):
    """A file that says when it is closed."""

    def __init__(self, place: Path, closed: Callable[[], None]) -> None:
        super().__init__(io.FileIO(place))
        self._closed = closed

    @override
    def close(self) -> None:
        if not self.closed:
            super().close()
            self._closed()

    @override
    def __del__(self) -> None:
        # Arrow's datasets leave the files they open through fsspec to the collector; without
        # this, Python warns of every one.
        self.close()


def _is_fresh(rendering: _Rendering) -> bool:
    return rendering.readers > 0 or time.monotonic() - rendering.finished < SHARED_SECONDS


def _remove(rendering: _Rendering) -> None:
    # Where an open file cannot be removed, it goes with the folder.
    try:
        rendering.file.unlink(missing_ok=True)
    except PermissionError:
        return


_SHARED: weakref.WeakKeyDictionary[object, Renderings] = weakref.WeakKeyDictionary()
_SHARED_LOCK = threading.Lock()


def forget_renderings(driver: object) -> None:
    """Let the next open of any file of a driver's tables render it anew."""
    with _SHARED_LOCK:
        shared = _SHARED.get(driver)
    if shared is not None:
        shared.forget()


def renderings_of(driver: object) -> Renderings:
    """Return the renderings that all filesystems over one driver share."""
    with _SHARED_LOCK:
        if driver not in _SHARED:
            _SHARED[driver] = Renderings()
        return _SHARED[driver]
