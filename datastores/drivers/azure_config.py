"""What the configs of Azure's services share: which cloud, who signs in, and how TLS is verified."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from typing_extensions import override

from datastores.clouds import CLOUDS, Cloud
from datastores.drivers.config import DriverConfig, credential, local_path, one_of
from datastores.errors import ConfigurationError
from datastores.identity import KINDS, Identity, named
from datastores.secrets import Secret, SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig(DriverConfig):
    """Who signs in, by one of Azure's words or by an object with `get_token`."""

    cloud: str = "public"
    """One of `datastores.clouds.CLOUDS`."""
    ca_bundle: str | None = local_path(default=None)
    """A PEM file with the authorities to trust instead of the usual ones, at the sign-in too."""
    identity: Any = credential("identity", nested=False)
    """One of `datastores.identity.KINDS`; in code also an object, as azure-identity makes them."""
    tenant_id: str | None = credential("identity")
    client_id: str | None = credential("identity")
    client_secret: Secret | SecretRef | None = credential("identity", secret=True)
    """Without `identity` this means a service principal, as in Azure ML."""
    authority_url: str | None = credential("identity")
    """Where it signs in, if the cloud does not say it."""
    additionally_allowed_tenants: tuple[str, ...] = credential("identity", default=())
    service_connection_id: str | None = credential("identity")
    system_access_token: Secret | SecretRef | None = credential("identity", secret=True)
    token_file: str | None = credential("identity", path=True)

    def __post_init__(self) -> None:
        """Refuse what could not sign in; asks nothing.

        Raises:
            ConfigurationError: An unknown cloud or identity, or settings that do not go with it.
        """
        one_of("cloud", self.cloud, *CLOUDS)
        self.signs_in()

    @property
    def of_cloud(self) -> Cloud:
        """Where the cloud has its services."""
        return CLOUDS[self.cloud]

    def signs_in(self) -> Any:
        """Return the credential that signs in; None where nothing names one."""
        given = {name: value for name in _SETTINGS if (value := getattr(self, name))}
        if _is_credential(self.identity):
            if given:
                raise ConfigurationError(f"identity: an object takes no {', '.join(given)}")
            return self.identity
        name = self.identity or ("service_principal" if self.client_secret else None)
        if name is None:
            if given:
                raise ConfigurationError(
                    f"{', '.join(given)}: no identity is named",
                    advice=f"Write identity: and one of {', '.join(KINDS)}",
                )
            return None
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is not None:
            # Those that ask their own machine, or a program there, know both already.
            ours = {"authority_url": self.of_cloud.authority, "ca_bundle": self.ca_bundle}
            given = {key: value for key, value in ours.items() if key in kind.takes} | given
        return Identity(name=name, **given)

    def close_signed_in(self, found: Any) -> None:
        """Close what `signs_in` made; an object that was given is its owner's to close."""
        if found is not None and found is not self.identity:
            found.close()

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # Those of azure-identity pickle with the client secret that they were made with.
        if _is_credential(self.identity) and not isinstance(self.identity, Identity):
            raise ConfigurationError(
                f"{named(self.identity)} goes to no other process",
                advice="Give an identity by its name, which each process makes itself, or use threads",
            )
        return _rebuilt, (type(self), {one.name: getattr(self, one.name) for one in fields(self)})

    @override
    def to_mapping(self) -> dict[str, Any]:
        if _is_credential(self.identity):
            raise ConfigurationError(
                "identity is an object of this process, and is not written to a file",
                advice=f"Name one of {', '.join(KINDS)}, or give it in code each time",
            )
        # Without arguments `super()` looks for a class that slots=True has replaced.
        return DriverConfig.to_mapping(self)


_SETTINGS = tuple(
    one.name
    for one in fields(IdentityConfig)
    if "choices" in one.metadata and one.name != "identity"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureConfig(IdentityConfig):
    """One service that is sent tokens: only where its certificate is verified."""

    cloud_resource: ClassVar[str]
    """The field of `Cloud` that says what its tokens are for."""
    tls: str = "verify"
    """`disable` verifies nothing, and warns."""
    resource_url: str | None = credential("identity")
    """What the tokens are for, if it is not what the cloud says."""

    @override
    def __post_init__(self) -> None:
        IdentityConfig.__post_init__(self)
        one_of("tls", self.tls, "verify", "disable")
        has_identity = self.signs_in() is not None
        if self.resource_url is not None and not has_identity:
            raise ConfigurationError("resource_url: no identity is named that it would be for")
        if self.tls == "disable" and has_identity:
            raise ConfigurationError(
                "tls: disable does not go with an identity: its token would go to whoever answers",
                advice="Set ca_bundle to the file of who signed the server's certificate",
            )

    @property
    def resource(self) -> str:
        """What its tokens are asked for."""
        found: str = self.resource_url or getattr(self.of_cloud, self.cloud_resource)
        return found.rstrip("/")


def _is_credential(found: Any) -> bool:
    return callable(getattr(found, "get_token", None))


def _rebuilt(kind: type[IdentityConfig], settings: dict[str, Any]) -> IdentityConfig:
    return kind(**settings)
