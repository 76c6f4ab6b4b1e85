"""Who is asked for a token, in which order, and why each that has none has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from datastores.errors import DatastoreError
from datastores.identity import Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One credential that was asked for a token."""

    credential: str
    """The class, in azure-identity's words."""
    failure: str | None
    """Why it gave none; None if it did."""


def attempts(credential: Any, scope: str) -> list[Attempt]:
    """Ask for a token, and return whose turn it was, in order; if any gave one it is the last.

    Args:
        credential: An `Identity`, or an object like one.
        scope: What the token is for.

    Raises:
        DatastoreError: An identity cannot be made: its own secret is not to be had.
    """
    from azure.core.exceptions import AzureError

    from datastores.secrets.sign_in_errors import attempted, why_unavailable

    genuine = credential.genuine() if isinstance(credential, Identity) else credential
    ask = getattr(genuine, "get_token", None) or genuine.get_token_info
    members = getattr(genuine, "credentials", ())
    # What could not even be made has another's name.
    name = getattr(genuine, "_credential_name", type(genuine).__name__)
    try:
        ask(scope)
    except DatastoreError as error:
        return [Attempt(credential=name, failure=error.message)]
    except (AzureError, ValueError) as error:
        tried = attempted(error) or [(name, why_unavailable(str(error)))]
        return [Attempt(credential=one, failure=reason) for one, reason in tried]
    if not members:
        return [Attempt(credential=name, failure=None)]
    # A chain does not tell why it went on from those before the one that had a token.
    found = []
    for member in members:
        found += attempts(member, scope)[:1]
        if found[-1].failure is None:
            break
    return found
