"""The suite every table driver passes.

A driver joins with a class, a `driver` fixture, and where its tables and staging are:

    class TestDuckDB(TableDriverConformance):
        @pytest.fixture
        def driver(self, tmp_path): ...

One with a network joins `datastores.testing.tls` too.
"""

from __future__ import annotations

from datastores.drivers.base import TableDriver
from datastores.testing.table_bookmarks import BookmarkConformance
from datastores.testing.table_drift import DriftConformance
from datastores.testing.table_journal import JournalConformance
from datastores.testing.table_reading import ReadingConformance
from datastores.testing.tls import TlsConformance


class TableDriverConformance(
    ReadingConformance, DriftConformance, JournalConformance, BookmarkConformance
):
    """Reading, writing, drifting, going on and remembering, each ability in both directions."""

    def test_a_network_is_tested_for_tls(self, driver: TableDriver) -> None:
        assert isinstance(self, TlsConformance) or not driver.endpoints
