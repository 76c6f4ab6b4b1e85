"""Secrets from environment variables: `env:NAME`."""

from __future__ import annotations

import os

from datastores.errors import ConfigurationError, NotFoundError
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret


def fetch(ref: SecretRef) -> Secret:
    """Return the variable's value as it is now; an empty one is a value."""
    value = os.environ.get(ref.name)
    if value is None:
        raise NotFoundError(
            f"the environment variable {ref.name!r} is not set",
            target=str(ref),
            advice=f"Set it, or change the reference {ref}",
        )
    # Checked without an encoding error, which would hold the secret: what is no UTF-8 is surrogates.
    if value.encode(errors="ignore").decode() != value:
        del value
        raise ConfigurationError(
            f"the environment variable {ref.name!r} is not UTF-8", target=str(ref)
        )
    return Secret(value)
