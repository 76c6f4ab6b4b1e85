"""What a user may set for a container of Azure Blob storage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from typing_extensions import override

from datastores.drivers.config import DriverConfig, credential, local_path
from datastores.errors import ConfigurationError
from datastores.secrets import Secret, SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureBlobConfig(DriverConfig):
    """Which container, and who signs in. The names are those of Azure ML's v2 datastores.

    Source: https://learn.microsoft.com/azure/machine-learning/reference-yaml-datastore-blob
    """

    type_name: ClassVar[str] = "azure_blob"

    account_name: str | None = None
    """Needed unless a connection string names it."""
    container_name: str
    endpoint: str = "core.windows.net"
    """What follows `ACCOUNT.blob.`: another one in sovereign clouds."""
    protocol: str = "https"
    account_url: str | None = None
    """The account's whole address, for private endpoints and emulators."""
    account_key: Secret | SecretRef | None = credential("account_key", secret=True)
    sas_token: Secret | SecretRef | None = credential("sas_token", secret=True)
    connection_string: Secret | SecretRef | None = credential("connection_string", secret=True)
    identity: Any = credential("identity")
    """An object with `get_token`, as azure-identity makes them; given in code only."""
    ca_bundle: str | None = local_path(default=None)
    """A PEM file with the authorities to trust instead of the usual ones."""
    tls: str = "verify"
    """`disable` accepts any certificate, and warns."""
    staging_path: str = "_datastores"
    """Where unfinished files wait, in the container."""

    def __post_init__(self) -> None:
        """Refuse what could not be used, before anything is sent."""
        _one_of("protocol", self.protocol, "https", "http")
        _one_of("tls", self.tls, "verify", "disable")
        if self.account_url is not None:
            if set("@?#") & set(self.account_url):
                # Not shown: what follows may be a signature.
                raise ConfigurationError(
                    "account_url: credentials or a signature in it are refused",
                    advice="Give the address alone, and sas_token as a reference",
                )
            if not self.account_url.startswith(("https://", "http://")):
                raise ConfigurationError(f"account_url: {self.account_url!r} is not an http(s) URL")
        if self.account_name is None and self.connection_string is None:
            raise ConfigurationError("azure_blob: account_name must be given")
        if self.identity is not None and not callable(getattr(self.identity, "get_token", None)):
            raise ConfigurationError(
                "identity: a blob datastore takes an object with get_token, given in code",
                advice="Give an azure-identity credential to Datastore(identity=...), "
                "or account_key, sas_token or connection_string in the file",
            )

    @property
    def url(self) -> str | None:
        """The account's address; None if only the connection string knows it."""
        if self.account_url is not None:
            return self.account_url.rstrip("/")
        if self.account_name is None:
            return None
        return f"{self.protocol}://{self.account_name}.blob.{self.endpoint}"

    @property
    def signs_in_by(self) -> str:
        """What signs in and where it comes from: `account key from env:KEY`; never the secret."""
        for name in ("account_key", "sas_token", "connection_string"):
            value = getattr(self, name)
            if value is not None:
                words = name.replace("_", " ").replace("sas", "SAS")
                return f"{words} from {value}" if isinstance(value, SecretRef) else words
        return "identity"

    @override
    def to_mapping(self) -> dict[str, Any]:
        if self.identity is not None:
            raise ConfigurationError(
                "identity is an object of this process, and is not written to a file",
                advice="Give it in code each time",
            )
        # Without arguments `super()` looks for a class that slots=True has replaced.
        return DriverConfig.to_mapping(self)


def _one_of(name: str, value: str, *known: str) -> None:
    if value not in known:
        raise ConfigurationError(f"{name}: {value!r} is not one of {', '.join(known)}")
