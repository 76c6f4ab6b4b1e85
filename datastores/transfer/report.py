"""What a copy did, cost and guarantees."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from typing_extensions import override

from datastores.display import format_bytes, html_table
from datastores.transfer.plan import CopyPlan, unfit_lines
from datastores.transfer.timings import PartReport, Phase
from datastores.values import Unfit

_RETRIES = ("retry", "retries")
_OF_THE_PLAN = (
    *("job", "source", "target", "mode", "parts", "parts_kept", "workers", "snapshot", "publish"),
    "rejects",
)
_SHOWN = (
    *_OF_THE_PLAN,
    *("rows", "files", "bytes_read", "bytes_written", "seconds", "retries", "digest"),
    *("peak_memory_bytes", "archived", "unfit"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """The result of one copy. Prints as a few lines, and exports as JSON and as an HTML page."""

    plan: CopyPlan
    """What was to be done, and was."""
    began: datetime
    rows: int | None
    """None where files were copied as they are."""
    files: int | None
    """None where rows were copied."""
    bytes_read: int
    """Of Arrow data, or of files."""
    bytes_written: int
    """As the parts were staged, after compression."""
    seconds: float
    retries: int
    """How often a part, or the publish, was tried again after an error that may pass."""
    digest: str | None
    """Of the rows at both ends, where the copy was verified."""
    peak_memory_bytes: int | None
    """Of the whole process so far; None where the system does not say."""
    archived: int | None = None
    """How many files were moved to the archive; None if there is none."""
    unfit: Unfit | None = field(default_factory=Unfit)
    """What did not fit, and was nulled or left out: `rows` and those left out are all that there were.

    None where the source's limit leaves open which rows were judged.
    """
    phases: tuple[Phase, ...] = ()
    """Plan, staging of all parts, publish, verify and archive, in this order."""
    part_reports: tuple[PartReport, ...] = ()
    """What each part did."""

    @property
    def job(self) -> str:
        """The copy's id, which named its staging."""
        return self.plan.job

    @property
    def source(self) -> str:
        """Where the rows or files came from."""
        return self.plan.source

    @property
    def target(self) -> str:
        """Where they are now."""
        return self.plan.target

    @property
    def mode(self) -> str:
        """What was to happen to a target that exists."""
        return self.plan.mode

    @property
    def parts(self) -> int:
        """How many there were."""
        return len(self.plan.parts)

    @property
    def parts_kept(self) -> int:
        """How many of them an earlier call of the same job had finished."""
        return self.plan.parts_kept

    @property
    def speed(self) -> str | None:
        """Rows a second with three digits that count; None of files, or if an earlier call copied some."""
        if self.rows is None or self.parts_kept:
            return None
        speed = self.rows / max(self.seconds, 1e-9)
        digits = max(len(str(int(speed))) - 3, 0)
        return f"{round(speed, -digits):,.0f}"

    @property
    def workers(self) -> int:
        """How many ran at once."""
        return self.plan.workers

    @property
    def snapshot(self) -> str | None:
        """The one consistent view that all parts read; None if they shared none."""
        return self.plan.snapshot

    @property
    def publish(self) -> str:
        """How the result appeared."""
        return self.plan.publish

    @property
    def rejects(self) -> str | None:
        """Where the rows are that were left out; None if they were only counted."""
        return self.plan.rejects

    def archived_words(self) -> str:
        """Return for people what was moved to the archive, if there is one."""
        return f"{_files(self.archived)} moved to {self.plan.archive}"

    def to_dict(self) -> dict[str, Any]:
        """Return what is known as plain values, the plan's most asked for ones also by name."""
        plain = {name: getattr(self, name) for name in _OF_THE_PLAN} | dataclasses.asdict(self)
        return plain | {"plan": self.plan.to_dict(), "began": self.began.isoformat()}

    def to_json(self) -> str:
        """Return the same as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_html(self) -> str:
        """Return one page for a browser, which needs nothing else: plan, timeline, guarantees."""
        from datastores.transfer.page import page_of

        return page_of(self)

    @override
    def __str__(self) -> str:
        what = f"{self.rows:,} rows" if self.rows is not None else _files(self.files)
        sizes = f"{format_bytes(self.bytes_read)} read, {format_bytes(self.bytes_written)} written"
        costs = [f"{self.speed} rows/s"] if self.speed is not None else []
        if self.peak_memory_bytes is not None:
            costs.append(f"peak memory {format_bytes(self.peak_memory_bytes)}")
        cost = f" ({', '.join(costs)})" if costs else ""
        lines = [f"copied {what}, {sizes} in {self.seconds:.1f} s{cost}"]
        lines += [one for one in (self.plan.cursor, self.plan.new_files) if one is not None]
        if self.archived is not None:
            lines.append(self.archived_words())
        lines += self.plan.drift_lines()
        lines += unfit_lines(self.unfit)
        if self.rejects is not None:
            lines.append(rejected_words(self.unfit, self.rejects))
        if self.digest is not None:
            shown = f"{self.digest[:4]}…{self.digest[-4:]}"
            lines.append(f"verified: both sides {self.rows:,} rows, digest {shown}")
        if self.parts_kept:
            lines.append(f"{self.parts_kept} of {self.parts} parts were there from an earlier call")
        retries = f" after {self.retries} {_RETRIES[self.retries > 1]}" if self.retries else ""
        lines.append(f"job {self.job} finished{retries}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        plain = self.to_dict() | {"unfit": ", ".join(unfit_lines(self.unfit)) or None}
        rows = [(name, plain[name]) for name in _SHOWN if plain[name] is not None]
        return html_table(("copy", ""), rows)


def _files(count: int | None) -> str:
    return f"{count or 0:,} {'file' if count == 1 else 'files'}"


def rejected_words(unfit: Unfit | None, place: str) -> str:
    """Return for people how many rejected rows are at their place."""
    count = unfit.rows_rejected if unfit else 0
    if not count:
        return f"no row was rejected; {place} is as it was"
    return f"{count:,} rejected {'row is' if count == 1 else 'rows are'} in {place}"
