"""What a terminal shows and a pipe does not: bars, colours, as many columns as fit."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

Start = Callable[..., Popen[str]]
WIDTH = 100
MANY_PARTS = """
from datastores.cli.display import CopyDisplay
from datastores.cli.signals import StopSignals
from datastores.transfer import CopyPlan, PartProgress

plan = CopyPlan(
    job="j", source="a/b", target="c/d/", mode="create", rows=None, bytes=None,
    parts=tuple(map(str, range(20))), split_by="files", workers=2, snapshot=None,
    columns=(), bulk_path="files as they are", publish="at once",
)
with CopyDisplay(StopSignals()) as display:
    display.begin(plan)
    for part in range(20):
        for size in (5_000, 10_000):
            display.advance(PartProgress(
                part=str(part), label=str(part), rows=0, bytes=size, rows_total=None,
                bytes_total=10_000, seconds=0.1, done=size == 10_000,
            ))
"""


def test_a_terminal_shows_bars(start: Start, table: str, folder: Path) -> None:
    words = ("cp", table, "datastore://files/orders/", "--workers", "2")
    shown = on_a_terminal(start, *words)
    assert "━" in shown
    assert "part 1" in shown
    assert "1,000 rows" in shown
    assert "done in" in shown
    assert " copied 1,000 rows" in shown


def test_many_parts_share_one_total(start: Start) -> None:
    shown = on_a_terminal(start, "-c", MANY_PARTS)
    [*_, last] = [line for line in shown.splitlines() if "━" in line]
    assert "all 20" in last
    assert "20 parts done" in last
    assert "part 1 " not in last.rpartition("all 20")[2]


def test_a_terminal_shows_what_fits(start: Start, table: str) -> None:
    sql = "select " + ", ".join(f"'{'x' * 30}' as column_{n}" for n in range(5))
    shown = on_a_terminal(start, "query", "warehouse", sql).splitlines()
    assert shown[0].split() == ["column_0", "column_1", "column_2"]
    assert "not shown, for want of room: column_3, column_4" in shown[-1]


@pytest.mark.parametrize(("no_color", "red"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    start: Start, monkeypatch: pytest.MonkeyPatch, *, no_color: str, red: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    shown = on_a_terminal(start, "ls", "datastore://none/", stderr=True)
    assert "no datastore named 'none'" in shown
    assert ("\x1b[31m" in shown) is red


def on_a_terminal(start: Start, *words: str, stderr: bool = False) -> str:
    """Run a command with a terminal of 100 columns for its output, and return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
    shown = b""
    streams = {"stderr": theirs} if stderr else {"stdout": theirs}
    with start(*words, **streams) as process:
        os.close(theirs)
        # Linux says EIO when the last process has closed the terminal.
        try:
            while chunk := os.read(ours, 65_536):
                shown += chunk
        except OSError:
            pass
        process.communicate(timeout=30)
    os.close(ours)
    return shown.decode()
