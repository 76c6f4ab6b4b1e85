"""What an incremental copy remembers at its target, and which rows of its source are new."""

from __future__ import annotations

from dataclasses import dataclass, replace

from datastores.errors import ConfigurationError, DataError, PreconditionFailedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Bookmark:
    """What the target remembers of an incremental copy from the moment of its publish."""

    name: str
    """A hash of what is copied where."""
    before: str | None
    """What the target remembered when the copy was planned; None for nothing."""
    text: str
    """What it remembers from now on: plain values, without secrets."""

    def moved(self) -> PreconditionFailedError:
        """Return the error of a publish that finds another text than `before`."""
        return PreconditionFailedError(
            "another copy of the same rows to the same place was published meanwhile",
            operation="publish",
            advice="Copy again: it goes on from there; nothing was changed by this one",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorRange:
    """Rows whose value in one column is new: above one value, and not above another."""

    column: str
    after: str | None = None
    """Exactly as the source itself prints it; None for every row."""
    until: str | None = None
    """The greatest value to take; None in a request for the greatest there is, and in a plan if
    no row is new."""
    type: str = ""
    """Of the column in the source's words, when the values were printed; empty before that."""
    inclusive: bool = False
    """Whether rows at `after` are taken again, since more of them may have come."""

    def of_type(self, type_: str) -> CursorRange:
        """Return the same range of a column that has a type now.

        Raises:
            ConfigurationError: It had another one, so that the values may have another order.
        """
        if self.type not in {"", type_}:
            raise ConfigurationError(
                f"the cursor column {self.column!r} was {self.type} and is {type_} now",
                advice='Begin anew with mode="replace"',
            )
        return replace(self, type=type_)

    def up_to(self, greatest: str | None) -> CursorRange:
        """Return the range that ends at the greatest value there is; None if there is no row."""
        if greatest is not None and greatest.lower().lstrip("+") in {"nan", "inf", "infinity"}:
            raise DataError(
                f"the cursor column {self.column!r} holds {greatest}, above which nothing can come",
                advice="Leave such rows out with filters; nothing was changed",
            )
        return replace(self, until=None if greatest == self.after else greatest)

    def refuse_nulls(self, count: int) -> None:
        """Raise if rows have no value in the column, and so no place in its order."""
        if count:
            rows = "1 row" if count == 1 else f"{count:,} rows"
            raise DataError(
                f"the cursor column {self.column!r} is NULL in {rows}, which no run would take",
                advice=f"Leave them out with filters=[({self.column!r}, 'is not null')]; "
                "nothing was changed",
            )
