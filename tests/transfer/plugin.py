"""The option `--matrix PAGE`: the whole of `test_matrix.py`, and what came of it as a page."""

from __future__ import annotations

from pathlib import Path

import pytest

PROPERTY = "matrix"
"""What a test records of its pair: source, target, and a count for each verdict."""

pytest.register_assert_rewrite("tests.transfer.matrix")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption(
        "--matrix", type=Path, metavar="PAGE", help="run the whole matrix, and write its page"
    )


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write and print the page, if it was asked for and every pair is right."""
    place: Path | None = config.getoption("matrix")
    if place is None:
        return
    if terminalreporter.stats.keys() & {"failed", "error"}:
        terminalreporter.write_line(f"{place} stays as it is: not every pair is right")
        return
    from tests.transfer.matrix_page import page

    recorded = [
        value
        for report in terminalreporter.stats.get("passed", ())
        for name, value in report.user_properties
        if name == PROPERTY
    ]
    text = page({(source, target): tuple(counts) for source, target, *counts in recorded})
    place.write_text(text, encoding="utf-8")
    terminalreporter.write_line(text)
