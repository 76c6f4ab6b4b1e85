"""What a copy will do, as values: known before anything is written, and what the run follows."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from datastores.display import format_bytes, html_table, text_table
from datastores.drivers.writing import Drifted, Verdict
from datastores.values import Refused, Unfit

_NOT_COUNTED = "what does not fit is not counted: the source has a limit"
COLUMN_HEADS = ("column", "source", "Arrow", "target", "verdict")
DRIFT_HEADS = ("column", "is", "source", "target", "what becomes of it")


def unfit_lines(unfit: Unfit | None) -> list[str]:
    """Return what does not fit for people: nothing where everything does."""
    if unfit is None:
        return [_NOT_COUNTED]
    return unfit.lines() if unfit else []


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyColumn:
    """One column's way from source to target."""

    name: str
    """At the target."""
    source_type: str
    """In the source's own words."""
    arrow_type: str
    target_type: str
    verdict: Verdict
    note: str | None = None

    def row(self) -> tuple[str, str, str, str, str]:
        """Return the cells that a table of columns shows."""
        verdict = f"{self.verdict}: {self.note}" if self.note else str(self.verdict)
        return (self.name, self.source_type, self.arrow_type, self.target_type, verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What a copy will do. Prints as a few lines, `details` adds the columns; exports as JSON."""

    job: str
    source: str
    target: str
    mode: str
    rows: int | None
    bytes: int | None
    """Estimates, or None."""
    parts: tuple[str, ...]
    """What each part reads."""
    split_by: str
    workers: int
    snapshot: str | None
    columns: tuple[CopyColumn, ...]
    """Empty where files are copied as they are."""
    bulk_path: str
    publish: str
    statements: tuple[str, ...] = ()
    """DDL that publishing will run."""
    verify: bool = False
    cursor: str | None = None
    """Which rows are new, in words, if only those are copied."""
    new_files: str | None = None
    """How many files are new and how many known, in words, if only some are copied."""
    archive: str | None = None
    """The folder that files are moved to once they were copied."""
    parts_kept: int = 0
    """How many parts an earlier call of the job has finished, as far as that is known yet."""
    drift: str | None = None
    """The policy for columns that are not the target's, if there is one."""
    drifted: tuple[Drifted, ...] = ()
    """Which those are, and what becomes of each."""
    unfit: Unfit | None = field(default_factory=Unfit)
    """What the source's policies null and leave out; None if a limit leaves it open."""
    refused: Refused = field(default_factory=Refused)
    """What the source holds that the copy would refuse; `plan_copy` alone has it counted."""
    rejects: str | None = None
    """Where the rows go that are left out; None if they are only counted."""

    @property
    def is_earlier(self) -> bool:
        """Whether an earlier call of the job has published it, and nothing is left to do."""
        return self.workers == 0

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        plain = dataclasses.asdict(self)
        plain["columns"] = [
            {**dataclasses.asdict(one), "verdict": str(one.verdict)} for one in self.columns
        ]
        plain["drifted"] = [
            {**dataclasses.asdict(one), "kind": str(one.kind)} for one in self.drifted
        ]
        return plain

    def to_json(self) -> str:
        """Return the fields as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def summary(self) -> list[str]:
        """Return the plan's lines without the columns: where to, how divided, how published."""
        sizes = []
        if self.rows is not None:
            sizes.append(f"{self.rows:,} rows")
        if self.bytes is not None:
            sizes.append(f"~{format_bytes(self.bytes)}")
        amount = f"  {', '.join(sizes)}" if sizes else ""
        count = len(self.parts)
        shared = f"one snapshot ({self.snapshot})" if self.snapshot else "no shared snapshot"
        lines = [
            f"{self.source}{amount}  ->  {self.target}  {self.bulk_path}",
            f"{count} {'part' if count == 1 else 'parts'} by {self.split_by}, {shared}",
        ]
        if self.columns:
            counts = dict.fromkeys(Verdict, 0)
            for column in self.columns:
                counts[column.verdict] += 1
            exact, *others = [f"{number} {verdict}" for verdict, number in counts.items()]
            number, _, word = exact.partition(" ")
            lines.append(" · ".join([f"{number} columns {word}", *others]))
        lines += [one for one in (self.cursor, self.new_files) if one is not None]
        if self.archive is not None:
            lines.append(f"files that were copied are moved to {self.archive}")
        lines.append(f"mode {self.mode} · {self.publish}")
        lines += self.drift_lines()
        if self.parts_kept:
            left = count - self.parts_kept
            lines.append(
                f"goes on from job {self.job}: {self.parts_kept} of {count} parts are there, and their "
                f"source has not changed; {left} to go"
            )
        if self.rejects is not None:
            lines.append(f"rejected rows go to {self.rejects}")
        return lines + unfit_lines(self.unfit) + self.refused.lines()

    def drift_lines(self) -> list[str]:
        """Return what becomes of columns that are not the target's, a line for each."""
        return [f"drift {self.drift} · {one}" for one in self.drifted]

    def details(self) -> str:
        """Return the columns as a table, and the statements that publishing will run."""
        shown = text_table(COLUMN_HEADS, (one.row() for one in self.columns))
        return "\n".join([shown, *self.statements] if self.columns else self.statements)

    @override
    def __str__(self) -> str:
        return "\n".join(self.summary())

    def _repr_html_(self) -> str:
        rows = [(line,) for line in self.summary()]
        columns = html_table(COLUMN_HEADS, (one.row() for one in self.columns))
        return html_table(("plan",), rows) + (columns if self.columns else "")
