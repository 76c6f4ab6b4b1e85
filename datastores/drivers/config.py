"""What every driver's config shares: strict reading from a mapping, and credentials that exclude each other."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, get_type_hints

from datastores.errors import ConfigurationError, DatastoreError, did_you_mean, without_frames
from datastores.secrets import Secret, SecretRef, parse_secret

_PLAIN_TYPES = (bool, int, float, str)


def credential(
    *choices: str,
    secret: bool = False,
    nested: bool = True,
    path: bool = False,
    default: Any = None,
) -> Any:
    """Declare a config field that says who signs in, or by what.

    Args:
        choices: Fields of one choice go together (`username` with `password`), and two choices
            exclude each other (`account_key`, `sas_token`). A field may belong to several.
        secret: The field holds a `Secret` or a `SecretRef`, and takes a reference in any form.
        nested: It stands under `credentials:` in a workspace file.
        path: It is a path on this machine, as those of `local_path` are.
        default: What it is if it is not given.
    """
    metadata = {"choices": choices, "secret": secret, "nested": nested, "local_path": path}
    return dataclasses.field(default=default, metadata=metadata)


def local_path(*, default: Any = dataclasses.MISSING) -> Any:
    """Declare a field that is a path on this machine, relative to the workspace file's folder."""
    return dataclasses.field(default=default, metadata={"local_path": True})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DriverConfig:
    """What a user may set for one datastore. Equal by value, safe to print and to log."""

    type_name: ClassVar[str]
    """The word that `type:` holds in a workspace file."""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Build the config from a workspace file's entry, without `type`, strictly.

        Raises:
            ConfigurationError: An unknown or missing key, a value of the wrong type, or two
                credentials at once. The message lists what is known.
        """
        try:
            return cls._read(dict(mapping))
        except DatastoreError as error:
            del mapping
            raise without_frames(error) from None

    @classmethod
    def _read(cls, given: dict[str, Any]) -> Self:
        credentials = given.pop("credentials", None)
        if credentials is None:
            credentials = {}
        if not isinstance(credentials, Mapping):
            raise ConfigurationError("credentials: is a mapping, such as {account_key: env:NAME}")
        known = {one.name: one for one in cls.settings()}
        open_keys = [name for name, one in known.items() if not one.metadata.get("nested")]
        secret_keys = [name for name, one in known.items() if one.metadata.get("nested")]
        # In code credentials are plain arguments; only a workspace file nests them.
        _refuse_unknown(given, [*open_keys, *secret_keys], cls.type_name, "")
        _refuse_unknown(credentials, secret_keys, cls.type_name, "credentials: ")
        if twice := given.keys() & credentials.keys():
            raise ConfigurationError(f"{', '.join(sorted(twice))} is given twice")
        given |= credentials
        _refuse_two_choices(given, known)
        hints = get_type_hints(cls)
        values = {
            name: parse_secret(value)
            if known[name].metadata.get("secret") and value is not None
            else _checked(name, value, hints[name])
            for name, value in given.items()
        }
        if missing := [name for name in cls.required_fields() if values.get(name, "") == ""]:
            raise ConfigurationError(
                f"{cls.type_name}: {', '.join(missing)} must be given",
                advice=f"Known keys are {', '.join([*open_keys, *secret_keys])}",
            )
        return cls(**values)

    @classmethod
    def settings(cls) -> list[dataclasses.Field[Any]]:
        """Return its fields, those of the store itself before those that others have too."""
        own = vars(cls).get("__annotations__", {})
        return sorted(dataclasses.fields(cls), key=lambda one: one.name not in own)

    @classmethod
    def required_fields(cls) -> tuple[str, ...]:
        """Return the names of the fields without a default: those that say where the store is."""
        return tuple(
            one.name
            for one in dataclasses.fields(cls)
            if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
        )

    @property
    def where(self) -> str:
        """Where the store is, for people; a driver says it better, and needs its service's package."""
        return "/".join(str(getattr(self, name)) for name in self.required_fields())

    def to_mapping(self) -> dict[str, Any]:
        """Return the entry for a workspace file: what differs from the defaults.

        Raises:
            ConfigurationError: A secret was given as a literal, which no file of ours may hold.
        """
        entry: dict[str, Any] = {}
        credentials: dict[str, Any] = {}
        for one in self.settings():
            value = getattr(self, one.name)
            if value == one.default:
                continue
            if isinstance(value, Secret):
                raise ConfigurationError(
                    f"{one.name} is a literal secret, and is not written to a file",
                    advice="Give it as a reference: env:NAME, file:PATH or Key Vault",
                )
            plain = value.to_plain() if isinstance(value, SecretRef) else value
            (credentials if one.metadata.get("nested") else entry)[one.name] = plain
        if credentials:
            entry["credentials"] = credentials
        return entry

    def relative_to(self, folder: Path) -> Self:
        """Return the config with its local paths made absolute, `~` expanded, from `folder`.

        Those of secrets in files are among them.
        """
        paths: dict[str, Any] = {
            one.name: _from_folder(folder, value)
            for one in dataclasses.fields(self)
            if one.metadata.get("local_path") and (value := getattr(self, one.name)) is not None
        }
        files = {
            name: dataclasses.replace(ref, name=_from_folder(folder, ref.name))
            for name, ref in self.secret_refs().items()
            if ref.source == "file"
        }
        return dataclasses.replace(self, **paths, **files)

    def bound(self, bind: Callable[[SecretRef], SecretRef]) -> Self:
        """Return the config with each of its references as `bind` returns it."""
        return dataclasses.replace(
            self, **{name: bind(ref) for name, ref in self.secret_refs().items()}
        )

    def secret_refs(self) -> dict[str, SecretRef]:
        """Return the references to secrets, by the names of their fields."""
        values = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, SecretRef)}

    def literal_secrets(self) -> tuple[str, ...]:
        """Return the names of the fields that hold a secret itself, not a reference."""
        names = (one.name for one in dataclasses.fields(self))
        return tuple(name for name in names if isinstance(getattr(self, name), Secret))


def _from_folder(folder: Path, path: str) -> str:
    try:
        return str(folder / Path(path).expanduser())
    except RuntimeError as error:
        raise ConfigurationError(
            f"{path}: no such user has a home here", advice="Write the folder in full"
        ) from error


def _refuse_unknown(given: Mapping[str, Any], known: list[str], type_name: str, where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigurationError(
                f"{where}unknown key {name!r} for type {type_name!r}",
                advice=did_you_mean(name, known, "Known keys are"),
            )


def _refuse_two_choices(
    given: Mapping[str, Any], known: Mapping[str, dataclasses.Field[Any]]
) -> None:
    chosen = {
        name: set(choices)
        for name, value in given.items()
        if value not in (None, known[name].default)
        and (choices := known[name].metadata.get("choices"))
    }
    if chosen and not set.intersection(*chosen.values()):
        every = [choice for one in known.values() for choice in one.metadata.get("choices", ())]
        raise ConfigurationError(
            f"credentials: give exactly one of {', '.join(dict.fromkeys(every))}",
            advice=f"Given were {', '.join(sorted(chosen))}",
        )


def one_of(name: str, value: str, *known: str) -> None:
    """Raise if a setting is not one of those words."""
    if value not in known:
        raise ConfigurationError(
            f"{name}: {value!r} is not known", advice=did_you_mean(str(value), known, "Known are")
        )


def _checked(name: str, value: Any, hint: Any) -> Any:
    """Return the value if it is of a plain type that the field's annotation names."""
    if getattr(hint, "__origin__", None) is tuple:
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            raise ConfigurationError(f"{name}: {value!r} is not a list of texts")
        return tuple(value)
    allowed = [one for one in getattr(hint, "__args__", (hint,)) if one in _PLAIN_TYPES]
    if not allowed:
        return value
    if value is None and type(None) in getattr(hint, "__args__", ()):
        return value
    # YAML reads `port: "5432"` as text and `yes` as a bool, which Python also counts as an int.
    if type(value) not in allowed and not (float in allowed and type(value) is int):
        words = " or ".join(one.__name__ for one in allowed)
        raise ConfigurationError(f"{name}: {value!r} is not of type {words}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigurationError(f"{name}: {value!r} is not a finite number")
    return value
