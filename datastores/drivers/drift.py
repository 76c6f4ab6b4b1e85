"""Where the data's columns are not those of a table that exists, and what the policy makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datastores.drivers.writing import Drifted, DriftKind, WriteRequest
from datastores.errors import SchemaMismatchError
from datastores.values import Drift

WAYS_ON = (
    'drift="ignore" (--drift ignore) leaves out what the table lacks and tries each value, '
    'drift="evolve" adds columns and widens types'
)
_TRIED = "stays {target}; each value is checked to fit"
# Under `refuse` nothing becomes of any.
_OUTCOMES: Mapping[tuple[Drift, DriftKind], str] = {
    (Drift.IGNORE, DriftKind.ADDED): "left out",
    (Drift.IGNORE, DriftKind.DROPPED): "{filled} in new rows",
    (Drift.IGNORE, DriftKind.WIDENED): _TRIED,
    (Drift.IGNORE, DriftKind.NARROWED): "stays {target}, which holds every value",
    (Drift.IGNORE, DriftKind.CHANGED): _TRIED,
    (Drift.EVOLVE, DriftKind.ADDED): "the table gets it as {source}",
    (Drift.EVOLVE, DriftKind.DROPPED): "stays, {filled} in new rows",
    (Drift.EVOLVE, DriftKind.WIDENED): "becomes {source}",
    (Drift.EVOLVE, DriftKind.NARROWED): "stays {target}, which holds every value",
    (Drift.EVOLVE, DriftKind.CHANGED): _TRIED,
}
_REFUSED: Mapping[DriftKind, str] = {
    DriftKind.ADDED: "{column!r} is added ({source})",
    DriftKind.DROPPED: "{column!r} is dropped ({target})",
    DriftKind.WIDENED: "{column!r} is widened from {target} to {source}",
    DriftKind.NARROWED: "{column!r} is narrowed from {target} to {source}",
    DriftKind.CHANGED: "{column!r} is changed from {target} to {source}",
}


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type on one of the two sides."""

    words: str
    """As the target declares it, or would."""
    form: Any
    """What tells whether it holds the other's values."""
    filled: str | None = "NULL"
    """What a row gets that brings no value; None if it has to bring one."""


def judge(
    request: WriteRequest,
    given: Mapping[str, ColumnType],
    known: Mapping[str, ColumnType],
    holds: Callable[[Any, Any], bool],
) -> tuple[Drifted, ...]:
    """Return what becomes of each column that differs, under a request's policy.

    Args:
        request: It has one.
        given: The data's columns, as `create` would declare them.
        known: Those of the table that take values.
        holds: Whether the first form holds each value of the second exactly.

    Raises:
        SchemaMismatchError: The policy is `refuse`; or rows have to bring a column that is dropped, or
            one is added whose name differs from another's by case alone.
    """
    assert request.drift is not None  # noqa: S101  # what the request has
    found = tuple(_differences(given, known, holds))
    if found and request.drift is Drift.REFUSE:
        raise refused(request, found)
    _check_names(request, known, found)
    return tuple(
        replace(
            one,
            outcome=_OUTCOMES[request.drift, one.kind].format(
                source=one.source_type,
                target=one.target_type,
                filled=known[one.column].filled if one.column in known else None,
            ),
        )
        for one in found
    )


def named(drifted: Sequence[Drifted], kind: DriftKind) -> tuple[str, ...]:
    """Return the columns that differ in one way."""
    return tuple(one.column for one in drifted if one.kind is kind)


def left_out(request: WriteRequest, drifted: Sequence[Drifted]) -> tuple[str, ...]:
    """Return the columns of the data that are not written."""
    return named(drifted, DriftKind.ADDED) if request.drift is Drift.IGNORE else ()


def altered(request: WriteRequest, drifted: Sequence[Drifted]) -> tuple[str, ...]:
    """Return the columns that the table gets, or gets another type of."""
    if request.drift is not Drift.EVOLVE:
        return ()
    return named(drifted, DriftKind.ADDED) + named(drifted, DriftKind.WIDENED)


def refused(request: WriteRequest, found: Sequence[Drifted]) -> SchemaMismatchError:
    """Return the error that names each column which differs, for the caller to raise."""
    listed = (
        _REFUSED[one.kind].format(column=one.column, source=one.source_type, target=one.target_type)
        for one in found
    )
    return SchemaMismatchError(
        f"the columns are not those of {request.table}: {', '.join(listed)}",
        target=str(request.table),
        advice=f"{WAYS_ON[0].upper()}{WAYS_ON[1:]}; or make the data fit with columns=[...], "
        "rename={...} and types={...}; nothing was changed",
    )


def _differences(
    given: Mapping[str, ColumnType],
    known: Mapping[str, ColumnType],
    holds: Callable[[Any, Any], bool],
) -> Iterator[Drifted]:
    for name, one in given.items():
        if name not in known:
            yield Drifted(column=name, kind=DriftKind.ADDED, source_type=one.words)
            continue
        other = known[name]
        if one.words == other.words:
            continue
        wider, narrower = holds(one.form, other.form), holds(other.form, one.form)
        if wider and narrower:
            continue
        kind = DriftKind.WIDENED if wider else DriftKind.NARROWED if narrower else DriftKind.CHANGED
        yield Drifted(column=name, kind=kind, source_type=one.words, target_type=other.words)
    for name, one in known.items():
        if name not in given:
            yield Drifted(column=name, kind=DriftKind.DROPPED, target_type=one.words)


def _check_names(
    request: WriteRequest, known: Mapping[str, ColumnType], found: Sequence[Drifted]
) -> None:
    for name in named(found, DriftKind.DROPPED):
        if known[name].filled is None:
            raise SchemaMismatchError(
                f"the data has no column {name!r}, which {request.table} has as NOT NULL without a "
                "default",
                target=str(request.table),
                advice="Add it to the data, or give the table's column a default; nothing was changed",
            )
    spelled = {name.lower(): name for name in known}
    for name in named(found, DriftKind.ADDED):
        if (other := spelled.get(name.lower())) is not None:
            raise SchemaMismatchError(
                f"column {name!r} is {other!r} in {request.table}, and names that differ by case alone "
                "are not taken for two",
                target=str(request.table),
                advice="Rename it with rename={...}; nothing was changed",
            )
