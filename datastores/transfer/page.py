"""A copy's report as one HTML page, for a browser or a printer, with nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from xml.etree import ElementTree as ET

from datastores import __version__
from datastores.display import format_bytes
from datastores.transfer.markup import element, page, table, terms
from datastores.transfer.plan import COLUMN_HEADS, DRIFT_HEADS, CopyPlan, unfit_lines
from datastores.transfer.report import CopyReport, rejected_words
from datastores.transfer.timeline import timeline, workers_of


def page_of(report: CopyReport) -> str:
    """Return the page: outcome, plan, timeline, parts, guarantees and verification."""
    style = resources.files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    sections = {
        "Plan": _plan(report.plan),
        "Timeline": [
            element("div", timeline(report), class_="scroll", tabindex=0),
            _phases(report),
        ],
        "Parts": [_parts(report)],
        "Guarantees": _guarantees(report),
        "Verification": [element("p", _verification(report))],
    }
    return page(
        f"{report.source} to {report.target}",
        style,
        _heading(report),
        *(
            element("section", element("h2", title), *content)
            for title, content in sections.items()
        ),
        element(
            "footer",
            f"Job {report.job}, begun {report.began:%Y-%m-%d %H:%M:%S} UTC, "
            f"by datastores {__version__}.",
        ),
    )


def _heading(report: CopyReport) -> ET.Element:
    figures = [(f"{value}", name) for value, name in _figures(report) if value]
    return element(
        "header",
        element("p", "Copy report", class_="kind"),
        element("h1", report.source, " ", element("span", "→", class_="arrow"), " ", report.target),
        element(
            "ul",
            *(
                element("li", element("b", value), " ", element("span", name))
                for value, name in figures
            ),
            class_="figures",
        ),
    )


def _figures(report: CopyReport) -> Iterator[tuple[str, str]]:
    if report.rows is None:
        yield f"{report.files:,}", "files copied"
    else:
        yield f"{report.rows:,}", "rows copied"
    yield f"{report.seconds:,.2f} s", "in all"
    if report.speed is not None:
        yield report.speed, "rows a second"
    yield format_bytes(report.bytes_read), "read"
    yield format_bytes(report.bytes_written), "written"
    yield format_bytes(report.peak_memory_bytes), "peak memory"
    yield ("equal" if report.digest else ""), "verified"


def _plan(plan: CopyPlan) -> Iterator[ET.Element]:
    counted = f"{len(plan.parts):,} by {plan.split_by}, {plan.workers} at once"
    estimates = [f"{plan.rows:,} rows"] if plan.rows is not None else []
    estimates += [f"about {format_bytes(plan.bytes)}"] if plan.bytes is not None else []
    yield terms(
        [
            ("Mode", plan.mode),
            ("Parts", counted),
            ("Estimate", ", ".join(estimates) or "none"),
            ("Rows travel as", plan.bulk_path) if plan.columns else ("Travel", plan.bulk_path),
            *([("Rejected rows", f"go to {plan.rejects}")] if plan.rejects else []),
        ]
    )
    if plan.columns:
        yield table(COLUMN_HEADS, (_column(one.row(), str(one.verdict)) for one in plan.columns))
    if plan.drifted:
        yield element("h3", f"Columns that are not the target's: {plan.drift}")
        yield table(
            DRIFT_HEADS,
            (
                (
                    one.column,
                    str(one.kind),
                    one.source_type or "",
                    one.target_type or "",
                    one.outcome,
                )
                for one in plan.drifted
            ),
        )
    if plan.statements:
        yield element("h3", "Statements")
        lines = (line for one in plan.statements for line in (*one.splitlines(), ""))
        yield element("pre", *(element("span", line) for line in lines))


def _column(cells: tuple[str, ...], verdict: str) -> tuple[ET.Element | str, ...]:
    *others, last = cells
    return (*others, element("span", last, class_=f"verdict {verdict}"))


def _phases(report: CopyReport) -> ET.Element:
    """Return the seconds of each phase; also the legend of the picture."""
    marks = [
        element(
            "li",
            f"{one.name} ",
            element("b", f"{one.ended_seconds - one.began_seconds:.3f} s"),
            class_=one.name,
        )
        for one in report.phases
    ]
    if any(one.attempts > 1 for one in report.part_reports):
        marks.append(element("li", "a part that was tried again", class_="again"))
    return element("ul", *marks, class_="phases")


def _parts(report: CopyReport) -> ET.Element:
    workers = workers_of(report)
    heads = ("part", "reads", "worker", "rows", "read", "written", "began", "took", "attempts")
    return table(
        heads,
        (
            (
                str(one.number),
                one.label,
                str(workers[one.worker]),
                f"{one.rows:,}" if report.rows is not None else "",
                format_bytes(one.bytes_read),
                format_bytes(one.bytes_written),
                f"{one.began_seconds:.3f} s",
                f"{one.ended_seconds - one.began_seconds:.3f} s",
                str(one.attempts),
            )
            for one in report.part_reports
        ),
        numbers={*heads} - {"reads"},
    )


def _guarantees(report: CopyReport) -> Iterator[ET.Element]:
    shared = f"One for all parts: {report.snapshot}" if report.snapshot else "None that parts share"
    unfit = report.unfit
    fit, *_ = unfit_lines(unfit) or ["every value was held exactly"]
    facts = [
        ("Snapshot", shared),
        ("Publish", report.publish),
        ("Retries", f"{report.retries:,}" if report.retries else "None was needed"),
        ("Values", fit),
    ]
    facts += [("New", one) for one in (report.plan.cursor, report.plan.new_files) if one]
    if report.archived is not None:
        facts.append(("Archive", report.archived_words()))
    if unfit and report.rows is not None:
        left_out = unfit.rows_rejected
        whole = f"{report.rows:,} copied + {left_out:,} left out = {report.rows + left_out:,} read"
        facts.append(("Rows", whole))
    if report.rejects is not None:
        facts.append(("Rejected rows", rejected_words(report.unfit, report.rejects)))
    yield terms(facts)
    if unfit and unfit.examples:
        yield element("h3", "The first values that were not held")
        yield table(
            ("column", "value", "row"),
            ((one.column, one.value, one.key or "") for one in unfit.examples),
        )


def _verification(report: CopyReport) -> str:
    if report.digest:
        return (
            f"The target was read back: both sides hold {report.rows:,} rows with digest "
            f"{report.digest}."
        )
    if report.plan.verify:
        return "Each file's bytes were compared while it was staged, before anything was published."
    return "Not asked for: verify=True or --verify reads the target back and compares."
