"""Moves files to an archive once they were copied: those that the target remembers, as it remembers them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, auto

from datastores.bridges.discovery import inner_path, is_glob, list_files
from datastores.datastore import StorePath
from datastores.drivers.base import FileDriver, require
from datastores.drivers.new_files import version_of
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreWarning,
    NotFoundError,
    PreconditionFailedError,
)
from datastores.location import join_path, normalize_path
from datastores.retry import retried
from datastores.scan import Scan
from datastores.transfer.endpoints import resolve
from datastores.transfer.new_files import SourceFiles, files_given
from datastores.transfer.options import DEFAULT_WORKERS, CopyOptions


class _Outcome(Enum):
    MOVED = auto()
    CHANGED = auto()
    """Or somebody else moved it."""
    OBSTRUCTED = auto()
    """The archive has another file of its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A folder of the source's store for the files that were copied."""

    source: SourceFiles
    target: StorePath
    """Of the copy: it remembers which files it was given."""
    folder: str
    workers: int

    @classmethod
    def of(
        cls, source: StorePath | Scan, target: StorePath, options: CopyOptions
    ) -> Archive | None:
        """Return where a copy moves its files; None if they stay.

        Raises:
            ConfigurationError: There they would be read again, or it is another store.
        """
        given = options.get("archive")
        if given is None:
            return None
        if not options.get("new_files"):
            raise ConfigurationError(
                "archive goes with new_files: the target then remembers which files it was given",
                advice="Add new_files, or leave out archive",
            )
        files = SourceFiles.of(source, options)
        driver = files.driver
        require(driver, "archive", declared=driver.capabilities.writable_files)
        folder = _folder(given, driver, options)
        _refuse_listed(files, target, folder)
        workers = options.get("workers", DEFAULT_WORKERS)
        return cls(source=files, target=target, folder=folder, workers=workers)

    def move(self) -> int:
        """Move the files that the target was given and that have not changed; return how many.

        Whatever an earlier call left is moved too. Files of which the archive has others of the same
        name stay where they are, and are warned of.
        """
        given = files_given(self.source, self.target)
        try:
            root, found = list_files(self.source.driver.filesystem, self.source.path)
        except NotFoundError:
            return 0
        copied = [one["name"] for one in found if given.get(one["name"]) == version_of(one)]
        with ThreadPoolExecutor(self.workers, thread_name_prefix="datastores-archive") as pool:
            outcomes = list(pool.map(lambda path: self._move(path, root, given), copied))
        pairs = zip(copied, outcomes, strict=True)
        if stay := [path for path, one in pairs if one is _Outcome.OBSTRUCTED]:
            warnings.warn(
                f"copied, but not moved, since others are in their place in {self.folder}: {stay[0]!r}"
                + (f" and {len(stay) - 1:,} more" if len(stay) > 1 else ""),
                DatastoreWarning,
                stacklevel=5,
            )
        return outcomes.count(_Outcome.MOVED)

    def _move(self, path: str, root: str, given: Mapping[str, str]) -> _Outcome:
        driver, place = self.source.driver, join_path(self.folder, inner_path(path, root))
        try:
            retried(lambda: driver.move_file(path, place, version=given[path]))
        except (NotFoundError, PreconditionFailedError):
            return _Outcome.CHANGED
        except AlreadyExistsError:
            return _Outcome.OBSTRUCTED
        return _Outcome.MOVED


def _folder(given: StorePath | str, driver: FileDriver, options: CopyOptions) -> str:
    path = given
    if isinstance(given, StorePath) or "://" in given:
        end = resolve(given, options)
        if isinstance(end, Scan) or end.store.filesystem != driver.filesystem:
            raise ConfigurationError(
                f"the archive {given} is in another store than the source",
                advice="Name a folder of the source's store",
            )
        path = end.path
    folder = normalize_path(str(path)).rstrip("/")
    if not folder or is_glob(folder):
        raise ConfigurationError(f"the archive {given} is no folder", advice="Name one, as a path")
    return folder


def _refuse_listed(source: SourceFiles, target: StorePath, folder: str) -> None:
    """Refuse an archive whose files the source, or the target, would show."""
    path = normalize_path(source.path).rstrip("/")
    root = path
    if is_glob(path):
        # The files of a pattern without ** are all as deep: an archive further down is not seen.
        segments = path.split("/")
        first = next(number for number, one in enumerate(segments) if is_glob(one))
        root = "/".join(segments[:first])
        seen = folder == root or _is_in(root, folder) or ("**" in path and _is_in(folder, root))
    else:
        seen = folder == root or _is_in(root, folder) or _is_in(folder, root)
    places = [(source.path, seen)]
    if isinstance(target.store.driver, FileDriver):
        same = target.store.filesystem == source.driver.filesystem
        inside = target.path.rstrip("/")
        places.append((target.path, same and (folder == inside or _is_in(folder, inside))))
    for place, refused in places:
        if refused:
            raise ConfigurationError(
                f"the archive {folder!r} is a part of {place!r}, or holds it",
                advice="Name a folder beside it",
            )


def _is_in(path: str, folder: str) -> bool:
    return not folder or path.startswith(f"{folder}/")
