"""Every block of the documents runs, in order, and prints what the document says it prints.

A `text` block is the output of the block above it; `...` stands for anything. Blocks that set up a
clone are not run again here: they must be commands that the set-up script and nox really have.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from tests.services.azurite import Azurite

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SET_UP = re.compile(r"\./run (\w+)|nox(?: -s (\w+))?(?: .*)?|\. \.venv/bin/activate")
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)")
# Languages that are shown, not run.
_SHOWN = frozenset({"toml", "yaml"})


_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass(frozen=True)
class Block:
    language: str
    text: str
    output: str | None
    line: int

    @property
    def sets_up(self) -> bool:
        lines = self.text.strip().splitlines()
        return self.language == "sh" and all(_SET_UP.fullmatch(line) for line in lines)


def blocks_of(document: Path) -> list[Block]:
    """Return a document's blocks in order, each with the output shown below it."""
    text = document.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        language, body = match.groups()
        line = text.count("\n", 0, match.start()) + 1
        if language == "text" and found and found[-1].output is None:
            found[-1] = Block(found[-1].language, found[-1].text, body, found[-1].line)
        else:
            found.append(Block(language, body, None, line))
    return found


def run_shell(text: str, folder: Path) -> str:
    """Run a block as a user's shell would, its first failure ending it; return what it prints."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": path, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_python(text: str, names: dict[str, Any], where: str) -> str:
    """Run a block with the names that the blocks before it made; return what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, where, "exec"), names)  # noqa: S102  # our own documents
    return printed.getvalue()


def services(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the variables that stand for a reader's own servers."""
    azurite: Azurite = request.getfixturevalue("azurite")
    login = request.getfixturevalue("database").owner
    container = request.getfixturevalue("container")
    return {
        "LANDING_ACCOUNT": azurite.account_name,
        "LANDING_URL": azurite.account_url,
        "LANDING_CONTAINER": container.container_name,
        "LANDING_KEY": azurite.account_key,
        "SALES_SERVER": login.host,
        "SALES_PORT": str(login.port),
        "SALES_DATABASE": login.database,
        "SALES_CA": str(login.ca_file),
        "SALES_USER": login.username,
        "SALES_PASSWORD": login.password,
    }


@pytest.fixture
def container(azurite: Azurite) -> Iterator[ContainerClient]:
    with azurite.container() as container:
        yield container


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_blocks_run(
    document: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.chdir(tmp_path)
    if "$SALES_SERVER" in document.read_text(encoding="utf-8"):
        for name, value in services(request).items():
            monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks_of(document):
        where = f"{document.name}:{block.line}"
        if block.sets_up or block.language in _SHOWN:
            continue
        assert block.language in {"sh", "python", "text"}, f"{where} says no language"
        if block.language == "text":  # a drawing
            continue
        printed = (
            run_shell(block.text, tmp_path)
            if block.language == "sh"
            else run_python(block.text, names, where)
        )
        if block.output is not None:
            same = doctest.OutputChecker().check_output(block.output, printed, _OPTIONS)
            assert same, f"{where} printed:\n{printed}"


def test_the_readme_has_both_commands_and_a_tour() -> None:
    blocks = blocks_of(ROOT / "README.md")
    assert [block.text for block in blocks if block.sets_up][:2] == [
        "./run demo\n",
        "./run tests\n",
    ]
    assert sum(block.output is not None for block in blocks) > 5


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    (block,) = [one for one in blocks_of(ROOT / "README.md") if one.text == "./run demo\n"]
    assert block.output
    # What the script runs once all is set up. Parts finish in either order.
    printed = run_shell("python -m datastores demo", tmp_path)
    shown, got = (
        "\n".join(line for line in text.splitlines() if not line.startswith(" part "))
        for text in (block.output, printed)
    )
    assert doctest.OutputChecker().check_output(f"{shown}\n", f"{got}\n", _OPTIONS), printed


def test_set_up_commands_exist() -> None:
    """The script offers them, and nox has the sessions."""
    offered = (ROOT / "run").read_text()
    sessions = re.findall(r"@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text())
    for document in DOCUMENTS:
        for block in filter(lambda one: one.sets_up, blocks_of(document)):
            for line in block.text.strip().splitlines():
                match = _SET_UP.fullmatch(line)
                assert match
                command, session = match.groups()
                assert command is None or f"\n{command})\n" in offered, line
                assert session is None or session in sessions, line


def test_continuous_integration_runs_the_readmes_second_command() -> None:
    steps = [
        line
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert steps == ["CI=true exec ./run tests"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one.name)
def test_links_lead_somewhere(document: Path) -> None:
    for place in _LINK.findall(document.read_text(encoding="utf-8")):
        assert (document.parent / place).exists(), f"{document.name} links to {place}"
