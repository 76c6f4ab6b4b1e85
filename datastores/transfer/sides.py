"""The two sides of a comparison, read at the same time: rows as a copy would make them."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from typing import Any, Protocol, Self, TypeVar

import pyarrow as pa
from typing_extensions import override

from datastores.drivers.reading import ReadPlan, Split
from datastores.errors import located
from datastores.filters import Condition, Filters, both
from datastores.retry import retried
from datastores.transfer.endpoints import RowSource
from datastores.transfer.histogram import Span
from datastores.transfer.threads import StoppedError, run_all
from datastores.types.convert import Conversion
from datastores.types.positions import LOWEST, bounds


class Sink(Protocol):
    """What takes the rows of one split, and those that another one took."""

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch."""

    def merge(self, other: Self) -> None:
        """Take what another sink took."""


AnySink = TypeVar("AnySink", bound=Sink)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side's rows, and what a copy would do to them on their way."""

    source: RowSource
    rename: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, Any] = field(default_factory=dict)

    @override
    def __str__(self) -> str:
        return str(self.source)

    @contextlib.contextmanager
    def open(self, splits: int, filters: Filters = ()) -> Iterator[Reading]:
        """Plan to read in about so many splits, under one snapshot where the source has one."""
        request = self.source.request
        request = dataclasses.replace(request, filters=both(request.filters, filters))
        with self.located():
            plan = self.source.driver.plan_read(request, splits)
        with contextlib.closing(plan):
            yield Reading(self, plan, self._conversion(plan.schema))

    def located(self) -> contextlib.AbstractContextManager[None]:
        """Fill in where an error comes from."""
        source = self.source
        return located(
            store=source.store,
            driver=source.driver.type_name,
            operation="verify",
            target=source.label,
        )

    def _conversion(self, schema: pa.Schema) -> Conversion:
        with self.located():
            return Conversion.plan(schema, rename=self.rename, types=self.types)


@dataclass(frozen=True, slots=True)
class Reading:
    """A side that is open."""

    side: Side
    plan: ReadPlan
    conversion: Conversion

    @property
    def schema(self) -> pa.Schema:
        """What the rows come out as."""
        return self.conversion.schema

    def narrowed(
        self, splits: int, spans: Sequence[tuple[Span, ...]]
    ) -> contextlib.AbstractContextManager[Reading]:
        """Plan to read once more; rows that are in none of the groups of spans may be left out."""
        limited = self.side.source.request.limit is not None
        return self.side.open(splits, () if limited else _filters(self.conversion, spans))

    def read(self, split: Split) -> Iterator[pa.RecordBatch]:
        """Yield a split's rows."""
        with self.side.located():
            yield from self.conversion.apply(self.side.source.driver.read(split))


def read_both(
    readings: tuple[Reading, Reading], workers: int, make: Callable[[], AnySink]
) -> tuple[AnySink, AnySink]:
    """Read both sides at once, each with `workers` threads, and return what took their rows."""
    stop = threading.Event()

    def fill(reading: Reading, split: Split) -> AnySink:
        sink = make()
        for batch in reading.read(split):
            if stop.is_set():
                raise StoppedError
            sink.add(batch)
        return sink

    def task(reading: Reading, split: Split) -> tuple[Reading, AnySink]:
        # A split whose connection broke is read anew, into an empty sink.
        return reading, retried(partial(fill, reading, split), stop=stop)

    tasks = [[partial(task, one, split) for split in one.plan.splits] for one in readings]
    # In turn, so that neither side waits for the other to be read.
    in_turn = [one for one in chain.from_iterable(zip_longest(*tasks)) if one is not None]
    one, other = make(), make()
    for reading, sink in run_all(in_turn, 2 * workers, stop, name="datastores-verify"):
        (one if reading is readings[0] else other).merge(sink)
    return one, other


def _filters(conversion: Conversion, spans: Sequence[tuple[Span, ...]]) -> Filters:
    """Return what the source can leave out by itself: by ranges of a column that it holds as it is.

    Empty where it has to give every row.
    """
    groups: list[tuple[Condition, ...]] = []
    for group in spans:
        span = next((one for one in reversed(group) if one.placing.ordered), None)
        if span is None:
            return ()
        conditions = _conditions(conversion, span)
        if not conditions:
            return ()
        groups += conditions
    return tuple(groups)


def _conditions(conversion: Conversion, span: Span) -> Filters:
    """Return the filters for a span; empty if there are none that every store understands alike."""
    [name] = span.placing.columns
    column = next(one for one in conversion.columns if one.target.name == name)
    limits = None if column.changes_type else bounds(column.source.type, span.low, span.high)
    if limits is None:
        return ()
    compared = zip((">=", "<="), limits, strict=True)
    group = tuple(
        Condition(column.source.name, operator, limit)
        for operator, limit in compared
        if limit is not None
    )
    if not group:
        return ()
    # NULLs stand at the lowest place.
    nulls = ((Condition(column.source.name, "is null"),),) if span.low == LOWEST else ()
    return (group, *nulls)
