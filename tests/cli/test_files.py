"""`ls`, `cat`, `stat` and `rm` on a real folder."""

from __future__ import annotations

import base64
import os
import pty
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen
from typing import Any

from tests.cli.conftest import ORDERS, Run

Start = Callable[..., Popen[str]]


def test_ls(run: Run, csv_file: str) -> None:
    found = run("ls", "datastore://files/")
    assert found.code == 0
    assert [line.split()[-1] for line in found.out.splitlines()] == ["path", "raw/"]
    [record] = run("ls", "-r", "datastore://files", "--json").records
    assert record["url"] == csv_file
    assert record["size"] == len(ORDERS)
    assert record["modified"].endswith("+00:00")


def test_a_listed_url_opens_the_file(run: Run, folder: Path) -> None:
    odd = folder / "files" / "a folder #1" / "50%?.txt"
    odd.parent.mkdir(parents=True)
    odd.write_bytes(b"here")
    [record] = run("ls", "-r", "datastore://files", "--json").records
    assert run("cat", record["url"]).out == "here"


def test_a_name_cannot_steer_the_terminal(run: Run, folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files" / "a\x1b[2Jb\u202ec").touch()
    found = run("ls", "datastore://files")
    assert "a\\x1b[2Jb\\u202ec" in found.out
    assert "\x1b" not in found.out


def test_a_name_that_is_no_text_hides_no_other(run: Run, folder: Path) -> None:
    (folder / "files").mkdir()
    for name in (b"a.txt", b"b\xff.txt"):
        (folder / "files" / os.fsdecode(name)).touch()
    done = run("ls", "datastore://files/", "--json")
    assert (done.code, done.err) == (0, "")
    assert [one["url"] for one in done.records] == [
        "datastore://files/a.txt",
        "datastore://files/b%FF.txt",
    ]
    assert [one["path"] for one in done.records] == ["a.txt", os.fsdecode(b"b\xff.txt")]
    assert "not UTF-8" in run("cat", "datastore://files/b%FF.txt").err


def test_cat(run: Run, csv_file: str, folder: Path) -> None:
    assert run("cat", csv_file).out == ORDERS
    assert run("cat", csv_file, "--json").records == [
        {"url": csv_file, "encoding": "utf-8", "content": ORDERS}
    ]
    (folder / "files" / "raw" / "b").write_bytes(b"\xff\x00")
    [record] = run("cat", "datastore://files/raw/b", "--json").records
    assert base64.b64decode(record["content"]) == b"\xff\x00"
    missing = run("cat", "datastore://files/raw/c")
    assert missing.code == 3
    assert "'raw/c'" in missing.err


def test_stat(run: Run, csv_file: str) -> None:
    [record] = run("stat", csv_file, "--json").records
    assert (record["path"], record["size"]) == ("raw/orders.csv", len(ORDERS))
    assert not record["is_folder"]
    shown = run("stat", "datastore://files/raw")
    assert shown.code == 0
    assert "datastore://files/raw/" in shown.out
    assert run("stat", "datastore://files/none").code == 3


def test_rm_of_a_file(run: Run, csv_file: str, folder: Path) -> None:
    assert run("rm", csv_file).code == 0
    assert not (folder / "files" / "raw" / "orders.csv").exists()
    assert run("rm", csv_file).code == 3


def test_rm_of_a_folder_wants_a_yes(run: Run, csv_file: str, folder: Path) -> None:
    plain = run("rm", "datastore://files/raw")
    assert plain.code == 2
    assert "Say -r to delete it with all that is in it" in plain.err
    unasked = run("rm", "-r", "datastore://files/raw")
    assert unasked.code == 2
    assert "Say --yes if you mean it; nothing was deleted" in " ".join(unasked.err.split())
    assert (folder / "files" / "raw" / "orders.csv").exists()
    meant = run("rm", "-r", "--yes", "datastore://files/raw", "--json")
    assert meant.records == [{"deleted": "datastore://files/raw"}]
    assert not (folder / "files" / "raw").exists()


def test_rm_asks_on_a_terminal(start: Start, csv_file: str, folder: Path) -> None:
    for answer, code, left in ((b"n\n", 2, True), (b"y\n", 0, False)):
        ours, theirs = pty.openpty()
        with start("rm", "-r", "datastore://files/raw", stdin=theirs) as process:
            os.write(ours, answer)
            _, err = process.communicate(timeout=30)
        os.close(ours)
        os.close(theirs)
        assert "delete datastore://files/raw and the 1 file in it? [y/N]" in err
        assert process.returncode == code
        assert (folder / "files" / "raw" / "orders.csv").exists() is left


def test_a_closed_pipe_is_quiet(start: Start, folder: Path) -> None:
    (folder / "files").mkdir()
    (folder / "files" / "big").write_bytes(b"line\n" * 1_000_000)
    with start("cat", "datastore://files/big") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "line\n"
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_the_root_is_not_deleted(run: Run, csv_file: str) -> None:
    assert run("rm", "-r", "--yes", "datastore://files").code == 5
    assert run("cat", csv_file).code == 0
    assert run("ls", "datastore://files/../x").code == 5


def test_usage(run: Run) -> None:
    cases: list[tuple[list[str], Any]] = [
        (["lss"], "no such command 'lss'"),
        (["ls"], "missing argument 'URL'"),
        (["ls", "--recursiv", "datastore://files"], "no such option"),
        (["ls", "files/raw"], "'files/raw' is not a URL. Write datastore://NAME/PATH"),
    ]
    for words, message in cases:
        found = run(*words)
        assert found.code == 2
        assert message in " ".join(found.err.split())
        assert len(found.err.splitlines()) <= 3
        assert run(*words, "--json").error["message"].startswith(message.partition(". ")[0][:15])
