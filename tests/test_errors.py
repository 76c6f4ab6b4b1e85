"""One tree of errors: plain Python code can catch them, and they travel between processes whole."""

from __future__ import annotations

import copy
import pickle

import pytest

from datastores import errors
from datastores.errors import DatastoreError

BUILTINS: dict[type[DatastoreError], type[BaseException]] = {
    errors.ConfigurationError: ValueError,
    errors.UnknownSchemeError: ValueError,
    errors.MissingDependencyError: ImportError,
    errors.UnsupportedOperationError: NotImplementedError,
    errors.NotFoundError: FileNotFoundError,
    errors.AlreadyExistsError: FileExistsError,
    errors.PermissionDeniedError: PermissionError,
    errors.SchemaMismatchError: TypeError,
    errors.DataError: ValueError,
    errors.ConnectionFailedError: ConnectionError,
    errors.OperationTimeoutError: TimeoutError,
}
TRANSIENT = {
    errors.ConflictError,
    errors.RateLimitedError,
    errors.ConnectionFailedError,
    errors.OperationTimeoutError,
}


def tree(root: type[DatastoreError]) -> list[type[DatastoreError]]:
    return [root, *(leaf for branch in root.__subclasses__() for leaf in tree(branch))]


ALL = [kind for kind in tree(DatastoreError) if kind.__module__ == errors.__name__]


def test_the_docstring_draws_every_class() -> None:
    for kind in ALL:
        assert kind.__name__ in (errors.__doc__ or "")


@pytest.mark.parametrize("kind", ALL)
def test_each_class(kind: type[DatastoreError]) -> None:
    assert issubclass(kind, BUILTINS.get(kind, DatastoreError))
    assert kind.transient is (kind in TRANSIENT)
    error = kind(
        "no such thing", store="lake", driver="local", operation="read", target="a/b", advice="Look"
    )
    assert str(error) == "no such thing. Look"
    assert str(kind("no such thing")) == "no such thing"
    error.add_note("after 3 attempts")
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(other) is kind
        assert (str(other), other.context()) == (str(error), error.context())
        assert other.__notes__ == ["after 3 attempts"]
        assert other.context() == {
            "store": "lake", "driver": "local", "operation": "read", "target": "a/b", "advice": "Look"
        }  # fmt: skip


def test_located_fills_in_only_what_is_unknown() -> None:
    error = errors.NotFoundError("gone", driver="local")
    assert error.located(driver="duckdb", store="lake", target=None) is error
    assert (error.driver, error.store, error.target) == ("local", "lake", None)


def test_plain_code_catches_them() -> None:
    with pytest.raises(OSError, match="gone"):
        raise errors.NotFoundError("gone")
