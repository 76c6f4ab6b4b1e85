"""The fixtures: each server is started when the first test asks for it, and ended with the run.

Under pytest-xdist each worker has servers of its own, so that a test may stop one. A server that
runs already is taken by its address: `DATASTORES_TEST_POSTGRESQL`,
`DATASTORES_TEST_POSTGRESQL_WITHOUT_TLS`, `DATASTORES_TEST_AZURITE`, `DATASTORES_TEST_AZURITE_TLS`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from azure.storage.blob import ContainerClient

from tests.services import azurite as azurite_service
from tests.services import blob, directory, entra, key_vault
from tests.services import postgresql as postgresql_service
from tests.services.azurite import Azurite, find_azurite
from tests.services.certificates import Certificates, make_certificates
from tests.services.fakes import FakeServer, named
from tests.services.postgresql import Database, Login, PostgreSQL, find_postgresql
from tests.services.proxy import Proxy, proxied

# Read when the run begins: tests see an environment without them.
_ADDRESSES = {
    name: os.environ.get(name)
    for name in (
        azurite_service.VARIABLE,
        azurite_service.VARIABLE_TLS,
        postgresql_service.VARIABLE,
        postgresql_service.VARIABLE_WITHOUT_TLS,
    )
}


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """The certificate of the run's servers, and who signed it."""
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def postgresql_server(certificates: Certificates) -> Iterator[PostgreSQL]:
    """The run's PostgreSQL; take `postgresql`, which is running whatever the last test did."""
    server = find_postgresql(certificates, _ADDRESSES[postgresql_service.VARIABLE])
    yield server
    server.close()


@pytest.fixture
def postgresql(postgresql_server: PostgreSQL) -> PostgreSQL:
    """A running PostgreSQL with TLS."""
    postgresql_server.start()
    return postgresql_server


@pytest.fixture(scope="session")
def postgresql_without_tls() -> Iterator[PostgreSQL]:
    """A running PostgreSQL that refuses TLS."""
    server = find_postgresql(None, _ADDRESSES[postgresql_service.VARIABLE_WITHOUT_TLS])
    yield server
    server.close()


@pytest.fixture
def database(postgresql: PostgreSQL) -> Iterator[Database]:
    """An empty database of the test's own."""
    with postgresql.database() as database:
        yield database


@pytest.fixture(scope="session")
def azurite_server() -> Iterator[Azurite]:
    """The run's Azurite over HTTP; take `azurite`, which is running whatever the last test did."""
    server = find_azurite(None, _ADDRESSES[azurite_service.VARIABLE])
    yield server
    server.close()


@pytest.fixture
def azurite(azurite_server: Azurite) -> Azurite:
    """A running Azurite over HTTP."""
    azurite_server.start()
    return azurite_server


@pytest.fixture
def blob_container(azurite: Azurite) -> Iterator[ContainerClient]:
    """An empty container, by the SDK: to look past the driver."""
    with azurite.container() as container:
        yield container


@pytest.fixture(scope="session")
def azurite_tls_server(certificates: Certificates) -> Iterator[Azurite]:
    """The run's Azurite over HTTPS; take `azurite_tls`."""
    server = find_azurite(certificates, _ADDRESSES[azurite_service.VARIABLE_TLS])
    yield server
    server.close()


@pytest.fixture
def azurite_tls(azurite_tls_server: Azurite) -> Azurite:
    """A running Azurite over HTTPS, which takes tokens."""
    azurite_tls_server.start()
    return azurite_tls_server


@pytest.fixture(scope="session")
def key_vault_server(certificates: Certificates) -> Iterator[FakeServer]:
    """The run's fake of Key Vault; take `vault`."""
    server = key_vault.start_key_vault(certificates)
    yield server
    server.close()


@pytest.fixture
def vault(key_vault_server: FakeServer, certificates: Certificates) -> Iterator[key_vault.Vault]:
    """An empty vault of the test's own, at a genuine address."""
    with named({key_vault.ENDING: key_vault_server.process.port}):
        yield key_vault.Vault(key_vault_server, certificates.authority)


@pytest.fixture(scope="session")
def entra_server(certificates: Certificates) -> Iterator[FakeServer]:
    """The run's fake of Entra; take `tenant`."""
    server = entra.start_entra(certificates)
    yield server
    server.close()


@pytest.fixture
def tenant(entra_server: FakeServer, certificates: Certificates) -> Iterator[entra.Tenant]:
    """A tenant of the test's own with one application, at a genuine address."""
    port = entra_server.process.port
    with named({entra.ENDING: port, entra.ENDING_CHINA: port}):
        yield entra.Tenant(entra_server, certificates.authority)


@pytest.fixture
def other_tenant(tenant: entra.Tenant, entra_server: FakeServer) -> entra.Tenant:
    """A second tenant, with another application."""
    return entra.Tenant(entra_server, tenant.ca_file)


@pytest.fixture(scope="session")
def machine_server() -> Iterator[FakeServer]:
    """The run's endpoint of managed identities; take `machine`."""
    server = entra.start_entra(None)
    yield server
    server.close()


@pytest.fixture
def machine(machine_server: FakeServer) -> entra.Tenant:
    """A machine of the test's own, with the identities that Azure manages for it."""
    return entra.Tenant(machine_server, None)


@pytest.fixture(scope="session")
def blob_server(certificates: Certificates) -> Iterator[FakeServer]:
    """The run's Blob storage that minds whose token it is sent; take `blob_account`."""
    server = blob.start_blob(certificates)
    yield server
    server.close()


@pytest.fixture
def blob_account(blob_server: FakeServer) -> Iterator[Callable[..., blob.Account]]:
    """Make an account at a genuine address, which one tenant's application may read."""
    port = blob_server.process.port
    with named({blob.ENDING: port, blob.ENDING_CHINA: port}):
        yield lambda reader, **options: blob.Account(blob_server, reader, **options)


@pytest.fixture
def entra_role(
    postgresql: PostgreSQL, database: Database
) -> Iterator[Callable[[entra.Tenant], tuple[Login, list[str]]]]:
    """Make a role of the database that signs in by its application's tokens, as on Azure.

    Returns where it signs in, and the list of the tokens that it has signed in with.
    """
    with directory.directory() as found, postgresql.ruled(found.rule), ExitStack() as stack:

        def make(tenant: entra.Tenant) -> tuple[Login, list[str]]:
            login = stack.enter_context(database.member(directory.GROUP, postgresql.admin))
            found.roles[login.username] = tenant
            return login, found.seen.setdefault(login.username, [])

        yield make


@pytest.fixture
def proxy() -> Iterator[Callable[[int], Proxy]]:
    """Put a proxy in front of a port of loopback: `proxy(port)`."""
    with ExitStack() as stack:
        yield lambda port: stack.enter_context(proxied(port))
