"""What lies between a source's batches and a target's: which columns, what names, what types.

A column keeps its buffers unless its type changes; see `cast.py` for what a change may do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError, did_you_mean
from datastores.types.cast import cast_column, check_cast
from datastores.types.text import describe_type, parse_type
from datastores.types.unfit import Sieve, Tried, key_columns
from datastores.values import OnUnfit, UnfitPolicy

_RAISE = OnUnfit()


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnConversion:
    """One column's way from source to target."""

    index: int
    """Its place in the source's batches."""
    source: pa.Field
    target: pa.Field

    @property
    def changes_type(self) -> bool:
        """Whether its values are cast."""
        return bool(self.source.type != self.target.type)

    def convert(self, column: pa.Array, *, first_row: int = 1) -> pa.Array:
        """Return the column's values in the target's type; `first_row` is counted from in errors."""
        if column.null_count and not self.target.nullable:
            row = first_row + column.is_null().index(True).as_py()
            raise DataError(f"column {self.target.name!r}, row {row}: NULL is not allowed here")
        if not self.changes_type:
            return column
        return cast_column(column, self.target.type, name=self.target.name, first_row=first_row)

    @property
    def description(self) -> str:
        """For plans: `total: double to decimal(18,2)`, with the old name if there was one."""
        renamed = f" (was {self.source.name})" if self.source.name != self.target.name else ""
        old, new = (describe_type(one.type) for one in (self.source, self.target))
        changed = f"{old} to {new}" if self.changes_type else new
        return f"{self.target.name}{renamed}: {changed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """A plan, made without reading anything, for turning batches of one schema into another."""

    source: pa.Schema
    schema: pa.Schema
    """What comes out. Notes of the source's types stay on columns whose type stays."""
    columns: tuple[ColumnConversion, ...]
    on_unfit: OnUnfit = _RAISE

    @classmethod
    def plan(
        cls,
        source: pa.Schema,
        *,
        columns: Sequence[str] | None = None,
        rename: Mapping[str, str] | None = None,
        types: Mapping[str, str | pa.DataType] | None = None,
        on_unfit: OnUnfit = _RAISE,
    ) -> Self:
        """Return the plan.

        Args:
            source: The schema of the batches to come.
            columns: Which of its columns, in this order; all of them if None.
            rename: New names by old ones.
            types: New types by the column's new name, as text or as Arrow types.
            on_unfit: By new name. What `sieve` does with values that have no form in the new types;
                and `text` makes text of a column whose type not every store holds in full.

        Raises:
            ConfigurationError: A column that is not there, or two of one name.
            SchemaMismatchError: No exact conversion leads from a column's type to the new one.
        """
        rename, types = rename or {}, types or {}
        _refuse_repeated("the source has", source.names)
        names = list(source.names if columns is None else columns)
        if not source.names:
            raise SchemaMismatchError(
                "a table without columns is not written, nor compared",
                advice="Give it one column at least, or leave it out",
            )
        if not names:
            raise ConfigurationError("columns: names no column", advice="Name one at least")
        _refuse_unknown("columns", names, source.names)
        _refuse_repeated("columns: names", names)
        _refuse_unknown("rename", rename, names)
        new_names = [rename.get(name, name) for name in names]
        _refuse_repeated("rename: gives", new_names)
        _refuse_unknown("types", types, new_names)
        steps = []
        for name, new_name in zip(names, new_names, strict=True):
            field = source.field(name)
            target = field.with_name(new_name)
            policy = on_unfit.for_column(new_name)
            if new_name in types:
                target = _retyped(target, types[new_name])
                if policy is UnfitPolicy.NULL:
                    target = target.with_nullable(nullable=True)
            elif policy is UnfitPolicy.TEXT and _differs_between_stores(field.type):
                target = _retyped(target, pa.string())
            index = source.get_field_index(name)
            steps.append(ColumnConversion(index=index, source=field, target=target))
        schema = pa.schema([step.target for step in steps])
        if schema.equals(source, check_metadata=False):
            schema = source
        return cls(source=source, schema=schema, columns=tuple(steps), on_unfit=on_unfit)

    def without(self, names: Collection[str]) -> Conversion:
        """Return the plan for the same batches with some columns left out, by new name."""
        if not names:
            return self
        columns = tuple(one for one in self.columns if one.target.name not in names)
        return Conversion(
            source=self.source,
            schema=pa.schema([one.target for one in columns], self.schema.metadata),
            columns=columns,
            on_unfit=self.on_unfit.without(names),
        )

    @property
    def identity(self) -> bool:
        """Whether what comes out is what went in."""
        return self.schema is self.source

    def apply(self, reader: pa.RecordBatchReader) -> pa.RecordBatchReader:
        """Return a reader of the converted batches, holding one at a time.

        Raises:
            SchemaMismatchError: The reader's columns are not those the plan was made for.
            DataError: While reading: a value has no exact form in the new type, or a column
                that may not hold NULL does. The row is counted from the reader's first, as 1.
        """
        if not reader.schema.equals(self.source, check_metadata=False):
            raise SchemaMismatchError(
                f"the batches have the columns {_outline(reader.schema)}, "
                f"and {_outline(self.source)} were planned"
            )
        return pa.RecordBatchReader.from_batches(self.schema, self._converted(reader))

    def convert(self, batch: pa.RecordBatch, *, first_row: int = 1) -> pa.RecordBatch:
        """Return one batch converted; `first_row` is the number of its first row in errors."""
        converted = [
            step.convert(batch.column(step.index), first_row=first_row) for step in self.columns
        ]
        return pa.record_batch(converted, schema=self.schema)

    def sieve(self, keys: Sequence[str] = ()) -> Sieve:
        """Return what leaves out or nulls the values that have no form in the new types.

        Args:
            keys: New names of the columns that identify a row, for the examples.
        """
        tried = [
            Tried(index=one.index, name=one.target.name, attempt=one.convert)
            for one in self.columns
            if one.changes_type or not one.target.nullable
        ]
        fields = [one.source.with_name(one.target.name) for one in self.columns]
        named = key_columns(pa.schema(fields), keys)
        places = [one.index for one in self.columns]
        return Sieve(tried, self.on_unfit, [(places[at], name) for at, name in named])

    def renamed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the values that go in under the names that come out."""
        arrays = [batch.column(one.index) for one in self.columns]
        return pa.RecordBatch.from_arrays(arrays, names=self.schema.names)

    def _converted(self, reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        row = 1
        for batch in reader:
            yield self.convert(batch, first_row=row)
            row += batch.num_rows


def _differs_between_stores(type_: pa.DataType) -> bool:
    """Return whether stores hold such values in other ranges and units, or lists in other shapes."""
    return bool(
        (pa.types.is_temporal(type_) and not pa.types.is_duration(type_))
        or pa.types.is_interval(type_)
        or pa.types.is_nested(type_)
    )


def _retyped(field: pa.Field, type_: str | pa.DataType) -> pa.Field:
    wanted = parse_type(type_) if isinstance(type_, str) else type_
    if wanted == field.type:
        return field
    check_cast(field.type, wanted, name=field.name)
    # The note of the source's type would claim what is no longer so.
    return field.with_type(wanted).remove_metadata()


def _refuse_unknown(
    argument: str, names: Sequence[str] | Mapping[str, object], known: Sequence[str]
) -> None:
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"{argument}: there is no column {name!r}",
                advice=did_you_mean(name, known, "The columns are"),
            )


def _refuse_repeated(what: str, names: Sequence[str]) -> None:
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise ConfigurationError(
            f"{what} more than one column {repeated[0]!r}",
            advice="Give each column a name of its own",
        )


def _outline(schema: pa.Schema) -> str:
    return ", ".join(f"{field.name} {describe_type(field.type)}" for field in schema)
