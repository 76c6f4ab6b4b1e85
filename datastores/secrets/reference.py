"""Where a secret is: the written forms of a reference, parsed without any I/O."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from datastores.errors import ConfigurationError
from datastores.secrets.secret import Secret
from datastores.secrets.vault_address import host_of_secret_uri, is_vault, is_vault_uri

if TYPE_CHECKING:
    from datastores.secrets.key_vault import KeyVault

_NAME = re.compile(r"[0-9A-Za-z-]{1,127}")
_VERSION = re.compile(r"[0-9a-f]{1,64}")
_PATH = re.compile(r"/secrets/([^/#?]*)(?:/([^/#?]*))?/?(?:#(.+))?")
_APP_SERVICE_BEGINS = re.compile(r"\s*@Microsoft\.KeyVault\b", re.IGNORECASE)
_APP_SERVICE = re.compile(r"@Microsoft\.KeyVault\((.*)\)", re.IGNORECASE | re.DOTALL)
# The words of Data Factory's references, and ours.
_KEYS: Mapping[str, str] = {
    "vault": "vault",
    "name": "name",
    "secret_name": "name",
    "secretName": "name",
    "version": "version",
    "secret_version": "version",
    "secretVersion": "version",
    "field": "field",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRef:
    """Names a secret without holding it: safe to print, compare, pickle and log."""

    source: str
    """`env`, `file` or `key_vault`."""
    name: str
    """The variable, the path, or the secret's name in the vault."""
    vault: str | None = None
    """The vault's name in the workspace file, or its host."""
    version: str | None = None
    """None for the newest; with one the reference is pinned to a value that never changes."""
    field: str | None = None
    """One key of a secret that is a JSON object; None for the whole value."""
    key_vault: KeyVault | None = dataclasses.field(default=None, repr=False, hash=False)
    """Who opens the vault; None until a workspace, or `KeyVault.secret`, says so."""

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
    `@Microsoft.KeyVault(...)` forms, and the mapping `{vault, name[, version][, field]}`, also
    with Data Factory's words `secret_name` and `secret_version`. `#KEY` behind the first three
    takes one key of a secret that is a JSON object. A literal that looks like a reference is
    written `literal:TEXT`.
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
    # What was meant as a reference would, as a literal, be sent to the service as a password.
    if _APP_SERVICE_BEGINS.match(value):
        return _parse_app_service(value)
    if is_vault_uri(value):
        return _parse_uri(value)
    return Secret(value)


def in_vault(
    vault: object, name: object, version: object = None, field: object = None
) -> SecretRef:
    """Return a reference to a secret of Key Vault, its parts looked at.

    Raises:
        ConfigurationError: Something in it could not be one; nothing was sent.
    """
    if not is_vault(str(vault)):
        raise _malformed("its vault is neither a name nor the host of a vault")
    if not _NAME.fullmatch(str(name)):
        raise _malformed("a secret's name is 1 to 127 letters, digits and hyphens")
    if version is not None and not _VERSION.fullmatch(str(version)):
        raise _malformed("a version is hexadecimal")
    return SecretRef(
        source="key_vault",
        vault=str(vault).lower(),
        name=str(name),
        version=None if version is None else str(version),
        field=None if field is None else str(field),
    )


def _parse_uri(uri: str) -> SecretRef:
    host, path = host_of_secret_uri(uri)
    found = _PATH.fullmatch(path)
    if found is None:
        raise _malformed("behind the vault comes /secrets/NAME or /secrets/NAME/VERSION")
    name, version, field = found.groups()
    return in_vault(host, name, version or None, field)


def _parse_mapping(value: Mapping[object, object]) -> SecretRef:
    given = {str(key): item for key, item in value.items() if item not in (None, "")}
    parts = {_KEYS.get(key, key): item for key, item in given.items()}
    unknown = parts.keys() - set(_KEYS.values())
    if unknown or not {"vault", "name"} <= parts.keys() or len(parts) != len(given):
        raise ConfigurationError(
            "a Key Vault reference has the keys vault and name, and perhaps version and field",
            advice="Write {vault: my-vault, name: my-secret}",
        )
    if not all(isinstance(one, str) for one in parts.values()):
        # YAML has read a number or yes and no, which is not the text that stood there.
        raise _malformed("each of its parts is a text; put such as 0123 or yes in quotes")
    return in_vault(**parts)


def _parse_app_service(text: str) -> SecretRef:
    found = _APP_SERVICE.fullmatch(text)
    pairs = dict(pair.partition("=")[::2] for pair in found[1].split(";") if pair) if found else {}
    match pairs:
        case {"SecretUri": uri} if len(pairs) == 1:
            return _parse_uri(uri)
        case {"VaultName": vault, "SecretName": name} if (
            pairs.keys() <= {"VaultName", "SecretName", "SecretVersion"} and vault and name
        ):
            return in_vault(vault, name, pairs.get("SecretVersion") or None)
    raise _malformed("it is neither of App Service's two forms")


def _malformed(why: str) -> ConfigurationError:
    return ConfigurationError(
        f"this Key Vault reference is malformed: {why}",
        advice="Write @Microsoft.KeyVault(SecretUri=https://VAULT.vault.azure.net/secrets/NAME) "
        "or @Microsoft.KeyVault(VaultName=VAULT;SecretName=NAME)",
    )
