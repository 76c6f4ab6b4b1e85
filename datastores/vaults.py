"""The vaults that a workspace names: where each is, and who signs in there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

from typing_extensions import override

from datastores.drivers.azure_config import IdentityConfig
from datastores.drivers.config import one_of
from datastores.errors import ConfigurationError, DatastoreError
from datastores.identity import KINDS
from datastores.secrets import KeyVault, SecretRef
from datastores.secrets.cache import LIFETIME_SECONDS
from datastores.secrets.vault_address import PUBLIC, host_of_vault, is_vault


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig(IdentityConfig):
    """One entry of `vaults:` in a workspace file."""

    type_name: ClassVar[str] = "vaults"

    url: str | None = None
    """`https://HOST`; None for the vault of the cloud that has the entry's name."""
    lifetime_seconds: float = LIFETIME_SECONDS
    """How long a value serves before it is read again; 0 reads it each time."""
    grace_seconds: float = 0.0
    """How long a role is waited for that was given just now."""
    expired: str = "warn"
    """`refuse` makes an error of a secret that is given before or after its dates."""

    @override
    def __post_init__(self) -> None:
        IdentityConfig.__post_init__(self)
        one_of("expired", self.expired, "warn", "refuse")
        if self.signs_in() is None:
            raise ConfigurationError(
                "a vault needs identity: who signs in", advice=f"Known are {', '.join(KINDS)}"
            )
        for secret in self.secret_refs().values():
            if secret.source == "key_vault":
                raise ConfigurationError(
                    "who signs in to a vault cannot be in a vault",
                    advice="Refer to it as env:NAME or file:PATH",
                )
        if self.url is not None:
            host_of_vault(self.url)

    def open_as(self, name: str) -> KeyVault:
        """Return the vault; asks nothing."""
        return KeyVault(
            url=self.url or f"https://{_host(name, self.of_cloud.vaults)}",
            credential=self.signs_in(),
            ca_bundle=self.ca_bundle,
            lifetime_seconds=self.lifetime_seconds,
            grace_seconds=self.grace_seconds,
            refuse_expired=self.expired == "refuse",
        )


class Vaults:
    """The vaults of one workspace, by name: those of its file, and those given in code."""

    def __init__(
        self,
        entries: Mapping[str, VaultConfig] | None = None,
        *,
        given: Mapping[str, KeyVault] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.entries = dict(entries or {})
        self.given = dict(given or {})
        """These stand before the file's, stay their owner's to close, and may be at any host."""
        self._made = {
            name: entry.relative_to(folder or Path.cwd()).open_as(name)
            for name, entry in self.entries.items()
            if name not in self.given
        }

    @classmethod
    def from_mapping(
        cls, mapping: Any, *, given: Mapping[str, KeyVault] | None, folder: Path
    ) -> Self:
        """Build the table from what a workspace file holds under `vaults:`.

        Raises:
            ConfigurationError: The message names the vault and the key.
        """
        if not isinstance(mapping, Mapping):
            raise ConfigurationError("vaults: is a mapping from names to vaults")
        if len({str(name).lower() for name in mapping}) < len(mapping):
            raise ConfigurationError("vaults: two names differ in capitals only")
        return cls(
            {str(name): _read(name, entry) for name, entry in mapping.items()},
            given=given,
            folder=folder,
        )

    def find(self, name: str) -> KeyVault | None:
        """Return the vault of that name or host, if it is one of these."""
        found = {**self._made, **self.given}
        # References have their vault in small letters, as its host has.
        vaults = {key.lower(): one for key, one in found.items()}
        by_host = (one for one in vaults.values() if one.host == _host(name).lower())
        return vaults.get(name.lower()) or next(by_host, None)

    def bind(self, ref: SecretRef) -> SecretRef:
        """Return the reference with its vault, if that is one of these."""
        if ref.source != "key_vault" or ref.key_vault is not None:
            return ref
        return replace(ref, key_vault=self.find(str(ref.vault)))

    def literal_secrets(self) -> Iterator[tuple[str, str]]:
        """Yield the vaults and fields that hold a secret itself, not a reference."""
        for name, entry in self.entries.items():
            for one in entry.literal_secrets():
                yield name, one

    def to_mapping(self) -> dict[str, Any]:
        """Return what a workspace file holds under `vaults:`."""
        return {name: entry.to_mapping() for name, entry in self.entries.items()}

    def close(self) -> None:
        """Close what was opened here."""
        for one in self._made.values():
            one.close()
            one.credential.close()


def _host(name: str, suffix: str = PUBLIC) -> str:
    return name if "." in name else f"{name}.{suffix}"


def _read(name: object, entry: Any) -> VaultConfig:
    if not isinstance(entry, Mapping) or not is_vault(str(name)):
        raise ConfigurationError(
            f"vaults: {name}: a vault has a name and is a mapping",
            advice="Such as acme-kv: {identity: default}",
        )
    try:
        return VaultConfig.from_mapping(entry)
    except DatastoreError as error:
        error.message = f"vaults: {name}: {error.message}"
        raise
