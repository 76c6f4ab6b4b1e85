"""The import contracts in pyproject.toml hold, and each breaks when a module violates it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Contract -> a module of the package, and a line that must break the contract there.
VIOLATIONS = {
    "imports run one way": ("values.py", "import datastores.workspace"),
    "drivers never import one another": (
        "drivers/local/config.py",
        "import datastores.drivers.memory.config",
    ),
    "a service package is imported only in its driver": ("transfer/run.py", "import duckdb"),
    "values and URLs need no Arrow": ("location.py", "import pyarrow"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "datastores", tmp_path / "datastores", ignore=shutil.ignore_patterns("*.pyc")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [program, "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_contracts_are_kept(copy: Path) -> None:
    result = lint(copy)
    assert result.returncode == 0, result.stdout
    for contract in VIOLATIONS:
        assert f"{contract} KEPT" in " ".join(result.stdout.split())


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_a_contract_breaks_when_violated(copy: Path, contract: str) -> None:
    place, line = VIOLATIONS[contract]
    module = copy / "datastores" / place
    module.write_text(f"{module.read_text()}\n{line}\n")
    result = lint(copy)
    assert result.returncode == 1
    assert f"{contract} BROKEN" in " ".join(result.stdout.split())
