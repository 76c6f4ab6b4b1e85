"""What a copy leaves to be looked at: each part's times, and a page that holds whatever names hold."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Iterator
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from typing_extensions import override

import datastores
from datastores import Workspace
from datastores.transfer import CopyReport, files
from datastores.values import Unfit, UnfitExample

from .conftest import ROWS

SCRIPT = "<script>alert('&\"')</script>"


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    @override
    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def classes(self, tag: str) -> list[str | None]:
        return [attributes.get("class") for name, attributes in self.tags if name == tag]


@pytest.fixture
def report(workspace: Workspace, orders: pa.Table) -> CopyReport:
    workspace["warehouse"].write_table("orders", orders)
    return datastores.copy(
        workspace["warehouse"] / "orders", workspace["files"] / "orders/", workers=2, verify=True
    )


def test_parts_and_phases_are_timed(report: CopyReport) -> None:
    parts = report.part_reports
    assert [one.label for one in parts] == list(report.plan.parts)
    assert sum(one.rows for one in parts) == report.rows == ROWS
    assert sum(one.bytes_read for one in parts) == report.bytes_read
    assert sum(one.bytes_written for one in parts) == report.bytes_written
    assert [one.attempts for one in parts] == [1] * len(parts)
    assert all(one.worker for one in parts)
    assert [one.name for one in report.phases] == ["plan", "stage", "publish", "verify"]
    times = [time for one in report.phases for time in (one.began_seconds, one.ended_seconds)]
    assert times == sorted(times)
    assert times[-1] <= report.seconds
    stage = report.phases[1]
    for one in parts:
        assert stage.began_seconds <= one.began_seconds <= one.ended_seconds <= stage.ended_seconds


def test_one_worker_runs_one_part_after_the_other(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PART_BYTES", 100)
    for name in ("a", "b", "c"):
        workspace["files"].write(f"in/{name}", b"x" * 70)
    report = datastores.copy(workspace["files"] / "in/", workspace["other"] / "out/", workers=1)
    assert [one.name for one in report.phases] == ["plan", "stage", "publish"]
    assert len({one.worker for one in report.part_reports}) == 1
    first, second, third = report.part_reports
    assert first.ended_seconds <= second.began_seconds
    assert second.ended_seconds <= third.began_seconds
    assert [one.bytes_read for one in report.part_reports] == [70] * 3


def test_the_values_survive_json_and_pickle(report: CopyReport) -> None:
    plain = json.loads(report.to_json())
    assert plain == json.loads(json.dumps(report.to_dict()))
    assert plain["part_reports"][0]["label"] == plain["plan"]["parts"][0]
    assert (plain["rows"], plain["workers"], plain["mode"]) == (ROWS, 2, "create")
    assert plain["began"] == report.began.isoformat()
    assert pickle.loads(pickle.dumps(report)) == report


def test_the_page_shows_what_the_report_knows(report: CopyReport) -> None:
    page = Page(report.to_html())
    text = " ".join(page.text)
    bars = page.classes("rect")
    assert bars.count("part") == len(report.part_reports)
    assert bars[:4] == ["phase plan", "phase stage", "phase publish", "phase verify"]
    for shown in ("warehouse/orders", "files/orders/", f"{ROWS:,}", report.digest, report.job):
        assert f"{shown}" in text
    for column in report.plan.columns:
        assert column.target_type in page.text
    assert report.plan.parts[0] in page.text
    assert report.publish in page.text


def test_the_page_needs_nothing_else(report: CopyReport) -> None:
    page = Page(report.to_html())
    assert {name for name, _ in page.tags} <= {
        *("html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section"),
        *("h1", "h2", "h3", "p", "div", "span", "b", "ul", "li", "dl", "dt", "dd", "pre"),
        *("table", "thead", "tbody", "tr", "th", "td", "svg", "g", "line", "rect", "text"),
    }
    assert {"src", "href", "style"}.isdisjoint(key for _, one in page.tags for key in one)
    assert "url(" not in report.to_html()
    assert "@import" not in report.to_html()


def _marked(report: CopyReport) -> Iterator[CopyReport]:
    """Yield the report with markup in each place that a name or a value reaches."""
    plan = report.plan
    column = dataclasses.replace(plan.columns[0], name=SCRIPT, source_type=SCRIPT, note=SCRIPT)
    for change in (
        {"source": SCRIPT},
        {"target": SCRIPT},
        {"columns": (column,)},
        {"statements": (SCRIPT,)},
        {"snapshot": SCRIPT},
        {"publish": SCRIPT},
        {"job": SCRIPT},
    ):
        yield dataclasses.replace(report, plan=dataclasses.replace(plan, **change))
    part = dataclasses.replace(report.part_reports[0], label=SCRIPT, attempts=3)
    yield dataclasses.replace(report, part_reports=(part,))
    example = UnfitExample(column=SCRIPT, key=SCRIPT, value=SCRIPT)
    yield dataclasses.replace(report, unfit=Unfit(rows_rejected=1, examples=(example,)))


def test_names_and_values_are_text_in_the_page(report: CopyReport) -> None:
    for marked in _marked(report):
        html = marked.to_html()
        assert "<script" not in html
        assert any(SCRIPT in one for one in Page(html).text)


def test_control_characters_are_written_out(report: CopyReport) -> None:
    example = UnfitExample(column="note", key="id = 1", value="\x1b[31m\0\ud800")
    html = dataclasses.replace(report, unfit=Unfit(values_nulled=1, examples=(example,))).to_html()
    assert r"\x1b[31m\x00\ud800" in html
    assert html.encode()


def test_what_was_left_out_is_counted(report: CopyReport) -> None:
    example = UnfitExample(column="day", key="id = 7", value="infinity")
    unfit = Unfit(rows_rejected=2, values_nulled=3, examples=(example,))
    page = Page(dataclasses.replace(report, unfit=unfit).to_html())
    assert "1,000 copied + 2 left out = 1,002 read" in page.text
    assert {"day", "infinity", "id = 7"} <= set(page.text)


def test_a_part_that_was_tried_again_stands_out(report: CopyReport) -> None:
    first, *others = report.part_reports
    again = dataclasses.replace(first, attempts=2)
    page = Page(dataclasses.replace(report, part_reports=(again, *others)).to_html())
    assert page.classes("rect").count("part again") == 1
    assert any("2 attempts" in one for one in page.text)


def test_many_columns_and_parts_are_all_there(report: CopyReport) -> None:
    plan = dataclasses.replace(
        report.plan,
        columns=tuple(
            dataclasses.replace(report.plan.columns[0], name=f"c{n}") for n in range(200)
        ),
    )
    part = report.part_reports[0]
    parts = tuple(dataclasses.replace(part, label=f"range {n}") for n in range(500))
    page = Page(dataclasses.replace(report, plan=plan, part_reports=parts).to_html())
    assert {f"c{n}" for n in range(200)} | {f"range {n}" for n in range(500)} <= set(page.text)
    assert page.classes("rect").count("part") == 500


@pytest.mark.parametrize("seconds", [0.0, 0.004, 0.35, 9.99, 1_000, 86_400])
def test_the_axis_has_few_ticks(report: CopyReport, seconds: float) -> None:
    page = Page(dataclasses.replace(report, seconds=seconds).to_html())
    ticks = page.classes("text").count("tick")
    assert 1 <= ticks <= 11
