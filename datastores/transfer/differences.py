"""Finds the first keys that differ, in few further reads and bounded memory."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

import pyarrow as pa

from datastores.drivers.reading import BATCH_ROWS
from datastores.errors import ConflictError, DataError, SchemaMismatchError
from datastores.formats.json_values import to_json
from datastores.transfer.comparison import KeyDifference, ValueDifference
from datastores.transfer.histogram import DifferingRange, Histogram, Placing, inside
from datastores.transfer.sides import Reading, read_both
from datastores.types.canonical import hash_rows, hash_values
from datastores.types.digest import Digest, hash_batch
from datastores.types.positions import describe_range

MAX_SHOWN = 20
MAX_ROWS_KEPT = BATCH_ROWS
"""Of each side, at a time: the rows of ranges that differ."""

_AGAIN = "Compare again when nobody writes to it"

_Hash = tuple[int, int]


class NotAKeyError(Exception):
    """So many rows have one key that they are not held; never seen by callers of `verify`."""


@dataclass(frozen=True, slots=True)
class Found:
    """What `Finder.find` returns."""

    differences: tuple[KeyDifference, ...] = ()
    ranges: tuple[str, ...] = ()
    complete: bool = True


class Finder:
    """Reads what differs again, and narrows it down until its rows can be held.

    Args:
        readings: Both sides, as they were read first.
        keys: Columns that tell rows apart; empty to compare whole rows.
        workers: Threads for each side.
    """

    def __init__(
        self, readings: tuple[Reading, Reading], keys: tuple[str, ...], workers: int
    ) -> None:
        self._readings = readings
        self._keys = keys
        self._workers = workers
        self._columns = tuple(readings[0].schema.names)

    def find(self, ranges: Sequence[DifferingRange]) -> Found:
        """Return the first keys that differ, in the order of the ranges.

        Raises:
            ConflictError: A side is not what it was when it was read first.
            NotAKeyError: Compare whole rows instead.
        """
        pending = deque(ranges)
        found: list[KeyDifference] = []
        places: list[str] = []
        while pending and len(found) < MAX_SHOWN:
            small = self._take_small(pending, MAX_SHOWN - len(found))
            if small:
                found += self._differences(small)
                places += filter(None, map(self._place, small))
            else:
                pending.extendleft(reversed(self._finer(pending.popleft())))
        complete = not pending and len(found) <= MAX_SHOWN
        return Found(tuple(found[:MAX_SHOWN]), tuple(places), complete)

    def _take_small(self, pending: deque[DifferingRange], count: int) -> list[DifferingRange]:
        """Take the first ranges, each of which has a difference, whose rows can be held."""
        taken: list[DifferingRange] = []
        rows = 0
        while pending and len(taken) < count:
            first = pending[0]
            # Rows in one place are all the same where it is the hash of all their columns.
            size = 1 if not self._keys and _is_one_place(first) else first.rows
            if (rows := rows + size) > MAX_ROWS_KEPT:
                break
            taken.append(pending.popleft())
        return taken

    def _finer(self, range_: DifferingRange) -> list[DifferingRange]:
        placing = range_.spans[-1].placing
        if _is_one_place(range_):
            if not placing.ordered:
                raise NotAKeyError
            placing = Placing(self._keys, ordered=False)
        make = partial(Histogram, placing, range_.spans)
        with self._opened([range_]) as readings:
            one, other = read_both(readings, self._workers, make)
        self._check([range_], (one.digest(), other.digest()))
        return one.differing(other)

    def _differences(self, ranges: Sequence[DifferingRange]) -> list[KeyDifference]:
        make = partial(Rows, ranges, self._keys or self._columns)
        with self._opened(ranges) as readings:
            one, other = read_both(readings, self._workers, make)
        self._check(ranges, (one.digest, other.digest))
        return differences_of(one, other, self._keys or self._columns)

    @contextlib.contextmanager
    def _opened(self, ranges: Sequence[DifferingRange]) -> Iterator[tuple[Reading, Reading]]:
        spans = [one.spans for one in ranges]
        one, other = self._readings
        with (
            one.narrowed(self._workers, spans) as first,
            other.narrowed(self._workers, spans) as second,
        ):
            yield first, second

    def _check(self, ranges: Sequence[DifferingRange], found: tuple[Digest, Digest]) -> None:
        """Refuse to show rows that are not those that differed."""
        for at, (reading, digest) in enumerate(zip(self._readings, found, strict=True)):
            expected = Digest()
            for range_ in ranges:
                expected.merge((range_.one, range_.other)[at])
            if digest != expected:
                raise changed(reading)

    def _place(self, range_: DifferingRange) -> str | None:
        span = next((one for one in reversed(range_.spans) if one.placing.ordered), None)
        if span is None:
            return None
        [name] = span.placing.columns
        type_ = self._readings[0].schema.field(name).type
        return f"{name} {describe_range(type_, span.low, span.high)}"


def changed(reading: Reading) -> ConflictError:
    """Return the error for a side that someone writes to."""
    return ConflictError(
        f"{reading.side} changed while it was compared; it differed when it was read first",
        store=reading.side.source.store,
        advice=_AGAIN,
    )


def _is_one_place(range_: DifferingRange) -> bool:
    return range_.spans[-1].low == range_.spans[-1].high


@dataclass(slots=True)
class _Kept:
    """One of the equal rows that were read."""

    key: _Hash
    place: int
    batch: pa.RecordBatch
    row: int


@dataclass(slots=True)
class Rows:
    """The rows of some ranges: one of each, and how many are equal to it."""

    ranges: Sequence[DifferingRange]
    keys: tuple[str, ...]
    counts: Counter[_Hash] = field(default_factory=Counter)
    kept: dict[_Hash, _Kept] = field(default_factory=dict)
    digest: Digest = field(default_factory=Digest)

    def add(self, batch: pa.RecordBatch) -> None:
        """Keep a batch's rows that are in the ranges."""
        batch = batch.filter(pa.array(inside(batch, (one.spans for one in self.ranges))))
        if len(batch) == 0:
            return
        if len(self.kept) > MAX_ROWS_KEPT:
            raise ConflictError("rows came while they were compared", advice=_AGAIN)
        self.digest.update(batch)
        placing = self.ranges[0].spans[0].placing
        # The order of hashes means nothing to anyone.
        places = placing.places(batch).tolist() if placing.ordered else [0] * len(batch)
        keys = _pairs(hash_rows(self.keys, [batch.column(name) for name in self.keys], len(batch)))
        for row, hashed in enumerate(_pairs(hash_batch(batch))):
            self.counts[hashed] += 1
            if hashed not in self.kept:
                self.kept[hashed] = _Kept(keys[row], places[row], batch, row)

    def merge(self, other: Self) -> None:
        """Take what another has kept."""
        self.digest.merge(other.digest)
        self.counts += other.counts
        self.kept = {**other.kept, **self.kept}

    def by_key(self) -> Counter[_Hash]:
        """Return how many rows each key has."""
        found: Counter[_Hash] = Counter()
        for hashed, count in self.counts.items():
            found[self.kept[hashed].key] += count
        return found


def _pairs(lanes: Any) -> list[_Hash]:
    return list(zip(*lanes.tolist(), strict=True))


def differences_of(one: Rows, other: Rows, keys: Sequence[str]) -> list[KeyDifference]:
    """Return the keys whose rows are not the same on both sides, in their order."""
    surplus = (one.counts - other.counts, other.counts - one.counts)
    left: dict[_Hash, tuple[list[_Kept], list[_Kept]]] = defaultdict(lambda: ([], []))
    for at, (rows, counts) in enumerate(zip((one, other), surplus, strict=True)):
        for hashed in counts.elements():
            left[rows.kept[hashed].key][at].append(rows.kept[hashed])
    totals = (one.by_key(), other.by_key())
    found = []
    for key, (ones, others) in left.items():
        first = (ones or others)[0]
        paired = len(ones) == len(others) == 1
        difference = KeyDifference(
            key={name: _value(first, name) for name in keys},
            one_rows=totals[0][key],
            other_rows=totals[1][key],
            values=_values(ones[0], others[0]) if paired else (),
        )
        found.append((first.place, list(map(_order, difference.key.values())), difference))
    return [difference for *_, difference in sorted(found, key=lambda one: one[:2])]


def _order(value: Any) -> tuple[float, str]:
    return (value, "") if isinstance(value, int | float) else (0, str(value))


def _values(one: _Kept, other: _Kept) -> tuple[ValueDifference, ...]:
    return tuple(
        ValueDifference(column=name, one=_value(one, name), other=_value(other, name))
        for name in one.batch.schema.names
        if (_hash(one, name) != _hash(other, name)).any()
    )


def _hash(kept: _Kept, name: str) -> Any:
    return hash_values(kept.batch.column(name).slice(kept.row, 1))


def _value(kept: _Kept, name: str) -> Any:
    """Return one value as JSON holds it exactly."""
    value = kept.batch.column(name).slice(kept.row, 1)
    if pa.types.is_floating(value.type):
        # A narrow float has few digits, and is another number than the wide one with the same.
        value = value.cast(pa.float64())
    with contextlib.suppress(DataError, SchemaMismatchError):
        return to_json(value, name)[0]
    if pa.types.is_temporal(value.type):
        return f"{value.view(pa.int64())[0]} as {value.type}"
    return str(value[0].as_py())
