"""What makes two calls the same job, and what is kept of one for the call that goes on from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from datastores.datastore import StorePath
from datastores.drivers.journal import dump, load, receipt_values, receipts_of
from datastores.drivers.writing import JobEntry, Receipt
from datastores.errors import ConfigurationError, DataError
from datastores.scan import Scan
from datastores.transfer.endpoints import place
from datastores.types.digest import Digest
from datastores.values import OnUnfit, Unfit, UnfitExample, UnfitPolicy

_JOB_DIGITS = 12
# It is in the names of files and of tables.
_JOB = re.compile(r"[A-Za-z0-9_-]{1,40}")
# What changes how a copy is made, and not what.
_INCIDENTAL = frozenset(
    {"workspace", "workers", "verify", "progress", "on_plan", "on_table", "job", "executor"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Which job a call is: the same arguments are the same job until that is acknowledged."""

    job: str
    given: bool
    """Whether the user named the job."""
    request: str
    """A hash of what is copied where and how."""
    source: str
    target: str
    call: Mapping[str, Any] | None
    """The arguments as plain values, for whoever knows the job's id only; None if they are not such."""

    @classmethod
    def of(
        cls, source: StorePath | Scan, target: StorePath, options: Mapping[str, Any]
    ) -> Identity:
        """Return the identity of a call of `copy`, without any I/O."""
        label = source.label if isinstance(source, Scan) else place(source)
        return cls._of(source, target, options, (label, place(target)))

    @classmethod
    def of_all(cls, source: StorePath, target: StorePath, options: Mapping[str, Any]) -> Identity:
        """Return the identity of a call of `copy_all`, without any I/O."""
        labels = (f"{source.store.label}/{source.path}", f"{target.store.label}/{target.path}")
        return cls._of(source, target, options, labels)

    @classmethod
    def _of(
        cls,
        source: StorePath | Scan,
        target: StorePath,
        options: Mapping[str, Any],
        labels: tuple[str, str],
    ) -> Identity:
        words = {name: _plain(options[name]) for name in options.keys() - _INCIDENTAL}
        parts = [_named(source), _named(target), words]
        request = hash_of(parts)
        given = options.get("job")
        if given is not None and not _JOB.fullmatch(given):
            raise ConfigurationError(
                f"{given!r} is no name for a job",
                advice="Use 1 to 40 letters, digits, hyphens and underscores",
            )
        return cls(
            job=given or request[:_JOB_DIGITS],
            given=given is not None,
            request=request,
            source=labels[0],
            target=labels[1],
            call=_call(source, target, words),
        )

    def of_table(self, source: StorePath, target: StorePath) -> Identity:
        """Return the identity of one of the copies that this call of `copy_all` makes."""
        request = hash_of([self.job, self.request, _named(source), _named(target)])
        return Identity(
            job=request[:_JOB_DIGITS],
            given=self.given,
            request=request,
            source=place(source),
            target=place(target),
            # It goes on with the others, when that call is made again.
            call=None,
        )

    def journal(self, rows: str, splits: int, kept: Mapping[str, Any] | None = None) -> str:
        """Return what the job's entry keeps.

        Args:
            rows: A text that tells what the parts' rows are from others; empty for files.
            splits: Into how many pieces the source was to be divided.
            kept: Of what is new, if only that is copied.
        """
        values = {"request": self.request, "source": self.source, "call": self.call}
        return dump({**values, "schema": hash_of(rows), "range": kept, "splits": splits})

    def check(self, entry: JobEntry) -> None:
        """Refuse to go on from a job that is another copy's.

        Raises:
            ConfigurationError: It is.
            DataError: The entry is damaged, or a newer version's.
        """
        kept = load(entry.journal, f"the journal of job {self.job}")
        if kept["request"] != self.request:
            raise ConfigurationError(
                f"job {self.job} is of another copy: from {kept['source']} to {entry.target}",
                advice=f"Give another job=, or forget that one: datastores jobs clean {self.job}",
            )

    def splits(self, entry: JobEntry) -> int:
        """Return how many pieces an earlier call asked for: others would not be the same."""
        return int(load(entry.journal, f"the journal of job {self.job}")["splits"])

    def kept(self, entry: JobEntry) -> Mapping[str, Any] | None:
        """Return what an earlier call kept of what is new, if only that is copied."""
        values: Mapping[str, Any] | None
        values = load(entry.journal, f"the journal of job {self.job}")["range"]
        return values

    def is_of(self, entry: JobEntry, rows: str) -> bool:
        """Return whether what an earlier call staged is of the same rows."""
        kept = load(entry.journal, f"the journal of job {self.job}")
        return bool(kept["schema"] == hash_of(rows))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartNote:
    """What is kept with a part's receipt."""

    call: str
    """By which it was staged, of all those that one after the other are at the job."""
    marks: tuple[str | None, ...]
    """Of the pieces of the source that it holds."""
    rows_read: tuple[int, ...]
    """Of each piece."""
    bytes_read: int
    digest: Digest | None
    """Of the rows as they were sent, if they were to be verified."""
    unfit: Unfit
    """On the way to the target."""
    rows_rejected: tuple[int, ...] | None = None
    """Of each piece, by the source itself; None if they were not asked for."""
    rejects: Receipt | None = None
    """Of the part's rejected rows, where they are kept and there are any."""

    def dump(self) -> str:
        """Return it as text."""
        rejects = receipt_values([self.rejects] if self.rejects else [])
        return dump({**dataclasses.asdict(self), "rejects": rejects})

    def check(self, receipt: Receipt) -> None:
        """Refuse a part of which a row is neither staged nor left out, or is both.

        Raises:
            DataError: There is such a row, which is a defect.
        """
        read, left_out = sum(self.rows_read), self.unfit.rows_rejected
        if read != receipt.rows + left_out:
            raise _unbalanced(
                f"part {receipt.part} has {read:,} rows, and {receipt.rows:,} are staged and "
                f"{left_out:,} left out"
            )
        if self.rows_rejected is None:
            return
        kept = self.rejects.rows if self.rejects else 0
        if kept != left_out + sum(self.rows_rejected):
            raise _unbalanced(
                f"{left_out + sum(self.rows_rejected):,} rows of part {receipt.part} are left out, and "
                f"{kept:,} are staged as rejected"
            )

    @classmethod
    def load(cls, text: str, part: str) -> PartNote:
        """Return what was dumped."""
        values = load(text, f"the journal of part {part}")
        unfit, digest = values["unfit"], values["digest"]
        rejected = values["rows_rejected"]
        examples = tuple(UnfitExample(**one) for one in unfit["examples"])
        return cls(
            call=values["call"],
            marks=tuple(values["marks"]),
            rows_read=tuple(values["rows_read"]),
            bytes_read=values["bytes_read"],
            digest=None if digest is None else Digest(**digest),
            unfit=Unfit(**{**unfit, "examples": examples}),
            rows_rejected=None if rejected is None else tuple(rejected),
            rejects=next(iter(receipts_of(values["rejects"])), None),
        )


def check_rows(receipts: Sequence[Receipt], notes: Sequence[PartNote], unfit: Unfit | None) -> None:
    """Refuse to publish if rows read are not rows written and rejected.

    Args:
        receipts: Of all parts.
        notes: Of the same ones.
        unfit: What the source said that it leaves out; None if it does not know.

    Raises:
        DataError: They are not, which is a defect.
    """
    for receipt, note in zip(receipts, notes, strict=True):
        note.check(receipt)
    rejected = [one.rows_rejected for one in notes if one.rows_rejected is not None]
    found = sum(map(sum, rejected))
    if unfit is not None and rejected and found != unfit.rows_rejected:
        raise DataError(
            f"the source said that it leaves out {unfit.rows_rejected:,} rows, and gave {found:,}",
            advice="Its rows differ each time they are asked for, as those of a foreign table that is "
            "written to or of a query with random(); nothing was changed",
        )


def _unbalanced(message: str) -> DataError:
    return DataError(message, advice="That is a defect of datastores; nothing was changed")


def _named(end: StorePath | Scan) -> list[Any]:
    """Return what tells a place or a scan from others."""
    if isinstance(end, StorePath):
        return [end.store.type, end.store.driver.place, end.path]
    request = dataclasses.asdict(end.request)
    return [end.driver.type_name, end.driver.place, request]


def call_of(entry: JobEntry) -> tuple[str, str, dict[str, Any]]:
    """Return the arguments of the `copy` that a job is of: source, target and options.

    Raises:
        ConfigurationError: They are not known: one end is a scan, a query or a store without a name.
    """
    kept = load(entry.journal, f"the journal of job {entry.job}") if entry.journal else {}
    if kept.get("call") is None:
        raise ConfigurationError(
            f"job {entry.job} does not tell the call that it is of",
            advice="Make the same call again, which goes on from it",
        )
    call = kept["call"]
    return call["source"], call["target"], call["options"]


def _call(
    source: StorePath | Scan, target: StorePath, words: Mapping[str, Any]
) -> dict[str, Any] | None:
    ends = [one for one in (source, target) if isinstance(one, StorePath) and one.store.name]
    try:
        held = json.loads(json.dumps(words)) == words
    except (TypeError, ValueError):
        held = False
    if len(ends) != len((source, target)) or not held:
        return None
    return {"source": str(source), "target": str(target), "options": words}


def _plain(value: Any) -> Any:
    if isinstance(value, StorePath) and value.store.name:
        return str(value)
    if isinstance(value, OnUnfit) and not value.columns:
        return str(value.default)
    if isinstance(value, OnUnfit) and value.default is UnfitPolicy.RAISE:
        return dict(value.columns)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StorePath):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def hash_of(values: Any) -> str:
    """Return a text that tells these values from others."""
    text = json.dumps(values, default=str, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
