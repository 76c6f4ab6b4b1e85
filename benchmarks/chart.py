"""The figures as one SVG file: a panel for each scenario, a pair of bars for each contender."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from benchmarks.harness import Comparison, Result

_BARS = (("wall_seconds", "wall", "#4c78a8"), ("client_cpu_seconds", "client CPU", "#f58518"))
_WIDTH, _NAMES, _SPACE, _BAR, _ROW, _HEAD = 900, 260, 70, 9, 26, 34


def svg(comparisons: Sequence[Comparison], caption: str) -> str:
    """Return the chart; it stands alone in a browser and in Markdown."""
    body: list[str] = []
    top = 46
    for comparison in comparisons:
        panel = list(_panel(comparison, top))
        body += panel
        top += _HEAD + _ROW * len(comparison.results)
    legend = "".join(
        f'<rect x="{10 + 110 * at}" y="26" width="10" height="10" fill="{colour}"/>'
        f'<text x="{25 + 110 * at}" y="35">{head}, s</text>'
        for at, (_, head, colour) in enumerate(_BARS)
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{top + 10}">',
            '<g font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{top + 10}" fill="white"/>',
            f'<text x="10" y="17">{escape(caption)}</text>',
            legend,
            *body,
            "</g></svg>\n",
        ]
    )


def _panel(comparison: Comparison, top: float) -> Iterator[str]:
    results = comparison.results.values()
    longest = max((one.median(name) or 0 for one in results for name, _, _ in _BARS), default=0)
    scale = (_WIDTH - _NAMES - _SPACE) / (longest or 1)
    title = f"{comparison.scenario.name}: {comparison.scenario.table}"
    yield f'<text x="10" y="{top + 20}" font-weight="bold">{escape(title)}</text>'
    for row, result in enumerate(results):
        y = top + _HEAD - 4 + row * _ROW
        yield f'<text x="{_NAMES - 8}" y="{y + 13}" text-anchor="end">{escape(_name(result))}</text>'
        for at, (figure, _, colour) in enumerate(_BARS):
            value = result.median(figure)
            if value is None:
                continue
            width, place = value * scale, y + at * (_BAR + 1)
            yield (
                f'<rect x="{_NAMES}" y="{place}" width="{width:.1f}" height="{_BAR}" fill="{colour}"/>'
                f'<text x="{_NAMES + width + 4:.1f}" y="{place + 8}" font-size="9">{value:.2f}</text>'
            )


def _name(result: Result) -> str:
    name = result.contender.name
    if result.failure:
        return f"{name} (fails)"
    return f"{name} (scaled)" if result.contender.fraction > 1 else name
