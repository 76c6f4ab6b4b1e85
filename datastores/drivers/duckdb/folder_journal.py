"""The journal of one job beside the database: a document for each part that is finished."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datastores.drivers.journal import dump, load, now, receipt_values, receipts_of
from datastores.drivers.writing import JobEntry, JobState, Receipt

_SUFFIX = ".receipt"


@dataclass(frozen=True, slots=True)
class FolderJournal:
    """Documents in the folder where a job stages its parts, each written once."""

    folder: Path

    @property
    def _job(self) -> Path:
        return self.folder / "job"

    def begin(self, target: str, journal: str) -> None:
        """Enter the job, unless an earlier call did."""
        _create(self._job, {"target": target, "journal": journal, "began": now()})

    def entry(self, job: str) -> JobEntry | None:
        """Return what is known of a job that is not published."""
        if not self._job.exists():
            return None
        found = (_read(one) for one in sorted(self.folder.glob(f"*{_SUFFIX}")))
        entered = _read(self._job)
        return JobEntry(
            job=job,
            target=entered["target"],
            state=JobState.WRITING,
            journal=entered["journal"],
            receipts=receipts_of(found),
            began=datetime.fromisoformat(entered["began"]),
        )

    def enter(self, receipt: Receipt) -> Receipt:
        """Enter a finished part; if another attempt was there first, its receipt is returned."""
        [values] = receipt_values([receipt])
        [entered] = receipts_of([_create(self._part(receipt.part), values)])
        return entered

    def forget(self, part: str) -> None:
        """Take a part out."""
        self._part(part).unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all that the job staged.

        Whenever that is cut short, what is left is taken for what it is: receipts go before what they
        vouch for, and last what says that the job was begun.
        """
        documents = [*self.folder.glob(f"*{_SUFFIX}")]
        others = [one for one in self.folder.glob("*") if one not in documents and one != self._job]
        for one in (*documents, *others, self._job):
            one.unlink(missing_ok=True)
        for folder in (self.folder, self.folder.parent):
            # Another job may still use it, or have removed it just now.
            with suppress(OSError):
                folder.rmdir()

    def _part(self, part: str) -> Path:
        return self.folder / f"{quote(part, safe='')}{_SUFFIX}"


def _create(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Write a document whole, or return the one that is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{uuid.uuid4().hex}.draft")
    try:
        draft.write_text(dump(values), encoding="utf-8")
        with suppress(FileExistsError):
            os.link(draft, path)
            return values
        return _read(path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any]:
    return load(path.read_text(encoding="utf-8", errors="replace"), f"the journal {path}")
