"""What the tests of several files about one driver share."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from datastores import Datastore
from datastores.drivers.azure_blob import client
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.driver import AzureBlobDriver
from datastores.secrets import Secret
from tests.services.azurite import Azurite


@pytest.fixture
def make_blob(
    azurite: Azurite, blob_container: ContainerClient
) -> Iterator[Callable[..., AzureBlobDriver]]:
    """Make a driver of the container, some of its settings replaced."""
    with contextlib.ExitStack() as stack:

        def make(**fields: Any) -> AzureBlobDriver:
            given = {
                "account_name": azurite.account_name,
                "container_name": blob_container.container_name,
                "account_url": azurite.account_url,
            }
            if not {"sas_token", "connection_string", "identity", "account_key"} & fields.keys():
                given["account_key"] = azurite.account_key
            config = AzureBlobConfig.from_mapping({**given, **fields})
            return stack.enter_context(AzureBlobDriver(config))

        yield make


@pytest.fixture
def one_try(monkeypatch: pytest.MonkeyPatch) -> None:
    """Say at once what the SDK would say after some seconds."""
    monkeypatch.setattr(client, "RETRIES", 0)


@pytest.fixture
def blob(azurite: Azurite, blob_container: ContainerClient) -> Iterator[Datastore]:
    """A container of Azurite's, as a store."""
    with Datastore(
        type="azure_blob",
        account_name=azurite.account_name,
        account_url=azurite.account_url,
        container_name=blob_container.container_name,
        account_key=Secret(azurite.account_key),
    ) as store:
        yield store
