"""What a copy takes of a folder because its files are new, and what it leaves for the next one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from typing_extensions import override

from datastores.bridges.files_as_tables import FilesAsTables
from datastores.datastore import StorePath
from datastores.drivers.base import FileDriver
from datastores.drivers.increments import Bookmark
from datastores.drivers.journal import dump, load, packed, unpacked
from datastores.drivers.new_files import FileRange
from datastores.drivers.reading import ReadPlan, ScanRequest
from datastores.errors import ConfigurationError, NotFoundError
from datastores.filters import both, parse_filters
from datastores.scan import Scan
from datastores.transfer.increment import BEGINS, Increment, check_goes_on
from datastores.transfer.journal import hash_of
from datastores.transfer.options import FILE_OPTIONS, CopyOptions
from datastores.values import WriteMode


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFiles:
    """A folder, file or glob that a copy is from, as rows or as it is."""

    driver: FileDriver
    path: str
    request: ScanRequest
    """For its rows, without what is new."""

    @classmethod
    def of(cls, source: StorePath | Scan, options: CopyOptions) -> SourceFiles:
        """Return the files that a copy is from.

        Raises:
            ConfigurationError: It is from no files.
        """
        if isinstance(source, Scan):
            driver, request = source.driver, source.request
            path = None if request.table is None else request.table.name
        else:
            driver, request, path = source.store.tabular, ScanRequest(), source.path
        if path is None or not isinstance(driver, FilesAsTables):
            words = ", ".join(sorted(FILE_OPTIONS & options.keys()))
            raise ConfigurationError(
                f"{words}: the source is no file, folder or glob of a file store",
                advice="Use cursor for the new rows of a table",
            )
        filters = both(request.filters, parse_filters(options.get("filters")))
        return cls(driver=driver.files, path=path, request=replace(request, filters=filters))

    def bookmark_name(self, target: StorePath) -> str:
        """Return a name for what a target remembers of these files."""
        source = [self.driver.type_name, self.driver.place, self.path.rstrip("/")]
        places = [target.store.type, target.store.driver.place, target.path.rstrip("/")]
        return hash_of([*source, *places, self.request.filters, "files"])


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIncrement(Increment):
    """The files of one copy: new ones, or those modified since a moment."""

    source: str
    """The path, for errors."""
    name: str | None
    """Of the bookmark; None if nothing is to be remembered."""
    before: str | None
    """What the target remembers."""
    begins: bool
    """Whether files are taken that were given before: the target is made by this copy."""
    range: FileRange

    @classmethod
    def of(
        cls,
        source: SourceFiles,
        target: StorePath,
        options: CopyOptions,
        kept: Mapping[str, Any] | None,
        *,
        exists: Callable[[], bool],
        replaces: bool,
    ) -> FileIncrement | None:
        """Return what a copy takes, before its files are listed; None if it takes all files.

        Args:
            source: The files.
            target: Remembers what it was given.
            options: Of the copy.
            kept: Of an earlier call of the same job: this one ends with the files of that.
            exists: Tells whether the target is there.
            replaces: Whether a file that changed takes the place of what it was.

        Raises:
            ConfigurationError: The options leave open which files come next.
        """
        since = _moment(options.get("modified_since"))
        if not options.get("new_files") and since is None:
            return None
        if "cursor" in options:
            raise ConfigurationError(
                "a copy has new rows by a cursor, or new files: not both",
                advice="Leave out cursor, or new_files and modified_since",
            )
        mode = WriteMode.parse(options.get("mode", WriteMode.CREATE))
        name = before = None
        if options.get("new_files"):
            check_goes_on(source.request, mode, "new_files")
            name = source.bookmark_name(target)
            before = target.store.tabular.find_bookmark(name)
        begins = mode in BEGINS or not exists()
        goes_on = kept is not None and kept["before"] == hash_of(before)
        range_ = FileRange(
            known={} if begins else _files_of(before, target),
            since=since,
            begun=frozenset(unpacked(kept["files"])) if kept and goes_on else None,
            takes_changed=replaces or mode is WriteMode.UPSERT,
        )
        return cls(source=source.path, name=name, before=before, begins=begins, range=range_)

    @override
    def ask(self, request: ScanRequest) -> ScanRequest:
        return replace(request, files=self.range)

    @override
    def found(self, plan: ReadPlan) -> FileIncrement:
        return self if plan.files is None else self.of_range(plan.files)

    def of_range(self, range_: FileRange) -> FileIncrement:
        """Return the same with the files that were found.

        Raises:
            NotFoundError: There is none to make the target of.
        """
        found = replace(self, range=range_)
        if self.begins and not range_.taken:
            raise NotFoundError(
                f"no file in {self.source!r} to begin with: {found.words()}",
                advice="datastores ls shows what there is; nothing was changed",
            )
        return found

    @property
    @override
    def is_empty(self) -> bool:
        return not self.range.taken

    @property
    @override
    def bookmark(self) -> Bookmark | None:
        if self.name is None:
            return None
        files = dict(sorted({**self.range.known, **self.range.taken}.items()))
        return Bookmark(name=self.name, before=self.before, text=dump({"files": packed(files)}))

    @property
    @override
    def kept(self) -> Mapping[str, Any]:
        return {"before": hash_of(self.before), "files": packed(list(self.range.taken))}

    @property
    @override
    def condition(self) -> Any:
        return None

    @override
    def words(self) -> str:
        return self.range.words()


def files_given(source: SourceFiles, target: StorePath) -> Mapping[str, str]:
    """Return the files that a target was given: the version of each by its path."""
    return _files_of(target.store.tabular.find_bookmark(source.bookmark_name(target)), target)


def _files_of(text: str | None, target: StorePath) -> Mapping[str, str]:
    if text is None:
        return {}
    files: Mapping[str, str]
    files = unpacked(load(text, f"what {target} remembers of files")["files"])
    return files


def _moment(value: datetime | str | None) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ConfigurationError(
                f"modified_since is no time: {value!r}", advice=_ADVICE
            ) from None
    if value is not None and value.tzinfo is None:
        raise ConfigurationError(f"modified_since has no zone: {value}", advice=_ADVICE)
    return value


_ADVICE = "Write it as 2026-11-01T00:00:00Z, or with +01:00 in place of Z"
