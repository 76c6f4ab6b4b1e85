"""Conformance suites that a driver's tests inherit; they need the extra `testing`."""

import pytest

# A failing case of a suite shows its values, as one in a test file does.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{module}"
        for module in (
            "files",
            "filesystems",
            "races",
            "stateful_files",
            "table_bookmarks",
            "table_case",
            "table_reading",
            "table_writing",
            "tables",
            "tls",
        )
    )
)
