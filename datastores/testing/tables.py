"""The suite every table driver passes.

A driver joins with a class, a `driver` fixture, and where its tables and staging are:

    class TestDuckDB(TableDriverConformance):
        @pytest.fixture
        def driver(self, tmp_path): ...
"""

from __future__ import annotations

from datastores.testing.table_bookmarks import BookmarkConformance
from datastores.testing.table_journal import JournalConformance
from datastores.testing.table_reading import ReadingConformance
from datastores.testing.table_writing import WritingConformance


class TableDriverConformance(
    ReadingConformance, WritingConformance, JournalConformance, BookmarkConformance
):
    """Reading, writing, going on and remembering, each ability in both directions."""
