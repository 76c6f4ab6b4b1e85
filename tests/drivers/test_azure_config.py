"""Who signs in to Azure's stores, as their settings say it; nothing is asked here."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from azure.identity import ClientSecretCredential

import datastores
from datastores.clouds import CLOUDS
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.driver import AzureBlobDriver
from datastores.drivers.azure_config import AzureConfig
from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.errors import ConfigurationError
from datastores.identity import KINDS, Identity
from datastores.secrets import SecretRef
from datastores.vaults import VaultConfig

TRIPLE = {"tenant_id": "t", "client_id": "c", "client_secret": "env:SP"}
PLACES: dict[type[AzureConfig], dict[str, Any]] = {
    AzureBlobConfig: {"account_name": "acme", "container_name": "landing"},
    AzurePostgreSQLConfig: {
        "server_name": "acme-pg.postgres.database.azure.com",
        "database_name": "sales",
        "username": "loader",
    },
}


class Credential:
    def get_token(self, *_scopes: str) -> None:
        """Never called."""


class Asynchronous:
    async def get_token(self, *_scopes: str) -> None:
        """Never called."""


@pytest.mark.parametrize("kind", PLACES)
def test_an_identity_is_one_word_and_its_settings(kind: type[AzureConfig]) -> None:
    entry = {**PLACES[kind], "identity": "managed_identity", "credentials": {"client_id": "c"}}
    if "username" in entry:
        entry["credentials"] |= {"username": entry.pop("username")}
    config = kind.from_mapping(entry)
    assert config.signs_in() == Identity(name="managed_identity", client_id="c")
    written = config.to_mapping()
    assert (written["identity"], written["credentials"]) == (
        "managed_identity",
        entry["credentials"],
    )
    assert kind.from_mapping(written) == config
    assert pickle.loads(pickle.dumps(config)) == config


@pytest.mark.parametrize("kind", PLACES)
def test_a_service_principal_needs_no_word(kind: type[AzureConfig]) -> None:
    """As Azure ML writes one, also on types where it has none."""
    place, account = dict(PLACES[kind]), dict[str, Any](TRIPLE)
    if "username" in place:
        account["username"] = place.pop("username")
    account |= {"authority_url": "https://login.example", "resource_url": "https://resource/"}
    config = kind.from_mapping({**place, "credentials": account})
    assert config.signs_in() == Identity(
        name="service_principal",
        tenant_id="t",
        client_id="c",
        client_secret=SecretRef(source="env", name="SP"),
        authority_url="https://login.example",
    )
    assert config.resource == "https://resource"
    assert kind.from_mapping(config.to_mapping()) == config


@pytest.mark.parametrize("kind", PLACES)
def test_an_object_signs_in_and_is_written_nowhere(kind: type[AzureConfig]) -> None:
    credential = Credential()
    config = kind.from_mapping({**PLACES[kind], "identity": credential})
    assert config.signs_in() is credential
    with pytest.raises(ConfigurationError, match="not written to a file"):
        config.to_mapping()


def test_an_object_goes_to_no_other_process() -> None:
    """Azure's own would take its client secret along."""
    place = PLACES[AzureBlobConfig]
    with (
        ClientSecretCredential("t", "c", "planted") as credential,
        datastores.Datastore(type="azure_blob", **place, identity=credential) as store,
    ):
        for one in (store, store.driver, store.filesystem, store.config):
            with pytest.raises(ConfigurationError, match="an identity by its name") as caught:
                pickle.dumps(one)
            assert "planted" not in str(caught.value)
    by_name = datastores.Identity(name="azure_cli")
    with datastores.Datastore(type="azure_blob", **place, identity=by_name) as store:
        assert pickle.loads(pickle.dumps(store)).config.identity == by_name


@pytest.mark.parametrize("kind", PLACES)
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"identity": "browser"}, "'browser' is not known.*default, managed_identity"),
        ({"identity": 5}, "5 is not known"),
        ({"identity": "service_principal", "client_id": "c"}, "needs tenant_id, client_secret"),
        ({"client_secret": "env:SP", "client_id": "c"}, "needs tenant_id"),
        ({"client_id": "c"}, "client_id: no identity is named"),
        ({"resource_url": "https://a", "password": "env:P"}, "exactly one of"),
        ({"identity": "azure_cli", "client_id": "c"}, "takes no client_id"),
        ({"identity": Credential(), "client_id": "c"}, "an object takes no client_id"),
        ({"identity": "default", "tls": "disable"}, "would go to whoever answers"),
        ({"identity": "default", "cloud": "germany"}, "cloud: 'germany' is not known"),
        ({"identity": "default", "additionally_allowed_tenants": "*"}, "not a list of texts"),
        ({"identity": "default", "account_key": "env:K", "password": "env:P"}, "exactly one of"),
    ],
)  # fmt: skip
def test_refused(kind: type[AzureConfig], fields: dict[str, Any], words: str) -> None:
    known = {one.name for one in kind.settings()}
    given = {name: value for name, value in fields.items() if name in known}
    if "password" in fields and "password" not in given:
        given["account_key"] = "env:K"
    with pytest.raises(ConfigurationError, match=words):
        kind.from_mapping({**PLACES[kind], **given})


def test_a_password_and_an_identity_exclude_each_other() -> None:
    place = PLACES[AzurePostgreSQLConfig]
    with pytest.raises(ConfigurationError, match="Or give identity in the place of password"):
        AzurePostgreSQLConfig.from_mapping(place)
    with pytest.raises(ConfigurationError, match="Given were connection_string, username"):
        AzurePostgreSQLConfig.from_mapping({**place, "connection_string": "env:C"})
    with pytest.raises(ConfigurationError, match="username must be given"):
        AzurePostgreSQLConfig.from_mapping(
            {"server_name": "a", "database_name": "b", "identity": "azure_cli"}
        )


def test_a_database_takes_no_asynchronous_credential() -> None:
    place = PLACES[AzurePostgreSQLConfig]
    with pytest.raises(ConfigurationError, match="is asynchronous"):
        AzurePostgreSQLConfig.from_mapping({**place, "identity": Asynchronous()})


@pytest.mark.parametrize("name", CLOUDS)
def test_one_word_for_a_cloud(name: str) -> None:
    cloud = CLOUDS[name]
    config = AzureBlobConfig.from_mapping({**PLACES[AzureBlobConfig], **TRIPLE, "cloud": name})
    assert config.url == f"https://acme.blob.{cloud.storage}"
    assert config.signs_in().authority_url == cloud.authority
    vault = VaultConfig(identity="azure_cli", cloud=name).open_as("acme-kv")
    assert vault.host == f"acme-kv.{cloud.vaults}"


@pytest.mark.parametrize("name", KINDS)
def test_each_identity_is_given_what_its_class_takes_of_the_store(name: str) -> None:
    needed = {"tenant_id": "t", "client_id": "c", "service_connection_id": "s"}
    given: dict[str, Any] = {key: needed.get(key, "env:X") for key in KINDS[name].needs}
    config = AzureBlobConfig.from_mapping(
        {**PLACES[AzureBlobConfig], **given, "identity": name, "ca_bundle": "ca.pem"}
    )
    found = config.signs_in()
    assert found.ca_bundle == ("ca.pem" if "ca_bundle" in KINDS[name].takes else None)
    assert config.signs_in_by == f"the identity {name!r}"
    driver = AzureBlobDriver(config)
    assert driver.place == "acme.blob.core.windows.net/landing"
    driver.close()


def test_files_are_beside_the_workspace_file() -> None:
    workspace = datastores.Workspace.from_mapping(
        {
            "datastores": {
                "pg": {
                    "type": "azure_postgresql",
                    **PLACES[AzurePostgreSQLConfig],
                    "ca_bundle": "ca.pem",
                    "identity": "workload_identity",
                    "token_file": "token",
                }
            }
        },
        source="/etc/acme/datastores.yaml",
    )
    config: Any = workspace["pg"].config
    assert (config.ca_bundle, config.token_file) == ("/etc/acme/ca.pem", "/etc/acme/token")
