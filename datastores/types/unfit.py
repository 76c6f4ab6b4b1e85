"""Finds the rows of a batch whose values a step refuses, and does with them as the policies say.

The step itself is asked, on ever smaller pieces: its rules are written down nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from datastores.errors import DataError
from datastores.types.cast import show
from datastores.types.fields import source_of
from datastores.values import UNFIT_EXAMPLES, OnUnfit, Unfit, UnfitExample, UnfitPolicy

Attempt = Callable[[pa.Array], object]
"""A step that takes some values of a column, and raises `DataError` if it refuses one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A column whose values a step may refuse."""

    index: int
    """Its place in the batches."""
    name: str
    attempt: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a row is left out."""

    column: str
    """The first one whose value was refused."""
    reason: str
    """The sentence of the error that there would have been, from where it has named the column."""
    key: str | None
    """What names the row, as in an `UnfitExample`."""


Take = Callable[[pa.RecordBatch, Sequence[Refusal]], None]
"""What is handed the rows that are left out, and why each of them is."""


def key_columns(schema: pa.Schema, keys: Sequence[str] = ()) -> tuple[tuple[int, str], ...]:
    """Return place and name of what identifies a row: the given keys, else those noted in the fields."""
    names = keys or [one.name for one in schema if (source := source_of(one)) and source.key]
    return tuple((schema.get_field_index(name), name) for name in names)


class Sieve:
    """Lets through what fits: other values become NULL, or their rows are left out.

    Args:
        tried: The columns; those with another policy than `null` and `reject` are not looked at.
        on_unfit: The policy of each.
        keys: Place and name of the columns that identify a row, for the examples.
    """

    def __init__(
        self, tried: Iterable[Tried], on_unfit: OnUnfit, keys: Sequence[tuple[int, str]]
    ) -> None:
        by_policy: dict[UnfitPolicy, list[Tried]] = {one: [] for one in UnfitPolicy}
        for one in tried:
            by_policy[on_unfit.for_column(one.name)].append(one)
        self._nulled, self._rejected = by_policy[UnfitPolicy.NULL], by_policy[UnfitPolicy.REJECT]
        self._keys = keys
        self.unfit = Unfit()
        """What became of the rows so far."""

    def reader(
        self, batches: pa.RecordBatchReader, take: Take | None = None
    ) -> pa.RecordBatchReader:
        """Return the same stream, sieved; `take` is handed the rows that are left out."""
        if not self._nulled and not self._rejected:
            return batches
        return pa.RecordBatchReader.from_batches(batches.schema, self._sieved(batches, take))

    def _sieved(
        self, batches: Iterable[pa.RecordBatch], take: Take | None
    ) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            kept = self.apply(batch, take)
            if kept.num_rows:
                yield kept

    def apply(self, batch: pa.RecordBatch, take: Take | None = None) -> pa.RecordBatch:
        """Return a batch without the values that do not fit; it may have no row left."""
        if not batch.num_rows:
            return batch
        rejected = np.zeros(batch.num_rows, np.bool_)
        refused: dict[int, Tried] = {}
        examples: list[UnfitExample] = []
        for one in self._rejected:
            rows = list(unfit_rows(batch.column(one.index), one.attempt))
            rejected[rows] = True
            refused |= {row: one for row in rows if row not in refused}
            examples += self._examples(batch, one, rows)
        if take is not None and refused:
            self._hand_over(batch, refused, take)
        nulled: dict[int, npt.NDArray[np.bool_]] = {}
        for one in self._nulled:
            found = unfit_rows(batch.column(one.index), one.attempt)
            if rows := [row for row in found if not rejected[row]]:
                nulled[one.index] = np.isin(np.arange(batch.num_rows), rows)
                examples += self._examples(batch, one, rows)
        if not rejected.any() and not nulled:
            return batch
        self.unfit += Unfit(
            rows_rejected=int(rejected.sum()),
            values_nulled=sum(int(mask.sum()) for mask in nulled.values()),
            examples=tuple(examples),
        )
        kept = np.flatnonzero(~rejected)
        arrays = [
            # A NULL among the indices takes a NULL, whatever the type.
            column.take(pa.array(kept, mask=nulled[at][kept] if at in nulled else None))
            for at, column in enumerate(batch.columns)
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)

    def _hand_over(self, batch: pa.RecordBatch, refused: dict[int, Tried], take: Take) -> None:
        rows = sorted(refused)
        refusals = [
            Refusal(
                column=refused[row].name,
                reason=_reason(refused[row], batch.column(refused[row].index).slice(row, 1)),
                key=key_of(batch, row, self._keys),
            )
            for row in rows
        ]
        take(batch.take(pa.array(rows)), refusals)

    def _examples(self, batch: pa.RecordBatch, one: Tried, rows: list[int]) -> list[UnfitExample]:
        wanted = UNFIT_EXAMPLES - len(self.unfit.examples)
        return [
            UnfitExample(
                column=one.name,
                key=key_of(batch, row, self._keys),
                value=show(batch.column(one.index)[row]),
            )
            for row in rows[:wanted]
        ]


def _reason(one: Tried, value: pa.Array) -> str:
    """Return the sentence by which a step refuses a value."""
    try:
        one.attempt(value)
    except DataError as error:
        return re.sub(rf"^column {re.escape(repr(one.name))}(, row \d+)?: ", "", error.message)
    raise AssertionError(f"{one.name} was refused, and is not any more")


def unfit_rows(values: pa.Array, attempt: Attempt, first: int = 0) -> Iterator[int]:
    """Yield the row of each value that `attempt` refuses also by itself, in order."""
    try:
        attempt(values)
    except DataError:
        if len(values) == 1:
            yield first
            return
        half = len(values) // 2
        yield from unfit_rows(values.slice(0, half), attempt, first)
        yield from unfit_rows(values.slice(half), attempt, first + half)


def key_of(batch: pa.RecordBatch, row: int, keys: Sequence[tuple[int, str]]) -> str | None:
    """Return what identifies a row, such as `id = 1017`, or None without keys."""
    return ", ".join(f"{name} = {show(batch.column(at)[row])}" for at, name in keys) or None
