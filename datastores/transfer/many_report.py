"""What a copy of many tables will do, and what it did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from typing_extensions import override

from datastores.display import format_bytes, html_table, text_table
from datastores.transfer.plan import CopyPlan
from datastores.transfer.report import CopyReport, rejected_words
from datastores.values import Unfit

_PLAN_HEADS = ("source", "target", "rows", "size", "parts", "note")
_REPORT_HEADS = ("source", "target", "rows", "files", "written", "seconds", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAllPlan:
    """What `copy_all` will do. Prints as a table, and exports as JSON."""

    job: str
    source: str
    target: str
    mode: str
    snapshot: str | None
    """The one consistent view that all tables are read under; None if each has its own."""
    tables: tuple[CopyPlan, ...]
    """In the order in which they are copied."""
    notes: tuple[str, ...]
    """For each table what a user should know of it, or nothing."""
    left_out: tuple[tuple[str, str], ...]
    """Names of tables and views that are not copied, each with the reason."""
    rejects: str | None = None
    """Where the rejected rows of all tables go; None if they are only counted."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        own = ("job", "source", "target", "mode", "snapshot", "notes", "left_out", "rejects")
        plain = {name: getattr(self, name) for name in own}
        return plain | {"tables": [one.to_dict() for one in self.tables]}

    def to_json(self) -> str:
        """Return the same as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def summary(self) -> list[str]:
        """Return the lines without the tables: from where to where, and what is left out."""
        shared = f"one snapshot ({self.snapshot})" if self.snapshot else "a snapshot for each"
        count = len(self.tables)
        return [
            f"{self.source}  ->  {self.target}",
            f"{count} {'table' if count == 1 else 'tables'}, {shared}",
            f"mode {self.mode} · each table for itself, in this order",
            *([f"rejected rows go to {self.rejects}"] if self.rejects else []),
            *drift_lines(self.tables),
            *left_out_lines(self.left_out),
        ]

    @override
    def __str__(self) -> str:
        return "\n".join([*self.summary(), text_table(_PLAN_HEADS, self._rows())])

    def _repr_html_(self) -> str:
        lines = html_table(("plan",), [(line,) for line in self.summary()])
        return lines + html_table(_PLAN_HEADS, self._rows())

    def _rows(self) -> Iterator[tuple[object, ...]]:
        for one, note in zip(self.tables, self.notes, strict=True):
            size = None if one.bytes is None else f"~{format_bytes(one.bytes)}"
            parts = len(one.parts)
            earlier = "copied by an earlier call" if one.is_earlier else ""
            notes = "; ".join(filter(None, (note, earlier)))
            yield (one.source, one.target, one.rows, size, parts, notes)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyAllReport:
    """What `copy_all` did. Prints as a table, and exports as JSON."""

    plan: CopyAllPlan
    """What was to be done, and was."""
    began: datetime
    tables: tuple[CopyReport, ...]
    """One for each table, in the order in which they were copied."""
    seconds: float

    @property
    def job(self) -> str:
        """The call's id."""
        return self.plan.job

    @property
    def snapshot(self) -> str | None:
        """The one consistent view that all tables were read under; None if each had its own."""
        return self.plan.snapshot

    @property
    def left_out(self) -> tuple[tuple[str, str], ...]:
        """Names of tables and views that were not copied, each with the reason."""
        return self.plan.left_out

    @property
    def rows(self) -> int:
        """Of all tables, but for those whose files were copied as they are."""
        return sum(one.rows or 0 for one in self.tables)

    @property
    def files(self) -> int:
        """Of all tables whose files were copied as they are."""
        return sum(one.files or 0 for one in self.tables)

    @property
    def bytes_read(self) -> int:
        """Of all tables."""
        return sum(one.bytes_read for one in self.tables)

    @property
    def bytes_written(self) -> int:
        """Of all tables, as they were staged."""
        return sum(one.bytes_written for one in self.tables)

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values."""
        totals = ("rows", "files", "bytes_read", "bytes_written", "seconds")
        plan = self.plan.to_dict()
        del plan["tables"]
        return {
            **plan,
            **{name: getattr(self, name) for name in totals},
            "began": self.began.isoformat(),
            "tables": [one.to_dict() for one in self.tables],
        }

    def to_json(self) -> str:
        """Return the same as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def summary(self) -> list[str]:
        """Return the lines below the tables: totals, snapshot, and what was left out."""
        amounts = ((self.rows, "rows"), (self.files, "files"))
        counts = [f"{number:,} {word}" for number, word in amounts if number] or ["0 rows"]
        count = len(self.tables)
        one_moment = "all as of one moment" if self.is_one_moment else "each as of its own moment"
        unfit = sum((one.unfit or Unfit() for one in self.tables), start=Unfit())
        place = self.plan.rejects
        copied = f"copied {count} {'table' if count == 1 else 'tables'}, {', '.join(counts)}, "
        return [
            f"{copied}{format_bytes(self.bytes_written)} written in {self.seconds:.1f} s",
            *([rejected_words(unfit, place)] if place else []),
            *drift_lines([one.plan for one in self.tables]),
            *left_out_lines(self.left_out),
            f"job {self.job} finished, {one_moment}",
        ]

    @property
    def is_one_moment(self) -> bool:
        """Whether all tables are as they were at one moment: one snapshot, and no earlier call."""
        return self.snapshot is not None and all(
            one.snapshot == self.snapshot for one in self.tables
        )

    @override
    def __str__(self) -> str:
        return "\n".join([text_table(_REPORT_HEADS, self._rows()), *self.summary()])

    def _repr_html_(self) -> str:
        return html_table(_REPORT_HEADS, self._rows()) + html_table(
            ("copy of many tables",), [(line,) for line in self.summary()]
        )

    def _rows(self) -> Iterator[tuple[object, ...]]:
        for one, note in zip(self.tables, self.plan.notes, strict=True):
            yield report_row(one, note)


def report_row(one: CopyReport, note: str = "") -> tuple[object, ...]:
    """Return the cells that a table of reports shows of one."""
    verified = f"verified, digest {one.digest[:8]}…" if one.digest else ""
    unfit = f"not held exactly: {one.unfit}" if one.unfit else ""
    earlier = "by an earlier call" if one.plan.is_earlier else ""
    notes = "; ".join(filter(None, (note, verified, unfit, earlier)))
    written, seconds = format_bytes(one.bytes_written), f"{one.seconds:.1f}"
    return (one.source, one.target, one.rows, one.files, written, seconds, notes)


def drift_lines(plans: Sequence[CopyPlan]) -> list[str]:
    """Return for people what becomes of columns that are not a target's."""
    return [f"{one.target}: {line}" for one in plans for line in one.drift_lines()]


def left_out_lines(left_out: tuple[tuple[str, str], ...]) -> list[str]:
    """Return for people what is not copied, and why."""
    return [f"left out: {name}, {why}" for name, why in left_out]
