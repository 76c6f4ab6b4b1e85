"""What a copy takes because it is new: the contract, and the rows of a copy by cursor."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from typing_extensions import override

from datastores.datastore import StorePath
from datastores.drivers.base import TableDriver
from datastores.drivers.increments import Bookmark, CursorRange
from datastores.drivers.journal import dump, load
from datastores.drivers.reading import ReadPlan, ScanRequest
from datastores.errors import ConfigurationError, NotFoundError
from datastores.transfer.endpoints import RowSource, table_at
from datastores.transfer.journal import hash_of
from datastores.transfer.options import CopyOptions
from datastores.values import WriteMode

BEGINS = (WriteMode.CREATE, WriteMode.REPLACE)
_ADDS = (WriteMode.APPEND, WriteMode.CREATE_APPEND, WriteMode.UPSERT)


class Increment(ABC):
    """What one copy takes of its source, before it is planned and after."""

    @abstractmethod
    def ask(self, request: ScanRequest) -> ScanRequest:
        """Return a request for all rows as one for those to take."""

    @abstractmethod
    def found(self, plan: ReadPlan) -> Self:
        """Return what a plan that was asked for takes."""

    @property
    @abstractmethod
    def is_empty(self) -> bool:
        """Whether there is nothing to copy, and nothing new to remember."""

    @property
    @abstractmethod
    def bookmark(self) -> Bookmark | None:
        """What the target is to remember; None for nothing."""

    @property
    @abstractmethod
    def kept(self) -> Mapping[str, Any]:
        """What the job's journal keeps of it as plain values, for the call that goes on."""

    @property
    @abstractmethod
    def condition(self) -> Any:
        """What a part's rows depend on beside what its source's mark tells, as plain values."""

    @abstractmethod
    def words(self) -> str:
        """Return what is new for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorIncrement(Increment):
    """The rows of one copy by cursor."""

    name: str
    """Of the bookmark."""
    before: str | None
    """What the target remembers."""
    begins: bool
    """Whether every row is taken: nothing is remembered, or it is of no use to this copy."""
    range: CursorRange

    @classmethod
    def of(
        cls,
        source: RowSource,
        target: StorePath,
        options: CopyOptions,
        kept: Mapping[str, Any] | None,
    ) -> CursorIncrement | None:
        """Return what a copy takes, its end being open; None if it has no cursor.

        Args:
            source: The rows, as they are without the cursor.
            target: Remembers what it was given.
            options: Of the copy.
            kept: Of an earlier call of the same job: this one ends where that did.

        Raises:
            ConfigurationError: The mode, or a limit, leaves open which rows come next.
        """
        column = options.get("cursor")
        if column is None:
            return None
        mode = WriteMode.parse(options.get("mode", WriteMode.CREATE))
        check_goes_on(source.request, mode, "a cursor")
        driver = target.store.tabular
        name = _name(source, target, column)
        before = driver.find_bookmark(name)
        begins = before is None or mode in BEGINS or not has_table(driver, target)
        range_ = CursorRange(column=column)
        if before is not None and not begins:
            remembered = load(before, f"what {target} remembers of {source}")
            range_ = CursorRange(**remembered, inclusive=mode is WriteMode.UPSERT)
        if kept is not None and kept["after"] == range_.after:
            range_ = replace(range_, until=kept["until"])
        return cls(name=name, before=before, begins=begins, range=range_)

    @override
    def ask(self, request: ScanRequest) -> ScanRequest:
        return replace(request, cursor=self.range)

    @override
    def found(self, plan: ReadPlan) -> CursorIncrement:
        return self if plan.cursor is None else replace(self, range=plan.cursor)

    @property
    @override
    def is_empty(self) -> bool:
        return not self.begins and self.range.until is None

    @property
    @override
    def kept(self) -> Mapping[str, Any]:
        return dataclasses.asdict(self.range)

    @property
    @override
    def condition(self) -> Any:
        return dataclasses.asdict(self.range)

    @property
    @override
    def bookmark(self) -> Bookmark:
        end = self.range.after if self.range.until is None else self.range.until
        text = dump({"column": self.range.column, "type": self.range.type, "after": end})
        return Bookmark(name=self.name, before=self.before, text=text)

    @override
    def words(self) -> str:
        range_ = self.range
        if self.is_empty:
            return f"nothing new: {range_.column} is at {range_.after}"
        start = "from the beginning"
        if range_.after is not None:
            start = f"{'from' if range_.inclusive else 'above'} {range_.after}"
        return f"{range_.column} {start} up to {range_.until}"


def check_goes_on(request: ScanRequest, mode: WriteMode, word: str) -> None:
    """Refuse a copy after which it is open what comes next.

    Args:
        request: For the source, as it is without what is new.
        mode: Of the copy.
        word: How the copy says what is new.
    """
    if mode not in (*BEGINS, *_ADDS):
        raise ConfigurationError(
            f"a copy with {word} has no mode {mode}, which would take earlier rows away",
            advice=f"Use {', '.join(_ADDS)}, or {' or '.join(BEGINS)} to begin anew",
        )
    if request.limit is not None:
        raise ConfigurationError(
            f"a scan with a limit has no {word.removeprefix('a ')}",
            advice="Leave out one of the two",
        )


def has_table(driver: TableDriver, target: StorePath) -> bool:
    """Return whether the target is there as a table."""
    try:
        driver.schema(table_at(target))
    except NotFoundError:
        return False
    return True


def _name(source: RowSource, target: StorePath, column: str) -> str:
    """Return a name for these rows, however they are read, at this target."""
    request = source.request
    rows: list[Any] = [str(request.table).rstrip("/"), request.query, request.parameters]
    places = [source.driver.type_name, source.driver.place]
    places += [target.store.type, target.store.driver.place, str(table_at(target)).rstrip("/")]
    return hash_of([*places, *rows, request.filters, column])
