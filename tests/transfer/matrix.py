"""One pair of ends: each table of the shop there and back, equal or refused for a stated reason."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typing_extensions import override

from datastores import Datastore, copy, plan_copy
from datastores.datastore import StorePath
from datastores.drivers.base import FileDriver
from datastores.drivers.registry import built_in_types, driver_class
from datastores.drivers.writing import Verdict
from datastores.errors import DataError, SchemaMismatchError
from datastores.formats.registry import FORMATS as KNOWN_FORMATS
from datastores.testing.arrow import assert_same_table
from datastores.transfer.plan import CopyPlan
from datastores.types.digest import Digest
from tests.transfer.kinds import FORMATS, Refusals, kind_of
from tests.transfer.shop import shop

DEFAULT_FORMAT = "parquet"
WORKERS = 3
_MANY_ROWS = 1_000


@dataclass(frozen=True, slots=True, order=True)
class End:
    """A kind of store, and the format of its files if it is one of files."""

    kind: str
    format: str | None = None

    @override
    def __str__(self) -> str:
        return self.kind if self.format in {None, DEFAULT_FORMAT} else f"{self.kind} {self.format}"

    @property
    def options(self) -> dict[str, Any]:
        """What a write to it says of the format, where its name does not."""
        return {} if self.format in {None, DEFAULT_FORMAT} else {"format": self.format}

    def stated(self, table: pa.Table) -> dict[str, Refusal]:
        """Return the columns of a table that it is stated to refuse."""
        refusals = [kind_of(self.kind).refusals]
        if self.format is not None:
            refusals.append(FORMATS.get(self.format, Refusals()))
        names = set(table.column_names)
        found = {}
        for one in refusals:
            for by_type, reasons in ((True, one.types), (False, one.values)):
                for reason, columns in reasons.items():
                    for column in names.intersection(columns):
                        # A value can be refused only where there is one.
                        if by_type or table[column].null_count < len(table):
                            found[column] = Refusal(reason, by_type=by_type)
        return found


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a column is refused, in the error's words, and whether the plan knows it."""

    reason: str
    by_type: bool


def _is_files(kind: str) -> bool:
    return issubclass(driver_class(kind), FileDriver)


KIND_ENDS = [End(one, DEFAULT_FORMAT if _is_files(one) else None) for one in built_in_types()]
FORMAT_ENDS = [End("local", one) for one in KNOWN_FORMATS if one != DEFAULT_FORMAT]
TABLE_ENDS = [one for one in KIND_ENDS if one.format is None]
ENDS = [*KIND_ENDS, *FORMAT_ENDS]
PAIRS = [
    *product(KIND_ENDS, KIND_ENDS),
    *product(FORMAT_ENDS, TABLE_ENDS),
    *product(TABLE_ENDS, FORMAT_ENDS),
]


class Stores:
    """Stores of each kind, opened when they are needed, and the shop's tables in them."""

    def __init__(
        self,
        request: pytest.FixtureRequest,
        folder: Path,
        stack: contextlib.ExitStack,
        *,
        whole: bool,
    ) -> None:
        self.whole = whole
        """Every pair moves every table, back too, and some tables are larger."""
        self.tables = shop(whole=whole)
        self._request, self._folder, self._stack = request, folder, stack
        self._stores: dict[str, Datastore] = {}
        self._written: dict[tuple[End, str], pa.Table] = {}

    def tables_of(self, source: End, target: End) -> list[str]:
        """Return which tables a pair moves: all, or a third such that each end meets each table."""
        if self.whole:
            return list(self.tables)
        turn = ENDS.index(source) + 2 * ENDS.index(target)
        return [name for at, name in enumerate(self.tables) if (at + turn) % 3 == 0]

    def __getitem__(self, end: End) -> Datastore:
        """Return the store of a kind in which all that is copied comes together."""
        return self._opened(end.kind, f"{end.kind}")

    def empty(self, end: End) -> Datastore:
        """Return a store of a kind into which only goes what is refused."""
        return self._opened(end.kind, f"{end.kind}_empty")

    def written(self, end: End, name: str) -> pa.Table:
        """Return the columns of a table that an end holds, having written them there."""
        if (end, name) not in self._written:
            whole = self.tables[name]
            refused = end.stated(whole)
            table = whole.select([one for one in whole.column_names if one not in refused])
            options = {**end.options, "mode": "replace"}
            if end.format and len(whole) > _MANY_ROWS:
                options["rows_per_file"] = len(whole) // 4
            with stated(end, name):
                self[end].write_table(place(end, name), table, **options)
            check_same(self[end], place(end, name), table)
            self._written[end, name] = table
        return self._written[end, name]

    def _opened(self, kind: str, folder: str) -> Datastore:
        if folder not in self._stores:
            (self._folder / folder).mkdir()
            opened = kind_of(kind).open(self._request, self._folder / folder)
            self._stores[folder] = self._stack.enter_context(opened)
        return self._stores[folder]


def place(end: End, name: str) -> str:
    """Return where a table is in its store; formats share one."""
    return f"{name}_{end.format}" if end.options else name


@contextlib.contextmanager
def stated(end: End, name: str) -> Iterator[None]:
    """Let what an end refuses without having stated it fail the test, with what to do."""
    try:
        yield
    except (SchemaMismatchError, DataError) as error:
        if error.operation == "verify":
            raise
        raise AssertionError(
            f"{end} refuses {name}, which is not stated in tests/transfer/kinds.py: {error.message}"
        ) from error


def check_refused(store: Datastore, column: str, reason: str, act: Callable[[], object]) -> str:
    """Fail unless an error of ours names column and reason, and leaves nothing; return it."""
    with pytest.raises((SchemaMismatchError, DataError)) as raised:
        act()
    message = raised.value.message
    assert f"column {column!r}" in message
    assert reason in message
    of_files = isinstance(store.driver, FileDriver)
    assert not (store.filesystem.find("") if of_files else store.tables())
    return f"{type(raised.value).__name__}: {message}"


def check_same(store: Datastore, path: str, expected: pa.Table) -> None:
    """Fail unless a table has the expected columns, types, nullability and rows, value by value."""
    found = store.scan(path).to_arrow()
    found.validate(full=True)
    assert_same_table(found, expected)
    assert [one.nullable for one in found.schema] == [one.nullable for one in expected.schema]


def moved(stores: Stores, source: End, target: End, name: str) -> dict[Verdict, int]:
    """Copy one table there and back, and return the verdicts on its columns."""
    table = stores.written(source, name)
    start = stores[source] / place(source, name)
    refused = target.stated(table)
    if refused:
        _check_all_refused(start, stores.empty(target) / name, target, refused)
    kept = [one for one in table.column_names if one not in refused]
    counts = dict.fromkeys(Verdict, 0) | {Verdict.REFUSED: len(refused)}
    if not kept:
        return counts
    expected = table.select(kept)
    goal = stores[target] / f"{name}_{source}_{target}".replace(" ", "_")
    with stated(target, name):
        plan = _copied(start, goal, expected, columns=kept, **target.options)
    for one in plan.columns:
        counts[one.verdict] += 1
    check_same(goal.store, goal.path, expected)
    if stores.whole:
        back = stores[source] / f"{goal.path}_back"
        with stated(source, name):
            copy(goal, back, workers=WORKERS, **source.options)
        check_same(back.store, back.path, expected)
    return counts


def _check_all_refused(
    start: StorePath, goal: StorePath, target: End, refused: Mapping[str, Refusal]
) -> None:
    """Try each column that is refused; the plan says so where it is for the column's type."""
    options: Any = {"workers": WORKERS, **target.options}
    for column, refusal in refused.items():
        by_run, by_plan = (
            partial(call, start, goal, columns=[column], **options) for call in (copy, plan_copy)
        )
        said = check_refused(goal.store, column, refusal.reason, by_run)
        if refusal.by_type:
            assert check_refused(goal.store, column, refusal.reason, by_plan) == said
    by_value = [column for column, refusal in refused.items() if not refusal.by_type]
    if by_value:
        plan = plan_copy(start, goal, columns=by_value, **options)
        assert [one.name for one in plan.columns] == by_value


def _copied(start: StorePath, goal: StorePath, expected: pa.Table, **options: Any) -> CopyPlan:
    """Copy and verify, and return the plan, which the run kept to."""
    options = {**options, "workers": WORKERS, "verify": True, "job": "matrix"}
    plan = plan_copy(start, goal, **options)
    followed: list[CopyPlan] = []
    report = copy(start, goal, on_plan=followed.append, **options)
    assert _steps(followed[0]) == _steps(plan)
    assert report.parts == len(plan.parts)
    assert report.parts > 1 or len(expected) < _MANY_ROWS
    # Of the rows as they were made, and not of those that the copy read.
    assert report.digest == Digest.of(expected.to_batches()).hexdigest()
    return plan


def _steps(plan: CopyPlan) -> dict[str, Any]:
    """Return what two plans of one copy have in common: all but the name of a snapshot."""
    return plan.to_dict() | {"snapshot": plan.snapshot is not None}
