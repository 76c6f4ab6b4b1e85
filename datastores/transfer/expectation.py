"""Whether the target holds what the source held: row counts and order-independent digests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from datastores.bridges.files_as_tables import FilesAsTables
from datastores.drivers.base import TableDriver
from datastores.drivers.reading import ScanRequest
from datastores.drivers.writing import WriteRequest
from datastores.errors import DataError, DatastoreError, NotFoundError, UnsupportedOperationError
from datastores.transfer.comparison import Comparison
from datastores.types.digest import Digest
from datastores.types.kinds import comparable
from datastores.types.widening import fitted
from datastores.values import WriteMode

_COMPARABLE = (WriteMode.CREATE, WriteMode.REPLACE, WriteMode.APPEND, WriteMode.CREATE_APPEND)
_WHOLE = (WriteMode.CREATE, WriteMode.REPLACE)
"""After which both ends hold the same rows, so that they can be compared by key."""


class Expectation:
    """What the target must hold once the copy is published.

    Under `append` that is what it held before and what was sent; someone else's rows that come
    in between make the comparison fail.

    Args:
        driver: Of the target.
        request: What is written.
        altered: Columns that the target gets with the copy, NULL in the rows that it holds before, or
            gets in a wider type.

    Raises:
        UnsupportedOperationError: The mode replaces some of the rows, so that no digest of the
            whole is known beforehand; or the target reads a column back as another kind of value.
    """

    def __init__(
        self, driver: TableDriver, request: WriteRequest, altered: Collection[str] = ()
    ) -> None:
        if request.mode not in _COMPARABLE:
            raise UnsupportedOperationError(
                f"a copy in mode {request.mode} is not verified",
                advice=f"verify is for the modes {', '.join(_COMPARABLE)}; nothing was changed",
            )
        self._driver = driver
        self._request = request
        self._altered = frozenset(altered)
        self._before = Digest()
        self._check_kinds()

    def _check_kinds(self) -> None:
        """Refuse what would differ however right it is, such as a number that is read back as text."""
        if _types_are_replaced(self._driver, self._request):
            return
        try:
            there = self._driver.schema(self._request.table)
        except NotFoundError:
            return
        names = set(there.names)
        known = [one for one in self._request.schema if one.name in names]
        for one in known:
            type_ = there.field(one.name).type
            if one.name not in self._altered and not comparable(one.type, type_):
                raise UnsupportedOperationError(
                    f"column {one.name!r} is not verified: {one.type} is read back as {type_}",
                    advice="Leave out verify, or give the target's column a type that holds just such "
                    "values; nothing was changed",
                )

    def before(self) -> None:
        """Digest what the target holds, if the mode keeps it."""
        if self._request.mode in {WriteMode.APPEND, WriteMode.CREATE_APPEND}:
            try:
                self._before = Digest.of(map(self._evolved, self._batches(self._scan_now())))
            except NotFoundError:
                self._before = Digest()

    @property
    def scan(self) -> ScanRequest:
        """What reads the target's rows."""
        request = self._request
        return ScanRequest(
            table=request.table,
            columns=tuple(request.schema.names),
            format=request.format,
            format_options=request.format_options,
        )

    def check(
        self, sent: Sequence[Digest], *, compare: Callable[[], Comparison] | None, command: str
    ) -> str:
        """Read the target, and return its digest if it is the expected one.

        Args:
            sent: The digests of the parts that were staged.
            compare: Finds the keys that differ between the two ends as they are now; None if they
                differ rightly.
            command: Shows more of what differs.

        Raises:
            DataError: It is not. The target stays published, for looking at.
        """
        expected = self._before
        for one in sent:
            expected.merge(one)
        found = self._digest()
        if found != expected:
            whole = self._request.mode in _WHOLE
            differing = _differing(compare) if compare and whole else ""
            raise DataError(
                f"the target does not hold what was copied: expected {expected.rows:,} rows with "
                f"digest {expected.hexdigest()}, found {found.rows:,} with {found.hexdigest()}"
                f"{differing}",
                advice=f"The copy is published; before you rely on it look at {command}",
            )
        return found.hexdigest()

    def _digest(self) -> Digest:
        return Digest.of(self._batches(self.scan))

    def _batches(self, scan: ScanRequest) -> Iterator[pa.RecordBatch]:
        with self._driver.plan_read(scan, 1) as plan:
            for split in plan.splits:
                yield from self._driver.read(split)

    def _scan_now(self) -> ScanRequest:
        """Return what reads the target's rows before it has its new columns."""
        if not self._altered:
            return self.scan
        there = self._driver.schema(self._request.table).names
        known = [one for one in self._request.schema.names if one in there]
        return replace(self.scan, columns=tuple(known))

    def _evolved(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows as they will be once the target is altered."""
        fields = [
            one if one.name in self._altered else batch.schema.field(one.name)
            for one in self._request.schema
        ]
        return fitted(batch, pa.schema(fields), first_row=1)


def _types_are_replaced(driver: TableDriver, request: WriteRequest) -> bool:
    """Return whether the types that are there go with the rows: those of files do, a table's stay."""
    replaces = request.mode is WriteMode.REPLACE and request.drift is None
    return replaces and isinstance(driver, FilesAsTables)


def _differing(compare: Callable[[], Comparison]) -> str:
    # A source that has gone meanwhile is no reason to say less of the target.
    with contextlib.suppress(DatastoreError):
        found = compare()
        if found.equal:
            return "; both ends are equal now, so the source changed after it was read"
        return f"; {found.first_differences()}"
    return ""
