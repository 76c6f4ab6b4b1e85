"""Copies of files as they are, byte by byte: staged beside the target, then published."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from typing_extensions import override

from datastores.bridges.discovery import is_emptied
from datastores.bridges.file_bookmarks import next_move
from datastores.bridges.file_journal import FileJournal, FileMove, Publication, only_first
from datastores.datastore import Datastore, StorePath
from datastores.drivers.base import Driver, FileDriver, FolderChange, require
from datastores.drivers.new_files import version_of
from datastores.drivers.writing import JobEntry, Receipt
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    UnsupportedOperationError,
    located,
)
from datastores.formats.registry import known_ending
from datastores.scan import Scan
from datastores.transfer.endpoints import place
from datastores.transfer.file_work import FileWork, SourceFile
from datastores.transfer.new_files import FileIncrement, SourceFiles
from datastores.transfer.options import DEFAULT_WORKERS, FILE_OPTIONS, ROW_OPTIONS, CopyOptions
from datastores.transfer.parts import Asked, Job, Part
from datastores.transfer.plan import CopyPlan
from datastores.types.digest import Digest
from datastores.values import WriteMode

PART_BYTES = 128 << 20

_MODES = (WriteMode.CREATE, WriteMode.REPLACE, WriteMode.APPEND, WriteMode.CREATE_APPEND)
_GLOB = re.compile(r"[*?\[]")


def copies_bytes(source: StorePath | Scan, target: StorePath, options: CopyOptions) -> bool:
    """Return whether nothing changes on the way, so that files can be copied as they are.

    Both ends are file stores, no option changes rows, and the target's name does not ask for
    another format than the source's.
    """
    if isinstance(source, Scan) or ROW_OPTIONS & options.keys():
        return False
    if not all(isinstance(end.store.driver, FileDriver) for end in (source, target)):
        return False
    if _GLOB.search(source.path):
        return not known_ending(target.path)
    # A folder of parts becomes one file, and a file becomes another format, only as rows.
    return known_ending(target.path) in {known_ending(source.path), ""}


class FileJob(Job):
    """A copy of one file, a folder or a glob."""

    def __init__(self, asked: Asked) -> None:
        source, target, options = asked.source, asked.target, asked.options
        assert isinstance(source, StorePath)  # noqa: S101  # copies_bytes has looked
        super().__init__(asked)
        self._source, self._target = source.store, target.store
        self._mode = WriteMode.parse(options.get("mode", WriteMode.CREATE))
        require(
            self._driver,
            "write",
            declared=self._driver.capabilities.writable_files,
            target=str(target),
        )
        if self._mode not in _MODES:
            raise UnsupportedOperationError(
                f"files are not copied in mode {self._mode}",
                advice=f"The modes for files are {', '.join(_MODES)}",
            )
        with located(store=target.store.name, operation="copy", target=target.path):
            self._increment = self._increment_of(source)
        with located(store=source.store.name, operation="copy", target=source.path):
            files = self._find(source)
            single = len(files) == 1 and files[0].path == source.path
        with located(store=target.store.name, operation="copy", target=target.path):
            self._file, self._folder = self._aim(files, target, single=single)
            self._refuse_existing()
        self._journal = FileJournal(self._driver, asked.identity.job)
        self._staging = self._journal.folder
        self._verify = bool(options.get("verify"))
        self.parts = _parts(files)
        workers = options.get("workers", DEFAULT_WORKERS)
        shown = StorePath(target.store, self._file or f"{self._folder}/")
        self.plan = CopyPlan(
            job=asked.identity.job,
            source=place(source),
            target=place(shown),
            mode=self._mode,
            rows=None,
            bytes=sum(one.size for one in files),
            parts=tuple(part.label for part in self.parts),
            split_by="files",
            workers=min(workers, len(self.parts)),
            snapshot=None,
            columns=(),
            bulk_path="files as they are",
            publish=f"published {self._driver.capabilities.write_modes[self._mode]}",
            verify=self._verify,
            new_files=self._increment.words() if self._increment else None,
        )

    def _increment_of(self, source: StorePath) -> FileIncrement | None:
        """Return what is asked for as new."""
        target, options, entry = self._asked.target, self._asked.options, self._asked.entry
        if not FILE_OPTIONS & options.keys():
            return None
        return FileIncrement.of(
            SourceFiles.of(source, options),
            target,
            options,
            None if entry is None else self._asked.identity.kept(entry),
            exists=lambda: _has_files(target),
            replaces=True,
        )

    def _find(self, source: StorePath) -> list[SourceFile]:
        """Return the files to copy: all, or those that are new."""
        if self._increment is None:
            return _find(source)
        range_ = self._increment.range
        try:
            found = _find(source)
        except NotFoundError as error:
            if not is_emptied(range_, error):
                raise
            found = []
        new, range_ = range_.chosen(found)
        self._increment = self._increment.of_range(range_)
        return new

    @override
    def begin(self) -> JobEntry | None:
        with self._at_target():
            kept = None if self._increment is None else self._increment.kept
            self._journal.begin(
                self._file or self._folder, self._asked.identity.journal("", len(self.parts), kept)
            )
        return self._asked.entry

    @override
    def work(self, part: Part) -> FileWork:
        driver = self._source.driver
        assert isinstance(driver, FileDriver)  # noqa: S101  # copies_bytes has looked
        return FileWork(
            part=part,
            call=self.call,
            job=self._asked.identity.job,
            verify=self._verify,
            source=driver,
            target=self._driver,
            source_store=self._source.name,
            target_store=self._target.name,
            place=self._file or self._folder,
        )

    @override
    def ends(self) -> Mapping[str, Driver]:
        return {one.label: one.driver for one in (self._source, self._target)}

    @override
    def is_unchanged(self, item: SourceFile, mark: str, rows: int, rejected: int | None) -> bool:
        return item.mark == mark

    @override
    def forget(self, part: str) -> None:
        with self._at_target():
            self._journal.forget(part)

    @override
    def publish(self, receipts: Sequence[Receipt]) -> None:
        with self._at_target():
            publication = self._journal.decided()
            if publication is None:
                chosen = only_first(receipts)
                publication = self._journal.decide(self._publication(chosen), chosen)
            publication.carry_out(self._driver)

    def _publication(self, receipts: Sequence[Receipt]) -> Publication:
        bookmark = self._increment and self._increment.bookmark
        move = next_move(self._driver, bookmark, self._asked.identity.job) if bookmark else None
        staged = [path for receipt in receipts for path in receipt.outputs]
        if self._file is not None:
            size = sum(one.bytes for one in receipts)
            replace = self._mode is WriteMode.REPLACE
            file = FileMove(staged=staged[0], path=self._file, size=size, replace=replace)
            return Publication(files=(file,), bookmark=move)
        # Below the staging folder comes the attempt, and then the place in the target.
        prefix = len(self._staging.split("/")) + 1
        change = FolderChange(
            folder=self._folder,
            add=tuple((path, "/".join(path.split("/")[prefix:])) for path in staged),
            clear=("",) if self._mode is WriteMode.REPLACE else (),
            must_be_absent=self._mode is WriteMode.CREATE,
        )
        return Publication(folder=change, bookmark=move)

    @override
    def verify(self, digests: Sequence[Digest]) -> str | None:
        """Each file was compared while it was staged, before anything was published."""
        return None

    @override
    def leave(self) -> bool:
        """Nothing is held between two calls on files."""
        return True

    @override
    def discard(self) -> None:
        self._journal.remove()

    @override
    def close(self) -> None:
        """A file source holds nothing open between parts."""

    def _at_target(self) -> AbstractContextManager[None]:
        return located(store=self._target.name, operation="copy", target=self._file or self._folder)

    @property
    def _driver(self) -> FileDriver:
        driver = self._target.driver
        assert isinstance(driver, FileDriver)  # noqa: S101  # copies_bytes has looked
        return driver

    def _aim(
        self, files: list[SourceFile], target: StorePath, *, single: bool
    ) -> tuple[str | None, str]:
        """Return the target file of a single one (else None), and the target folder."""
        path = target.path.rstrip("/")
        if not single:
            if not path:
                raise ConfigurationError(
                    "a folder is not copied to a store's root, which cannot be published at once",
                    advice="Name a folder in it",
                )
            return None, path
        into_folder = not path or target.path.endswith("/") or self._target.filesystem.isdir(path)
        file = posixpath.join(path, files[0].relative) if into_folder else path
        if self._mode is WriteMode.APPEND:
            raise ConfigurationError(
                f"a file is not appended to {file!r}",
                advice="Copy it into a folder, or say replace",
            )
        return file, posixpath.dirname(file)

    def _refuse_existing(self) -> None:
        filesystem = self._target.filesystem
        exists = (
            filesystem.exists(self._file)
            if self._file is not None
            else _has_files(StorePath(self._target, self._folder))
        )
        never_replaced = self._mode is WriteMode.CREATE or (
            self._mode is WriteMode.CREATE_APPEND and self._file is not None
        )
        if exists and never_replaced:
            raise AlreadyExistsError(
                f"{self._file or self._folder} exists already, and the mode is {self._mode}",
                advice="Say mode replace, or append for a folder; nothing was changed",
            )
        if not exists and self._mode is WriteMode.APPEND:
            raise NotFoundError(
                f"{self._folder} does not exist, and the mode is append",
                advice="Say mode create_append; nothing was changed",
            )


def _has_files(folder: StorePath) -> bool:
    # Not `find`: it lists a hundred thousand files to say that there is one.
    return any(files for _, _, files in folder.store.filesystem.walk(folder.path))


def _find(source: StorePath) -> list[SourceFile]:
    """Return the files that a path, folder or glob names, sorted; an error if there is none."""
    store, path = source.store, source.path.rstrip("/")
    filesystem = store.filesystem
    if match := _GLOB.search(path):
        found = filesystem.glob(path, detail=True)
        root = posixpath.dirname(path[: match.start()])
    elif filesystem.isdir(path):
        found, root = filesystem.find(path, detail=True), path
    else:
        info = filesystem.info(path)
        return [_found(path, posixpath.basename(path), info)]
    staging = _staging_of(store)
    files = [
        _found(name, posixpath.relpath(name, root or "."), info)
        for name, info in _files(found)
        if not name.startswith(staging)
    ]
    if not files:
        raise NotFoundError(
            f"no file in {source.path!r}", advice="datastores ls shows what there is"
        )
    return sorted(files, key=lambda one: one.path)


def _found(path: str, relative: str, info: Mapping[str, Any]) -> SourceFile:
    return SourceFile(
        path=path,
        relative=relative,
        size=info["size"],
        version=version_of(info),
        modified=info.get("mtime"),
    )


def _files(found: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, info in found.items():
        if info["type"] not in {"file", "directory"}:
            raise UnsupportedOperationError(
                f"{name!r} is neither a file nor a folder, but perhaps a link out of the store",
                target=name,
                advice="Copy the rest by a glob, or remove it; nothing was changed",
            )
        if info["type"] == "file":
            yield name.strip("/"), info


def _staging_of(store: Datastore) -> str:
    return f"{getattr(store.config, 'staging_path', '')}/"


def _parts(files: Sequence[SourceFile]) -> list[Part]:
    """Return groups of neighbouring files of at most about `PART_BYTES`."""
    groups: list[list[SourceFile]] = []
    filled = 0
    for file in files:
        if not groups or filled + file.size > PART_BYTES:
            groups.append([])
            filled = 0
        groups[-1].append(file)
        filled += file.size
    return [
        Part(
            name=str(number),
            label=group[0].path if len(group) == 1 else f"{len(group)} files",
            items=tuple(group),
            bytes=sum(one.size for one in group),
        )
        for number, group in enumerate(groups)
    ]
