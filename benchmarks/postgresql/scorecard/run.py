"""The tools, each in a process of its own, and what they make of every value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.postgresql.scorecard.judge import Judge, Judgement, Outcome
from benchmarks.postgresql.scorecard.sent import SENT
from benchmarks.postgresql.scorecard.stored import STORED, TYPES
from tests.services.postgresql import Database

_PACKAGE = "benchmarks.postgresql.contenders"


@dataclass(frozen=True, slots=True)
class Tool:
    """One column of the scorecard."""

    name: str
    reads: str
    """`MODULE:FUNCTION` of a contender."""
    writes: str | None
    """None if it has no way to write."""
    peer: bool = True


OURS = Tool("datastores", "ours:fetch", "ours:store", peer=False)
PEERS = (
    Tool("ADBC", "adbc:fetch", "adbc:store"),
    Tool("ConnectorX", "connectorx_stream:fetch", None),
    Tool("DuckDB", "duckdb_scanner:fetch", "duckdb_scanner:store"),
    Tool("Polars, ConnectorX", "polars_frame:fetch_by_connectorx", None),
    Tool("Polars, ADBC", "polars_frame:fetch_by_adbc", "polars_frame:store_by_adbc"),
    Tool("pandas", "pandas_sql:fetch", "pandas_sql:store"),
)


def fill(database: Database) -> None:
    """Make the types, and a table for each value."""
    statements = list(TYPES)
    for at, one in enumerate(STORED):
        statements.append(f"CREATE TABLE stored_{at} (v {one.type})")
        statements.append(f"INSERT INTO stored_{at} VALUES (({one.literal})::{one.type}), (NULL)")
    database.run(";".join(statements))


def read_all(tool: Tool, python: str, url: str, judge: Judge) -> list[Judgement]:
    """Return what a tool makes of every stored value."""
    steps = [{"table": f"stored_{at}"} for at in range(len(STORED))]
    answers = run_steps(tool.reads, python, url, steps)
    return [
        _refusal(answer) or judge.judge(stored, step["table"], answer)
        for stored, step, answer in zip(STORED, steps, answers, strict=True)
    ]


def write_all(tool: Tool, python: str, url: str, judge: Judge) -> list[Judgement]:
    """Return what the server holds of every value that a tool was given."""
    if tool.writes is None:
        return [Judgement(Outcome.NONE)] * len(SENT)
    prefix = tool.writes.replace(":", "_")
    steps = [{"table": f"{prefix}_{at}", "sent": name} for at, name in enumerate(SENT)]
    answers = run_steps(tool.writes, python, url, steps)
    return [
        _refusal(answer) or judge.judge_sent(SENT[step["sent"]], step["table"])
        for step, answer in zip(steps, answers, strict=True)
    ]


def run_steps(
    call: str, python: str, url: str, steps: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the answer to each step; where the process ends, another one goes on behind it."""
    answers: list[dict[str, Any]] = []
    while len(answers) < len(steps):
        done = subprocess.run(
            [python, "-m", "benchmarks.postgresql.scorecard.one_tool", f"{_PACKAGE}.{call}", url],
            input=json.dumps(steps[len(answers) :]),
            cwd=ROOT,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            check=False,
        )
        lines = done.stdout.splitlines()
        answers += [json.loads(line) for line in lines if line.startswith("{")]
        if done.returncode and len(answers) < len(steps):
            if "ImportError" in done.stderr or "ModuleNotFoundError" in done.stderr:
                sys.exit(done.stderr)
            answers.append({"panic": f"ended with {done.returncode}"})
    return answers


def _refusal(answer: Mapping[str, Any]) -> Judgement | None:
    for word, outcome in (("refused", Outcome.REFUSED), ("panic", Outcome.PANIC)):
        if word in answer:
            return Judgement(outcome, answer[word])
    return None
