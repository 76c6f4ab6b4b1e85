"""What a copy did, cost and guarantees."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from datastores.display import format_bytes, html_table
from datastores.transfer.plan import unfit_lines
from datastores.values import Unfit

_RETRIES = ("retry", "retries")


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """The result of one copy. Prints as a few lines, and exports as JSON."""

    job: str
    source: str
    target: str
    mode: str
    rows: int | None
    """None where files were copied as they are."""
    files: int | None
    """None where rows were copied."""
    bytes_read: int
    """Of Arrow data, or of files."""
    bytes_written: int
    """As the parts were staged, after compression."""
    seconds: float
    parts: int
    parts_kept: int
    """How many of them an earlier call of the same job had finished."""
    workers: int
    retries: int
    """How often a part, or the publish, was tried again after an error that may pass."""
    snapshot: str | None
    """The one consistent view that all parts read; None if they shared none."""
    publish: str
    """How the result appeared."""
    digest: str | None
    """Of the rows at both ends, where the copy was verified."""
    peak_memory_bytes: int | None
    """Of the whole process so far; None where the system does not say."""
    unfit: Unfit | None = field(default_factory=Unfit)
    """What did not fit, and was nulled or left out: `rows` and those left out are all that there were.

    None where the source's limit leaves open which rows were judged.
    """

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values."""
        return dataclasses.asdict(self)

    def to_json(self) -> str:
        """Return the fields as one JSON object."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    @override
    def __str__(self) -> str:
        what = f"{self.rows:,} rows" if self.rows is not None else f"{self.files:,} files"
        sizes = f"{format_bytes(self.bytes_read)} read, {format_bytes(self.bytes_written)} written"
        costs = []
        if self.rows is not None:
            costs.append(f"{_speed(self.rows, self.seconds)} rows/s")
        if self.peak_memory_bytes is not None:
            costs.append(f"peak memory {format_bytes(self.peak_memory_bytes)}")
        cost = f" ({', '.join(costs)})" if costs else ""
        lines = [f"copied {what}, {sizes} in {self.seconds:.1f} s{cost}"]
        lines += unfit_lines(self.unfit)
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
        rows = [(name, value) for name, value in plain.items() if value is not None]
        return html_table(("copy", ""), rows)


def _speed(rows: int, seconds: float) -> str:
    speed = rows / max(seconds, 1e-9)
    digits = max(len(str(int(speed))) - 3, 0)
    return f"{round(speed, -digits):,.0f}"
