"""Digests of rows by ranges of their keys: where two tables differ, in memory of a fixed size."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datastores.types.canonical import hash_rows
from datastores.types.digest import Digest, hash_batch, slices
from datastores.types.positions import Positions, positions_of

MAX_RANGES = 4_096

Sums = npt.NDArray[np.uint64]
"""For each range how many rows there are, and the sums of their hashes: three words."""


@dataclass(frozen=True, slots=True)
class Placing:
    """What gives each row a place among all: the order of a column, or the hash of several."""

    columns: tuple[str, ...]
    ordered: bool
    """By the order of the one column; else rows with equal values stand together, and no more."""

    def places(self, batch: pa.RecordBatch) -> Positions:
        """Return each row's place."""
        columns = [batch.column(name) for name in self.columns]
        if self.ordered:
            return positions_of(columns[0])
        places: Positions = hash_rows(self.columns, columns, len(batch))[0].view(np.int64)
        return places


@dataclass(frozen=True, slots=True)
class Span:
    """A run of places, both ends included."""

    placing: Placing
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class DifferingRange:
    """Rows that do not have the same digest on both sides."""

    spans: tuple[Span, ...]
    """All of which hold its rows."""
    one: Digest
    other: Digest

    @property
    def rows(self) -> int:
        """How many a side has at most."""
        return max(self.one.rows, self.other.rows)


def inside(batch: pa.RecordBatch, groups: Iterable[tuple[Span, ...]]) -> npt.NDArray[np.bool_]:
    """Return of each row whether all spans of one of the groups hold it."""
    places: dict[Placing, Positions] = {}
    found = np.zeros(len(batch), np.bool_)
    for group in groups:
        mask = np.ones(len(batch), np.bool_)
        for span in group:
            if span.placing not in places:
                places[span.placing] = span.placing.places(batch)
            mask &= (places[span.placing] >= span.low) & (places[span.placing] <= span.high)
        found |= mask
    return found


@dataclass(slots=True)
class Histogram:
    """Digests of rows by ranges of equal width, which doubles when there are too many of them.

    Ranges without rows cost nothing, so that a place far off does not make the others coarse.
    Histograms of parts `merge` into that of the whole.
    """

    placing: Placing
    within: tuple[Span, ...] = ()
    """Rows elsewhere do not count."""
    _shift: int = 0
    """A range is `2 ** shift` places wide."""
    _numbers: Positions = field(default_factory=lambda: np.empty(0, np.int64))
    _sums: Sums = field(default_factory=lambda: np.empty((3, 0), np.uint64))

    def add(self, batch: pa.RecordBatch) -> None:
        """Count a batch's rows.

        Raises:
            SchemaMismatchError: A column's type has no canonical values; named.
        """
        for part in slices(batch):
            rows = part.filter(pa.array(inside(part, [self.within]))) if self.within else part
            words = np.ones((3, len(rows)), np.uint64)
            words[1:] = hash_batch(rows)
            self._fold(self.placing.places(rows) >> self._shift, words)

    def merge(self, other: Self) -> None:
        """Count the rows of another histogram with the same placing."""
        self._widen(other._shift)
        self._fold(other._numbers >> (self._shift - other._shift), other._sums)

    def digest(self) -> Digest:
        """Return the digest of all rows."""
        return _digest(self._sums.sum(axis=1, dtype=np.uint64))

    def differing(self, other: Self) -> list[DifferingRange]:
        """Return the ranges that differ between two sides, in their order."""
        self._widen(other._shift)
        other._widen(self._shift)
        numbers = np.union1d(self._numbers, other._numbers)
        mine, others = self._at(numbers), other._at(numbers)
        width = 1 << self._shift
        return [
            DifferingRange(
                spans=(*self.within, Span(self.placing, low, low + width - 1)),
                one=_digest(mine[:, at]),
                other=_digest(others[:, at]),
            )
            for at in np.flatnonzero((mine != others).any(axis=0))
            for low in [int(numbers[at]) << self._shift]
        ]

    def _at(self, numbers: Positions) -> Sums:
        sums = np.zeros((3, len(numbers)), np.uint64)
        sums[:, np.searchsorted(numbers, self._numbers)] = self._sums
        return sums

    def _fold(self, numbers: Positions, sums: Sums) -> None:
        numbers = np.concatenate((self._numbers, numbers))
        order = np.argsort(numbers, kind="stable")
        self._numbers, self._sums = _grouped(
            numbers[order], np.concatenate((self._sums, sums), axis=1)[:, order]
        )
        shift, numbers = self._shift, self._numbers
        while len(numbers) > MAX_RANGES:
            shift, numbers = shift + 1, numbers >> 1
            numbers = numbers[_firsts(numbers)]
        self._widen(shift)

    def _widen(self, shift: int) -> None:
        if shift > self._shift:
            self._numbers, self._sums = _grouped(self._numbers >> (shift - self._shift), self._sums)
            self._shift = shift


def _grouped(numbers: Positions, sums: Sums) -> tuple[Positions, Sums]:
    """Add up what has the same number; the numbers are sorted."""
    if len(numbers) == 0:
        return numbers, sums
    firsts = _firsts(numbers)
    return numbers[firsts], np.add.reduceat(sums, firsts, axis=1)


def _firsts(numbers: Positions) -> npt.NDArray[np.intp]:
    """Return where each number stands first; they are sorted, and not none."""
    return np.flatnonzero(np.concatenate(([True], numbers[1:] != numbers[:-1])))


def _digest(words: Sums) -> Digest:
    rows, first, second = (int(word) for word in words)
    return Digest(rows=rows, first_lane=first, second_lane=second)
