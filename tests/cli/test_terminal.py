"""What a terminal shows and a pipe does not: bars, colours, as many columns as fit."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import termios
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest

Start = Callable[..., Popen[str]]
WIDTH = 100
BARS = """
from datastores.cli.display import CopyDisplay
from datastores.cli.signals import StopSignals
from datastores.transfer import CopyPlan, PartProgress

PARTS, AT_ONCE, TOTAL = {parts}, {at_once}, {total}
plan = CopyPlan(
    job="j", source="a/b", target="c/d/", mode="create", rows=None, bytes=TOTAL and TOTAL * PARTS,
    parts=tuple(map(str, range(PARTS))), split_by="files", workers=AT_ONCE, snapshot=None,
    columns=(), bulk_path="files as they are", publish="at once",
)
with CopyDisplay(StopSignals()) as display:
    display.begin(plan)
    for first in range(0, PARTS, AT_ONCE):
        for step in range(1, 6):
            time.sleep(0.02)
            for part in range(first, min(first + AT_ONCE, PARTS)):
                display.advance(PartProgress(
                    part=str(part), label=str(part), rows=0, bytes=3_000 * step, rows_total=None,
                    bytes_total=TOTAL, seconds=0.1 * step, done=step == 5,
                ))
            display._bars._progress.refresh()
"""


def bars(parts: int, at_once: int, total: int | None) -> str:
    """Return a script that shows the bars of a copy of files that goes on in steps."""
    return "import time\n" + BARS.format(parts=parts, at_once=at_once, total=total)


def test_a_terminal_shows_bars(start: Start, table: str, folder: Path) -> None:
    words = ("cp", table, "datastore://files/orders/", "--workers", "2")
    shown = on_a_terminal(start, *words)
    assert "━" in shown
    assert "part 1" in shown
    assert "1,000 rows" in shown
    assert "done in" in shown
    assert " copied 1,000 rows" in shown


def test_many_parts_share_one_total(start: Start) -> None:
    shown = on_a_terminal(start, "-c", bars(20, 2, 15_000))
    [*_, last] = [line for line in shown.splitlines() if "━" in line]
    assert last.removeprefix("\x1b[2K").split()[:2] == ["20/20", "parts"]


def test_no_more_than_ten_lines_move(start: Start) -> None:
    shown = on_a_terminal(start, "-c", bars(60, 20, 15_000))
    frames = re.split(r"\d+/60 parts", shown)
    assert len(frames) > 10
    assert max(frame.count("part ") for frame in frames) == 9


def test_time_left_is_said_where_it_is_known(start: Start) -> None:
    assert re.search(r"\d:\d\d left", on_a_terminal(start, "-c", bars(2, 2, 90_000)))
    assert " left" not in on_a_terminal(start, "-c", bars(2, 2, None))


def test_an_estimate_that_was_too_small_leaves_no_time(start: Start) -> None:
    shown = on_a_terminal(start, "-c", bars(2, 2, 1_000))
    assert " left" not in shown
    assert "30 kB" in shown.rpartition("2/2 parts")[2]


@pytest.mark.parametrize("width", [60, 40])
def test_bars_fit_the_terminal(start: Start, width: int) -> None:
    shown = on_a_terminal(start, "-c", bars(4, 2, 90_000), width=width)
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)
    drawn = [line for line in re.split(r"[\r\n]+", plain) if "━" in line]
    assert drawn
    assert max(map(len, drawn)) <= width
    assert " 15 kB" not in plain
    assert ("kB/s" in plain) is (width > 40)
    assert "…" not in "".join(drawn)
    # The cursor is given back.
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")


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


def on_a_terminal(start: Start, *words: str, stderr: bool = False, width: int = WIDTH) -> str:
    """Run a command with a terminal for its output, and return what it shows."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    shown = b""
    streams = {"stderr": theirs} if stderr else {"stdout": theirs}
    with start(*words, columns=width, **streams) as process:
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
