"""What a copy costs, from few parameters: fitted to measured points, and read out for more bytes.

Usage: python -m benchmarks.cost_model docs/scaling.json. Prints the tables of docs/scaling.md.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from benchmarks.scaling import table_of

# A part of files has about this many bytes at most.
PART_BYTES = 128e6
MEGA, TERA = 1e6, 1e12
# What a service gives to all connections together, in bytes of Arrow data a second: an assumption.
SERVER_RATES = (200e6, 1e9)
CLUSTERS = (8, 32, 128)
_CEILINGS = [1 + step / 20 for step in range(61)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """seconds = per copy + per part x rounds + bytes / min(workers x worker, server)."""

    copy_seconds: float
    """Planning and publishing."""
    part_seconds: float
    worker_rate: float
    """Bytes a second of one worker: one core, and one connection to each end."""
    server_rate: float
    """Bytes a second of everything that all workers share."""

    def seconds(self, size: float, workers: int, parts: int) -> float:
        """Return how long a copy takes."""
        rounds = math.ceil(parts / workers)
        rate = min(workers * self.worker_rate, self.server_rate)
        return self.copy_seconds + self.part_seconds * rounds + size / rate

    @classmethod
    def fit(cls, points: Sequence[Mapping[str, Any]]) -> Self:
        """Return the model with the smallest squares of relative errors."""
        least = min(one["rows"] for one in points)
        tiny = [one for one in points if one["rows"] == least and one["workers"] == 1]
        copy = statistics.median(one["plan_seconds"] + one["publish_seconds"] for one in tiny)
        part = statistics.median(one["stage_seconds"] for one in tiny)
        rest = [one for one in points if one["rows"] > least]

        def fitted(ceiling: float) -> tuple[float, float]:
            """Return the error, and the seconds a byte, if all workers are worth so many at most."""
            above = below = 0.0
            for one in rest:
                shared = one["bytes"] / min(one["workers"], ceiling) / one["wall_seconds"]
                above += shared * (one["wall_seconds"] - copy - part) / one["wall_seconds"]
                below += shared**2
            slow = above / below
            model = cls.of(copy, part, slow, ceiling)
            return sum(model.error(one) ** 2 for one in rest), slow

        ceiling = min(_CEILINGS, key=lambda one: fitted(one)[0])
        return cls.of(copy, part, fitted(ceiling)[1], ceiling)

    @classmethod
    def of(cls, copy: float, part: float, slow: float, ceiling: float) -> Self:
        """Return the model whose workers take `slow` seconds a byte, and are worth `ceiling` of them."""
        return cls(
            copy_seconds=copy,
            part_seconds=part,
            worker_rate=1 / slow,
            server_rate=ceiling / slow,
        )

    def error(self, point: Mapping[str, Any]) -> float:
        """Return how much too long it says that a point takes, as a share."""
        said = self.seconds(point["bytes"], point["workers"], int(point["parts"]))
        return float(said / point["wall_seconds"] - 1)


def models(points: Sequence[Mapping[str, Any]]) -> dict[str, Model]:
    """Return the model of each copy, of the points of workers that are processes."""
    others = [one for one in points if one["executor"] != "threads"]
    names = sorted({one["copy"] for one in others}, reverse=True)
    return {name: Model.fit([one for one in others if one["copy"] == name]) for name in names}


def fit_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Return parameters and errors, as Markdown."""
    lines = [
        "| copy | per copy | per part | one worker | this machine | errors, middle | errors, largest |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    least = min(one["rows"] for one in points)
    for name, model in models(points).items():
        errors = [
            abs(model.error(one))
            for one in points
            if one["copy"] == name and one["executor"] != "threads" and one["rows"] > least
        ]
        lines.append(
            f"| {name} | {model.copy_seconds:.2f} s | {model.part_seconds:.2f} s "
            f"| {model.worker_rate / MEGA:,.0f} MB/s | {model.server_rate / MEGA:,.0f} MB/s "
            f"| {statistics.median(errors):.0%} | {max(errors):.0%} |"
        )
    return "\n".join(lines)


def residual_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Return each point beside what the model says, as Markdown."""
    lines = [
        "| copy | executor | workers | rows | measured | model | error |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    found = models(points)
    least = min(one["rows"] for one in points)
    for one in sorted(points, key=lambda one: (one["copy"] < "Pb", one["rows"])):
        if one["executor"] == "threads" or one["rows"] == least:
            continue
        model = found[one["copy"]]
        said = model.seconds(one["bytes"], one["workers"], int(one["parts"]))
        lines.append(
            f"| {one['copy']} | {one['executor']} | {one['workers']} | {one['rows']:,.0f} "
            f"| {one['wall_seconds']:.2f} s | {said:.2f} s | {model.error(one):+.0%} |"
        )
    return "\n".join(lines)


def outlook_table(points: Sequence[Mapping[str, Any]]) -> str:
    """Return the hours for 1 TB and 100 TB on clusters, as Markdown."""
    lines = [
        "| copy | server gives | workers | 1 TB | 100 TB | limited by |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for name, model in models(points).items():
        for server in SERVER_RATES:
            for workers in CLUSTERS:
                cluster = Model(
                    copy_seconds=model.copy_seconds,
                    part_seconds=model.part_seconds,
                    worker_rate=model.worker_rate,
                    server_rate=server,
                )
                hours = [
                    cluster.seconds(size, workers, math.ceil(size / PART_BYTES)) / 3600
                    for size in (TERA, 100 * TERA)
                ]
                limit = "workers" if workers * model.worker_rate < server else "server"
                lines.append(
                    f"| {name} | {server / MEGA:,.0f} MB/s | {workers} | {hours[0]:,.1f} h "
                    f"| {hours[1]:,.0f} h | {limit} |"
                )
    return "\n".join(lines)


def tables(file: Path) -> list[str]:
    """Return the tables of the page, of the points in a file."""
    points = json.loads(file.read_text(encoding="utf-8"))["points"]
    return [make(points) for make in (table_of, fit_table, residual_table, outlook_table)]


if __name__ == "__main__":
    print("\n\n".join(tables(Path(sys.argv[1]))))
