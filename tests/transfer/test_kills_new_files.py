"""Whenever a copy of new files is killed: the next call leaves each file's rows once, and all in the archive."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest

from . import test_kills
from .test_kills import (
    DECIDES,
    EXPECTED,
    FILES,
    KINDS,
    NEW,
    OF_ARCHIVES,
    OF_BLOBS,
    OF_BOOKMARKS,
    ROWS,
    WARM_UP,
    Ends,
    begun,
    die_adding,
    prepared,
    rows_of,
    steps,
)

MOMENTS = 60

ends, source = test_kills.ends, test_kills.source


def steps_of_new_files(kind: str) -> list[str]:
    bookmarks = OF_BOOKMARKS if kind in DECIDES else ()
    return [*steps(kind), *bookmarks, *OF_ARCHIVES]


def check_new_files(ends: Ends) -> str:
    """Make a copy of new files again that was killed; return what was left of it to do."""
    report = ends.copy("append")
    assert ends.content() == rows_of(EXPECTED["append"])
    files = ends.workspace["source"].filesystem
    assert files.find(ends.folder) == []
    assert len(files.find(ends.new["archive"])) == FILES
    assert ends.copy("append").plan.new_files == f"no new file, {FILES} known"
    assert ends.content() == rows_of(EXPECTED["append"])
    assert ends.workspace["target"].jobs() == []
    ends.workspace["target"].close()
    # PostgreSQL keeps the schema of its bookmarks.
    assert set(ends.left()) <= {"_datastores"}
    if report.parts:
        return "published, and then acknowledged" if not report.workers else "copied"
    return "archived" if report.archived else "after the end"


_USUAL = {
    ("files as they are", "a file is archived"),
    *(("local", one) for one in OF_BOOKMARKS),
    ("duckdb", "published"),
    ("azure_postgresql", "a file is archived"),
}


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        pytest.param(kind, step, marks=() if (kind, step) in _USUAL else pytest.mark.faults)
        for kind in KINDS
        for step in steps_of_new_files(kind)
    ],
)
def test_a_copy_of_new_files_that_is_killed_at_a_step(ends: Ends, step: str) -> None:
    ends = replace(ends, new={"new_files": True, "archive": "done"})
    die_adding(ends, step)
    left = {"published": "published, and then acknowledged", "a file is archived": "published"}
    assert check_new_files(ends).startswith(left.get(step, ""))


@pytest.mark.faults
@pytest.mark.parametrize("step", [*OF_ARCHIVES, OF_BLOBS])
@pytest.mark.parametrize(("source", "kind"), [("azure_blob", "duckdb")])
def test_an_archive_of_blobs_that_is_cut_short(ends: Ends, step: str) -> None:
    ends = replace(ends, new={"new_files": True, "archive": "done"})
    die_adding(ends, step)
    assert check_new_files(ends) == "published, and then acknowledged"


@pytest.mark.faults
@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_new_files_that_are_killed_at_any_moment(
    ends: Ends, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes: Counter[str] = Counter()
    chance = random.Random(12)  # noqa: S311  # the same moments in each run
    seconds = 0.0
    for turn in range(-WARM_UP, MOMENTS):
        number = turn + WARM_UP
        new = {"new_files": True, "archive": f"done_{number}"}
        here = replace(ends, name=f"orders_{number}", folder=f"in_{number}", new=new)
        here.workspace["source"].write_table(here.source_table, NEW, rows_per_file=ROWS // FILES)
        prepared(here, "append")
        process = begun(here, "append")
        start = time.monotonic()
        if turn < 0:
            process.join()
            seconds = time.monotonic() - start
        else:
            time.sleep(chance.uniform(0, seconds))
            process.kill()
            process.join()
        outcomes[check_new_files(here)] += turn >= 0
    assert outcomes["after the end"] < MOMENTS
    with capsys.disabled():
        shown = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        sys.stdout.write(f"\n{ends.kind}, new files: {MOMENTS} kills, all right: {shown}\n")
