"""PostgreSQL beside its peers, measured.

Starts a server of its own on this machine, fills it, and lets each contender do the same task in
fresh processes, one after the other, in several rounds. The figures are medians; only ratios inside
one run mean something. Wall time has connecting in it, and neither imports nor the server's start.
TLS is off for all. The peers run in an environment of their own, whose Python --peers names.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from benchmarks import chart, machine, report
from benchmarks.harness import Comparison, Contender, Harness
from benchmarks.postgresql.changed import changed_silently
from benchmarks.postgresql.scenarios import KINDS, TABLES, scenarios
from benchmarks.postgresql.server import benchmark_server
from datastores.errors import DatastoreWarning

_OURS = ("datastores", "psycopg", "pyarrow", "numpy")
_PEERS = (
    *("duckdb", "duckdb-extension-postgres-scanner", "adbc-driver-postgresql", "connectorx"),
    *("pgpq", "pandas", "sqlalchemy", "psycopg", "pyarrow", "numpy"),
)


def main() -> int:
    given = _parser().parse_args()

    def wanted(one: Contender) -> bool:
        named = not given.only or any(word in one.name for word in given.only)
        return named and (given.all or not one.slow)

    harness = Harness(
        repeats=given.repeats, peers=given.peers, timeout_seconds=given.timeout, wanted=wanted
    )
    about: dict[str, Any] = {
        "rows": given.rows,
        "repeats": given.repeats,
        "machine": machine.describe(),
        "values_changed_silently": changed_silently(),
        "load_at_start": machine.load(),
        "versions": machine.versions(None, _OURS),
        "versions_of_peers": machine.versions(given.peers, _PEERS) if given.peers else None,
    }
    comparisons: list[Comparison] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        benchmark_server(given.rows) as server,
    ):
        about["server"] = server.settings()
        # TLS is off for all, and said so.
        warnings.simplefilter("ignore", DatastoreWarning)
        for scenario, stage in scenarios(given.kind, given.tables, server, Path(folder)):
            comparisons.append(harness.compare(scenario, stage))
    about["load_at_end"] = machine.load()
    _show(about, comparisons)
    if given.json:
        measured = {**about, "scenarios": report.values(comparisons)}
        given.json.write_text(json.dumps(measured, indent=2) + "\n")
    if given.chart:
        caption = f"PostgreSQL, {given.rows:,} rows, medians of {given.repeats}: less is better"
        given.chart.write_text(chart.svg(comparisons, caption))
    failed = [one for pair in comparisons for one in pair.results.values() if one.failure]
    return int(any(not one.contender.peer for one in failed))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.postgresql",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--rows", type=int, default=2_400_000, help="of lineitem; wide has half")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--only", nargs="+", help="contenders whose name has one of these words")
    parser.add_argument("--all", action="store_true", help="the slow contenders too")
    parser.add_argument("--peers", help="Python of the environment that has the peers")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one run")
    parser.add_argument("--json", type=Path, help="where all figures are written")
    parser.add_argument("--chart", type=Path, help="where they are drawn, as SVG")
    return parser


def _show(about: dict[str, Any], comparisons: list[Comparison]) -> None:
    print("\n".join(report.lines(comparisons)))
    for name, value in about.items():
        shown = (
            ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
        )
        print(f"{name.replace('_', ' ')}: {shown}")


if __name__ == "__main__":
    sys.exit(main())
