"""`cp`: the plan, the options, the report, and what it says when it may not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import ORDERS, Run, staging


def rows_at(run: Run, url: str, *words: str) -> list[dict[str, Any]]:
    found = run("head", url, "-n", "10000", "--json", *words)
    assert found.code == 0, found.err
    return found.records


def test_the_plan_the_parts_and_the_report(run: Run, table: str, folder: Path) -> None:
    target = "datastore://files/orders/"
    words = ("--partition-by", "region", "--workers", "2", "--verify")
    found = run("cp", table, target, *words)
    assert (found.code, found.err) == (0, "")
    lines = found.out.splitlines()
    assert lines[0].startswith(" plan   warehouse/main.orders  1,000 rows")
    assert "files/orders/" in found.out
    assert "5 columns exact · 0 tagged · 0 refused" in found.out
    assert any(line.startswith(" part 1  ") and "done in" in line for line in lines)
    assert any(line.startswith(" copied 1,000 rows, ") for line in lines)
    assert any(line.startswith(" verified: both sides 1,000 rows, digest ") for line in lines)
    assert lines[-1].startswith(" job ")
    assert max(map(len, lines)) <= 100
    assert "\x1b" not in found.out
    assert len(rows_at(run, target)) == 1000
    assert staging(folder) == []


def test_drift_is_shown_and_done(run: Run, table: str) -> None:
    wider = ("--query", "select id, region, 1.5 as extra from orders limit 2", "warehouse")
    target = "datastore://warehouse/main/less"
    assert run("cp", table, target, "--columns", "id,region").code == 0
    append = ("cp", *wider, target, "--mode", "append")
    found = run(*append)
    assert found.code == 7
    assert "--drift ignore" in found.err
    line = "drift evolve · column 'extra' is added: the table gets it as DECIMAL(2,1)"
    dry = run(*append, "--drift", "evolve", "--dry-run")
    assert line in dry.out
    assert 'ALTER TABLE "main"."less" ADD COLUMN "extra" DECIMAL(2,1)' in dry.out
    found = run(*append, "--drift", "evolve")
    assert (found.code, found.err) == (0, "")
    assert found.out.count(line) == 2
    assert rows_at(run, target, "--filter", "extra is not null")[0]["extra"] == "1.5"
    everything = ("cp-all", "datastore://warehouse/main", "datastore://warehouse/other")
    assert run(*everything, "--drift", "refuse", "--include", "main.less").code == 0


def test_json_is_the_report(run: Run, table: str) -> None:
    [report] = run("cp", table, "datastore://files/a.parquet", "--json", "--job", "j1").records
    assert report["rows"] == 1000
    assert (report["job"], report["target"]) == ("j1", "files/a.parquet")


def test_a_report_is_a_page_or_json(run: Run, table: str, folder: Path) -> None:
    for name, words in (("a.html", ()), ("b.json", ()), ("c.json", ("--json",))):
        target = f"datastore://files/{name}.parquet"
        found = run("cp", table, target, "--report", name, "--workers", "1", *words)
        assert found.code == 0, found.err
    page = (folder / "a.html").read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>")
    assert "files/a.html.parquet" in page
    report = json.loads((folder / "b.json").read_text(encoding="utf-8"))
    assert (report["rows"], len(report["part_reports"])) == (1000, 1)
    assert found.records == [json.loads((folder / "c.json").read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--report", "a.pdf"], "'a.pdf' ends in none of .html, .json"),
        (["--report", "nowhere/a.html"], "there is no folder 'nowhere'"),
        (["--report", "a.html", "--dry-run"], "--report goes without --dry-run"),
    ],
)
def test_a_report_that_cannot_be_is_refused_before_the_copy(
    run: Run, table: str, folder: Path, words: list[str], message: str
) -> None:
    found = run("cp", table, "datastore://files/a.parquet", *words)
    assert found.code == 2
    assert message in " ".join(found.err.split())
    assert not (folder / "files").exists()


def test_a_dry_run_writes_nothing(run: Run, table: str, folder: Path) -> None:
    found = run("cp", table, "datastore://files/a.parquet", "--dry-run")
    assert found.code == 0
    assert found.out.splitlines()[-1] == " nothing was written"
    assert "DECIMAL(12,2)" in found.out
    assert not (folder / "files").exists()
    [plan] = run("cp", table, "datastore://files/a.parquet", "--dry-run", "--json").records
    assert [one["verdict"] for one in plan["columns"]] == ["exact"] * 5


def test_a_key_to_split_by_reaches_the_source(run: Run, table: str) -> None:
    found = run("cp", table, "datastore://files/a/", "--split-by", "region,id")
    assert "a duckdb datastore has no split_by" in " ".join(found.err.split())


def test_an_existing_target(run: Run, table: str, csv_file: str) -> None:
    words = ("--source-format-option", "infer=true")
    found = run("cp", csv_file, table, *words)
    assert found.code == 4
    text = " ".join(found.err.split())
    assert text.startswith("error: main.orders exists already")
    assert "the mode is create" in text
    assert "Say --mode append, replace or " in text
    assert "replace" in text
    assert "upsert --keys …" in text
    assert text.endswith("nothing was changed.")
    assert len(found.err.splitlines()) <= 3
    assert len(rows_at(run, table)) == 1000
    assert run("cp", csv_file, table, *words, "--json").error["type"] == "AlreadyExistsError"


def test_each_option_reaches_the_copy(run: Run, table: str, csv_file: str, folder: Path) -> None:
    target = "datastore://files/b/"
    assert (
        run(
            *("cp", table, target, "--columns", "id,total,day", "--filter", "total >= 10"),
            *("--filter", "id < 100", "--rename", "id=order_id", "--rename", "day=on_day"),
            *("--type", "total=decimal(18,4)", "--rows-per-file", "40", "--format", "parquet"),
            *("--format-option", "compression=snappy"),
        ).code
        == 0
    )
    assert rows_at(run, target)[0] == {"order_id": 10, "total": "10.0000", "on_day": "1970-01-11"}
    files = sorted((folder / "files" / "b").rglob("*.parquet"))
    assert [pq.read_metadata(one).num_rows for one in files] == [40, 40, 10]
    assert pq.read_metadata(files[0]).row_group(0).column(0).compression == "SNAPPY"
    assert (
        run(
            *("cp", csv_file, "datastore://warehouse/main/typed", "--source-format", "csv"),
            *("--source-format-option", "infer=true", "--mode", "create_append"),
        ).code
        == 0
    )
    assert rows_at(run, "datastore://warehouse/main/typed")[1] == {
        "id": 2,
        "total": 200.25,
        "day": "2026-01-02",
        "name": "00123",
    }


def test_upsert_and_replace(run: Run, table: str, folder: Path) -> None:
    target = "datastore://warehouse/main/copy"
    setup = run(
        "cp", "--query", "from orders where id < 10", "datastore://warehouse", target, "--verify"
    )
    assert setup.code == 0, setup.err
    sql = "select * replace (total + 1 as total) from orders where id between 5 and :high"
    words = ("--param", "high=11", "--mode", "replace", "--type", "total=decimal(12,2)")
    assert run("cp", "--query", sql, "warehouse", target, *words).code == 0
    assert [one["id"] for one in rows_at(run, target)] == list(range(5, 12))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--mode", "merge"], 2, "invalid value for '--mode'"),
        (["--workers", "0"], 2, "invalid value for '--workers'"),
        (["--rename", "id"], 2, "'id' is not name=value"),
        (["--param", "a=1"], 2, "--param goes with --query"),
        (["--columns", "id,nope"], None, "nope"),
        (["--filter", "nope = 1"], 2, "It has id, region, total, day, raw"),
        (["--type", "total=money"], 2, "'money' is not a type"),
        (["--type", "region=int32"], 7, "region"),
        (["--format-option", "compresion=snappy"], 2, "compresion"),
    ],
)
def test_mistakes(
    run: Run, table: str, folder: Path, words: list[str], code: int | None, message: str
) -> None:
    found = run("cp", table, "datastore://files/orders/", *words)
    assert found.code == code if code is not None else found.code in {2, 3, 7}
    assert message in " ".join(found.err.split())
    assert len(found.err.splitlines()) <= 3
    assert not list((folder / "files").rglob("*.parquet"))


def test_a_copy_of_bytes(run: Run, csv_file: str, folder: Path) -> None:
    found = run("cp", csv_file, "datastore://files/copy/", "--verify")
    assert found.code == 0
    assert "files as they are" in found.out
    assert (folder / "files" / "copy" / "orders.csv").read_text() == ORDERS
    again = run("cp", csv_file, "datastore://files/copy/")
    assert again.code == 4
    assert "--mode replace" in again.err


def test_a_query_names_a_whole_store(run: Run, table: str) -> None:
    found = run("cp", "--query", "select 1", table, "datastore://files/x.parquet")
    assert found.code == 2
    assert "Write warehouse, and the place in the query" in " ".join(found.err.split())


def test_new_files_are_copied_once_and_archived(run: Run, csv_file: str, folder: Path) -> None:
    words: tuple[str, ...] = ("cp", "datastore://files/raw/", "datastore://warehouse/main/o")
    words += (
        "--mode",
        "create_append",
        "--new-files",
        "--path-column",
        "_path",
        "--archive",
        "done",
    )
    planned = run(*words, "--dry-run")
    assert "1 new file: raw/orders.csv" in planned.out
    assert "are moved to done" in planned.out
    found = run(*words)
    assert (found.code, found.err) == (0, "")
    assert " 1 file moved to done" in found.out.splitlines()
    assert (folder / "files/done/orders.csv").exists()
    again = run(*words, "--modified-since", "2026-01-01T00:00:00Z")
    assert " copied 0 rows, " in again.out
    assert "no new file, 1 known, modified since 2026-01-01" in again.out
    rows = rows_at(run, "datastore://warehouse/main/o")
    assert [one["_path"] for one in rows] == ["orders.csv"] * 3


def test_a_moment_needs_a_zone(run: Run, csv_file: str) -> None:
    words = ("cp", csv_file, "datastore://warehouse/main/o", "--modified-since", "2026-01-01")
    found = run(*words)
    assert found.code != 0
    assert "modified_since has no zone" in found.err
