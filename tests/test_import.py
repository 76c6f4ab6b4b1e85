"""Importing the package is cheap: nothing heavy is loaded before it is used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    *("pyarrow", "fsspec", "duckdb", "yaml", "click", "rich", "numpy", "pandas", "polars"),
    "opentelemetry",
)


def loaded_after(statement: str) -> list[str]:
    script = f"{statement}\nimport sys\nprint(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_probe_sees_what_is_loaded() -> None:
    assert "yaml" in loaded_after("import yaml")


@pytest.mark.parametrize(
    "module",
    [
        "datastores",
        "datastores.errors",
        "datastores.values",
        "datastores.location",
        "datastores.secrets",
    ],
)
def test_nothing_heavy_is_imported(module: str) -> None:
    assert loaded_after(f"import {module}") == []


def test_reading_a_filter_needs_no_arrow() -> None:
    statement = "import datastores.filters as f; f.parse_filters([('a', '=', 1)])"
    assert loaded_after(statement) == []


def test_names_are_looked_up_when_used() -> None:
    statement = "import datastores; assert 'copy' in dir(datastores); datastores.TableName('a')"
    assert loaded_after(statement) == []
    with pytest.raises(subprocess.CalledProcessError):
        loaded_after("import datastores; datastores.nothing")
