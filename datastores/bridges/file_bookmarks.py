"""What incremental copies remember in a file store: for each bookmark a folder of numbered documents.

The newest counts. To go on is to create the document of the next number: of two at once one can.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from datastores.drivers.base import FileDriver
from datastores.drivers.increments import Bookmark
from datastores.drivers.journal import dump, load
from datastores.errors import AlreadyExistsError, NotFoundError
from datastores.location import join_path

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

# No job has a name with a dot in it.
_FOLDER = "bookmarks.d"


@dataclass(frozen=True, slots=True, kw_only=True)
class BookmarkMove:
    """A bookmark on its way from one number to the next."""

    folder: str
    number: int
    job: str
    bookmark: Bookmark

    def claim(self, filesystem: AbstractFileSystem) -> None:
        """Create the document, unless that was done before.

        Raises:
            PreconditionFailedError: Another job was first.
        """
        path = self._path(self.number)
        content = dump({"job": self.job, "text": self.bookmark.text})
        try:
            filesystem.pipe_file(path, content.encode(), mode="create")
        except AlreadyExistsError:
            found = _read(filesystem, path)
            if found is None or found["job"] != self.job:
                raise self.bookmark.moved() from None
        if max(_numbers(filesystem, self.folder)) > self.number:
            # The number was given to somebody before, who has gone on since.
            self.release(filesystem)
            raise self.bookmark.moved()

    def release(self, filesystem: AbstractFileSystem) -> None:
        """Take the document back: what it says was not published."""
        with suppress(NotFoundError):
            filesystem.rm_file(self._path(self.number))

    def settle(self, filesystem: AbstractFileSystem) -> None:
        """Remove the documents before it: what it says is published."""
        for number in _numbers(filesystem, self.folder):
            if number < self.number:
                with suppress(NotFoundError):
                    filesystem.rm_file(self._path(number))

    def _path(self, number: int) -> str:
        return _document(self.folder, number)


def next_move(driver: FileDriver, bookmark: Bookmark, job: str) -> BookmarkMove:
    """Return how a job goes on from what its bookmark was when the copy was planned.

    Raises:
        PreconditionFailedError: It is another by now.
    """
    folder = _folder(driver, bookmark.name)
    newest = max(_numbers(driver.filesystem, folder), default=0)
    found = _read(driver.filesystem, _document(folder, newest)) if newest else None
    if (None if found is None else found["text"]) != bookmark.before:
        raise bookmark.moved()
    return BookmarkMove(folder=folder, number=newest + 1, job=job, bookmark=bookmark)


def newest_of(driver: FileDriver, name: str) -> tuple[str, str] | None:
    """Return the text of a bookmark and the job that wrote it; that may not be published yet."""
    folder = _folder(driver, name)
    numbers = _numbers(driver.filesystem, folder)
    found = _read(driver.filesystem, _document(folder, max(numbers))) if numbers else None
    return None if found is None else (found["text"], found["job"])


def _folder(driver: FileDriver, name: str) -> str:
    return join_path(driver.config.staging_path, f"{_FOLDER}/{name}")


def _document(folder: str, number: int) -> str:
    return f"{folder}/{number}.json"


def _numbers(filesystem: AbstractFileSystem, folder: str) -> list[int]:
    try:
        names = filesystem.ls(folder, detail=False)
    except NotFoundError:
        return []
    stems = [one.rpartition("/")[2].removesuffix(".json") for one in names]
    return [int(one) for one in stems if one.isdigit()]


def _read(filesystem: AbstractFileSystem, path: str) -> dict[str, Any] | None:
    try:
        content = filesystem.cat_file(path)
    except NotFoundError:
        return None
    return load(content.decode(errors="replace"), f"the bookmark {path}")
