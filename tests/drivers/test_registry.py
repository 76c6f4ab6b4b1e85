"""From a type's name to its driver, or to an error that says what to write or install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from datastores.drivers.registry import config_class, driver_class, driver_types
from datastores.errors import UnknownSchemeError


def test_types_are_sorted_and_there() -> None:
    assert driver_types() == sorted(driver_types())
    assert {"duckdb", "local", "memory"} <= set(driver_types())


@pytest.mark.parametrize(
    ("name", "close"), [("duckbd", "duckdb"), ("Local", "local"), ("memori", "memory")]
)
def test_an_unknown_type_lists_those_there_are(name: str, close: str) -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        driver_class(name)
    assert str(caught.value).startswith(
        f"no datastore type {name!r}. Did you mean {close!r}? Known"
    )
    assert all(known in str(caught.value) for known in driver_types())


def test_nothing_close() -> None:
    with pytest.raises(UnknownSchemeError) as caught:
        driver_class("s3")
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize(
    ("package", "advice"),
    [("duckdb", "pip install 'datastores[duckdb]'"), ("nowhere", "Install nowhere")],
)
def test_a_missing_package_is_named(tmp_path: Path, package: str, advice: str) -> None:
    metadata = tmp_path / "toy-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text("[datastores.drivers]\ntoy = toy:Toy\n")
    (tmp_path / "toy.py").write_text(f"import {package}.inner\n")
    # In a process of its own, in which the package cannot be imported.
    script = f"""
import sys
sys.modules[{package!r}] = None
sys.path.insert(0, {str(tmp_path)!r})
from datastores.drivers.registry import config_class, driver_class, driver_types
from datastores.errors import MissingDependencyError
assert "toy" in driver_types()
try:
    driver_class("toy")
except MissingDependencyError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    expected = f"a toy datastore needs the package {package!r}, which is not installed. {advice}"
    assert done.stdout.strip() == expected


def test_another_name_of_a_type_is_the_same_driver() -> None:
    assert driver_class("postgresql") is driver_class("azure_postgresql")
    assert config_class("postgresql") is config_class("azure_postgresql")
