"""The front: one class whose calls are the same on every datastore, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from datastores.drivers.registry import config_class
from datastores.errors import ConfigurationError, DatastoreError, without_frames
from datastores.file_calls import FileCalls
from datastores.location import Location, join_path, normalize_path
from datastores.table_calls import TableCalls

if TYPE_CHECKING:
    from datastores.drivers.config import DriverConfig


class Datastore(FileCalls, TableCalls):
    """A named reference to one data service, with the same calls for every kind.

    Opens on first use and is safe to use from several threads. `Datastore(type="local",
    path="data")` makes one without any file; a workspace makes the named ones.
    """

    def __init__(self, type: str, **fields: Any) -> None:  # noqa: A002  # as in the file
        try:
            config = config_class(type).from_mapping(fields).relative_to(Path.cwd())
        except DatastoreError as error:
            # Neither the fields nor a half-built store, which cannot print itself, stay in the frame.
            del self, fields
            raise without_frames(error) from None
        self._set(config, name=None, origin=None, description="")

    def __truediv__(self, path: str) -> StorePath:
        return StorePath(self, normalize_path(path))

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        if self._origin is not None:
            return self._origin
        if literal := self.config.literal_secrets():
            raise ConfigurationError(
                f"this datastore was given {', '.join(literal)} as a literal, and is not pickled",
                store=self.name,
                advice="Give a reference: env:NAME, file:PATH or a Key Vault reference",
            )
        return (_rebuild, (self.config, self.name, self.description))


@dataclass(frozen=True, slots=True)
class StorePath:
    """A path in one datastore: `store / "orders/"`. A source or target of `copy`."""

    store: Datastore
    path: str
    """In normal form; a trailing slash says that it is a folder."""

    def __truediv__(self, path: str) -> StorePath:
        return StorePath(self.store, join_path(self.path, path))

    @override
    def __str__(self) -> str:
        return str(Location(self.store.label, self.path))


def _rebuild(config: DriverConfig, name: str | None, description: str) -> Datastore:
    return Datastore.from_config(config, name=name, description=description)
