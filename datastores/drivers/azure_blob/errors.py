"""From Blob storage's status and error codes to our errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import aiohttp
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseTimeoutError,
)

from datastores.drivers.filesystem import MissingRootError
from datastores.errors import (
    AlreadyExistsError,
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
from datastores.trust import is_untrusted

T = TypeVar("T")

_SIGN_IN = "Check the key, or the SAS token's signature and expiry, or the identity's tenant"
_ROLE = (
    "Check the key, what the SAS token permits, the role (Storage Blob Data Reader or Contributor), "
    "and the account's network rules"
)


def translated(
    call: Callable[[], T],
    operation: str,
    path: str,
    container: str,
    *,
    signed_in_by: str,
    creating: bool = False,
) -> T:
    """Return what a call returns; the SDK's errors are ours, naming the path as the user wrote it.

    Args:
        call: What is done.
        operation: Our word for it.
        path: In the container; `""` for the container itself.
        container: Its name.
        signed_in_by: The identity or secret, for people.
        creating: The call was to make something that is not there yet.
    """
    try:
        return call()
    except DatastoreError as error:
        found = without_frames(error)
    except (AzureError, OSError, aiohttp.ClientError) as error:
        found = _ours(error, path, container, creating=creating)
        if isinstance(found, AuthenticationError | PermissionDeniedError):
            found.message += f"; signed in by {signed_in_by}"
        found.located(driver="azure_blob", operation=operation, target=path or container)
    # Not from theirs: its frames hold keys, and its text may be an address with a signature.
    raise found


def is_missing_blob(error: HttpResponseError) -> bool:
    """Tell whether it is the blob that is not there, and not its container."""
    code = getattr(error, "error_code", None)
    return error.status_code == 404 and code in {"BlobNotFound", "ResourceNotFound", None}  # noqa: PLR2004


def is_out_of_range(error: HttpResponseError) -> bool:
    """Tell whether a range began after the end of its blob."""
    return error.status_code == 416  # noqa: PLR2004  # Range Not Satisfiable


def is_absent(path: str) -> NotFoundError:
    """Return the error for a path with nothing there."""
    return NotFoundError(f"{path!r} does not exist", driver="azure_blob", target=path)


def exists(path: str) -> AlreadyExistsError:
    """Return the error for a path that was to be new."""
    return AlreadyExistsError(f"{path!r} exists already", driver="azure_blob", target=path)


def is_folder(path: str) -> NotFoundError:
    """Return the error for a folder that was to be read as a file."""
    return NotFoundError(f"{path!r} is a folder, not a file", driver="azure_blob", target=path)


def through_file(path: str) -> AlreadyExistsError:
    """Return the error for a folder whose name, or a parent's, is a file's."""
    return AlreadyExistsError(f"{path!r} is a file, not a folder", driver="azure_blob", target=path)


def _ours(error: BaseException, path: str, container: str, *, creating: bool) -> DatastoreError:
    # adlfs raises FileNotFoundError from the SDK's error, which knows more.
    cause = error.__cause__ if isinstance(error.__cause__, AzureError) else error
    named = f"{path!r} in container {container!r}" if path else f"container {container!r}"
    return _translate(cause, named, container, creating=creating)


def _translate(
    error: BaseException, named: str, container: str, *, creating: bool
) -> DatastoreError:
    if isinstance(error, HttpResponseError) and error.status_code is not None:
        return _from_response(error, named, container, creating=creating)
    if isinstance(error, ClientAuthenticationError):
        return AuthenticationError(f"no token for {named}", advice=_SIGN_IN)
    if isinstance(error, ServiceRequestTimeoutError | ServiceResponseTimeoutError | TimeoutError):
        return OperationTimeoutError(f"no answer in time about {named}")
    if is_untrusted(error):
        return ConfigurationError(
            f"the certificate of the server of {named} is not trusted",
            advice="Set ca_bundle to the file of the authority that signed it",
        )
    if isinstance(error, ServiceRequestError):
        return ConnectionFailedError(
            f"the server of {named} cannot be reached",
            advice="Check account_name or account_url, the network and its name resolution",
        )
    return ConnectionFailedError(f"the connection broke while working on {named}")


# Source: https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and
# https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes
def _from_response(  # noqa: C901, PLR0912  # one case for each thing the service says
    error: HttpResponseError, named: str, container: str, *, creating: bool
) -> DatastoreError:
    code = getattr(error, "error_code", None)
    match error.status_code, str(getattr(code, "value", code)):
        case 401, _:
            return AuthenticationError(f"{named}: the token is not accepted", advice=_SIGN_IN)
        case 403, "AuthenticationFailed" | "NoAuthenticationInformation":
            return AuthenticationError(f"{named}: the sign-in is refused", advice=_SIGN_IN)
        case 403, word:
            return PermissionDeniedError(f"{named}: not permitted ({word})", advice=_ROLE)
        case _, "ContainerNotFound" | "ContainerBeingDeleted" | "ContainerDisabled":
            return MissingRootError(
                f"the container {container!r} does not exist",
                advice="Check container_name, or make the container first",
            )
        case 404, _:
            return NotFoundError(f"{named} does not exist")
        case (409, "BlobAlreadyExists") | (409, "UnauthorizedBlobOverwrite"):
            return AlreadyExistsError(f"{named} exists already")
        case 412, "ConditionNotMet" if creating:
            return AlreadyExistsError(f"{named} exists already")
        case 412, "ConditionNotMet":
            return PreconditionFailedError(f"{named} was changed by somebody else meanwhile")
        case ((409 | 412), word):
            return PreconditionFailedError(f"{named} is in another state than needed ({word})")
        case 400, "InvalidBlockList":
            # Whoever finishes first takes the blocks that others have staged for the same name.
            if creating:
                return AlreadyExistsError(f"{named} exists already")
            return PreconditionFailedError(f"{named} was written by somebody else meanwhile")
        case (429, _) | (503, _):
            return RateLimitedError(f"{named}: the service is busy")
        case (408, _) | (500, "OperationTimedOut") | (504, _):
            return OperationTimeoutError(f"{named}: the service did not finish in time")
        case status, word if status is not None and status >= 500:  # noqa: PLR2004
            return ConnectionFailedError(f"{named}: the service failed ({status} {word})")
        case status, word:
            return DriverError(f"{named}: the service answered {status} {word}")
