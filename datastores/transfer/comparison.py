"""What a comparison of two places found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from datastores.display import html_table

_MAX_VALUE = 60
_CONTEXT = 20
_MAX_RANGES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnDifference:
    """A column that one side lacks, or whose values can never be equal."""

    name: str
    one: str | None
    """Its Arrow type; None where there is no such column."""
    other: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueDifference:
    """A column that differs between the two rows of a key."""

    column: str
    one: Any
    """As JSON holds it exactly: decimals, dates, times and bytes are text."""
    other: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDifference:
    """A key whose rows differ; without a key, a row that does not stand equally often on both sides."""

    key: Mapping[str, Any]
    """Its values by column, as JSON holds them; of all columns where there is no key."""
    one_rows: int
    """How many rows have this key there."""
    other_rows: int
    values: tuple[ValueDifference, ...] = ()
    """Where one row on each side has no equal on the other: in which columns they differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Whether two places hold the same rows, and where they do not. True if they do.

    Prints as a few lines, and exports as JSON.
    """

    one: str
    other: str
    equal: bool
    one_rows: int | None = None
    """None where the columns differ: no row was read then."""
    other_rows: int | None = None
    one_digest: str | None = None
    """The same as a verified copy's, for the same rows."""
    other_digest: str | None = None
    columns: tuple[ColumnDifference, ...] = ()
    """Differences that were found without reading."""
    keys: tuple[str, ...] = ()
    """The columns that tell rows apart; empty if whole rows were compared."""
    note: str | None = None
    """Why whole rows were compared."""
    ranges: tuple[str, ...] = ()
    """Where `differences` were found, where keys have an order."""
    differences: tuple[KeyDifference, ...] = ()
    """The first ones."""
    complete: bool = True
    """Whether `differences` are all there are."""
    seconds: float

    def __bool__(self) -> bool:
        return self.equal

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the fields as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def first_differences(self, count: int = 3) -> str:
        """Return the first keys that differ as one sentence, for a message."""
        names = self._names()
        shown = []
        for found in self.differences[:count]:
            cells = [
                f"{column} is {one} in {names[0]} and {other} in {names[1]}"
                if column
                else one or other
                for column, one, other in self._cells(found)
            ]
            shown.append(f"{_pairs(found.key)}: {', '.join(cells)}")
        shown += [
            f"{one.name}: {_typed(names[0], one.one)}, {_typed(names[1], one.other)}"
            for one in self.columns[:count]
        ]
        return f"what differs first is {'; '.join(shown)}"

    @override
    def __str__(self) -> str:
        return "\n".join([self._verdict(), *self._where(), *self._details()])

    def _repr_html_(self) -> str:
        lines = [self._verdict(), *self._where()]
        shown = html_table(("comparison",), [(line.strip(),) for line in lines])
        if self.columns:
            return shown + html_table(
                ("column", self.one, self.other),
                [(one.name, one.one, one.other) for one in self.columns],
            )
        if not self.differences:
            return shown
        rows = [
            (_pairs(found.key), *cells)
            for found in self.differences
            for cells in self._cells(found)
        ]
        return shown + html_table(("key" if self.keys else "row", "", *self._names()), rows)

    def _verdict(self) -> str:
        sides = " · ".join(
            label if rows is None else f"{label} {_count(rows, 'row')}"
            for label, rows in ((self.one, self.one_rows), (self.other, self.other_rows))
        )
        if self.equal and self.one_digest:
            return f"{sides}: equal, digest {self.one_digest[:4]}…{self.one_digest[-4:]}"
        return f"{sides}: different"

    def _where(self) -> list[str]:
        if self.columns:
            return [f"{_count(len(self.columns), 'column')}, and no row was read:"]
        lines = [self.note] if self.note else []
        if not self.differences:
            return lines
        what = _count(len(self.differences), "key" if self.keys else "row")
        first = "" if self.complete else "the first "
        # What comes first is followed by its place alone.
        differ = (
            "" if not self.complete else " differs" if len(self.differences) == 1 else " differ"
        )
        shown = [*self.ranges[:_MAX_RANGES]]
        if further := len(self.ranges) - len(shown):
            shown.append(f"and {_count(further, 'range')} more")
        place = f" in {'; '.join(shown)}" if shown else ""
        lines.append(f"{first}{what}{differ}{place}:")
        return lines

    def _details(self) -> list[str]:
        names = self._names()
        lines = [
            f"  {one.name}   {_typed(names[0], one.one)}    {_typed(names[1], one.other)}"
            for one in self.columns
        ]
        for found in self.differences:
            key = _pairs(found.key)
            for column, one, other in self._cells(found):
                if not column:
                    lines.append(f"  {key}   {one or other}")
                    continue
                lines.append(f"  {key}   {column}    {names[0]} {one}    {names[1]} {other}")
                key = " " * len(key)
        return lines

    def _cells(self, found: KeyDifference) -> list[tuple[str, str, str]]:
        """Return column and both sides' words; without a column, one side's words say it all."""
        if found.values:
            return [(one.column, *_pair(one.one, one.other)) for one in found.values]
        if not found.other_rows:
            times = f", {found.one_rows:,} times" if found.one_rows > 1 else ""
            return [("", f"only in {self.one}{times}", "")]
        if not found.one_rows:
            times = f", {found.other_rows:,} times" if found.other_rows > 1 else ""
            return [("", "", f"only in {self.other}{times}")]
        if found.one_rows == found.other_rows:
            return [("", f"{found.one_rows:,} rows on each side, which are not the same", "")]
        return [("rows", f"{found.one_rows:,}", f"{found.other_rows:,}")]

    def _names(self) -> tuple[str, str]:
        """Return the stores' names if they tell the sides apart, else where the sides are."""
        stores = (self.one.partition("/")[0], self.other.partition("/")[0])
        return stores if stores[0] != stores[1] else (self.one, self.other)


def _typed(name: str, type_: str | None) -> str:
    return f"{name} {type_}" if type_ else f"not in {name}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_cut(_shown(value))}" for name, value in values.items())


def _pair(one: Any, other: Any) -> tuple[str, str]:
    """Return two values that differ, cut so that the first difference shows."""
    texts = (_shown(one), _shown(other))
    if max(map(len, texts)) <= _MAX_VALUE:
        return texts
    same = next((at for at, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), 0)
    same = same or min(map(len, texts))
    start = same - _CONTEXT
    one, other = (f"…{text[start:]}" if start > 0 else text for text in texts)
    return _cut(one), _cut(other)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}…"


def _shown(value: Any) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    # What would look like something else, or like nothing.
    plain = value and value != "NULL" and value.strip() == value and value.isprintable()
    return value if plain else repr(value)
