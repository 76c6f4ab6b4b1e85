"""The pages that are written from the code say what the code says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from benchmarks import cost_model
from tests.transfer.matrix import PAIRS
from tests.transfer.matrix_page import PAGE, cells_of, page
from tests.transfer.shop import REPEATED, shop

DOCS = Path(__file__).parents[1] / "docs"
GENERATED = ("drivers.md", "errors.md", "drivers/azure_postgresql.md")


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_current(page: str) -> None:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert set(generate.PAGES) == set(GENERATED)
    assert (DOCS / page).read_text(encoding="utf-8") == generate.PAGES[page](), "nox -s docs"


def test_the_matrix_counts_what_the_shop_has_and_what_is_stated() -> None:
    shown = PAGE.read_text(encoding="utf-8")
    cells = cells_of(shown)
    assert page(cells) == shown, "nox -s matrix"
    tables = [table for name, table in shop(whole=False).items() if name not in REPEATED]
    for source, target in PAIRS:
        held = [set(table.column_names) - source.stated(table).keys() for table in tables]
        lost = [
            target.stated(table).keys() & kept for table, kept in zip(tables, held, strict=True)
        ]
        *_, refused = counts = cells[str(source), str(target)]
        assert sum(counts) == sum(map(len, held)), "nox -s matrix"
        assert refused == sum(map(len, lost)), "nox -s matrix"


def test_the_page_on_scaling_has_what_was_measured_and_fitted() -> None:
    shown = (DOCS / "scaling.md").read_text(encoding="utf-8")
    for table in cost_model.tables(DOCS / "scaling.json"):
        assert table in shown, "python -m benchmarks.cost_model docs/scaling.json"
