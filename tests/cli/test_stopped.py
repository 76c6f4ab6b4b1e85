"""Ctrl-C and SIGTERM: real processes, stopped in the middle of a real copy."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cli.conftest import Run, staging

Start = Callable[..., Popen[str]]
# Enough for half a minute, and staged from the first second on.
ENDLESS = "select i, hash(i) as noise, cast(i as varchar) as words from range(2_000_000_000) t(i)"
TARGET = "datastore://files/numbers/"
DEADLINE_SECONDS = 30


def size_of(file: Path) -> int:
    """Return a staged file's size; 0 if it has got its final name since it was listed."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def begin_endless_copy(start: Start, folder: Path, *more: str) -> Popen[str]:
    """Start a copy over an existing folder, and return once rows of it are staged."""
    process = start("cp", "--query", ENDLESS, "warehouse", TARGET, "--mode", "replace", *more)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not any(map(size_of, staging(folder))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_copy_leaves_the_target_as_it_was(
    run: Run, start: Start, table: str, folder: Path, number: signal.Signals, code: int
) -> None:
    first = run("cp", "--query", "select 1 as i", "warehouse", TARGET)
    assert first.code == 0, first.err
    before = {one: one.read_bytes() for one in (folder / "files").rglob("*.parquet")}
    with begin_endless_copy(start, folder, "--job", "endless") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == code
    assert err == " stopped: files/numbers/ is as it was; nothing is left of job endless\n"
    assert out.startswith(" plan   ")
    assert "copied" not in out
    assert {one: one.read_bytes() for one in (folder / "files").rglob("*.parquet")} == before
    assert staging(folder) == []
    assert run("head", TARGET, "--json").records == [{"i": 1}]


def test_a_stopped_query_is_quiet(start: Start, table: str) -> None:
    with start("query", "warehouse", ENDLESS, "--json") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith('{"i":0,')
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode == 130
    assert err == ""


def test_two_signals_at_once_end_a_copy(start: Start, run: Run, table: str, folder: Path) -> None:
    """The second may cut the tidying short, so that staging is left, but never the target's rows."""
    first = run("cp", "--query", "select 1 as i", "warehouse", TARGET)
    assert first.code == 0, first.err
    with begin_endless_copy(start, folder) as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_SECONDS)
    assert process.returncode in {130, 143}
    assert run("head", TARGET, "--json").records == [{"i": 1}]
