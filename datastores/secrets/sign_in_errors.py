"""From what a credential of azure-identity raises to our errors, by Entra's numbers.

None of theirs is kept as a cause: their frames hold client secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

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
    OperationTimeoutError,
    RateLimitedError,
)

# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ADVICE: Mapping[str, str] = {
    "AADSTS7000215": "Look at the client secret: its value is meant, not its id, and it may have been replaced",
    "AADSTS7000222": "The client secret has expired: make another one and put it where the reference points",
    "AADSTS700016": "Look at client_id and tenant_id: the tenant does not know this application",
    "AADSTS700024": "The federated token had expired when it was used: look at this machine's clock, "
    "and at what renews the token",
    "AADSTS90002": "Look at tenant_id, and at the cloud",
    "AADSTS500011": "Look at the address of the service: this tenant does not know its like",
}
# As azure.identity's ChainedTokenCredential and its members write it.
_ATTEMPTED = "Attempted credentials:\n\t"
_UNAVAILABLE = "authentication unavailable."
# As OpenSSL's errors have it, of which azure-identity leaves the text alone.
_UNTRUSTED = "CERTIFICATE_VERIFY_FAILED"
_OTHER_TENANT = "additionally_allowed_tenants"
_NUMBER = re.compile(r"AADSTS\d+")


def no_token(error: BaseException, what: str) -> DatastoreError:
    """Return our error for a token that was not to be had.

    Args:
        error: What the credential raised.
        what: The identity, as people know it, such as `the identity 'azure_cli'`.
    """
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if status == 429:  # noqa: PLR2004  # Too Many Requests
        return RateLimitedError(f"{what} has no token: Entra is asked too often")
    if status is not None and status >= 500:  # noqa: PLR2004
        return ConnectionFailedError(f"{what} has no token: Entra failed ({status})")
    if isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError):
        return OperationTimeoutError(f"{what} has no token: no answer in time")
    if _UNTRUSTED in str(error) and not attempted(error):
        return ConfigurationError(
            f"{what} has no token: the certificate of its endpoint is not trusted",
            advice="Set ca_bundle to the file of who signed it, as where a proxy opens TLS",
        )
    if isinstance(error, AzureError) and not isinstance(error, ClientAuthenticationError):
        return ConnectionFailedError(
            f"{what} has no token: its endpoint cannot be reached",
            advice="Look at the network, and at cloud or authority_url",
        )
    text = first_sentence(str(error)) or type(error).__name__
    if attempts := attempted(error):
        return AuthenticationError(
            f"{what} has no token: none of {len(attempts)} credentials gave one",
            advice="datastores explain NAME says of each of them why",
        )
    if _OTHER_TENANT in str(error):
        advice = f"Add that tenant to the identity's {_OTHER_TENANT}"
    else:
        number = _NUMBER.search(text)
        advice = _ADVICE.get(number[0] if number else "", "Sign in there, or name another identity")
    return AuthenticationError(f"{what} has no token: {text}", advice=advice)


def attempted(error: BaseException) -> list[tuple[str, str]]:
    """Return the credentials that a chain of azure-identity's has tried, in order, and why each failed."""
    _, found, text = str(error).partition(_ATTEMPTED)
    pairs = (one.partition(": ") for one in text.split("\n\t")) if found else ()
    return [(name, why_unavailable(said)) for name, _, said in pairs]


def why_unavailable(text: str) -> str:
    """Return the reason that a credential gives, without its own name."""
    _, found, reason = text.partition(_UNAVAILABLE)
    return first_sentence(reason if found else text) or "it is not available here"


def first_sentence(text: str) -> str:
    """Return what an error says, without the advice and the numbers of its trace that follow."""
    line = (text.strip().splitlines() or [""])[0]
    return line.partition(". ")[0].partition(" Trace ID")[0].rstrip(".")
