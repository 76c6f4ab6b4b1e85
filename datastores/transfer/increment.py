"""What a copy by cursor takes, and what it leaves for the next one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from datastores.datastore import StorePath
from datastores.drivers.base import TableDriver
from datastores.drivers.increments import Bookmark, CursorRange
from datastores.drivers.journal import dump, load
from datastores.errors import ConfigurationError, NotFoundError
from datastores.transfer.endpoints import RowSource, table_at
from datastores.transfer.journal import hash_of
from datastores.transfer.options import CopyOptions
from datastores.values import WriteMode

_BEGINS = (WriteMode.CREATE, WriteMode.REPLACE)
_ADDS = (WriteMode.APPEND, WriteMode.CREATE_APPEND, WriteMode.UPSERT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Increment:
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
        cls, source: RowSource, target: StorePath, options: CopyOptions, kept: CursorRange | None
    ) -> Increment | None:
        """Return what a copy takes, its end being open; None if it has no cursor.

        Args:
            source: The rows, as they are without the cursor.
            target: Remembers what it was given.
            options: Of the copy.
            kept: The range of an earlier call of the same job: this one ends where that did.

        Raises:
            ConfigurationError: The mode, or a limit, leaves open which rows come next.
        """
        column = options.get("cursor")
        if column is None:
            return None
        mode = WriteMode.parse(options.get("mode", WriteMode.CREATE))
        _check(source, mode)
        driver = target.store.tabular
        name = _name(source, target, column)
        before = driver.find_bookmark(name)
        begins = before is None or mode in _BEGINS or not _exists(driver, target)
        range_ = CursorRange(column=column)
        if before is not None and not begins:
            remembered = load(before, f"what {target} remembers of {source}")
            range_ = CursorRange(**remembered, inclusive=mode is WriteMode.UPSERT)
        if kept is not None and kept.after == range_.after:
            range_ = replace(range_, until=kept.until)
        return cls(name=name, before=before, begins=begins, range=range_)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to copy, and nothing new to remember."""
        return not self.begins and self.range.until is None

    @property
    def bookmark(self) -> Bookmark:
        """What the target is to remember."""
        end = self.range.after if self.range.until is None else self.range.until
        text = dump({"column": self.range.column, "type": self.range.type, "after": end})
        return Bookmark(name=self.name, before=self.before, text=text)

    def words(self) -> str:
        """Return the range for people."""
        range_ = self.range
        if self.is_empty:
            return f"nothing new: {range_.column} is at {range_.after}"
        start = "from the beginning"
        if range_.after is not None:
            start = f"{'from' if range_.inclusive else 'above'} {range_.after}"
        return f"{range_.column} {start} up to {range_.until}"


def _check(source: RowSource, mode: WriteMode) -> None:
    if mode not in (*_BEGINS, *_ADDS):
        raise ConfigurationError(
            f"a copy with a cursor has no mode {mode}, which would take earlier rows away",
            advice=f"Use {', '.join(_ADDS)}, or {' or '.join(_BEGINS)} to begin anew",
        )
    if source.request.limit is not None:
        raise ConfigurationError(
            "a scan with a limit has no cursor", advice="Leave out one of the two"
        )


def _name(source: RowSource, target: StorePath, column: str) -> str:
    """Return a name for these rows, however they are read, at this target."""
    request = source.request
    rows: list[Any] = [str(request.table).rstrip("/"), request.query, request.parameters]
    places = [source.driver.type_name, source.driver.place]
    places += [target.store.type, target.store.driver.place, str(table_at(target)).rstrip("/")]
    return hash_of([*places, *rows, request.filters, column])


def _exists(driver: TableDriver, target: StorePath) -> bool:
    try:
        driver.schema(table_at(target))
    except NotFoundError:
        return False
    return True
