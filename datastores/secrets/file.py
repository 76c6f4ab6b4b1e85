"""Secrets from files, such as those a container platform mounts: `file:PATH`."""

from __future__ import annotations

from pathlib import Path

from datastores.errors import NotFoundError, PermissionDeniedError
from datastores.secrets.reference import SecretRef
from datastores.secrets.secret import Secret


def fetch(ref: SecretRef) -> Secret:
    """Return the file's text without the line end it closes with."""
    path = Path(ref.name).expanduser()
    try:
        return Secret(path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r"))
    except FileNotFoundError:
        raise NotFoundError(
            f"the secret file {ref.name!r} does not exist",
            target=str(ref),
            advice=f"Mount it, or change the reference {ref}",
        ) from None
    except OSError as error:
        raise PermissionDeniedError(
            f"the secret file {ref.name!r} cannot be read: {error.strerror}", target=str(ref)
        ) from error
