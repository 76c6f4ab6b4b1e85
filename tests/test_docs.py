"""The pages that are written from the code say what the code says now."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

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
