"""Secrets from files, such as those a container platform mounts: `file:PATH`."""

from __future__ import annotations

from pathlib import Path

from datastores.errors import ConfigurationError, NotFoundError, PermissionDeniedError
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret


def fetch(ref: SecretRef) -> Secret:
    """Return the file's text without the line end it closes with."""
    try:
        content = Path(ref.name).expanduser().read_bytes()
    except (FileNotFoundError, RuntimeError, ValueError):
        # No home of that user, or a name that no file can have, is no file too.
        raise NotFoundError(
            f"the secret file {ref.name!r} does not exist",
            target=str(ref),
            advice=f"Mount it, or change the reference {ref}",
        ) from None
    except OSError as error:
        raise PermissionDeniedError(
            f"the secret file {ref.name!r} cannot be read: {error.strerror}", target=str(ref)
        ) from error
    # Checked without decoding, whose error would hold the secret.
    text = content.decode(errors="ignore")
    if text.encode() != content:
        raise ConfigurationError(f"the secret file {ref.name!r} is not UTF-8", target=str(ref))
    return Secret(text.removesuffix("\n").removesuffix("\r"))
