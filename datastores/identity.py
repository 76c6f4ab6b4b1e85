"""Who signs in to Azure, by a name of Azure's own words: never a browser, and nothing before it is asked.

An `Identity` is a credential as the Azure packages take them. It is a value: it prints, compares and
pickles, and each process that gets it makes the genuine credential itself.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from datastores.clouds import cloud_of
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    DatastoreError,
    MissingDependencyError,
    did_you_mean,
)
from datastores.secrets import Resolver, Secret, SecretRef
from datastores.trust import readable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, AccessTokenInfo

_CONNECT_SECONDS = 10.0
_READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    """How azure-identity makes one."""

    credential: str
    """The class."""
    takes: Mapping[str, str] = field(default_factory=dict)
    """Our setting -> its argument."""
    needs: tuple[str, ...] = ()
    """Those it cannot be made without."""
    always: Mapping[str, Any] = field(default_factory=dict)
    in_environment: Mapping[str, str] = field(default_factory=dict)
    """Our setting -> the variable that says it where the setting does not."""
    assertion: Callable[[str, str | None], str] | None = None
    """Asks, for each token anew, for the word of who vouches for this process; takes whom it is
    addressed to, and `ca_bundle`."""


def _of_github(audience: str, ca_bundle: str | None) -> str:
    """Return GitHub's word on the running job, which serves for some minutes only.

    Source: https://docs.github.com/actions/reference/security/oidc
    """
    from azure.core import PipelineClient
    from azure.core.exceptions import ClientAuthenticationError
    from azure.core.rest import HttpRequest

    place, token = (os.environ.get(f"ACTIONS_ID_TOKEN_REQUEST_{one}") for one in ("URL", "TOKEN"))
    if not place or not token:
        raise ClientAuthenticationError("no job of GitHub's with permissions: {id-token: write}")
    if not place.startswith("https://"):
        raise ClientAuthenticationError("ACTIONS_ID_TOKEN_REQUEST_URL is no https address")
    request = HttpRequest(
        "GET",
        place,
        params={"audience": audience},
        headers={"Authorization": f"Bearer {token}"},
    )
    with PipelineClient(place, connection_verify=ca_bundle or True, **_BY_HTTP) as client:
        reply = client.send_request(request)
        if reply.status_code != 200:  # noqa: PLR2004  # OK
            raise ClientAuthenticationError(f"GitHub vouches for no job ({reply.status_code})")
        return str(reply.json()["value"])


# What speaks to Entra itself. Who asks retries, within a deadline of its own.
_BY_HTTP: Mapping[str, Any] = {
    "retry_total": 0,
    "connection_timeout": _CONNECT_SECONDS,
    "read_timeout": _READ_SECONDS,
}
_ENTRA: Mapping[str, str] = {
    "authority_url": "authority",
    "additionally_allowed_tenants": "additionally_allowed_tenants",
    "ca_bundle": "connection_verify",
}
_APPLICATION: Mapping[str, str] = {"tenant_id": "tenant_id", "client_id": "client_id"}
# What Azure ML sets on its compute, where the identity of the machine is a user-assigned one.
_OF_AZURE_ML: Mapping[str, str] = {"client_id": "DEFAULT_IDENTITY_CLIENT_ID"}

# https://learn.microsoft.com/python/api/azure-identity/azure.identity
KINDS: Mapping[str, _Kind] = {
    "default": _Kind(
        credential="DefaultAzureCredential",
        takes={**_ENTRA, "client_id": "managed_identity_client_id"},
        always={"exclude_interactive_browser_credential": True},
        in_environment=_OF_AZURE_ML,
    ),
    "managed_identity": _Kind(
        credential="ManagedIdentityCredential",
        takes={"client_id": "client_id"},
        in_environment=_OF_AZURE_ML,
    ),
    "workload_identity": _Kind(
        credential="WorkloadIdentityCredential",
        takes={**_APPLICATION, **_ENTRA, "token_file": "token_file_path"},
        always=_BY_HTTP,
    ),
    "azure_cli": _Kind(
        credential="AzureCliCredential",
        takes={
            "tenant_id": "tenant_id",
            "additionally_allowed_tenants": "additionally_allowed_tenants",
        },
    ),
    "azure_pipelines": _Kind(
        credential="AzurePipelinesCredential",
        takes={
            **_APPLICATION,
            **_ENTRA,
            "service_connection_id": "service_connection_id",
            "system_access_token": "system_access_token",
        },
        needs=("tenant_id", "client_id", "service_connection_id", "system_access_token"),
        always=_BY_HTTP,
    ),
    "github_actions": _Kind(
        credential="ClientAssertionCredential",
        takes={**_APPLICATION, **_ENTRA},
        needs=("tenant_id", "client_id"),
        always=_BY_HTTP,
        assertion=_of_github,
    ),
    "service_principal": _Kind(
        credential="ClientSecretCredential",
        takes={**_APPLICATION, **_ENTRA, "client_secret": "client_secret"},
        needs=("tenant_id", "client_id", "client_secret"),
        always=_BY_HTTP,
    ),
    "environment": _Kind(credential="EnvironmentCredential", takes=_ENTRA, always=_BY_HTTP),
}


class _SignedIn:
    """The genuine credential of one process, and the secret that it was made with."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.lock = threading.Lock()
        self.resolver = Resolver()
        self.credential: Any = None
        self.secret: Secret | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One of Azure's identities by name: an object with `get_token` and `get_token_info`.

    Made on first use and safe for threads; azure-identity keeps the tokens. A client secret that
    Entra refuses is read once more, and if it has changed the identity is made anew.
    """

    pickles_without_secret: ClassVar[bool] = True
    """What tells it from azure-identity's own, which take the client secret along."""

    name: str
    """One of `KINDS`."""
    tenant_id: str | None = None
    client_id: str | None = None
    """The application's; for a managed identity which user-assigned one, None for the machine's."""
    client_secret: Secret | SecretRef | None = None
    system_access_token: Secret | SecretRef | None = None
    """Of an Azure Pipelines job: `env:SYSTEM_ACCESSTOKEN`."""
    service_connection_id: str | None = None
    token_file: str | None = None
    """Where Kubernetes puts the federated token; None for where it says itself."""
    authority_url: str | None = None
    """Where another cloud signs in, such as `https://login.chinacloudapi.cn`."""
    additionally_allowed_tenants: tuple[str, ...] = ()
    """Other tenants that it may ask for tokens, where the service is in one of them."""
    ca_bundle: str | None = None
    """File of trusted certificates, in PEM; None for the usual ones."""
    _signed_in: _SignedIn = field(default_factory=_SignedIn, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse an unknown name, and settings that do not go with it.

        Raises:
            ConfigurationError: Says which names or settings there are.
        """
        kind = KINDS.get(str(self.name))
        if kind is None:
            raise ConfigurationError(
                f"identity: {self.name!r} is not known",
                advice=did_you_mean(self.name, KINDS, "Known are"),
            )
        given = {one.name for one in fields(self) if one.init and getattr(self, one.name)}
        if missing := [name for name in kind.needs if name not in given]:
            raise ConfigurationError(f"identity: {self.name} needs {', '.join(missing)}")
        if needless := sorted(given - {"name", *kind.takes}):
            raise ConfigurationError(
                f"identity: {self.name} takes no {', '.join(needless)}",
                advice=f"It takes {', '.join(kind.takes)}",
            )

    @override
    def __str__(self) -> str:
        return f"the identity {self.name!r}"

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token, as azure-core's `TokenCredential` does; its errors are ours."""
        found: AccessToken = self._asked("get_token", scopes, options)
        return found

    def get_token_info(self, *scopes: str, **options: Any) -> AccessTokenInfo:
        """Return a token, as azure-core's `SupportsTokenInfo` does; its errors are ours."""
        found: AccessTokenInfo = self._asked("get_token_info", scopes, options)
        return found

    def genuine(self) -> Any:
        """Return azure-identity's credential, made on first use.

        Raises:
            DatastoreError: Its secret is not to be had, or a setting is missing.
        """
        return self._credential(self._here())[0]

    def close(self) -> None:
        """Close its connections; the next use opens others."""
        signed_in = self._here()
        with signed_in.lock:
            credential, signed_in.credential = signed_in.credential, None
        if credential is not None:
            credential.close()

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        settings = {one.name: getattr(self, one.name) for one in fields(self) if one.init}
        return (_rebuilt, (settings,))

    @property
    def _secret(self) -> Secret | SecretRef | None:
        return self.client_secret or self.system_access_token

    def _here(self) -> _SignedIn:
        if self._signed_in.process != os.getpid():
            object.__setattr__(self, "_signed_in", _SignedIn())
        return self._signed_in

    def _asked(self, method: str, scopes: tuple[str, ...], options: dict[str, Any]) -> Any:
        signed_in = self._here()
        credential, used = self._credential(signed_in)
        found = _try(credential, str(self), method, *scopes, **options)
        if isinstance(found, AuthenticationError) and self._renewed(signed_in, used, found):
            credential, _ = self._credential(signed_in)
            found = _try(credential, str(self), method, *scopes, **options)
        if isinstance(found, DatastoreError):
            raise found
        return found

    def _renewed(self, signed_in: _SignedIn, used: Secret | None, refusal: DatastoreError) -> bool:
        value = self._secret
        if value is None or used is None or not signed_in.resolver.is_renewed(value, used, refusal):
            return False
        with signed_in.lock:
            # Another thread may have made it anew already.
            if signed_in.secret is used:
                signed_in.credential = None
        return True

    def _credential(self, signed_in: _SignedIn) -> tuple[Any, Secret | None]:
        with signed_in.lock:
            if signed_in.credential is None:
                value = self._secret
                signed_in.secret = None if value is None else signed_in.resolver.resolve(value)
                signed_in.credential = self._made(signed_in.secret)
            return signed_in.credential, signed_in.secret

    def _made(self, secret: Secret | None) -> Any:
        kind = KINDS[self.name]
        try:
            make = getattr(importlib.import_module("azure.identity"), kind.credential)
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                f"{self} needs the package 'azure-identity', which is not installed",
                advice="pip install 'datastores[identity]'",
            ) from error
        readable(self.ca_bundle)
        failure: str | None = None
        # Some look at the environment already here.
        try:
            return make(**self._arguments(kind, secret), **kind.always)
        except ValueError as error:
            failure = str(error)
        raise ConfigurationError(f"{self} cannot be made: {failure}")

    def _arguments(self, kind: _Kind, secret: Secret | None) -> dict[str, Any]:
        """Return the class's arguments, revealed: never to be kept in a variable."""
        vouched: dict[str, Any] = {}
        if kind.assertion is not None:
            audience = cloud_of(self.authority_url).federation_audience
            vouched["func"] = partial(kind.assertion, audience, self.ca_bundle)
        return vouched | {
            argument: value.reveal() if isinstance(value, Secret) else value
            for setting, argument in kind.takes.items()
            if (value := secret if setting in SECRET_SETTINGS else self._setting(kind, setting))
        }

    def _setting(self, kind: _Kind, name: str) -> Any:
        return getattr(self, name) or os.environ.get(kind.in_environment.get(name, ""))


SECRET_SETTINGS = ("client_secret", "system_access_token")


def named(credential: Any) -> str:
    """Return what people know a credential by."""
    if isinstance(credential, Identity):
        return str(credential)
    return f"the credential {type(credential).__name__}"


def token_for(credential: Any, resource: str) -> Secret:
    """Return a credential's token for a service, whoever made the credential; its errors are ours."""
    found = _try(credential, named(credential), "get_token", f"{resource}/.default")
    if isinstance(found, DatastoreError):
        raise found
    return Secret(found.token)


def _try(credential: Any, name: str, method: str, *scopes: str, **options: Any) -> Any:
    # Not raised from here: the packages' frames hold the client secret.
    try:
        return getattr(credential, method)(*scopes, **options)
    except DatastoreError:
        # An identity's own: a wrong setting is a ValueError too.
        raise
    except _errors_of_azure() as error:
        from datastores.secrets.sign_in_errors import no_token

        return no_token(error, name)


def _errors_of_azure() -> tuple[type[Exception], ...]:
    # Whoever has not loaded the package has raised none of its errors.
    core = sys.modules.get("azure.core.exceptions")
    return () if core is None else (core.AzureError, ValueError)


def _rebuilt(settings: dict[str, Any]) -> Identity:
    return Identity(**settings)
