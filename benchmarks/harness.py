"""Contenders side by side: fresh processes, rounds in turn, medians. It knows no service.

A `Scenario` is a list of contenders and goals; a `Stage` is the service, filled, where they run.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[1]
Figures = dict[str, float]
# What grows with the rows, so that a run on fewer of them is scaled.
_SCALED = ("wall_seconds", "client_cpu_seconds", "server_cpu_seconds", "rows", "file_bytes")
_ERROR_CHARACTERS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a scenario's task."""

    name: str
    call: str
    """`MODULE:FUNCTION`, imported in the contender's process only."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Beside those that the stage gives."""
    variables: Mapping[str, str] = field(default_factory=dict)
    peer: bool = False
    """Whether it runs in the environment of the peers."""
    fraction: int = 1
    """It is given one row of so many, once, and its figures are scaled: it is too slow for all."""
    slow: bool = False
    """Left out unless everything is asked for."""
    note: str = ""
    """What it does otherwise than the rest, for readers of its figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure of one contender, as a share of another's or alone, and how large it may be."""

    figure: str
    of: str
    at_most: float
    over: str | None = None
    """Whose figure divides it; None if `at_most` is absolute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One task on one table."""

    name: str
    table: str
    subject: str
    """The contender whose figures are divided by each other one's."""
    contenders: tuple[Contender, ...]
    goals: tuple[Goal, ...] = ()


class Stage(Protocol):
    """Where contenders run."""

    def before(self, scenario: Scenario, contender: Contender) -> Mapping[str, Any]:
        """Make ready for a run; return its arguments: `warm_up` and `measured`."""

    def after(self, scenario: Scenario, contender: Contender) -> Figures:
        """Return what the run left, such as `rows`; then remove it, and settle the service."""

    def server_cpu_seconds(self) -> float:
        """Return what the service's processes have used so far."""


@dataclass(slots=True, kw_only=True)
class Result:
    """One contender's runs."""

    contender: Contender
    runs: list[Figures] = field(default_factory=list)
    failure: str | None = None
    """Why it has no figures."""

    def median(self, figure: str) -> float | None:
        """Return the median of a figure, if there is one."""
        found = [run[figure] for run in self.runs if figure in run]
        return statistics.median(found) if found and self.failure is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A scenario that was run."""

    scenario: Scenario
    results: Mapping[str, Result]

    def outcome(self, goal: Goal) -> float | None:
        """Return what a goal is about, if it was measured."""
        names = [goal.of] if goal.over is None else [goal.of, goal.over]
        found = [
            self.results[name].median(goal.figure) if name in self.results else None
            for name in names
        ]
        known = [one for one in found if one is not None]
        if len(known) < len(names):
            return None
        return known[0] if goal.over is None else known[0] / max(known[1], 1e-9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harness:
    """How runs are made."""

    repeats: int
    peers: str | None
    """The peers' Python; None leaves them out."""
    timeout_seconds: float
    wanted: Callable[[Contender], bool]

    def compare(self, scenario: Scenario, stage: Stage) -> Comparison:
        """Run every contender in every round, and check that all saw the same number of rows."""
        chosen = [one for one in scenario.contenders if self._runs(one)]
        results = {one.name: Result(contender=one) for one in chosen}
        for turn in range(self.repeats):
            # The first one of a round is another in the next.
            for contender in sorted(chosen, key=lambda one: chosen.index(one) < turn % len(chosen)):
                result = results[contender.name]
                if result.failure is None and not (contender.fraction > 1 and result.runs):
                    self._run(scenario, stage, result)
        _check_rows(scenario, results)
        return Comparison(scenario=scenario, results=results)

    def _runs(self, contender: Contender) -> bool:
        return self.wanted(contender) and not (contender.peer and self.peers is None)

    def _run(self, scenario: Scenario, stage: Stage, result: Result) -> None:
        contender = result.contender
        given = stage.before(scenario, contender)
        server = stage.server_cpu_seconds()
        try:
            figures = self._in_fresh_process(contender, given)
            figures["server_cpu_seconds"] = stage.server_cpu_seconds() - server
        except ContenderError as error:
            result.failure = str(error)
            figures = {}
        figures = {**figures, **stage.after(scenario, contender)}
        for name in set(_SCALED) & figures.keys():
            figures[name] *= contender.fraction
        result.runs.append(figures)
        _tell(scenario, result)

    def _in_fresh_process(self, contender: Contender, given: Mapping[str, Any]) -> Figures:
        python = self.peers if contender.peer and self.peers else sys.executable
        arguments = {name: {**one, **contender.arguments} for name, one in given.items()}
        try:
            done = subprocess.run(
                [python, "-m", "benchmarks.one_run", contender.call, json.dumps(arguments)],
                cwd=ROOT,
                env={**os.environ, "PYTHONWARNINGS": "ignore", **contender.variables},
                capture_output=True,
                text=True,
                timeout=self.timeout_seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ContenderError(f"not finished after {self.timeout_seconds:.0f} s") from error
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or [f"ended with {done.returncode}"]
            raise ContenderError(last[0][:_ERROR_CHARACTERS])
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
        return figures


class ContenderError(Exception):
    """A contender could not do its task; says why."""


def _check_rows(scenario: Scenario, results: Mapping[str, Result]) -> None:
    """Fail what did not see as many rows as most did: it is fast at something else."""
    counts = {name: one.median("rows") for name, one in results.items()}
    known = [count for count in counts.values() if count is not None]
    if not known:
        return
    usual = statistics.mode(known)
    for name, count in counts.items():
        # A part of the rows is a whole number of them.
        if count is not None and abs(count - usual) >= results[name].contender.fraction:
            results[name].failure = f"{scenario.table}: {count:,.0f} rows, not {usual:,.0f}"


def _tell(scenario: Scenario, result: Result) -> None:
    """Say on the error stream how far it is: a run may take an hour."""
    shown = result.failure or f"{result.runs[-1].get('wall_seconds', 0):.2f} s"
    place = f"{scenario.name}, {scenario.table}"
    print(f"  {place}: {result.contender.name}: {shown}", file=sys.stderr, flush=True)
