"""Where a secret is: the written forms of a reference, parsed without any I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from typing_extensions import override

from datastores.errors import ConfigurationError
from datastores.secrets.secret import Secret

_KEY_VAULT_URI = re.compile(
    r"https://([a-z0-9\-]+)\.vault\.[a-z0-9.\-]+/secrets/([A-Za-z0-9\-]+)(?:/([0-9a-f]+))?/?(?:#(.+))?",
    re.IGNORECASE,
)
_MEANT_AS_REFERENCE = re.compile(
    r"\s*(@Microsoft\.KeyVault\b|https://[^/]+\.vault\.[^/]+/)", re.IGNORECASE
)
_APP_SERVICE = re.compile(r"@Microsoft\.KeyVault\((.*)\)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Names a secret without holding it: safe to print, compare, pickle and log."""

    source: str
    """`env`, `file` or `key_vault`."""
    name: str
    """The variable, the path, or the secret's name in the vault."""
    vault: str | None = None
    version: str | None = None
    """None for the newest."""
    field: str | None = None
    """One key of a secret that is a JSON object; None for the whole value."""

    @override
    def __str__(self) -> str:
        if self.source == "key_vault":
            text = f"{self.vault}/secrets/{self.name}"
            text += f"/{self.version}" if self.version else ""
        else:
            text = f"{self.source}:{self.name}"
        return f"{text}#{self.field}" if self.field else text

    def to_plain(self) -> str | dict[str, str]:
        """Return the form that a workspace file holds."""
        if self.source != "key_vault":
            return str(self)
        parts = {
            "vault": self.vault,
            "name": self.name,
            "version": self.version,
            "field": self.field,
        }
        return {key: value for key, value in parts.items() if value is not None}


def parse_secret(value: object) -> Secret | SecretRef:
    """Read a secret-valued field: a reference in any accepted form, else a literal.

    Accepted references are `env:NAME`, `file:PATH`, a Key Vault secret URI, both
    `@Microsoft.KeyVault(...)` forms, and the mapping `{vault, name[, version][, field]}`.
    `#KEY` behind the first three takes one key of a secret that is a JSON object. A literal that
    looks like a reference is written `literal:TEXT`.
    """
    if isinstance(value, Secret | SecretRef):
        return value
    if isinstance(value, Mapping):
        return _parse_mapping(value)
    if not isinstance(value, str):
        raise ConfigurationError(
            f"a secret is a text or a mapping, not {type(value).__name__}",
            advice="Write env:NAME, file:PATH or a Key Vault reference",
        )
    scheme, separator, rest = value.partition(":")
    if separator and scheme == "literal":
        return Secret(rest)
    if separator and scheme in {"env", "file"}:
        name, _, field = rest.partition("#")
        if not name:
            raise ConfigurationError(f"a reference {scheme}: names nothing")
        return SecretRef(source=scheme, name=name, field=field or None)
    if match := _APP_SERVICE.fullmatch(value):
        return _parse_app_service(match[1])
    if match := _KEY_VAULT_URI.fullmatch(value):
        return _from_uri(match)
    if _MEANT_AS_REFERENCE.match(value):
        # As a literal it would be sent to the service as a password.
        raise _malformed()
    return Secret(value)


def _from_uri(match: re.Match[str]) -> SecretRef:
    vault, name, version, field = match.groups()
    return SecretRef(source="key_vault", vault=vault, name=name, version=version, field=field)


def _parse_mapping(value: Mapping[object, object]) -> SecretRef:
    parts = {str(key): str(item) for key, item in value.items() if item not in {None, ""}}
    unknown = parts.keys() - {"vault", "name", "version", "field"}
    if unknown or not {"vault", "name"} <= parts.keys():
        raise ConfigurationError(
            "a Key Vault reference has the keys vault and name, and perhaps version and field",
            advice="Write {vault: my-vault, name: my-secret}",
        )
    return SecretRef(source="key_vault", **parts)


def _parse_app_service(inner: str) -> SecretRef:
    pairs = dict(pair.partition("=")[::2] for pair in inner.split(";") if pair)
    match pairs:
        case {"SecretUri": uri} if len(pairs) == 1:
            if found := _KEY_VAULT_URI.fullmatch(uri):
                return _from_uri(found)
        case {"VaultName": vault, "SecretName": name} if (
            pairs.keys()
            <= {
                "VaultName",
                "SecretName",
                "SecretVersion",
            }
            and vault
            and name
        ):
            version = pairs.get("SecretVersion") or None
            return SecretRef(source="key_vault", vault=vault, name=name, version=version)
    raise _malformed()


def _malformed() -> ConfigurationError:
    return ConfigurationError(
        "this Key Vault reference is malformed",
        advice="Write @Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME) "
        "or @Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME)",
    )
