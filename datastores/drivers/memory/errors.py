"""Memory reports no errors of its own to translate; the ways to say what is wrong with a path are here."""

from __future__ import annotations

from datastores.errors import AlreadyExistsError, NotFoundError, PreconditionFailedError


def absent(path: str) -> NotFoundError:
    """Return the error for a path with nothing there."""
    return NotFoundError(f"{path!r} does not exist", driver="memory", target=path)


def is_folder(path: str) -> NotFoundError:
    """Return the error for a folder that was to be read as a file."""
    return NotFoundError(f"{path!r} is a folder, not a file", driver="memory", target=path)


def exists(path: str) -> AlreadyExistsError:
    """Return the error for a path that was to be new."""
    return AlreadyExistsError(f"{path!r} exists already", driver="memory", target=path)


def through_file(path: str) -> AlreadyExistsError:
    """Return the error for a folder whose name, or a parent's, is a file's."""
    return AlreadyExistsError(f"{path!r} is a file, not a folder", driver="memory", target=path)


def not_empty(path: str) -> PreconditionFailedError:
    """Return the error for a folder that was to be empty."""
    return PreconditionFailedError(
        f"{path!r} is a folder that is not empty", driver="memory", target=path
    )
