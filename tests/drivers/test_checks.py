"""`check_store` on real servers: working, and broken in each stage."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from datastores import Datastore, Secret
from datastores.check import Outcome, StoreCheck, check_store
from datastores.errors import AuthenticationError, DatastoreError
from tests.drivers.test_azure_postgresql import config_of
from tests.services.azurite import Azurite
from tests.services.postgresql import Database, PostgreSQL

SECRET = "planted-4711-secret"  # noqa: S105  # planted to be looked for


def checked(config: Any, **changes: Any) -> StoreCheck:
    with Datastore.from_config(dataclasses.replace(config, **changes)) as store:
        return check_store(store)


def outcomes(found: StoreCheck) -> str:
    return " ".join(found.outcomes.values())


def test_postgresql(database: Database) -> None:
    found = checked(config_of(database.owner))
    assert outcomes(found) == "ok ok ok ok ok ok"
    assert found.details["sign-in"] == database.owner.username
    assert found.details["tls"].startswith("TLSv1.")
    assert "127.0.0.1 (private)" in found.details["name"]
    assert database.run("SELECT nspname FROM pg_namespace WHERE nspname = '_datastores'") == []


@pytest.mark.parametrize(
    ("changes", "expected", "words"),
    [
        ({"server_name": "a..b"}, "no - - - - -", "no host named"),
        ({"port": 1}, "ok no - - - -", "connection refused"),
        ({"ca_bundle": None}, "ok ok no - - -", "not trusted"),
        ({"password": Secret(SECRET)}, "ok ok ok no - -", "could not sign in"),
    ],
)
def test_a_broken_postgresql(
    database: Database, changes: dict[str, Any], expected: str, words: str
) -> None:
    found = checked(config_of(database.owner), **changes)
    assert outcomes(found) == expected
    [(stage, error)] = found.failures.items()
    assert isinstance(error, AuthenticationError) == (stage == "sign-in")
    assert words in error.message
    assert error.advice
    assert SECRET not in f"{found!r} {found} {found._repr_html_()}"


def test_postgresql_without_tls(postgresql_without_tls: PostgreSQL, database: Database) -> None:
    with postgresql_without_tls.database() as plain:
        found = checked(config_of(plain.owner))
    assert outcomes(found) == "ok ok no - - -"
    assert "offers no TLS; nothing was sent to it" in found.failures["tls"].message


def test_a_role_that_may_create_no_table(database: Database) -> None:
    found = checked(config_of(database.clerk))
    assert outcomes(found) == "ok ok ok ok ok no"
    # Rows it may write, to tables that are there: nothing of ours has to be created for that.
    assert 'GRANT USAGE, CREATE ON SCHEMA "public"' in (found.failures["write"].advice or "")


@pytest.fixture
def blob(azurite: Azurite) -> Callable[..., StoreCheck]:
    def check(container: str, **changes: Any) -> StoreCheck:
        fields = {
            "type": "azure_blob",
            "account_name": azurite.account_name,
            "account_url": azurite.account_url,
            "account_key": azurite.account_key,
            "container_name": container,
        }
        with Datastore(**(fields | changes)) as store:
            return check_store(store)

    return check


def test_blob(azurite: Azurite, blob: Callable[..., StoreCheck]) -> None:
    with azurite.container() as container:
        name = container.container_name
        assert outcomes(blob(name)) == "ok ok - ok ok ok"
        assert blob(name).details["sign-in"] == "account key"
        wrong = blob(name, account_key="cGxhbnRlZC00NzExLXNlY3JldA==")
        assert [one.name for one in container.list_blobs()] == []
    missing = blob("not-there")
    assert outcomes(missing) == "ok ok - ok no no"
    assert "not-there" in missing.failures["read"].message
    assert wrong.outcomes["read"] is Outcome.FAILED
    assert all(isinstance(one, DatastoreError) for one in wrong.failures.values())
    assert "cGxhbnRlZC00NzExLXNlY3JldA" not in f"{wrong!r} {wrong}"
