"""What `explain` says of each credential, on real services: which one is tried, and why it failed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import datastores
from datastores import Datastore, Identity, SecretRef, Workspace
from datastores.check import check_store
from datastores.errors import AuthenticationError, ConfigurationError, NotFoundError
from datastores.explanation import Explanation
from datastores.identity import KINDS
from datastores.secrets import KeyVault
from datastores.sign_in import attempts
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.key_vault import Tokens, Vault
from tests.services.postgresql import Database

PLANTED = "pl4nted-v4lue"


def told(found: Explanation) -> dict[str, tuple[str, str]]:
    """Return outcome and words of each step, by its name."""
    return {one.what: (str(one.outcome), one.said) for one in found.steps}


@pytest.fixture
def file(
    database: Database,
    vault: Vault,
    tenant: Tenant,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A workspace file with one database, whose password is in a vault that a service principal opens."""
    monkeypatch.setenv("SP", FIRST_SECRET)
    vault.change(tenant=tenant.id)
    vault.put("pg", database.owner.password, exp=4_102_444_800)
    login = database.owner
    principal = {"tenant_id": tenant.id, "client_id": tenant.client_id, "client_secret": "env:SP"}
    content = {
        "vaults": {
            "main": {
                "url": vault.url,
                "identity": "service_principal",
                "ca_bundle": str(vault.ca_file),
                "credentials": principal,
            }
        },
        "datastores": {
            "warehouse": {
                "type": "azure_postgresql",
                "server_name": login.host,
                "port": login.port,
                "database_name": login.database,
                "ca_bundle": str(login.ca_file),
                "credentials": {
                    "username": login.username,
                    "password": {"vault": "main", "name": "pg"},
                },
            }
        },
    }
    path = tmp_path / "datastores.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def warehouse(file: Path) -> Iterator[Datastore]:
    with Workspace.load(file) as workspace:
        yield workspace["warehouse"]


def test_a_store_that_works(
    warehouse: Datastore, database: Database, vault: Vault, file: Path
) -> None:
    found = datastores.explain(warehouse)
    assert not found.failures
    assert found.source == str(file)
    steps = told(found)
    assert steps["credentials.username"] == ("ok", database.owner.username)
    outcome, said = steps["credentials.password"]
    assert outcome == "ok"
    words = (
        r"main/secrets/pg, version [0-9a-f]{4}…, \d+ seconds? old, expires 2100-01-01, fetched in"
    )
    assert re.match(words, said)
    assert steps["vaults.main"] == (
        "ok",
        f"{vault.url}, where the identity 'service_principal' signs in",
    )
    assert steps["client_secret"][1].startswith("env:SP, ")
    assert steps["ClientSecretCredential"] == ("ok", "has a token")
    assert steps["credentials.connection_string"] == ("-", "not set")
    assert steps["sign-in"] == ("ok", database.owner.username)
    assert [one.level for one in found.steps][:6] == [0, 0, 0, 1, 2, 2]
    # The second time nothing is fetched.
    assert "s ago" in told(datastores.explain(warehouse))["credentials.password"][1]


def test_a_password_that_is_refused(warehouse: Datastore, vault: Vault) -> None:
    vault.put("pg", PLANTED)
    found = datastores.explain(warehouse)
    [error] = found.failures
    assert isinstance(error, AuthenticationError)
    assert told(found)["credentials.password"][0] == "ok"
    assert told(found)["sign-in"][0] == "no"
    assert "The secret came from main/secrets/pg (version " in str(error)
    assert "it was read again and has not changed" in str(error)
    assert "Set a new one: datastores secrets set main pg" in str(error)
    assert PLANTED not in f"{found} {found!r} {found.to_json()} {found._repr_html_()}"


def test_a_secret_that_is_not_there(warehouse: Datastore, vault: Vault) -> None:
    vault.remove("pg")
    found = datastores.explain(warehouse)
    steps = told(found)
    assert steps["credentials.password"][0] == "no"
    assert "does not exist" in steps["credentials.password"][1]
    assert steps["ClientSecretCredential"][0] == "ok"
    assert isinstance(found.failures[0], NotFoundError)
    # Said once, though the sign-in fails by it too.
    assert len({str(one) for one in found.failures}) == len(found.failures) == 1


def test_a_client_secret_that_entra_refuses(warehouse: Datastore, tenant: Tenant) -> None:
    tenant.accept("another")
    found = datastores.explain(warehouse)
    outcome, said = told(found)["ClientSecretCredential"]
    assert outcome == "no"
    assert "AADSTS7000215" in said
    assert "Trace ID" not in said


def test_a_client_secret_that_is_not_set(
    warehouse: Datastore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SP")
    found = datastores.explain(warehouse)
    assert told(found)["client_secret"] == ("no", "the environment variable 'SP' is not set")
    assert told(found)["the identity 'service_principal'"][0] == "no"


def test_what_was_given_in_code(vault: Vault) -> None:
    vault.put("pg", f'{{"user": "{PLANTED}"}}')
    with KeyVault(url=vault.url, credential=Tokens(), ca_bundle=str(vault.ca_file)) as opened:
        fields: dict[str, Any] = {"server_name": "127.0.0.1", "port": 1, "database_name": "d"}
        fields |= {"username": "u", "password": opened.secret("pg", field="none")}
        with Datastore(type="azure_postgresql", **fields) as store:
            found = datastores.explain(store)
    assert found.source is None
    assert "made in code" in str(found)
    steps = told(found)
    assert "is not a JSON object with the key 'none'" in steps["password"][1]
    assert steps[f"vaults.{vault.host}"] == (
        "ok",
        f"{vault.url}, where the credential Tokens signs in",
    )
    assert steps["Tokens"] == ("ok", "has a token")
    assert steps["tcp"][0] == "no"
    assert PLANTED not in str(found)


def test_a_literal_and_a_store_of_this_machine(tmp_path: Path) -> None:
    with Datastore(
        type="azure_blob",
        account_name="acme",
        account_url="http://127.0.0.1:1/acme",
        container_name="c",
        account_key=PLANTED,
    ) as store:
        steps = told(datastores.explain(store))
    assert steps["account_key"] == ("ok", "a literal")
    assert steps["sas_token"] == ("-", "not set")
    with Datastore(type="local", path=str(tmp_path)) as store:
        assert told(datastores.explain(store)) == {"sign-in": ("-", "none is needed")}


def test_a_connection_string_that_is_not_to_be_had() -> None:
    gone = SecretRef(source="env", name="DATASTORES_TEST_NONE")
    for type_, fields in (("azure_postgresql", {}), ("azure_blob", {"container_name": "c"})):
        with Datastore(type=type_, connection_string=gone, **fields) as store:
            found = check_store(store)
            [error] = found.failures.values()
            assert isinstance(error, NotFoundError)
            assert list(found.failures) == ["sign-in"]
            assert "is not set" in told(datastores.explain(store))["connection_string"][1]


def test_each_credential_of_a_chain_has_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    identity = Identity(name="default")
    tried = attempts(identity, "https://vault.azure.net/.default")
    reasons = {one.credential: one.failure for one in tried}
    assert list(reasons)[:3] == [
        "EnvironmentCredential",
        "WorkloadIdentityCredential",
        "ManagedIdentityCredential",
    ]
    assert reasons["EnvironmentCredential"] == "Environment variables are not fully configured"
    assert reasons["AzureCliCredential"] == "Azure CLI not found on path"
    assert all(reasons.values())
    with pytest.raises(AuthenticationError, match=r"none of [0-9]+ credentials gave one") as caught:
        identity.get_token("https://vault.azure.net/.default")
    assert "datastores explain NAME" in str(caught.value)
    identity.close()


def test_those_before_the_one_that_had_a_token(
    tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assertion = tmp_path / "token"
    assertion.write_text("a.b.c")
    tenant.accept(assertions=("a.b.c",))
    for name, value in (
        ("AZURE_TENANT_ID", tenant.id),
        ("AZURE_CLIENT_ID", tenant.client_id),
        ("AZURE_FEDERATED_TOKEN_FILE", str(assertion)),
    ):
        monkeypatch.setenv(name, value)
    identity = Identity(name="default", ca_bundle=str(tenant.ca_file))
    tried = attempts(identity, "https://vault.azure.net/.default")
    assert [(one.credential, one.failure is None) for one in tried] == [
        ("EnvironmentCredential", False),
        ("WorkloadIdentityCredential", True),
    ]
    identity.close()


def test_every_named_identity_can_be_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigurationError):
        attempts(Identity(name="workload_identity"), "https://vault.azure.net/.default")
    for name in ("managed_identity", "azure_cli", "environment"):
        [one] = attempts(Identity(name=name), "https://vault.azure.net/.default")
        assert one.credential == KINDS[name].credential
        assert one.failure


def test_the_screen(warehouse: Datastore, vault: Vault) -> None:
    found = datastores.explain(warehouse)
    lines = str(found).splitlines()
    assert max(map(len, lines[1:])) <= 100
    [vault_line] = [line for line in lines if "vaults.main" in line]
    assert vault_line.startswith("  vaults.main")
    plain = json.loads(found.to_json())
    assert [one["what"] for one in plain["steps"]] == [one.what for one in found.steps]
    assert "<table>" in found._repr_html_()
