"""What a user may set for a container of Azure Blob storage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

from typing_extensions import override

from datastores.drivers.azure_config import AzureConfig
from datastores.drivers.config import credential, one_of
from datastores.errors import ConfigurationError
from datastores.identity import named
from datastores.secrets import Secret, SecretRef

# Where each of these is given it says where the account is, and no other setting may.
_SAYS: Mapping[str, tuple[str, ...]] = {
    "connection_string": ("account_name", "account_url", "endpoint", "protocol"),
    "account_url": ("endpoint", "protocol"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureBlobConfig(AzureConfig):
    """Which container, and who signs in. The names are those of Azure ML's v2 datastores.

    Source: https://learn.microsoft.com/azure/machine-learning/reference-yaml-datastore-blob
    """

    type_name: ClassVar[str] = "azure_blob"
    cloud_resource: ClassVar[str] = "storage_resource"

    account_name: str | None = None
    """Needed unless a connection string names it."""
    container_name: str
    endpoint: str | None = None
    """What follows `ACCOUNT.blob.`; the cloud's if None, such as `core.windows.net`."""
    protocol: str = "https"
    account_url: str | None = None
    """The account's whole address, for private endpoints and emulators."""
    account_key: Secret | SecretRef | None = credential("account_key", secret=True)
    sas_token: Secret | SecretRef | None = credential("sas_token", secret=True)
    connection_string: Secret | SecretRef | None = credential("connection_string", secret=True)
    staging_path: str = "_datastores"
    """Where unfinished files wait, in the container."""

    @override
    def __post_init__(self) -> None:
        AzureConfig.__post_init__(self)
        one_of("protocol", self.protocol, "https", "http")
        if self.account_url is not None:
            if set("@?#") & set(self.account_url):
                # Not shown: what follows may be a signature.
                raise ConfigurationError(
                    "account_url: credentials or a signature in it are refused",
                    advice="Give the address alone, and sas_token as a reference",
                )
            if not self.account_url.startswith(("https://", "http://")):
                raise ConfigurationError(f"account_url: {self.account_url!r} is not an http(s) URL")
        self._refuse_two_places()
        if not self.account_name and self.connection_string is None:
            raise ConfigurationError("azure_blob: account_name must be given")
        if (self.url or "").startswith("http:") and self.signs_in() is not None:
            raise ConfigurationError("a token is sent over https only", target=self.url)

    def _refuse_two_places(self) -> None:
        given = {one.name for one in fields(self) if getattr(self, one.name) != one.default}
        for name, others in _SAYS.items():
            if name in given and (twice := [one for one in others if one in given]):
                raise ConfigurationError(
                    f"{name} says where the account is, and so would {', '.join(twice)}",
                    advice="Leave one of them out",
                )

    @property
    def url(self) -> str | None:
        """The account's address; None if only the connection string knows it."""
        if self.account_url is not None:
            return self.account_url.rstrip("/")
        if self.account_name is None:
            return None
        return (
            f"{self.protocol}://{self.account_name}.blob.{self.endpoint or self.of_cloud.storage}"
        )

    @property
    def signs_in_by(self) -> str:
        """What signs in and where it comes from: `account key from env:KEY`; never the secret."""
        for name in ("account_key", "sas_token", "connection_string"):
            value = getattr(self, name)
            if value is not None:
                words = name.replace("_", " ").replace("sas", "SAS")
                return f"{words} from {value}" if isinstance(value, SecretRef) else words
        return named(self.signs_in())
