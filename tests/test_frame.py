"""The project's frame holds: skips that fail, no network, a set-up script that explains itself."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with some more variables; None of its output is lost."""
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


class TestSkips:
    @pytest.fixture
    def suite(self, tmp_path: Path) -> Path:
        shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
        tmp_path.joinpath("test_it.py").write_text(
            "import pytest\n"
            "def test_plain(): pytest.skip('no service')\n"
            "@pytest.mark.skip(reason='no service')\n"
            "def test_marked(): pass\n"
            "@pytest.mark.xfail(reason='upstream')\n"
            "def test_expected(): assert False\n"
            "def test_listed(): pytest.skip('may not mount here')\n"
        )
        return tmp_path

    @staticmethod
    def outcome(suite: Path, ci: str) -> str:
        options = ("-p", "no:cacheprovider", "-p", "no:randomly", "-q", "--rootdir=.")
        # The copied conftest names a plugin of these tests.
        return run(
            sys.executable, "-m", "pytest", *options, cwd=suite, CI=ci, PYTHONPATH=str(ROOT)
        ).stdout

    def test_are_skips_for_a_developer(self, suite: Path) -> None:
        assert "3 skipped, 1 xfailed" in self.outcome(suite, "")

    def test_are_failures_in_ci_unless_listed(self, suite: Path) -> None:
        shown = self.outcome(suite, "true")
        # One skips when it runs, which fails it; the other before, which is an error of its setup.
        assert "1 failed, 1 skipped, 1 xfailed, 1 error" in shown
        assert "test_plain: skipped in CI, and not allowed to be: no service" in shown
        assert "test_marked: skipped in CI, and not allowed to be: no service" in shown


def test_other_machines_are_out_of_reach() -> None:
    with pytest.raises(RuntimeError, match="reached for the network"):
        socket.create_connection(("192.0.2.1", 443), timeout=1)


class TestSetUp:
    @staticmethod
    def fake_python(folder: Path, script: str) -> str:
        """Return a PATH whose only Python is a script, beside the commands that `run` needs."""
        for name in ("sh", "dirname", "cmp", "id"):
            found = shutil.which(name)
            assert found
            folder.joinpath(name).symlink_to(found)
        python = folder / "python3"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        return str(folder)

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        """A folder that holds the script and no environment yet."""
        folder = tmp_path / "checkout with a space"
        folder.mkdir()
        shutil.copy(ROOT / "run", folder)
        shutil.copy(ROOT / "pyproject.toml", folder)
        return folder

    @pytest.fixture
    def programs(self, tmp_path: Path) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        return folder

    def test_without_a_command_it_shows_both(self, checkout: Path, tmp_path: Path) -> None:
        result = run(checkout / "run", cwd=tmp_path)
        assert result.returncode == 2
        assert "./run demo" in result.stdout
        assert "./run tests" in result.stdout

    def test_an_old_python_is_named_as_the_reason(self, checkout: Path, programs: Path) -> None:
        path = self.fake_python(programs, "exit 1")
        result = run(checkout / "run", "demo", cwd=checkout, PATH=path)
        assert result.returncode == 1
        assert "no Python 3.11 or newer on PATH" in result.stdout
        assert not checkout.joinpath(".venv").exists()

    def test_a_python_without_ensurepip_names_the_package(
        self, checkout: Path, programs: Path
    ) -> None:
        script = (
            'case "$2" in\n'
            '*sys.executable*) echo "$0"; exit ;;\n'
            '"import ensurepip") exit 1 ;;\n'
            f'esac\nexec "{sys.executable}" "$@"'
        )
        path = self.fake_python(programs, script)
        result = run(checkout / "run", "demo", cwd=checkout, PATH=path)
        assert result.returncode == 1
        package = f"python3.{sys.version_info.minor}-venv"
        assert f"sudo apt-get install {package}" in result.stdout
