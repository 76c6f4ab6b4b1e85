"""The page of PostgreSQL's speed in docs/, from what runs have saved as JSON.

    python -m benchmarks.postgresql.speed_page PAGE JSON...

Each file becomes a section, so that runs of different times stay apart: their figures are not comparable.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import FIGURES, MIB, markdown

_HEAD = """\
# PostgreSQL: how fast, beside its peers

<!-- Written by `python -m benchmarks.postgresql.speed_page` from what `nox -s benchmarks` saves. -->

Each contender does the same task in fresh processes, one after the other, in several rounds; the figures
are medians. Wall time has connecting in it, and neither imports nor the server's start. Peak memory is
what is over the imports. `lineitem` is like TPC-H's; `wide` has 13 columns of all usual types, and half as
many rows. TLS is off for all. Client and server share the machine's two cores, so that whatever a client
saves, the server gets; and only ratios inside one table mean something.

How many hard values each tool changes without a word is [another page](azure_postgresql_scorecard.md).\
"""
_GOALS = ("what", "measured", "goal", "reached")


def page(runs: Sequence[Mapping[str, Any]]) -> str:
    """Return the page in Markdown."""
    lines = [_HEAD]
    for run in runs:
        lines += ["", *_run(run)]
    return "\n".join(lines) + "\n"


def _run(run: Mapping[str, Any]) -> Iterator[str]:
    title = run["scenarios"][0]["scenario"].partition(",")[0].partition(":")[0]
    yield f"## {title[0].upper()}{title[1:]}"
    yield ""
    server, machine = run["server"], run["machine"]
    peers = run["versions_of_peers"] or {}
    yield (
        f"{run['rows']:,} rows of lineitem; {run['repeats']} rounds; {machine['cores']} cores of an "
        f"{machine['processor']}, load {run['load_at_start']:.1f} before and {run['load_at_end']:.1f} after; "
        f"PostgreSQL {server['server_version'].split()[0]}, fsync {server['fsync']}; "
        f"{_versions(run['versions'])}; {_versions(peers) if peers else 'no peers'}."
    )
    for scenario in run["scenarios"]:
        yield ""
        yield f"**{scenario['scenario']}: {scenario['table']}**"
        yield ""
        yield from markdown([*_contenders(scenario)], numbers=True)
    goals = [row for scenario in run["scenarios"] for row in _goals(scenario)]
    if goals:
        yield ""
        yield from markdown([_GOALS, *goals], numbers=True)


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _contenders(scenario: Mapping[str, Any]) -> Iterator[list[str]]:
    medians = {name: one["medians"] for name, one in scenario["contenders"].items()}
    figures = [one for one in FIGURES if any(one.name in found for found in medians.values())]
    yield ["", *(one.head for one in figures), ""]
    for name, one in scenario["contenders"].items():
        found = medians[name]
        cells = [
            figure.show(found[figure.name]) if figure.name in found else "" for figure in figures
        ]
        share = (
            f"scaled from 1/{one['fraction']} of the rows, one run" if one["fraction"] > 1 else ""
        )
        yield [name, *cells, "; ".join(filter(None, (one["failure"], share, one["note"])))]


def _goals(scenario: Mapping[str, Any]) -> Iterator[list[str]]:
    for one in scenario["goals"]:
        if one["measured"] is None:
            continue
        unit = MIB if one["at_most"] > MIB else 1
        yield [
            f"{scenario['scenario']}, {scenario['table']}: {one['goal']}",
            f"{one['measured'] / unit:.2f}",
            f"{one['at_most'] / unit:.2f}",
            "yes" if one["reached"] else "**no**",
        ]


if __name__ == "__main__":
    place, *files = map(Path, sys.argv[1:])
    place.write_text(page([json.loads(one.read_text()) for one in files]))
