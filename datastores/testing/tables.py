"""The suite every table driver passes.

A driver joins with a class, a `driver` fixture, and where its tables and staging are:

    class TestDuckDB(TableDriverConformance):
        @pytest.fixture
        def driver(self, tmp_path): ...
"""

from __future__ import annotations

from datastores.testing.table_bookmarks import BookmarkConformance
from datastores.testing.table_drift import DriftConformance
from datastores.testing.table_journal import JournalConformance
from datastores.testing.table_reading import ReadingConformance


class TableDriverConformance(
    ReadingConformance, DriftConformance, JournalConformance, BookmarkConformance
):
    """Reading, writing, drifting, going on and remembering, each ability in both directions."""
