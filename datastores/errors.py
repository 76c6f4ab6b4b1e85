"""The errors this library raises, and the only ones a caller has to know.

DatastoreError                    store, driver, operation, target, advice; transient = False
|-- ConfigurationError            also ValueError
|   `-- UnknownSchemeError        names the known schemes
|-- MissingDependencyError        also ImportError; names the extra
|-- UnsupportedOperationError     also NotImplementedError; nothing was sent
|-- NotFoundError                 also FileNotFoundError
|-- AlreadyExistsError            also FileExistsError
|-- PermissionDeniedError         also PermissionError
|-- AuthenticationError
|-- PreconditionFailedError       etag or condition did not match
|-- SchemaMismatchError           also TypeError; names the column
|-- DataError                     also ValueError; a value or file that cannot be held or read
|-- ConflictError                 transient; others changed or locked the same thing meanwhile
|-- RateLimitedError              transient
|-- ConnectionFailedError         transient; also ConnectionError
|-- OperationTimeoutError         transient; also TimeoutError
`-- DriverError                   what a driver could not classify
"""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Self

from typing_extensions import override


class DatastoreWarning(UserWarning):
    """Something works, and should not stay as it is."""


class DatastoreError(Exception):
    """What went wrong, where, and what to do about it; never holds a secret.

    Args:
        message: What happened: one sentence, lower case, without a full stop.
        store: Name of the datastore, if it has one. The front fills it in.
        driver: Type of the driver, such as `azure_blob`.
        operation: The call that failed, such as `write_table`.
        target: The table, path or URL it was about, without credentials.
        advice: What the user can do next: one sentence, or None if nothing is known.
    """

    transient: ClassVar[bool] = False
    """Whether the same call may succeed when tried again. Retry reads nothing else."""

    def __init__(
        self,
        message: str,
        *,
        store: str | None = None,
        driver: str | None = None,
        operation: str | None = None,
        target: str | None = None,
        advice: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.store = store
        self.driver = driver
        self.operation = operation
        self.target = target
        self.advice = advice

    @override
    def __str__(self) -> str:
        return f"{self.message}. {self.advice}" if self.advice else self.message

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        # The built-in bases pickle only their positional arguments, and would lose the rest: the
        # context, and notes.
        return (type(self), (self.message,), self.__dict__)

    def context(self) -> dict[str, str | None]:
        """Return store, driver, operation, target and advice, as they were given."""
        names = ("store", "driver", "operation", "target", "advice")
        return {name: getattr(self, name) for name in names}

    def located(self, **context: str | None) -> Self:
        """Fill in what is still unknown of `store`, `driver`, `operation`, `target`; return self."""
        for name, value in context.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        return self


def did_you_mean(name: object, known: Iterable[str], listed: str) -> str:
    """Return the advice for a name that is none of the known ones: the closest, then all.

    Args:
        name: What was given.
        known: What there is.
        listed: How the list begins, such as `Known keys are`.
    """
    names = list(known)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}{listed} {', '.join(names) or 'none'}"


def without_frames(error: DatastoreError) -> DatastoreError:
    """Return the error without its traceback and causes, to be raised anew `from None`.

    For errors about settings: a literal secret may stand in any frame that read them, and some
    tracebacks print a frame's variables.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


@contextlib.contextmanager
def located(**context: str | None) -> Iterator[None]:
    """Fill in what an error of ours that passes does not know yet: `store`, `driver`, and so on."""
    try:
        yield
    except DatastoreError as error:
        error.located(**context)
        raise


class ConfigurationError(DatastoreError, ValueError):
    """A setting, URL or argument is wrong; nothing was sent."""


class UnknownSchemeError(ConfigurationError):
    """No driver has this type name or URL scheme; the message names those that are known."""


class MissingDependencyError(DatastoreError, ImportError):
    """A package is not installed; the advice names the extra that brings it."""


class UnsupportedOperationError(DatastoreError, NotImplementedError):
    """This driver declares that it cannot do this; nothing was sent."""


class NotFoundError(DatastoreError, FileNotFoundError):
    """No such file, folder, table, container, datastore or workspace file."""


class AlreadyExistsError(DatastoreError, FileExistsError):
    """The target exists, and the call may not touch an existing one."""


class PermissionDeniedError(DatastoreError, PermissionError):
    """The service knows who asks, and says no; or a path leads out of the store's root."""


class AuthenticationError(DatastoreError):
    """The service does not accept the credentials."""


class PreconditionFailedError(DatastoreError):
    """The target is not in the state the call was made for: someone else changed it."""


class SchemaMismatchError(DatastoreError, TypeError):
    """A column's type or presence does not fit; the message names the column."""


class DataError(DatastoreError, ValueError):
    """A value cannot be held exactly, or a file is damaged; the message says which."""


class ConflictError(DatastoreError):
    """Someone else changed or locked the same thing meanwhile; this call changed nothing."""

    transient = True


class RateLimitedError(DatastoreError):
    """The service asks to slow down."""

    transient = True


class ConnectionFailedError(DatastoreError, ConnectionError):
    """The service could not be reached, or the connection broke."""

    transient = True


class OperationTimeoutError(DatastoreError, TimeoutError):
    """No answer within the deadline."""

    transient = True


class DriverError(DatastoreError):
    """The service reported something the driver has no better word for."""
