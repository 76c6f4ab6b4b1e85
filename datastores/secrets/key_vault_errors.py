"""From what Key Vault and azure-core say to our errors. None of theirs is kept: they hold tokens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)

from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    without_frames,
)
from datastores.secrets.sign_in_errors import first_sentence, no_token
from datastores.trust import is_untrusted

NO_ROLE = "ForbiddenByRbac"

# Inner code of a refusal -> what is the matter with the secret, and what to do.
# https://learn.microsoft.com/azure/key-vault/general/rest-error-codes
_FORBIDDEN: Mapping[str, tuple[str, str]] = {
    "SecretDisabled": ("is disabled", "Enable it; an older version is never taken instead"),
    "SecretExpired": ("has expired", "Set a new version, or move its expiry"),
    "SecretNotYetValid": ("is not valid yet", "Wait for its activation date, or move that"),
    NO_ROLE: (
        "may not be read: the identity has no role for it",
        "Give it the role Key Vault Secrets User on the vault, which takes some minutes to work",
    ),
    "AccessDenied": (
        "may not be read: the vault's access policies do not say so",
        "Add an access policy with the secret permission Get for the identity",
    ),
    "ForbiddenByFirewall": (
        "may not be read from this network: the vault's firewall is in the way",
        "Allow this address in the vault's networking, or use its private endpoint",
    ),
}
_CONFLICTS: Mapping[str, tuple[str, str]] = {
    "ObjectIsDeletedButRecoverable": (
        "was deleted and can be recovered, so its name is taken",
        "Recover it (az keyvault secret recover), or purge it where it is no longer needed",
    ),
    "ObjectIsBeingDeleted": ("is being deleted", "Wait until it is, then recover or purge it"),
}
_SIGN_IN = "Look at the identity that the workspace file names for this vault, and its tenant"


def inner_code(error: BaseException) -> str:
    """Return the inner code of a refusal; empty if it has none."""
    detail = error.error if isinstance(error, HttpResponseError) else None
    return str(((detail and detail.innererror) or {}).get("code", ""))


def retry_after_seconds(error: BaseException) -> float | None:
    """Return how long the service asks to wait, by whichever header; None if it does not say."""
    response: Any = error.response if isinstance(error, HttpResponseError) else None
    if response is None:
        return None
    for name in ("retry-after-ms", "x-ms-retry-after-ms"):
        if text := response.headers.get(name):
            return float(text) / 1000
    text = response.headers.get("Retry-After")
    if not text:
        return None
    if text.isdecimal():
        return float(text)
    return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())


def translate(error: BaseException, secret: str, host: str) -> DatastoreError:
    """Return our error for what was raised by the client, or by the credential that it asked.

    Args:
        error: An `AzureError`, or the `ValueError` of a challenge that leads elsewhere.
        secret: The reference, as people write it.
        host: The vault's.
    """
    if isinstance(error, DatastoreError):
        # The credential's, which has come through the client's frames.
        return without_frames(error)
    found = _translate(error, secret, host)
    return found.located(driver="key_vault", operation="resolve", target=secret)


def _translate(error: BaseException, secret: str, host: str) -> DatastoreError:
    if isinstance(error, ClientAuthenticationError) and not _is_answer_of(error, host):
        return no_token(error, f"the credential for the vault {host}")
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return _from_status(error, error.status_code, secret, host)
    if isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError):
        return OperationTimeoutError(f"the vault {host} did not answer in time about {secret}")
    if is_untrusted(error):
        return ConfigurationError(
            f"the certificate of the vault {host} is not trusted",
            advice="Set ca_bundle of the vault to the file of the authority that signed it",
        )
    if isinstance(error, AzureError):
        return ConnectionFailedError(
            f"the vault {host} cannot be reached",
            advice="Look at the vault's name, the network, and a private endpoint's name resolution",
        )
    # The client refuses a challenge, and says so; what follows would turn the check off.
    return AuthenticationError(
        f"the vault {host} asks for a token of somebody else: {first_sentence(str(error))}",
        advice="Look at the vault's address; no token was sent to it",
    )


def _is_answer_of(error: HttpResponseError, host: str) -> bool:
    """Tell the vault's own refusal from one of whoever was to give the token."""
    response: Any = error.response
    return response is not None and urlsplit(response.request.url).netloc == host


def _from_status(error: HttpResponseError, status: int, secret: str, host: str) -> DatastoreError:
    inner = inner_code(error)
    code = error.error.code if error.error is not None else None
    what = f"the secret {secret} of the vault {host}"
    match status:
        case 401:
            said = first_sentence(error.error.message or "") if error.error else ""
            return AuthenticationError(
                f"the vault {host} does not accept the token: {said or code}", advice=_SIGN_IN
            )
        case 403:
            words, advice = _FORBIDDEN.get(inner, (f"may not be read ({inner or code})", _SIGN_IN))
            return PermissionDeniedError(f"{what} {words}", advice=advice)
        case 404:
            return NotFoundError(
                f"{what} does not exist",
                advice="Look at its name, and at the version if one is meant",
            )
        case 409:
            words, advice = _CONFLICTS.get(
                inner, (f"is in another state ({inner or code})", _SIGN_IN)
            )
            return PreconditionFailedError(f"{what} {words}", advice=advice)
        case 429:
            return RateLimitedError(
                f"the vault {host} is asked too often",
                advice="Let fewer processes resolve at once, or spread secrets over vaults",
            )
        case _ if status >= 500:  # noqa: PLR2004
            return ConnectionFailedError(f"the vault {host} failed ({status} {code})")
        case _:
            return DriverError(f"the vault {host} answered {status} {code} about {secret}")
