"""Named datastores and their default: found, read, checked and written as YAML."""

from __future__ import annotations

import difflib
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import platformdirs
import yaml
from typing_extensions import override

from datastores.datastore import Datastore, StorePath
from datastores.display import html_table, text_table
from datastores.drivers.config import DriverConfig
from datastores.drivers.registry import config_class
from datastores.errors import (
    ConfigurationError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    did_you_mean,
    without_frames,
)
from datastores.location import Location, check_name
from datastores.secrets import KeyVault
from datastores.vaults import Vaults
from datastores.workspace_file import EMBEDDED, find_workspace, folder_of, parse_file

_TOP_KEYS = ("default", "vaults", "datastores")
# What every entry may hold beside its driver's keys: the words of an Azure ML v2 document.
_ENTRY_KEYS = ("$schema", "name", "type", "description", "tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One datastore as its workspace file has it; paths are still relative to that file."""

    config: DriverConfig
    description: str = ""
    tags: Mapping[str, str]

    def to_mapping(self) -> dict[str, Any]:
        """Return the entry as the file holds it."""
        plain: dict[str, Any] = {"type": self.config.type_name}
        if self.description:
            plain["description"] = self.description
        if self.tags:
            plain["tags"] = dict(self.tags)
        return plain | self.config.to_mapping()


class Workspace(Mapping[str, Datastore]):
    """A set of named datastores, one of which may be the default.

    `Workspace.load()` finds the file; `workspace["lake"]` is a datastore, and a typo in the name
    an error that lists the names there are.
    """

    def __init__(
        self,
        entries: Mapping[str, Entry],
        *,
        default: str | None = None,
        source: str | None = None,
        vaults: Vaults | None = None,
    ) -> None:
        self._entries = dict(entries)
        self._vaults = vaults or Vaults()
        self._default = default
        self.source = source
        """The file it was read from, `embedded`, or None if it was built in code."""
        self._stores: dict[str, Datastore] = {}
        if default is not None:
            self._find(default)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        vaults: Mapping[str, KeyVault] | None = None,
    ) -> Self:
        """Read the workspace file, found in this order.

        The argument; `$DATASTORES_FILE`; `datastores.yaml` here; `datastores.yaml` in the user's
        config directory. The word `embedded` in place of a path is `Workspace.embedded()`.

        Args:
            path: The file.
            vaults: By name; they stand before those of the file, and are the caller's to close.

        Raises:
            NotFoundError: There is none; the message lists where it was looked for.
            ConfigurationError: The file is wrong; the message names the store and the key.
        """
        place = find_workspace(path)
        return cls.embedded() if place == EMBEDDED else cls._read(Path(place), vaults)

    @classmethod
    def embedded(cls) -> Self:
        """Return the workspace that needs no server: `files`, a folder, and `warehouse`, a DuckDB.

        Both live under the user's data directory. Never chosen silently.
        """
        home = platformdirs.user_data_path("datastores", appauthor=False)
        mapping = {
            "default": "files",
            "datastores": {
                "files": {"type": "local", "path": str(home / "files")},
                "warehouse": {"type": "duckdb", "path": str(home / "warehouse.duckdb")},
            },
        }
        return cls.from_mapping(mapping, source=EMBEDDED)

    @classmethod
    def from_mapping(
        cls,
        mapping: Mapping[str, Any],
        *,
        source: str | None = None,
        vaults: Mapping[str, KeyVault] | None = None,
    ) -> Self:
        """Build a workspace from what a file holds, or from one Azure ML v2 document."""
        try:
            return cls._build(mapping, source, vaults)
        except DatastoreError as error:
            del mapping
            raise without_frames(error) from None

    @classmethod
    def _build(
        cls, mapping: Mapping[str, Any], source: str | None, vaults: Mapping[str, KeyVault] | None
    ) -> Self:
        if "type" in mapping and "datastores" not in mapping:
            name = check_name(mapping.get("name", "default"))
            mapping = {"default": name, "datastores": {name: mapping}}
        _refuse_unknown(mapping, _TOP_KEYS, "the workspace file")
        stores = mapping.get("datastores", {})
        if not isinstance(stores, Mapping):
            raise ConfigurationError("datastores: is a mapping from names to stores")
        entries = {check_name(name): _read_entry(name, entry) for name, entry in stores.items()}
        default = mapping.get("default")
        return cls(
            entries,
            default=None if default is None else check_name(default),
            source=source,
            vaults=Vaults.from_mapping(
                mapping.get("vaults", {}), given=vaults, folder=folder_of(source)
            ),
        )

    @classmethod
    def _read(cls, path: Path, vaults: Mapping[str, KeyVault] | None) -> Self:
        try:
            # Not kept in a variable: it may hold a literal secret, and tracebacks print variables.
            workspace = cls.from_mapping(
                parse_file(path), source=str(path.resolve()), vaults=vaults
            )
        except DatastoreError as error:
            if str(path) not in error.message:
                error.message = f"{path}: {error.message}"
            raise
        workspace._warn_of_literals(path)  # noqa: SLF001  # our own
        return workspace

    def _warn_of_literals(self, path: Path) -> None:
        found = [
            (name, field)
            for name, entry in self._entries.items()
            for field in entry.config.literal_secrets()
        ]
        for name, field in (*found, *self._vaults.literal_secrets()):
            warnings.warn(
                f"{path}: {name}: {field} is a literal secret in a file; "
                "refer to it instead: env:NAME, file:PATH or a Key Vault reference",
                DatastoreWarning,
                stacklevel=4,
            )

    # What it holds

    @property
    def default(self) -> Datastore:
        """The default datastore.

        Raises:
            ConfigurationError: The workspace names none.
        """
        if self._default is None:
            raise ConfigurationError(
                "this workspace has no default datastore", advice="Write default: NAME in its file"
            )
        return self[self._default]

    @property
    def default_name(self) -> str | None:
        """The name of the default datastore; None if the workspace names none."""
        return self._default

    @override
    def __getitem__(self, name: str) -> Datastore:
        entry = self._find(name)
        if name not in self._stores:
            # Another process would read of the file's vaults what was given for them here.
            is_of_file = self.source is not None and not self._vaults.given
            origin = (open_datastore, (self.source, name)) if is_of_file else None
            store = Datastore.from_config(
                entry.config.relative_to(folder_of(self.source)).bound(self._vaults.bind),
                name=name,
                origin=origin,
                description=entry.description,
                source=self.source,
            )
            # Of two threads that come here at once both get the same store.
            self._stores.setdefault(name, store)
        return self._stores[name]

    @override
    def __contains__(self, name: object) -> bool:
        return name in self._entries

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    @override
    def __len__(self) -> int:
        return len(self._entries)

    def locate(self, url: str | Location) -> StorePath:
        """Return the store and path that a URL names.

        Raises:
            ConfigurationError: Not a URL, no store of that name, or a long `azureml://` URL of
                another workspace.
        """
        location = Location.parse(url) if isinstance(url, str) else url
        if location.azure_ml is not None:
            raise ConfigurationError(
                f"the URL names the Azure ML workspace {location.azure_ml.name!r}, and "
                f"{location.store!r} here is not bound to it",
                advice=f"Write datastore://{location.store}/PATH if this store is meant",
            )
        return StorePath(self[location.store], location.path)

    def vault(self, name: str) -> KeyVault:
        """Return one of the vaults that its file names, or that were given in code.

        Raises:
            NotFoundError: There is none of that name or host; the advice lists those there are.
        """
        if found := self._vaults.find(name):
            return found
        raise NotFoundError(
            f"no vault {name!r} in {self.source or 'this workspace'}",
            advice=did_you_mean(name, [*self._vaults.entries, *self._vaults.given], "There are"),
        )

    def _find(self, name: str) -> Entry:
        entry = self._entries.get(name)
        if entry is None:
            raise NotFoundError(
                f"no datastore named {name!r} in {self.source or 'this workspace'}",
                store=name,
                advice=did_you_mean(name, self._entries, "There are"),
            )
        return entry

    # Out again

    def to_mapping(self) -> dict[str, Any]:
        """Return what a file holds: never a secret, only references."""
        stores = {name: entry.to_mapping() for name, entry in self._entries.items()}
        top = {} if self._default is None else {"default": self._default}
        vaults = {"vaults": vaults} if (vaults := self._vaults.to_mapping()) else {}
        return {**top, **vaults, "datastores": stores}

    def to_yaml(self) -> str:
        """Return the workspace file's text; a literal secret is an error, not written."""
        return yaml.safe_dump(self.to_mapping(), sort_keys=False, allow_unicode=True)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the workspace file; an existing one is replaced whole."""
        target = Path(path)
        staged = target.with_name(f".{target.name}.{os.getpid()}")
        staged.write_text(self.to_yaml(), encoding="utf-8")
        staged.replace(target)

    def close(self) -> None:
        """Close every store that was opened, and the vaults."""
        for store in self._stores.values():
            store.close()
        self._vaults.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _rows(self) -> list[tuple[str, str, str, str]]:
        return [
            (
                name,
                "default" if name == self._default else "",
                entry.config.type_name,
                entry.description,
            )
            for name, entry in self._entries.items()
        ]

    @override
    def __repr__(self) -> str:
        return f"<Workspace {self.source or ''}>\n{text_table(_COLUMNS, self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(_COLUMNS, self._rows(), caption=self.source or "")


_COLUMNS = ("name", "", "type", "description")


def open_datastore(source: str, name: str) -> Datastore:
    """Return a named datastore of a workspace file: how a pickled one comes back."""
    return Workspace.load(source)[name]


def _read_entry(name: object, entry: Any) -> Entry:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        keys = entry if isinstance(entry, Mapping) else ()
        close = difflib.get_close_matches("type", set(map(str, keys)) - {"type"}, n=1)
        raise ConfigurationError(
            f"{name}: a datastore is a mapping with a type",
            advice=f"It has {close[0]!r}: did you mean 'type'?" if close else "Such as type: local",
        )
    if entry.get("name", name) != name:
        raise ConfigurationError(
            f"{name}: its entry names it {entry['name']!r}", advice="Leave one of the two names"
        )
    try:
        fields = {key: value for key, value in entry.items() if key not in _ENTRY_KEYS}
        config = config_class(entry["type"]).from_mapping(fields)
    except DatastoreError as error:
        error.message = f"{name}: {error.message}"
        raise
    tags = entry.get("tags") or {}
    if not isinstance(tags, Mapping):
        raise ConfigurationError(f"{name}: tags is a mapping from texts to texts")
    return Entry(
        config=config,
        description=str(entry.get("description") or ""),
        tags={str(key): str(value) for key, value in tags.items()},
    )


def _refuse_unknown(mapping: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in mapping:
        if key not in known:
            raise ConfigurationError(
                f"{where} has an unknown key {key!r}",
                advice=did_you_mean(key, known, "Known keys are"),
            )
