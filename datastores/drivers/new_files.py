"""Which files of a folder or glob are new: to a target, or since a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from datastores.errors import DataError, UnsupportedOperationError

_NAMED = 3


class ListedFile(Protocol):
    """What a listing says of one file."""

    @property
    def path(self) -> str:
        """In its store."""

    @property
    def version(self) -> str:
        """Changes when the file does."""

    @property
    def modified(self) -> float | None:
        """In seconds since 1970, UTC; None if the store does not tell."""


File = TypeVar("File", bound=ListedFile)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRange:
    """The files of a folder or glob that are to be read."""

    known: Mapping[str, str] = field(default_factory=dict)
    """Those that the target was given before: the version of each by its path."""
    since: datetime | None = None
    """Only those that were modified then or later."""
    begun: frozenset[str] | None = None
    """Only those of these paths, with which an earlier call of the job began."""
    takes_changed: bool = True
    """Whether those that were given before, and have changed, are taken again; else refused."""
    taken: Mapping[str, str] = field(default_factory=dict)
    """Of a plan: those that are read, the version of each by its path."""

    def chosen(self, files: Sequence[File]) -> tuple[list[File], FileRange]:
        """Return which of the files that are there are to be read, and the range of just these.

        Raises:
            DataError: One was given before, has changed, and is not to be taken again.
            UnsupportedOperationError: The store does not tell when it was modified.
        """
        late = [one for one in files if self.since is None or _modified(one) >= self.since]
        new = [one for one in late if self.known.get(one.path) != one.version]
        if self.begun is not None:
            # If none of them is left, the job begins anew.
            new = [one for one in new if one.path in self.begun] or new
        changed = [one.path for one in new if one.path in self.known]
        if changed and not self.takes_changed:
            raise _changed(changed)
        taken = {one.path: one.version for one in new}
        return new, replace(self, taken=taken, begun=frozenset(taken))

    def words(self) -> str:
        """Return the range of a plan for people: how many files, and the first of them."""
        changed = sum(one in self.known for one in self.taken)
        new = len(self.taken) - changed
        counts = [f"{format(new, ',') if new else 'no'} new {'files' if new > 1 else 'file'}"]
        counts += [f"{changed:,} changed"] if changed else []
        counts += [f"{len(self.known):,} known"] if self.known else []
        counts += [f"modified since {self.since.isoformat()}"] if self.since else []
        first = ", ".join(list(self.taken)[:_NAMED])
        more = f" and {len(self.taken) - _NAMED:,} more" if len(self.taken) > _NAMED else ""
        return f"{', '.join(counts)}: {first}{more}" if first else ", ".join(counts)


def version_of(info: Mapping[str, Any]) -> str:
    """Return a text that changes when a file does, from what a filesystem's `info` says of it."""
    stamp = info.get("etag") or info.get("mtime") or info.get("last_modified") or ""
    return f"{stamp} {info['size']}"


def _modified(file: ListedFile) -> datetime:
    if file.modified is None:
        raise UnsupportedOperationError(
            f"the store does not tell when {file.path!r} was modified", target=file.path
        )
    return datetime.fromtimestamp(file.modified, UTC)


def _changed(paths: Sequence[str]) -> DataError:
    others = f" and {len(paths) - 1:,} more" if len(paths) > 1 else ""
    return DataError(
        f"{paths[0]!r}{others} changed since it was copied, and would add its rows a second time",
        target=paths[0],
        advice='Use mode="upsert" with keys, or mode="replace" to begin anew; nothing was changed',
    )
