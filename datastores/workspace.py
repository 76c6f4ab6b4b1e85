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

VARIABLE = "DATASTORES_FILE"
FILE_NAME = "datastores.yaml"
EMBEDDED = "embedded"

# A workspace file is written by hand; anything larger is not one.
MAX_FILE_BYTES = 1 << 20

_TOP_KEYS = ("default", "datastores")
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
        self, entries: Mapping[str, Entry], *, default: str | None = None, source: str | None = None
    ) -> None:
        self._entries = dict(entries)
        self._default = default
        self.source = source
        """The file it was read from, `embedded`, or None if it was built in code."""
        self._stores: dict[str, Datastore] = {}
        if default is not None:
            self._find(default)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | None = None) -> Self:
        """Read the workspace file, found in this order.

        The argument; `$DATASTORES_FILE`; `datastores.yaml` here; `datastores.yaml` in the user's
        config directory. The word `embedded` in place of a path is `Workspace.embedded()`.

        Raises:
            NotFoundError: There is none; the message lists where it was looked for.
            ConfigurationError: The file is wrong; the message names the store and the key.
        """
        place = find_workspace(path)
        return cls.embedded() if place == EMBEDDED else cls._read(Path(place))

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
    def from_mapping(cls, mapping: Mapping[str, Any], *, source: str | None = None) -> Self:
        """Build a workspace from what a file holds, or from one Azure ML v2 document."""
        try:
            return cls._build(mapping, source)
        except DatastoreError as error:
            del mapping
            raise without_frames(error) from None

    @classmethod
    def _build(cls, mapping: Mapping[str, Any], source: str | None) -> Self:
        if "type" in mapping and "datastores" not in mapping:
            name = str(mapping.get("name", "default"))
            mapping = {"default": name, "datastores": {name: mapping}}
        _refuse_unknown(mapping, _TOP_KEYS, "the workspace file")
        stores = mapping.get("datastores", {})
        if not isinstance(stores, Mapping):
            raise ConfigurationError("datastores: is a mapping from names to stores")
        entries = {
            check_name(str(name)): _read_entry(name, entry) for name, entry in stores.items()
        }
        return cls(entries, default=mapping.get("default"), source=source)

    @classmethod
    def _read(cls, path: Path) -> Self:
        try:
            # Not kept in a variable: it may hold a literal secret, and tracebacks print variables.
            workspace = cls.from_mapping(_parse(path), source=str(path.resolve()))
        except DatastoreError as error:
            if str(path) not in error.message:
                error.message = f"{path}: {error.message}"
            raise
        workspace._warn_of_literals(path)  # noqa: SLF001  # our own
        return workspace

    def _warn_of_literals(self, path: Path) -> None:
        for name, entry in self._entries.items():
            for field in entry.config.literal_secrets():
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
            folder = Path(self.source).parent if self.source not in {None, EMBEDDED} else Path.cwd()
            origin = None if self.source is None else (open_datastore, (self.source, name))
            store = Datastore.from_config(
                entry.config.relative_to(folder),
                name=name,
                origin=origin,
                description=entry.description,
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
        return {**top, "datastores": stores}

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
        """Close every store that was opened."""
        for store in self._stores.values():
            store.close()

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


def find_workspace(path: str | os.PathLike[str] | None = None) -> str:
    """Return the path of the file that `Workspace.load` reads, or `embedded`.

    Raises:
        NotFoundError: There is none; the message lists where it was looked for.
    """
    looked = [os.fspath(path)] if path is not None else _candidates()
    for place in looked:
        if place == EMBEDDED or Path(place).is_file():
            return place
    raise NotFoundError(
        f"no workspace file; looked for {', '.join(looked)}",
        advice=f"Write {FILE_NAME}, or set {VARIABLE} to a file or to '{EMBEDDED}'",
    )


def _candidates() -> list[str]:
    # The variable is an explicit choice: if its file is missing, no other one is taken instead.
    if named := os.environ.get(VARIABLE):
        return [named]
    config = platformdirs.user_config_path("datastores", appauthor=False)
    return [f"./{FILE_NAME}", str(config / FILE_NAME)]


def _parse(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_FILE_BYTES:,} bytes")
    content: Any = None
    problem = " holds no datastores"
    # Raised below, where the parser's error and its frames, which hold the text, are gone.
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506  # safe
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = f"{line}: {error.problem}"
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = f" is not YAML: {type(error).__name__}"
    if isinstance(content, Mapping):
        return content
    del content
    raise ConfigurationError(f"{path}{problem}", advice="Begin it with: datastores:")


def _read_entry(name: object, entry: Any) -> Entry:
    if not isinstance(entry, Mapping) or not isinstance(entry.get("type"), str):
        keys = entry if isinstance(entry, Mapping) else ()
        close = difflib.get_close_matches("type", map(str, keys), n=1)
        raise ConfigurationError(
            f"{name}: a datastore is a mapping with a type",
            advice=f"It has {close[0]!r}: did you mean 'type'?" if close else "Such as type: local",
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


class _StrictLoader(yaml.SafeLoader):
    """Safe YAML without what a workspace never needs and hides mistakes: repeated keys, aliases."""

    @override
    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases are not read", problem_mark=mark)
        return super().compose_node(parent, index)

    @override
    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key.value!r} stands here twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
