"""The timeline of a copy as a picture: its phases, and a bar for each part in its worker's row."""

from __future__ import annotations

import math
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from datastores.display import format_bytes
from datastores.transfer.markup import element
from datastores.transfer.report import CopyReport
from datastores.transfer.timings import PartReport, Phase

# In the picture's own units, which are pixels where there is room for all of it.
_WIDTH = 1000
_LEFT, _RIGHT = 84, 28
_ROW, _BAR = 26, 18
_AXIS = 34
_CHARACTER = 7
_MIN_BAR = 1.5

_MAX_TICKS = 10


def timeline(report: CopyReport) -> ET.Element:
    """Return the picture as SVG; what a bar stands for is its tooltip."""
    workers = workers_of(report)
    height = _ROW * (1 + len(workers)) + _AXIS
    names = ["copy", *(f"worker {number}" for number in workers.values())]
    return element(
        "svg",
        *_axis(report.seconds, height - _AXIS),
        *(
            element("text", name, x=_LEFT - 8, y=_middle(row), class_="row")
            for row, name in enumerate(names)
        ),
        *(_phase(phase, report.seconds) for phase in report.phases),
        *(_part(part, workers[part.worker], report.seconds) for part in report.part_reports),
        viewBox=f"0 0 {_WIDTH} {height}",
        role="img",
        aria_label="When the phases and parts of the copy ran",
    )


def workers_of(report: CopyReport) -> dict[str, int]:
    """Return the workers' numbers, from 1 in the order in which they began."""
    parts = sorted(report.part_reports, key=lambda part: part.began_seconds)
    names = dict.fromkeys(part.worker for part in parts)
    return {name: number for number, name in enumerate(names, 1)}


def _axis(seconds: float, bottom: int) -> Iterator[ET.Element]:
    step = _step(seconds)
    for number in range(math.floor(seconds / step) + 1):
        x = f"{_x(number * step, seconds):.1f}"
        yield element("line", x1=x, x2=x, y1=0, y2=bottom, class_="grid")
        yield element("text", f"{number * step:,g} s", x=x, y=bottom + 18, class_="tick")


def _step(seconds: float) -> float:
    """Return 1, 2 or 5 times a power of ten: the smallest that makes few enough ticks."""
    least = max(seconds, 1e-6) / _MAX_TICKS
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * one for one in (1, 2, 5, 10) if power * one >= least)


def _phase(phase: Phase, seconds: float) -> ET.Element:
    title = f"{phase.name}: {_lasted(phase)}"
    return _bar(phase, 0, seconds, title=title, kind=f"phase {phase.name}", label=phase.name)


def _part(part: PartReport, row: int, seconds: float) -> ET.Element:
    amounts = [f"{part.rows:,} rows"] if part.rows else []
    amounts += [f"{format_bytes(part.bytes_read)} read", _lasted(part)]
    if part.attempts > 1:
        amounts.append(f"{part.attempts} attempts")
    kind = "part again" if part.attempts > 1 else "part"
    title = f"part {part.number}, {part.label}: {', '.join(amounts)}"
    return _bar(part, row, seconds, title=title, kind=kind, label=str(part.number))


def _bar(
    span: Phase | PartReport, row: int, seconds: float, *, title: str, kind: str, label: str
) -> ET.Element:
    left, right = _x(span.began_seconds, seconds), _x(span.ended_seconds, seconds)
    width = max(right - left, _MIN_BAR)
    top = row * _ROW + (_ROW - _BAR) / 2
    shape = element("rect", x=f"{left:.1f}", y=top, width=f"{width:.1f}", height=_BAR, class_=kind)
    group = element("g", element("title", title), shape)
    if width > _CHARACTER * (len(label) + 1):
        x = f"{left + width / 2:.1f}"
        group.append(element("text", label, x=x, y=_middle(row), class_="label"))
    return group


def _lasted(span: Phase | PartReport) -> str:
    began, ended = span.began_seconds, span.ended_seconds
    return f"{ended - began:.3f} s, from {began:.3f} s to {ended:.3f} s"


def _x(second: float, seconds: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * second / max(seconds, 1e-9)


def _middle(row: int) -> float:
    return row * _ROW + _ROW / 2
