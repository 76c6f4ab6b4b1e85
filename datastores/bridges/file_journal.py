"""A job's journal in a file store: small documents in the job's folder of the staging, each written once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from datastores.bridges.file_bookmarks import BookmarkMove, newest_of
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.increments import Bookmark
from datastores.drivers.journal import dump, load, now, readable, receipt_values, receipts_of
from datastores.drivers.writing import JobEntry, JobState, Receipt
from datastores.errors import (
    AlreadyExistsError,
    DatastoreError,
    NotFoundError,
    PreconditionFailedError,
)
from datastores.location import join_path

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

_JOB, _PUBLICATION, _RECEIPTS = "job.json", "publication.json", "receipts"


@dataclass(frozen=True, slots=True, kw_only=True)
class FileMove:
    """A staged file on its way to its own path."""

    staged: str
    path: str
    size: int
    replace: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """All that publishing does: decided once, and carried out as often as need be."""

    files: tuple[FileMove, ...] = ()
    """One after the other."""
    folder: FolderChange | None = None
    bookmark: BookmarkMove | None = None
    """First: whoever reads it finishes what is still to be done."""

    def carry_out(self, driver: FileDriver) -> None:
        """Make it true; what was done before is found and left.

        Raises:
            AlreadyExistsError: The target came to be meanwhile, and is not to be replaced.
            NotFoundError: A staged file is gone.
            PreconditionFailedError: Another job has gone on from the same bookmark.
        """
        if self.bookmark is None:
            self._publish(driver)
            return
        self.bookmark.claim(driver.filesystem)
        try:
            self._publish(driver)
        except DatastoreError as error:
            if not error.transient:
                self.bookmark.release(driver.filesystem)
            raise
        self.bookmark.settle(driver.filesystem)

    def _publish(self, driver: FileDriver) -> None:
        for one in self.files:
            if not _is_moved(driver.filesystem, one):
                driver.publish_file(one.staged, one.path, replace=one.replace)
        if self.folder is not None:
            driver.publish_folder(self.folder)


class FileJournal:
    """The journal of one job.

    Args:
        driver: Of the store.
        job: Its id.
    """

    def __init__(self, driver: FileDriver, job: str) -> None:
        self._filesystem = driver.filesystem
        self._job = job
        self.folder = join_path(driver.config.staging_path, quote(job, safe=""))
        """Where the job stages."""

    def begin(self, target: str, journal: str) -> None:
        """Enter the job, unless an earlier call did."""
        self._create(_JOB, {"target": target, "journal": journal, "began": now()})

    def entry(self) -> JobEntry | None:
        """Return what is known of the job, or None."""
        state, found = JobState.PUBLISHED, self._read(_PUBLICATION)
        if found is None:
            state, found = JobState.WRITING, self._read(_JOB)
        if found is None:
            return None
        return JobEntry(
            job=self._job,
            target=found["target"],
            state=state,
            journal=found["journal"],
            receipts=receipts_of(found["receipts"]) if "receipts" in found else self.receipts(),
            began=datetime.fromisoformat(found["began"]),
        )

    def receipts(self) -> tuple[Receipt, ...]:
        """Return those of the parts that are finished."""
        folder = f"{self.folder}/{_RECEIPTS}"
        try:
            names = self._filesystem.ls(folder, detail=False)
        except NotFoundError:
            return ()
        found = (self._read(f"{_RECEIPTS}/{one.rpartition('/')[2]}") for one in sorted(names))
        return receipts_of(one for one in found if one is not None)

    def enter(self, receipt: Receipt) -> Receipt:
        """Enter a finished part; if another attempt was there first, its receipt is returned.

        Raises:
            PreconditionFailedError: The job was forgotten meanwhile.
        """
        self._begun()
        [values] = receipt_values([receipt])
        [entered] = receipts_of([self._create(_receipt_of(receipt.part), values)])
        return entered

    def forget(self, part: str) -> None:
        """Take a part out."""
        with suppress(NotFoundError):
            self._filesystem.rm_file(f"{self.folder}/{_receipt_of(part)}")

    def decide(self, publication: Publication, receipts: Sequence[Receipt]) -> Publication:
        """Enter how the job is published; if that was decided before, what was is returned."""
        job = self._begun()
        # With all that is known of the job, so that it is known until the last document is gone.
        values = job | {
            "files": [dataclasses.asdict(one) for one in publication.files],
            "folder": publication.folder and dataclasses.asdict(publication.folder),
            "bookmark": publication.bookmark and dataclasses.asdict(publication.bookmark),
            "receipts": receipt_values(receipts),
        }
        return _publication_of(self._create(_PUBLICATION, values))

    def decided(self) -> Publication | None:
        """Return how the job is published, if that was decided."""
        values = self._read(_PUBLICATION)
        return None if values is None else _publication_of(values)

    def remove(self) -> None:
        """Remove all that the job staged.

        Whenever that is cut short, what is left is taken for what it is: receipts go before what they
        vouch for, and last what says that the job was begun, or published.
        """
        filesystem = self._filesystem
        with suppress(NotFoundError):
            filesystem.rm(f"{self.folder}/{_RECEIPTS}", recursive=True)
        last = [f"{self.folder}/{one}" for one in (_JOB, _PUBLICATION)]
        with suppress(NotFoundError):
            for path in filesystem.ls(self.folder, detail=False):
                if path not in last:
                    filesystem.rm(path, recursive=True)
        for path in last:
            with suppress(NotFoundError):
                filesystem.rm_file(path)
        # Another job may be about to use the folder: then it stays, or is made again.
        staging = self.folder.rpartition("/")[0]
        for folder in (self.folder, staging):
            with suppress(DatastoreError):
                if folder and not filesystem.ls(folder, detail=False):
                    filesystem.rmdir(folder)

    def _begun(self) -> dict[str, Any]:
        """Return what was entered when the job was begun."""
        job = self._read(_JOB)
        if job is None:
            raise PreconditionFailedError(
                f"job {self._job} was forgotten while it was written",
                advice="Copy again; nothing was published",
            )
        return job

    def _create(self, name: str, values: dict[str, Any]) -> dict[str, Any]:
        """Write a document, or return the one that is there already."""
        path = f"{self.folder}/{name}"
        try:
            self._filesystem.pipe_file(path, dump(values).encode(), mode="create")
        except AlreadyExistsError:
            there = self._read(name)
            if there is None:
                raise
            return there
        return values

    def _read(self, name: str) -> dict[str, Any] | None:
        path = f"{self.folder}/{name}"
        try:
            content = self._filesystem.cat_file(path)
        except NotFoundError:
            return None
        return load(content.decode(errors="replace"), f"the journal {path}")


def find_job(driver: FileDriver, job: str) -> JobEntry | None:
    """Return what the journal holds of a job, its publish being finished if it was decided."""
    journal = FileJournal(driver, job)
    entry = journal.entry()
    if entry is not None and entry.state is JobState.PUBLISHED:
        decided = journal.decided()
        assert decided is not None  # noqa: S101  # that is the state
        try:
            decided.carry_out(driver)
        except (AlreadyExistsError, PreconditionFailedError):
            # Somebody else's target, or turn: this job never was published, and will not be.
            journal.remove()
            return None
    return entry


def all_jobs(driver: FileDriver) -> list[JobEntry]:
    """Return the jobs that are in the staging, the oldest first."""
    try:
        folders = driver.filesystem.ls(driver.config.staging_path, detail=False)
    except NotFoundError:
        return []
    names = [unquote(one.rstrip("/").rpartition("/")[2]) for one in folders]
    found = [readable(FileJournal(driver, name).entry) for name in names]
    return sorted((one for one in found if one is not None), key=lambda one: one.began)


def find_bookmark(driver: FileDriver, name: str) -> str | None:
    """Return the text of a bookmark, the publish of the job that wrote it being finished."""
    found = newest_of(driver, name)
    if found is not None:
        _, job = found
        find_job(driver, job)
        found = newest_of(driver, name)
    return None if found is None else found[0]


def _receipt_of(part: str) -> str:
    return f"{_RECEIPTS}/{quote(part, safe='')}.json"


def _publication_of(values: dict[str, Any]) -> Publication:
    folder = values["folder"]
    if folder is not None:
        pairs = tuple((staged, inner) for staged, inner in folder["add"])
        folder = FolderChange(**{**folder, "add": pairs, "clear": tuple(folder["clear"])})
    bookmark = values["bookmark"]
    if bookmark is not None:
        bookmark = BookmarkMove(**{**bookmark, "bookmark": Bookmark(**bookmark["bookmark"])})
    files = tuple(FileMove(**one) for one in values["files"])
    return Publication(files=files, folder=folder, bookmark=bookmark)


def _is_moved(filesystem: AbstractFileSystem, move: FileMove) -> bool:
    """Tell whether a file was published before; an error if it is neither here nor there."""
    if filesystem.exists(move.staged):
        return False
    with suppress(NotFoundError):
        if filesystem.info(move.path)["size"] == move.size:
            return True
    raise NotFoundError(
        f"the staged file {move.staged!r} is gone",
        target=move.path,
        advice="Somebody replaced the target since: datastores jobs clean forgets the job",
    )


def only_first(receipts: Iterable[Receipt]) -> list[Receipt]:
    """Return one receipt for each part: of two attempts the first counts."""
    return list({one.part: one for one in reversed(list(receipts))}.values())
