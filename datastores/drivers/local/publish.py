"""Publishing in a local folder: the new folder is built beside the old one, and the two swap places.

Files that stay are hard links, so building costs no copying. Whatever others do to the old folder
while the new one is built is carried over after the swap.
"""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress

from datastores.drivers.base import FolderChange
from datastores.drivers.filesystem import check_publishable
from datastores.drivers.local import system
from datastores.drivers.local.client import LocalStoreFileSystem
from datastores.drivers.local.errors import translated
from datastores.errors import AlreadyExistsError, NotFoundError
from datastores.location import join_path, normalize_path

# What tells one content of a file from another: inode, time of change, length.
_Mark = tuple[int, int, int]


def publish_file(
    filesystem: LocalStoreFileSystem, staged: str, path: str, *, replace: bool
) -> None:
    """Move a staged file to its place at one moment."""
    with translated("publish", path):
        source, target = filesystem.locate(staged), filesystem.locate(path)
        if not os.path.exists(source):
            raise NotFoundError(f"the staged file {staged!r} is gone", driver="local", target=path)
        filesystem.make_parent(path)
        (os.replace if replace else system.rename_if_absent)(source, target)
    filesystem.tidy()


def publish_folder(filesystem: LocalStoreFileSystem, change: FolderChange) -> None:
    """Make one change to a folder at one moment, or none at all."""
    folder = normalize_path(change.folder).rstrip("/")
    check_publishable(folder, filesystem.staging, "local")
    with translated("publish", folder), filesystem.locked():
        # A link inside the store stays: what it leads to is exchanged.
        place = os.path.realpath(filesystem.locate(folder))
        staging = filesystem.locate(filesystem.staging)
        _recover(place, staging)
        adds = {normalize_path(inner): filesystem.locate(staged) for staged, inner in change.add}
        if not _is_published(place, adds):
            if change.must_be_absent and next(_files(place), None):
                raise AlreadyExistsError(
                    f"{folder!r} exists already, with files in it", driver="local", target=folder
                )
            filesystem.make_parent(folder)
            cleared = tuple(join_path("", one).rstrip("/") for one in change.clear)
            _publish(place, filesystem.staged("publish"), adds, cleared)
        for staged in adds.values():
            with suppress(OSError):
                os.unlink(staged)


def _is_published(place: str, adds: dict[str, str]) -> bool:
    """Tell whether this change was made before, and at most its staged names are left."""
    return bool(adds) and all(
        _is_same(staged, os.path.join(place, inner)) for inner, staged in adds.items()
    )


def _is_same(staged: str, target: str) -> bool:
    if not os.path.lexists(target):
        return False
    return not os.path.lexists(staged) or os.path.samestat(os.lstat(staged), os.lstat(target))


def _publish(place: str, build: str, adds: dict[str, str], cleared: tuple[str, ...]) -> None:
    try:
        os.mkdir(build)
        marks = _carry_over(place, build, cleared)
        _add(build, adds)
        old = _swap(place, build)
    except BaseException:
        shutil.rmtree(build, ignore_errors=True)
        raise
    if old is not None:
        _carry_late(old, place, marks, cleared)
        shutil.rmtree(old, ignore_errors=True)


def _add(build: str, adds: dict[str, str]) -> None:
    for inner, staged in adds.items():
        target = os.path.join(build, inner)
        if os.path.lexists(staged):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with suppress(FileNotFoundError):
                os.unlink(target)
            _link(staged, target)
        elif not os.path.lexists(target):
            raise NotFoundError(f"the staged file for {inner!r} is gone", driver="local")


def _carry_over(old: str, new: str, cleared: tuple[str, ...]) -> dict[str, _Mark]:
    """Link a folder's files that stay into the new folder; return what was linked."""
    marks: dict[str, _Mark] = {}
    if not os.path.isdir(old):
        return marks
    shutil.copystat(old, new)
    for inner in _files(old):
        if not _is_in(inner, cleared):
            source, target = os.path.join(old, inner), os.path.join(new, inner)
            with suppress(FileNotFoundError):
                _make_like(os.path.dirname(source), os.path.dirname(target))
                mark = _mark(source)
                _link(source, target)
                marks[inner] = mark
    return marks


def _carry_late(old: str, new: str, marks: dict[str, _Mark], cleared: tuple[str, ...]) -> None:
    """Repeat in the new folder what others did to the old one while the new one was built."""
    now = {inner: _mark(os.path.join(old, inner)) for inner in _files(old)}
    for inner in marks.keys() - now.keys():
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(new, inner))
    for inner, mark in now.items():
        source, target = os.path.join(old, inner), os.path.join(new, inner)
        if marks.get(inner) == mark or _is_in(inner, cleared):
            continue
        if os.path.lexists(target):
            if os.path.samestat(os.lstat(source), os.lstat(target)):
                continue
            os.unlink(target)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        _link(source, target)


def _swap(place: str, build: str) -> str | None:
    """Put the built folder in its place; return where the old one is now, if there was one."""
    if not os.path.lexists(place):
        os.rename(build, place)
        return None
    if not os.path.isdir(place):
        raise FileExistsError(errno.EEXIST, "a file is in the folder's place", place)
    if system.exchange(build, place):
        return build
    aside = _aside(place, os.path.dirname(build))
    os.rename(place, aside)
    try:
        os.rename(build, place)
    except BaseException:
        os.rename(aside, place)
        raise
    return aside


def _aside(place: str, staging: str) -> str:
    return os.path.join(staging, f"aside-{hashlib.sha256(os.fsencode(place)).hexdigest()[:32]}")


def _recover(place: str, staging: str) -> None:
    """Clear up after a publisher that died. Under the lock, whatever is there is nobody's."""
    aside = _aside(place, staging)
    unfinished = glob.glob(os.path.join(glob.escape(staging), "publish-*"))
    # The new folder never got its place, so the one aside is still the content.
    if unfinished and os.path.isdir(aside):
        if os.path.lexists(place):
            _carry_absent(aside, place)
        else:
            os.rename(aside, place)
    for dead in (aside, *unfinished):
        shutil.rmtree(dead, ignore_errors=True)


def _carry_absent(aside: str, place: str) -> None:
    for inner in _files(aside):
        target = os.path.join(place, inner)
        if not os.path.lexists(target):
            os.makedirs(os.path.dirname(target), exist_ok=True)
            _link(os.path.join(aside, inner), target)


def _files(folder: str) -> Iterator[str]:
    """Yield the paths, relative to a folder, of all in it that is not a folder."""
    for parent, folders, names in os.walk(folder, onerror=_raise_unless_absent):
        links = [one for one in folders if os.path.islink(os.path.join(parent, one))]
        for name in [*names, *links]:
            yield os.path.relpath(os.path.join(parent, name), folder)


def _raise_unless_absent(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _is_in(inner: str, folders: tuple[str, ...]) -> bool:
    return any(not folder or inner.startswith(f"{folder}/") for folder in folders)


def _mark(path: str) -> _Mark:
    status = os.lstat(path)
    return status.st_ino, status.st_mtime_ns, status.st_size


def _make_like(source: str, target: str) -> None:
    """Make a folder with another one's permissions, and those above it likewise."""
    if not os.path.isdir(target):
        _make_like(os.path.dirname(source), os.path.dirname(target))
        os.mkdir(target)
        shutil.copystat(source, target)


def _link(source: str, target: str) -> None:
    """Give a file a second name; copy it where the filesystem has no hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in system.NO_HARD_LINKS:
            raise
        shutil.copy2(source, target, follow_symlinks=False)
