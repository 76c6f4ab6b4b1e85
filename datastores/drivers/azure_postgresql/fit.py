"""Which values have an equal in Arrow, as the server tells them, and what a read does with the others.

The conditions say what `codec/decode.py` accepts, so that the server can leave a value out, count it
and name its row; the codec stays the judge of every value that comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from datastores.drivers.azure_postgresql.catalog import DIALECT, Column
from datastores.drivers.azure_postgresql.codec import Layout
from datastores.drivers.azure_postgresql.types import TEXT
from datastores.types.text import describe_type
from datastores.types.unfit import Refusal
from datastores.values import UNFIT_EXAMPLES, OnUnfit, Refused, Unfit, UnfitExample, UnfitPolicy

_SHOWN_CHARACTERS = 80
_ELEMENT = "datastores_element"

# The form of a type's values -> which ones fit. A literal is read in the column's own type, and
# `timestamp` leaves its zone unread.
_FITS: Mapping[str, str] = {
    "date": "pg_catalog.isfinite({value})",
    # Arrow's microseconds in 63 bits.
    "timestamp": "pg_catalog.isfinite({value}) AND {value} <= '294247-01-10 04:00:54.775807+00'",
    "time": "{value} < '24:00'",
    "timetz": "CAST({value} AS pg_catalog.time) < '24:00'",
    "numeric": "{value} <> 'NaN'",
    # Arrow's nanoseconds in 63 bits. Each field by itself is exact, also where EXTRACT is a float.
    "interval": (
        "pg_catalog.isfinite({value}) AND pg_catalog.abs("
        "EXTRACT(hour FROM {value})::pg_catalog.numeric * 3600000000 "
        "+ EXTRACT(minute FROM {value})::pg_catalog.numeric * 60000000 "
        "+ EXTRACT(microseconds FROM {value})::pg_catalog.numeric) <= 9223372036854775"
    ),
}


def fits(layout: Layout, value: str) -> str | None:
    """Return the SQL condition under which a value has an equal in Arrow: NULL always has.

    Args:
        layout: How the values travel.
        value: The SQL expression of one.

    Returns:
        None if every value has one.
    """
    if layout.kind == "array":
        condition: str | None = _array_fits(layout, value)
    elif layout.kind == "record":
        fields = zip(layout.arrow, layout.fields, strict=True)
        found = (fits(of, f"({value}).{DIALECT.identifier(one.name)}") for one, (_, of) in fields)
        condition = " AND ".join(filter(None, found)) or None
    else:
        condition = _FITS.get(layout.kind, "").format(value=value) or None
    return f"({condition}) IS NOT FALSE" if condition else None


def _array_fits(layout: Layout, value: str) -> str:
    assert layout.element is not None  # noqa: S101  # every array has one
    # All are NULL for an empty array.
    conditions = [f"pg_catalog.array_ndims({value}) = {layout.dimensions}"]
    conditions += [
        f"pg_catalog.array_lower({value}, {level + 1}) = 1" for level in range(layout.dimensions)
    ]
    if element := fits(layout.element, _ELEMENT):
        conditions.append(
            f"NOT EXISTS (SELECT FROM pg_catalog.unnest({value}) AS {_ELEMENT} "
            f"WHERE NOT ({element}))"
        )
    return " AND ".join(conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Judged:
    """A column with values that may have no equal."""

    column: Column
    fits: str
    policy: UnfitPolicy

    @property
    def shown(self) -> str:
        """The value as the server prints it, or NULL if it fits."""
        name = DIALECT.identifier(self.column.name)
        return f"CASE WHEN NOT ({self.fits}) THEN {_printed(name)} END"


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUnfit:
    """How to find the row of a value that the codec refuses. Pickles."""

    sql: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    def of(self, row: Sequence[Any]) -> tuple[Column, UnfitExample]:
        """Return which column and value the row that was found is about."""
        [(column, example), *_] = _examples(self.columns, self.key, row)
        return column, example


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """How to read the rows that are left out, all of their values as the server prints them. Pickles."""

    sql: str
    """Yields which of the columns is the first that has no equal, then all values, then the key's."""
    counted: str
    """The same rows, for their number and age."""
    refused: tuple[Column, ...]
    """Columns that may leave a row out."""
    names: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """What the SELECT yields: texts all of them."""
        names = ("", *self.names, *self.key)
        return tuple(
            Column(name=one, type="text", bare="text", mapped=TEXT, arrow=TEXT.layout.arrow)
            for one in names
        )

    def of(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, list[Refusal]]:
        """Return the rows of a batch that was read, and why each is left out."""
        first, last = 1, 1 + len(self.names)
        rows = pa.RecordBatch.from_arrays(batch.columns[first:last], names=list(self.names))
        keys = [one.to_pylist() for one in batch.columns[last:]]
        values = [rows.column(self.names.index(one.name)) for one in self.refused]
        refusals = []
        for at, why in enumerate(map(int, batch.column(0).to_pylist())):
            column = self.refused[why]
            refusals.append(
                Refusal(
                    column=column.name,
                    reason=_reason(column, _cut(values[why][at].as_py())),
                    key=_named(self.key, [one[at] for one in keys]),
                )
            )
        return rows, refusals


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The rows of a table or query, and what becomes of values without an equal in Arrow."""

    source: str
    """What stands behind FROM."""
    conditions: tuple[str, ...]
    """What a row meets to be asked for."""
    columns: tuple[Column, ...]
    """As they are read."""
    judged: tuple[_Judged, ...]
    key: tuple[str, ...]
    """The columns that name a row; none if there are none."""
    limit: int | None

    def sql(self, *conditions: str) -> str:
        """Return the SELECT of the rows that meet more conditions; empty ones are none."""
        nulled = {one.column.name: one for one in self._under(UnfitPolicy.NULL)}
        listed = []
        for column in self.columns:
            name, value = DIALECT.identifier(column.name), column.value
            if one := nulled.get(column.name):
                value = f"CASE WHEN {one.fits} THEN {value} END"
            listed.append(f"{value} AS {name}")
        end = "" if self.limit is None else f" LIMIT {self.limit:d}"
        return self.of(", ".join(listed), self.source, *conditions) + end

    def of(self, listed: str, source: str, *conditions: str) -> str:
        """Return the SELECT of other expressions, of the same rows of a source or a part of it."""
        rejected = (one.fits for one in self._under(UnfitPolicy.REJECT))
        where = _where(*self.conditions, *rejected, *conditions)
        return f"SELECT {listed} FROM {source}{where}"

    def first_unfit(self, *conditions: str) -> FirstUnfit | None:
        """Return how to find a refused value among the same rows; None if none is refused."""
        refused = self._under(UnfitPolicy.RAISE)
        if not refused:
            return None
        listed = ", ".join([*(one.shown for one in refused), *self._printed_key()])
        found = self.of(listed, self.source, *conditions, _any_unfit(refused))
        return FirstUnfit(
            sql=f"{found} LIMIT 1",
            columns=tuple(one.column for one in refused),
            key=self.key,
        )

    def rejected(self, counted: str, *conditions: str) -> Rejected | None:
        """Return how to read the rows that are left out of the same ones; None if no column may do that.

        Args:
            counted: What is asked of them where only their number and age matter.
            *conditions: As `sql` has them.
        """
        rejected = self._under(UnfitPolicy.REJECT)
        if not rejected:
            return None
        whys = (f"WHEN NOT ({one.fits}) THEN '{at}'" for at, one in enumerate(rejected))
        texts = (replace(one, mapped=TEXT).value for one in self.columns)
        listed = ", ".join([f"CASE {' '.join(whys)} END", *texts, *self._printed_key()])
        where = _where(*self.conditions, *conditions, _any_unfit(rejected))
        return Rejected(
            sql=f"SELECT {listed} FROM {self.source}{where}",
            counted=f"SELECT {counted} FROM {self.source}{where}",
            refused=tuple(one.column for one in rejected),
            names=tuple(one.name for one in self.columns),
            key=self.key,
        )

    @property
    def unfit_sql(self) -> str | None:
        """The SELECT that counts what is nulled and left out, with examples; None if nothing is."""
        rejected, nulled = self._under(UnfitPolicy.REJECT), self._under(UnfitPolicy.NULL)
        if not rejected and not nulled:
            return None
        kept = " AND ".join(one.fits for one in rejected) or "TRUE"
        counts = [f"pg_catalog.count(*) FILTER (WHERE NOT ({kept})) OVER ()"]
        counts.append(
            " + ".join(
                f"pg_catalog.count(*) FILTER (WHERE {kept} AND NOT ({one.fits})) OVER ()"
                for one in nulled
            )
            or "0"
        )
        # What a row that is left out holds in other columns is not nulled.
        shown = [one.shown for one in rejected]
        shown += [f"CASE WHEN {kept} THEN {one.shown} END" for one in nulled]
        listed = ", ".join([*counts, *shown, *self._printed_key()])
        where = _where(*self.conditions, _any_unfit([*rejected, *nulled]))
        order = f" ORDER BY {DIALECT.columns(self.key)}" if self.key else ""
        return f"SELECT {listed} FROM {self.source}{where}{order} LIMIT {UNFIT_EXAMPLES}"

    def unfit(self, rows: Sequence[Sequence[Any]]) -> Unfit:
        """Return what the rows that `unfit_sql` selects say."""
        if not rows:
            return Unfit()
        rejected, nulled = self._under(UnfitPolicy.REJECT), self._under(UnfitPolicy.NULL)
        columns = [one.column for one in (*rejected, *nulled)]
        found = [example for row in rows for _, example in _examples(columns, self.key, row[2:])]
        return Unfit(
            rows_rejected=rows[0][0],
            values_nulled=rows[0][1],
            examples=tuple(found[:UNFIT_EXAMPLES]),
        )

    @property
    def refused_sql(self) -> str | None:
        """The SELECT that counts what is refused, with examples; None if everything fits."""
        refused = self._under(UnfitPolicy.RAISE)
        if not refused:
            return None
        counts = (f"pg_catalog.count(*) FILTER (WHERE NOT ({one.fits})) OVER ()" for one in refused)
        shown = (one.shown for one in refused)
        found = self.of(
            ", ".join([*counts, *shown, *self._printed_key()]), self.source, _any_unfit(refused)
        )
        order = f" ORDER BY {DIALECT.columns(self.key)}" if self.key else ""
        return f"{found}{order} LIMIT {UNFIT_EXAMPLES}"

    def refused(self, rows: Sequence[Sequence[Any]]) -> Refused:
        """Return what the rows that `refused_sql` selects say."""
        columns = [one.column for one in self._under(UnfitPolicy.RAISE)]
        if not rows:
            return Refused()
        found = [
            example
            for row in rows
            for _, example in _examples(columns, self.key, row[len(columns) :])
        ]
        counts = zip(columns, rows[0], strict=False)
        return Refused(
            columns=tuple((one.name, count) for one, count in counts if count),
            examples=tuple(found[:UNFIT_EXAMPLES]),
        )

    def _under(self, policy: UnfitPolicy) -> list[_Judged]:
        return [one for one in self.judged if one.policy is policy]

    def _printed_key(self) -> list[str]:
        return [_printed(DIALECT.identifier(name)) for name in self.key]


def select(
    columns: Sequence[Column],
    on_unfit: OnUnfit,
    *,
    source: str,
    conditions: tuple[str, ...],
    key: tuple[str, ...],
    limit: int | None,
) -> Selection:
    """Return the selection of some columns of a source, each under its policy."""
    on_unfit.check_columns(one.name for one in columns)
    read, judged = [], []
    for column in columns:
        condition = fits(column.mapped.layout, DIALECT.identifier(column.name))
        policy = on_unfit.for_column(column.name)
        if condition is None:
            read.append(column)
        elif policy is UnfitPolicy.TEXT:
            read.append(replace(column, mapped=TEXT, arrow=TEXT.layout.arrow))
        else:
            nullable = column.nullable or policy is UnfitPolicy.NULL
            read.append(replace(column, nullable=nullable))
            judged.append(_Judged(column=column, fits=condition, policy=policy))
    return Selection(
        source=source,
        conditions=conditions,
        columns=tuple(read),
        judged=tuple(judged),
        key=key,
        limit=limit,
    )


def refusal(column: Column, example: UnfitExample) -> str:
    """Return the sentence about a value that was refused."""
    row = f" of the row {example.key}" if example.key else ""
    return f"column {column.name!r}: {_reason(column, example.value, row)}"


def _reason(column: Column, value: str, row: str = "") -> str:
    return f"the {column.type} {value}{row} has no equal in {describe_type(column.arrow)}"


def _examples(
    columns: Sequence[Column], key: Sequence[str], row: Sequence[Any]
) -> list[tuple[Column, UnfitExample]]:
    """Return the unfit values of a row: their texts, NULL for one that fits, then the key's."""
    values, parts = row[: len(columns)], row[len(columns) :]
    named = _named(key, parts)
    return [
        (column, UnfitExample(column=column.name, key=named, value=_cut(value)))
        for column, value in zip(columns, values, strict=True)
        if value is not None
    ]


def _named(key: Sequence[str], parts: Sequence[str]) -> str | None:
    return ", ".join(f"{name} = {part}" for name, part in zip(key, parts, strict=True)) or None


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."


def _printed(name: str) -> str:
    # One more than is shown, so that a longer text is known to be one.
    return f"pg_catalog.\"left\"(pg_catalog.format('%s', {name}), {_SHOWN_CHARACTERS + 1})"


def _any_unfit(judged: Sequence[_Judged]) -> str:
    return " OR ".join(f"NOT ({one.fits})" for one in judged)


def _where(*conditions: str) -> str:
    given = [f"({one})" for one in conditions if one]
    return f" WHERE {' AND '.join(given)}" if given else ""
