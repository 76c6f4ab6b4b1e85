"""Help is complete, and says the truth about exit codes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import datastores
from datastores.cli import program
from datastores.cli.failures import EXIT_CODES_HELP, exit_code
from datastores.errors import DatastoreError
from datastores.transfer import CopyOptions
from tests.cli.conftest import Run


def _commands(group: click.Group, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from _commands(command, (*before, name))
        else:
            yield (*before, name)


@pytest.mark.parametrize("words", list(_commands(program)), ids=" ".join)
def test_each_command_has_an_example_and_json(run: Run, words: tuple[str, ...]) -> None:
    found = run(*words, "--help")
    assert found.code == 0
    assert f"datastores {' '.join(words)}" in found.out.partition("Examples:")[2]
    assert "--json" in found.out
    assert max(map(len, found.out.splitlines())) <= 100


def test_version_and_module() -> None:
    for words in (["-m", "datastores"], ["-c", "from datastores.cli import main; main()"]):
        shown = subprocess.run(
            [sys.executable, *words, "--version"], capture_output=True, check=False
        )
        assert shown.stdout.decode() == f"datastores, version {datastores.__version__}\n"


def _subclasses(kind: type[DatastoreError]) -> list[type[DatastoreError]]:
    return [one for direct in kind.__subclasses__() for one in (direct, *_subclasses(direct))]


def test_each_error_has_a_documented_exit_code() -> None:
    documented = {int(code) for code in re.findall(r"(?m)(?:^|\s{5}) *(\d+)  \S", EXIT_CODES_HELP)}
    ours = [one for one in _subclasses(DatastoreError) if one.__module__ == "datastores.errors"]
    assert len(ours) == 16
    codes = {one.__name__: exit_code(one("x")) for one in ours}
    assert set(codes.values()) <= documented
    assert codes["ConnectionFailedError"] == codes["RateLimitedError"] == 6
    assert codes["UnknownSchemeError"] == 2
    assert codes["DriverError"] == codes["PreconditionFailedError"] == 1


def test_cp_has_every_word_of_copy() -> None:
    words = {parameter.name for parameter in program.commands["cp"].params}
    # The command shows the plan and progress itself, and has another name for these.
    renamed = {"workspace": "file", "filters": "conditions", "executor": "dask"}
    shown = {"progress", "on_plan"}
    missing = {renamed.get(name, name) for name in CopyOptions.__annotations__} - shown - words
    assert missing == set()


def test_no_command_shows_the_help(run: Run) -> None:
    found = run()
    assert found.code == 2
    assert found.err.startswith("Usage: datastores")
    assert "Commands:" in found.err
