"""Frozen value objects that every layer shares. No I/O, and nothing heavier than the standard library."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from typing_extensions import override

from datastores.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    from datetime import datetime


class WriteMode(StrEnum):
    """What a write does to a target that exists already, and to one that does not."""

    CREATE = "create"
    """Create it; an error if it exists."""
    APPEND = "append"
    """Add to it; an error if it does not exist."""
    REPLACE = "replace"
    """Put the new content in place of the old; create it if absent."""
    CREATE_APPEND = "create_append"
    """Add to it; create it if absent."""
    UPSERT = "upsert"
    """Update the rows whose key exists, insert the others."""
    REPLACE_PARTITIONS = "replace_partitions"
    """Replace the partitions that the data holds, leave the others."""

    @classmethod
    def parse(cls, text: str) -> WriteMode:
        """Return the mode of that name; an error lists them all."""
        try:
            return cls(text)
        except ValueError:
            raise ConfigurationError(
                f"no write mode {text!r}", advice=f"The modes are {', '.join(cls)}"
            ) from None


class Drift(StrEnum):
    """What a write does where the data's columns are not those of a table that exists."""

    REFUSE = "refuse"
    """Refuse any difference, before a row moves."""
    IGNORE = "ignore"
    """Leave the table as it is: leave out what it lacks, and try each value on its types."""
    EVOLVE = "evolve"
    """Give the table the columns it lacks, and the wider types; nothing of it goes."""

    @classmethod
    def parse(cls, text: str | None) -> Drift | None:
        """Return the policy of that name, None for none; an error lists them all."""
        try:
            return None if text is None else cls(text)
        except ValueError:
            raise ConfigurationError(
                f"drift: there is no policy {text!r}",
                advice=did_you_mean(text, map(str, cls), "The policies are"),
            ) from None


FILE_STORE_MODES = tuple(mode for mode in WriteMode if mode is not WriteMode.UPSERT)
"""The modes of tables in files, which have no keys to find a row by."""


class Atomicity(StrEnum):
    """What a reader can see while a write is published, and what a crash can leave."""

    ATOMIC = "atomic"
    """All of the old content or all of the new, at every moment."""
    FILE_BY_FILE = "file_by_file"
    """Each file is whole, but a reader may see some of the new ones beside old ones."""


class Snapshot(StrEnum):
    """How far one consistent view of a source reaches."""

    TRANSFERABLE = "transferable"
    """Any process may read under it while the coordinator holds it."""
    CONNECTION = "connection"
    """Only connections that this process opened at the same moment share it."""
    NONE = "none"
    """Parts may see different moments; the report says so."""


def column_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """Return the names of one column or several."""
    return (names,) if isinstance(names, str) else tuple(names)


class UnfitPolicy(StrEnum):
    """What becomes of a value that the other side cannot hold exactly."""

    RAISE = "raise"
    """An error that names column, key and value."""
    NULL = "null"
    """NULL is in its place."""
    TEXT = "text"
    """The whole column becomes text, which holds every value as it is printed."""
    REJECT = "reject"
    """Its row is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnUnfit:
    """The policy of each column for values that cannot be held exactly. False if all are `raise`."""

    default: UnfitPolicy = UnfitPolicy.RAISE
    columns: tuple[tuple[str, UnfitPolicy], ...] = ()
    """Columns with a policy of their own."""

    @classmethod
    def parse(cls, given: OnUnfit | str | Mapping[str, str] | None) -> OnUnfit:
        """Return what a user says: one policy for all columns, or policies by column.

        Raises:
            ConfigurationError: There is no such policy.
        """
        if isinstance(given, OnUnfit):
            return given
        if isinstance(given, str):
            return cls(default=_policy(given))
        if not isinstance(given, Mapping | None):
            raise ConfigurationError(
                f"on_unfit: {given!r} is no policy", advice='Write "null", or {"column": "null"}'
            )
        return cls(columns=tuple((name, _policy(word)) for name, word in (given or {}).items()))

    def __bool__(self) -> bool:
        policies = {self.default, *(policy for _, policy in self.columns)}
        return policies != {UnfitPolicy.RAISE}

    @property
    def rejects(self) -> bool:
        """Whether rows may be left out."""
        return UnfitPolicy.REJECT in {self.default, *(policy for _, policy in self.columns)}

    def for_column(self, name: str) -> UnfitPolicy:
        """Return one column's policy."""
        return dict(self.columns).get(name, self.default)

    def names(self, name: str) -> bool:
        """Return whether a column has a policy of its own."""
        return name in dict(self.columns)

    def check_columns(self, known: Iterable[str]) -> None:
        """Refuse the name of a column that is not there."""
        known = list(known)
        for name, _ in self.columns:
            if name not in known:
                raise ConfigurationError(
                    f"on_unfit: there is no column {name!r}",
                    advice=did_you_mean(name, known, "The columns are"),
                )

    def without(self, names: Collection[str]) -> OnUnfit:
        """Return the same policies where some columns are not."""
        columns = tuple(one for one in self.columns if one[0] not in names)
        return OnUnfit(default=self.default, columns=columns)

    def renamed(self, names: Mapping[str, str]) -> OnUnfit:
        """Return the same policies for columns that have other names."""
        columns = tuple((names.get(name, name), policy) for name, policy in self.columns)
        return OnUnfit(default=self.default, columns=columns)


def _policy(word: str) -> UnfitPolicy:
    try:
        return UnfitPolicy(word)
    except ValueError:
        raise ConfigurationError(
            f"on_unfit: there is no policy {word!r}",
            advice=did_you_mean(word, map(str, UnfitPolicy), "The policies are"),
        ) from None


def how_to_choose(column: str) -> str:
    """Return how a user says what becomes of a column's values that do not fit."""
    choice = f'on_unfit={{"{column}": "null"}} or --on-unfit {column}=null, text or reject'
    return f"{choice}; a copy keeps rejected rows where rejects= or --rejects says"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitExample:
    """One value that could not be held exactly."""

    column: str
    key: str | None
    """Of its row, such as `id = 1017`; None where no key is known."""
    value: str

    @override
    def __str__(self) -> str:
        return f"{self.column} {self.value}" + (f" ({self.key})" if self.key else "")


_LINE = 90
UNFIT_EXAMPLES = 20
"""How many values that could not be held are shown at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfit:
    """What became of values that could not be held exactly. False if there were none."""

    rows_rejected: int = 0
    values_nulled: int = 0
    examples: tuple[UnfitExample, ...] = ()
    """The first ones, at most `UNFIT_EXAMPLES`."""

    def __bool__(self) -> bool:
        return bool(self.rows_rejected or self.values_nulled)

    def __add__(self, other: Unfit) -> Unfit:
        return Unfit(
            rows_rejected=self.rows_rejected + other.rows_rejected,
            values_nulled=self.values_nulled + other.values_nulled,
            examples=(self.examples + other.examples)[:UNFIT_EXAMPLES],
        )

    @override
    def __str__(self) -> str:
        counts = []
        if self.rows_rejected:
            counts.append(f"{_counted(self.rows_rejected, 'row')} left out")
        if self.values_nulled:
            counts.append(f"{_counted(self.values_nulled, 'value')} made NULL")
        return ", ".join(counts) or "no value"

    def lines(self, shown: int = 5) -> list[str]:
        """Return the counts and the first examples, for people, in lines of 90 characters."""
        return [f"not held exactly: {self}", *_shown(self.examples[:shown])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The values of a source that a copy would refuse. False if there are none."""

    columns: tuple[tuple[str, int], ...] = ()
    """Those that have some, and how many."""
    examples: tuple[UnfitExample, ...] = ()
    """The first ones, at most `UNFIT_EXAMPLES`."""

    def __bool__(self) -> bool:
        return bool(self.columns)

    def lines(self, shown: int = 5) -> list[str]:
        """Return the counts, the first examples and the choice, for people."""
        return [
            *(
                f"column {name!r}: {_counted(count, 'value')} cannot be held exactly: the copy would fail"
                for name, count in self.columns
            ),
            *_shown(self.examples[:shown]),
            *(f"choose what becomes of them: {how_to_choose(name)}" for name, _ in self.columns),
        ]


def _shown(examples: Iterable[UnfitExample]) -> list[str]:
    lines = (f"  {one}" for one in examples)
    return [one if len(one) <= _LINE else f"{one[: _LINE - 1]}…" for one in lines]


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


@dataclass(frozen=True, slots=True)
class TableName:
    """The name of a table, kept exactly as the service spells it.

    In a file store `name` is the path of a file, a folder or a glob, and `schema` is None.
    """

    name: str
    schema: str | None = None

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read `schema.table` or `table`; a dot inside a name is written `%2E`."""
        return cls._from_segments([unquote(part) for part in text.split(".")], text)

    @classmethod
    def from_path(cls, path: str) -> TableName:
        """Read `schema/table` or `table` from a location's path; a slash in a name is `%2F` there."""
        parts = path.strip("/").split("/")
        return cls._from_segments([part.replace("%2F", "/") for part in parts], path)

    @classmethod
    def _from_segments(cls, segments: list[str], text: str) -> TableName:
        *schema, name = segments
        if len(schema) > 1 or not name or "" in schema:
            raise ConfigurationError(
                f"{text!r} is not a table name",
                advice="Write schema.table or table, and a dot inside a name as %2E",
            )
        return cls(name=name, schema=schema[0] if schema else None)

    @override
    def __str__(self) -> str:
        parts = (self.schema, self.name) if self.schema is not None else (self.name,)
        return ".".join(part.replace("%", "%25").replace(".", "%2E") for part in parts)

    @property
    def path(self) -> str:
        """`schema/table`, each segment percent-encoded, as it stands in a URL."""
        parts = (self.schema, self.name) if self.schema is not None else (self.name,)
        return "/".join(quote(part, safe="") for part in parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """One file or folder of a store, as a listing shows it."""

    path: str
    """Relative to the store's root, without a leading slash."""
    size: int | None
    """In bytes; None for a folder, and where the service does not say."""
    modified: datetime | None = None
    """In UTC; None where the service does not say."""
    is_folder: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What one driver can do: checked before any I/O, tested both ways, printed in the docs."""

    write_modes: Mapping[WriteMode, Atomicity] = field(default_factory=dict)
    """The modes tables can be written in, and how each is published."""
    snapshot: Snapshot = Snapshot.NONE
    """What parallel readers of one table share."""
    query: bool = False
    """SQL text can be a source."""
    split_by: bool = False
    """The caller may name the columns whose ranges divide rows between readers."""
    writable_files: bool = False
    """Files can be written, renamed and deleted."""
    empty_folders: bool = True
    """A folder exists without files in it; where not, making one does nothing until it has a file."""
    processes: bool = False
    """Parts may be read and written by other processes."""
    on_unfit: bool = False
    """A user may choose what becomes of values that cannot be held exactly: an `OnUnfit`."""
    clean: bool = False
    """Jobs that nobody works at are told from living ones, so that one call removes them all."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in their order here."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain["write_modes"] = {str(k): str(v) for k, v in self.write_modes.items()}
        plain["snapshot"] = str(self.snapshot)
        return plain
