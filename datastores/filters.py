"""Row filters: the ecosystem's list of `(column, operator, value)`, an OR of ANDs when nested.

Parsed here once into a normal form; SQL drivers bind the values, formats evaluate the expression.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from datastores.errors import ConfigurationError

if TYPE_CHECKING:
    import pyarrow.compute as pc

OPERATORS = ("=", "!=", "<", "<=", ">", ">=", "in", "not in", "is null", "is not null")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison. As in SQL a NULL in the column meets none but `is null`."""

    column: str
    operator: str
    """One of `OPERATORS`."""
    value: Any = None
    """A tuple for `in` and `not in`; None for `is null` and `is not null`."""

    @override
    def __str__(self) -> str:
        if self.operator.endswith("null"):
            return f"{self.column} {self.operator}"
        return f"{self.column} {self.operator} {self.value!r}"


Filters = tuple[tuple[Condition, ...], ...]
"""An OR of ANDs. Empty: every row."""


def parse_filters(filters: Sequence[Any] | None) -> Filters:
    """Read `[(column, operator, value), ...]` or a list of such lists.

    `==` is taken for `=`. A value of None is refused except through `is null`, since in SQL
    `= NULL` is never true.
    """
    if not filters:
        return ()
    groups = [filters] if isinstance(filters[0], tuple | Condition) else filters
    if not all(groups):
        raise ConfigurationError(
            "a group of filters is empty", advice="Leave it out; no filters mean every row"
        )
    return tuple(tuple(_parse_condition(one) for one in group) for group in groups)


def _parse_condition(one: Any) -> Condition:
    value: Any
    match one:
        case Condition(column, operator, value):
            pass
        case (str(column), str(operator), *rest) if len(rest) <= 1:
            value = rest[0] if rest else None
        case _:
            raise ConfigurationError(
                f"{one!r} is not a filter", advice="Write (column, operator, value)"
            )
    operator = {"==": "=", "<>": "!="}.get(operator, operator.lower())
    if operator not in OPERATORS:
        raise ConfigurationError(
            f"no filter operator {operator!r}", advice=f"Known are {', '.join(OPERATORS)}"
        )
    if operator in {"in", "not in"}:
        if isinstance(value, str | bytes) or not isinstance(value, Iterable):
            raise ConfigurationError(f"filter on {column!r}: {operator!r} takes a list of values")
        value = tuple(value)
    unary = operator.endswith("null")
    compares_with_none = value is None or (type(value) is tuple and None in value)
    if unary != compares_with_none:
        raise ConfigurationError(
            f"filter on {column!r}: {operator!r} does not compare with None",
            advice="Use (column, 'is null') or (column, 'is not null')",
        )
    return Condition(column, operator, value)


def both(one: Filters, other: Filters) -> Filters:
    """Return the filters that a row passes if it passes both, as an OR of ANDs again."""
    if not one or not other:
        return one or other
    return tuple((*left, *right) for left in one for right in other)


def columns_of(filters: Filters) -> tuple[str, ...]:
    """Return the columns that the filters read, each once."""
    return tuple(dict.fromkeys(one.column for group in filters for one in group))


def to_expression(filters: Filters) -> pc.Expression | None:
    """Return the filters as an Arrow compute expression; None for every row."""
    if not filters:
        return None
    return reduce(or_, (reduce(and_, map(_expression, group)) for group in filters))


def _expression(one: Condition) -> pc.Expression:
    import pyarrow.compute as pc  # parsing a filter needs no Arrow

    column = pc.field(one.column)
    match one.operator:
        case "=":
            return column == one.value
        case "!=":
            return column != one.value
        case "<":
            return column < one.value
        case "<=":
            return column <= one.value
        case ">":
            return column > one.value
        case ">=":
            return column >= one.value
        case "in":
            # Arrow takes an empty list for one of NULLs, which no other type compares with.
            return column.isin(list(one.value)) if one.value else pc.scalar(value=False)
        case "not in":
            valid = column.is_valid()
            return valid & ~column.isin(list(one.value)) if one.value else valid
        case "is null":
            return column.is_null()
        case _:
            return column.is_valid()
