"""Frozen value objects that every layer shares. No I/O, and nothing heavier than the standard library."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from typing_extensions import override

from datastores.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
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
class Leftover:
    """What one killed write had staged."""

    job: str
    target: str
    """The table it was for; it never showed there, unless it was published just before."""
    began: datetime
    """In UTC."""
    bytes: int
    """On the service's disk."""


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

    clean: bool = False
    """What killed writes left in the staging is found and removed by one call."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, in their order here."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain["write_modes"] = {str(k): str(v) for k, v in self.write_modes.items()}
        plain["snapshot"] = str(self.snapshot)
        return plain
