"""Torture values through this library and, if --peers names their Python, through its peers.

Prints a row for each value, and counts. Ends with 1 if this library changed a value silently.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks import machine
from benchmarks.postgresql.scorecard.judge import Judge, Outcome
from benchmarks.postgresql.scorecard.page import Part, count, page, terminal, values
from benchmarks.postgresql.scorecard.run import OURS, PEERS, Tool, fill, read_all, write_all
from benchmarks.postgresql.scorecard.sent import SENT
from benchmarks.postgresql.scorecard.stored import STORED
from benchmarks.postgresql.server import url_of
from tests.services.postgresql import Database, find_postgresql

_PACKAGES = (
    *("pyarrow", "psycopg", "adbc-driver-postgresql", "connectorx", "duckdb"),
    *("duckdb-extension-postgres-scanner", "polars", "pandas", "sqlalchemy"),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.postgresql.scorecard", description=__doc__
    )
    parser.add_argument("--peers", help="Python of the environment that has the peers")
    parser.add_argument("--page", type=Path, help="where the page is written, in Markdown")
    parser.add_argument("--json", type=Path, help="where all judgements are written")
    given = parser.parse_args()
    tools = (OURS, *(PEERS if given.peers else ()))
    server = find_postgresql(None, None)
    try:
        with server.database() as database:
            parts = judged(database, tools, given.peers)
            [(version,)] = database.run("SHOW server_version")
    finally:
        server.close()
    versions = {"PostgreSQL": str(version).split()[0]}
    versions |= machine.versions(None, ("datastores",)) | machine.versions(given.peers, _PACKAGES)
    print("\n".join(terminal(parts)))
    if given.page:
        given.page.write_text(page(parts, versions), encoding="utf-8")
    if given.json:
        shown = json.dumps(values(parts, versions), indent=1, ensure_ascii=False)
        given.json.write_text(f"{shown}\n", encoding="utf-8")
    return int(any(count(part.columns[OURS.name], Outcome.CHANGED) for part in parts))


def judged(database: Database, tools: tuple[Tool, ...], peers: str | None) -> list[Part]:
    """Return what every tool made of every value, in both directions."""
    fill(database)
    url, judge = url_of(database.owner), Judge(database.owner)
    try:
        both = {
            tool.name: [
                work(tool, peers if tool.peer and peers else sys.executable, url, judge)
                for work in (read_all, write_all)
            ]
            for tool in tools
        }
    finally:
        judge.close()
    names = ([one.name for one in STORED], list(SENT))
    return [
        Part(
            title=title,
            names=names[at],
            columns={name: found[at] for name, found in both.items()},
        )
        for at, title in enumerate(("Reading", "Writing"))
    ]


if __name__ == "__main__":
    sys.exit(main())
