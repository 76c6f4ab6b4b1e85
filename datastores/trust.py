"""Whom TLS trusts: a user's file of authorities, and whether a failure was one of trust."""

from __future__ import annotations

import os
import ssl

from datastores.errors import ConfigurationError


def trusting(ca_bundle: str | None) -> ssl.SSLContext:
    """Return a context that verifies who a server is.

    Args:
        ca_bundle: A file of trusted certificates, in PEM; None for this machine's.

    Raises:
        ConfigurationError: The file cannot be read, or holds none. Packages would say that the
            connection broke, or that nobody could sign in.
    """
    try:
        return ssl.create_default_context(cafile=ca_bundle)
    except ssl.SSLError:
        reason = "it holds no certificates in PEM"
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
    raise ConfigurationError(
        f"ca_bundle: {ca_bundle}: {reason}",
        advice="Name a PEM file of the authorities to trust, or leave it out for this machine's",
    )


def readable(ca_bundle: str | None) -> str | None:
    """Return the same, for packages that read it themselves.

    Raises:
        ConfigurationError: As `trusting`.
    """
    if ca_bundle is not None:
        trusting(ca_bundle)
    return ca_bundle


def is_untrusted(error: BaseException | None) -> bool:
    """Return whether a chain of causes holds a certificate that could not be verified."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        seen.add(id(error))
        # azure-core keeps what it met in an attribute.
        error = getattr(error, "inner_exception", None) or error.__cause__ or error.__context__
    return False
