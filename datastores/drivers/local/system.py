"""Three things the operating system can do and Python's `os` cannot say: exchange, rename if absent, lock."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import TypeVar

_T = TypeVar("_T")
_TRIES = 1000

# https://man7.org/linux/man-pages/man2/rename.2.html
_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
# What the kernel says where it, or the filesystem, does not know a flag or hard links.
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
NO_HARD_LINKS = _UNKNOWN | {errno.EPERM, errno.EMLINK, errno.EACCES}


def exchange(first: str, second: str) -> bool:
    """Let two paths swap places at one moment; False, and nothing done, where that is unknown."""
    return _rename(first, second, _RENAME_EXCHANGE)


def rename_if_absent(source: str, target: str) -> None:
    """Rename a file to a name that is free; of several callers at once one wins.

    Raises:
        FileExistsError: `target` exists.
    """
    if _rename(source, target, _RENAME_NOREPLACE):
        return
    os.link(source, target)
    os.unlink(source)


def _rename(source: str, target: str, flag: int) -> bool:
    call = _renameat2()
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), source, None, target)


@cache
def _renameat2() -> Callable[..., int] | None:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    found: Callable[..., int] = call
    return found


@contextmanager
def locked(path: str) -> Iterator[None]:
    """Hold a lock between threads and processes; its file is there only while someone holds it.

    The system frees it when the process dies.
    """
    file = make_in_folder(path, lambda: _lock(path))
    try:
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)
        os.close(file)


def make_in_folder(path: str, make: Callable[[], _T]) -> _T:
    """Return what `make` makes at a path, after making its folder.

    Whoever leaves the staging folder empty removes it; if that comes in between, both are done again.
    """
    for _ in range(_TRIES):
        with suppress(FileNotFoundError, FileExistsError):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return make()
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return make()


def _lock(path: str) -> int:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        _wait(file)
        _check_same(file, path)
    except BaseException:
        os.close(file)
        raise
    return file


def _check_same(file: int, path: str) -> None:
    # The last holder removed the name: what is locked without one, nobody else will find.
    if not os.path.samestat(os.fstat(file), os.stat(path)):
        raise FileNotFoundError(errno.ENOENT, "another lock is in its place", path)


def _wait(file: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        while True:
            # It gives up after ten seconds, where flock waits.
            with suppress(OSError):
                msvcrt.locking(file, msvcrt.LK_LOCK, 1)
                return
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX)
