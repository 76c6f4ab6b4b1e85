"""Whether the target holds what the source held: row counts and order-independent digests."""

from __future__ import annotations

from collections.abc import Sequence

from datastores.drivers.base import ScanRequest, TableDriver, WriteRequest
from datastores.errors import DataError, NotFoundError, UnsupportedOperationError
from datastores.types.digest import Digest
from datastores.values import WriteMode

_COMPARABLE = (WriteMode.CREATE, WriteMode.REPLACE, WriteMode.APPEND, WriteMode.CREATE_APPEND)


class Expectation:
    """What the target must hold once the copy is published.

    Under `append` that is what it held before and what was sent; someone else's rows that come
    in between make the comparison fail.

    Raises:
        UnsupportedOperationError: The mode replaces some of the rows, so that no digest of the
            whole is known beforehand.
    """

    def __init__(self, driver: TableDriver, request: WriteRequest) -> None:
        if request.mode not in _COMPARABLE:
            raise UnsupportedOperationError(
                f"a copy in mode {request.mode} is not verified",
                advice=f"verify is for the modes {', '.join(_COMPARABLE)}; nothing was changed",
            )
        self._driver = driver
        self._request = request
        self._before = Digest()

    def before(self) -> None:
        """Digest what the target holds, if the mode keeps it."""
        if self._request.mode in {WriteMode.APPEND, WriteMode.CREATE_APPEND}:
            try:
                self._before = self._digest()
            except NotFoundError:
                self._before = Digest()

    def check(self, sent: Sequence[Digest]) -> str:
        """Read the target, and return its digest if it is the expected one.

        Raises:
            DataError: It is not. The target stays published, for looking at.
        """
        expected = self._before
        for one in sent:
            expected.merge(one)
        found = self._digest()
        if found != expected:
            raise DataError(
                f"the target does not hold what was copied: expected {expected.rows:,} rows with "
                f"digest {expected.hexdigest()}, found {found.rows:,} with {found.hexdigest()}",
                advice="The copy is published; compare the two ends before you rely on it",
            )
        return found.hexdigest()

    def _digest(self) -> Digest:
        request = self._request
        scan = ScanRequest(
            table=request.table,
            columns=tuple(request.schema.names),
            format=request.format,
            format_options=request.format_options,
        )
        with self._driver.plan_read(scan, 1) as plan:
            return Digest.of(batch for split in plan.splits for batch in self._driver.read(split))
