"""The stores whose secrets change while they are in use."""

from __future__ import annotations

from collections.abc import Callable

from datastores import Datastore
from datastores.secrets import Secret, SecretRef
from tests.services.postgresql import Login
from tests.services.proxy import Faults

# Azurite's word for a wrong key, and the service's.
REFUSED = Faults(replace_received=(b"AuthorizationFailure", b"AuthenticationFailed"))
NEW = "new-passw0rd"

Change = Callable[[str], None]
Blob = Callable[..., Datastore]


def store_of(login: Login, password: Secret | SecretRef) -> Datastore:
    return Datastore(
        type="azure_postgresql",
        server_name=login.host,
        port=login.port,
        database_name=login.database,
        ca_bundle=str(login.ca_file),
        username=login.username,
        password=password,
    )
