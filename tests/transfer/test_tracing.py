"""OpenTelemetry spans of a copy, as an exporter of the SDK gets them; and copies without it."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import textwrap
import threading
from collections.abc import Generator
from pathlib import Path

import pyarrow as pa
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

import datastores
from datastores import Workspace
from datastores.errors import DataError
from datastores.transfer.read_ahead import read_ahead

from .conftest import ROWS


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [one for one in spans.get_finished_spans() if one.name == f"datastores.{name}"]


def test_a_copy_is_a_span_with_its_parts_below(
    workspace: Workspace, orders: pa.Table, spans: InMemorySpanExporter
) -> None:
    workspace["warehouse"].write_table("orders", orders)
    with trace.get_tracer("caller").start_as_current_span("request"):
        report = datastores.copy(
            workspace["warehouse"] / "orders",
            workspace["files"] / "orders/",
            workers=2,
            verify=True,
        )
    (copy,) = named(spans, "copy")
    (request,) = [one for one in spans.get_finished_spans() if one.name == "request"]
    assert copy.parent == request.context
    assert dict(copy.attributes or {}) == {
        "datastores.job": report.job,
        "datastores.source": "warehouse/orders",
        "datastores.target": "files/orders/",
        "datastores.mode": "create",
        "datastores.rows": ROWS,
        "datastores.bytes_read": report.bytes_read,
        "datastores.bytes_written": report.bytes_written,
        "datastores.retries": 0,
    }
    for step in ("plan", "publish", "verify"):
        (span,) = named(spans, f"copy.{step}")
        assert span.parent == copy.context
    parts = named(spans, "copy.part")
    assert [one.parent for one in parts] == [copy.context] * report.parts
    told = {
        one.attributes["datastores.part"]: dict(one.attributes) for one in parts if one.attributes
    }
    assert told == {
        one.name: {
            "datastores.part": one.name,
            "datastores.rows": one.rows,
            "datastores.bytes_read": one.bytes_read,
            "datastores.bytes_written": one.bytes_written,
            "datastores.attempts": 1,
        }
        for one in report.part_reports
    }


def test_an_error_is_recorded_where_it_was_raised(
    workspace: Workspace, orders: pa.Table, spans: InMemorySpanExporter
) -> None:
    files = workspace["files"]
    files.write_table("in.parquet", orders)
    raw = bytearray(files.read("in.parquet"))
    raw[10:200] = b"\xff" * 190
    files.write("in.parquet", bytes(raw), mode="replace")
    with pytest.raises(DataError):
        datastores.copy(files / "in.parquet", files / "out.csv")
    for name in ("copy.part", "copy"):
        (span,) = named(spans, name)
        assert span.status.status_code is StatusCode.ERROR
        assert span.attributes
        assert span.attributes["error.type"] == "DataError"
        assert [event.name for event in span.events] == ["exception"]
    assert named(spans, "copy.publish") == []


def test_spans_of_others_belong_to_the_part(
    workspace: Workspace, orders: pa.Table, spans: InMemorySpanExporter
) -> None:
    """What an instrumented package does in a worker's thread hangs below the part."""
    workspace["warehouse"].write_table("orders", orders)
    tracer = trace.get_tracer("instrumented")

    def note(_: object) -> None:
        tracer.start_span("inside").end()

    datastores.copy(workspace["warehouse"] / "orders", workspace["files"] / "a.csv", progress=note)
    (part,) = named(spans, "copy.part")
    inside = [one for one in spans.get_finished_spans() if one.name == "inside"]
    assert inside
    assert all(one.parent == part.context for one in inside)


def test_reading_ahead_goes_on_in_the_callers_context() -> None:
    mark = contextvars.ContextVar("mark", default="none")

    def batches() -> Generator[pa.RecordBatch, None, None]:
        for _ in range(5):
            yield pa.record_batch({"mark": [mark.get()]})

    mark.set("caller's")
    ahead = read_ahead(batches(), 2)
    elsewhere = threading.Thread(target=lambda: found.extend(ahead))
    found: list[pa.RecordBatch] = []
    elsewhere.start()
    elsewhere.join()
    assert [one["mark"][0].as_py() for one in found] == ["caller's"] * 5


def test_a_copy_works_without_opentelemetry(tmp_path: Path) -> None:
    script = """
    import sys
    sys.modules["opentelemetry"] = None
    import datastores
    stores = {"files": {"type": "local", "path": sys.argv[1]}}
    with datastores.Workspace.from_mapping({"default": "files", "datastores": stores}) as workspace:
        files = workspace["files"]
        files.write("a", b"abc")
        print(datastores.copy(files / "a", files / "b").files)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "1\n"
