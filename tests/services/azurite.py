"""Azurite, the emulator of Blob storage, for tests: over HTTP, or over HTTPS with Entra tokens."""

from __future__ import annotations

import base64
import secrets
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from azure.core.credentials import AccessToken
from azure.core.exceptions import AzureError
from azure.storage.blob import (
    AccessPolicy,
    AccountSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ContainerSasPermissions,
    ResourceTypes,
    generate_account_sas,
    generate_container_sas,
)

from tests.services import compose, install, tokens
from tests.services.certificates import Certificates
from tests.services.process import LOOPBACK, MissingServiceError, ServerProcess, accepts

VARIABLE = "DATASTORES_TEST_AZURITE"
VARIABLE_TLS = "DATASTORES_TEST_AZURITE_TLS"

# The account that every Azurite has; its key is public.
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite#well-known-storage-account-and-key
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

# Nothing waits for the disk; 512 MiB bounds what overwritten blobs leave behind.
_IN_MEMORY = ("--inMemoryPersistence", "--extentMemoryLimit", "512")
_OPTIONS = (
    "--silent",
    "--disableTelemetry",
    # The SDK may speak a newer version of the protocol than the emulator knows.
    "--skipApiVersionCheck",
)


@dataclass(frozen=True, slots=True)
class Token:
    """A credential that says who asks by a token Azurite accepts; it checks no signature."""

    claims: Mapping[str, Any]

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return the token, as Entra would."""
        return AccessToken(tokens.issue(self.claims), int(self.claims["exp"]))


class Server(Protocol):
    """How an emulator is reached, and stopped and started where it is the tests' own."""

    @property
    def address(self) -> str:
        """Scheme, host and port."""

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens if it runs."""

    def stop(self) -> None:
        """End it at once; what it held is gone."""

    def close(self) -> None:
        """End it, and leave nothing behind."""


class OwnServer:
    """A server from npm's package: in memory, or on disk where it is to outlive a change of its key."""

    def __init__(self, certificates: Certificates | None, *, on_disk: bool = False) -> None:
        self._certificates = certificates
        self._on_disk = on_disk
        self.account_key = KEY
        self._program = install.azurite_command()
        self.process = ServerProcess("azurite", self._command, answers=accepts)

    @property
    def address(self) -> str:
        return f"{'https' if self._certificates else 'http'}://{LOOPBACK}:{self.process.port}"

    def start(self) -> None:
        self.process.start()

    def stop(self) -> None:
        self.process.stop(signal.SIGKILL)

    def restart(self) -> None:
        """End it as it likes to be ended, and start it: it reads its key and its blobs anew."""
        self.process.stop(signal.SIGTERM)
        self.process.start()

    def close(self) -> None:
        self.process.close(signal.SIGKILL)

    def _command(self, folder: Path, port: int) -> list[str]:
        place = ("--blobHost", LOOPBACK, "--blobPort", str(port))
        kept: tuple[str, ...] = _IN_MEMORY
        tls: tuple[str, ...] = ()
        variables: list[str] = []
        if (files := self._certificates) is not None:
            tls = ("--cert", str(files.certificate), "--key", str(files.key), "--oauth", "basic")
            # It reads the source of a copy by its address, as a client of itself.
            variables.append(f"NODE_EXTRA_CA_CERTS={files.authority}")
        if self._on_disk:
            kept = ("--location", str(folder))
            variables.append(f"AZURITE_ACCOUNTS={ACCOUNT}:{self.account_key}")
        return ["/usr/bin/env", *variables, *self._program, *place, *kept, *_OPTIONS, *tls]


class ContainerServer:
    """A server in a container, from `compose.yaml`."""

    def __init__(self, certificates: Certificates | None) -> None:
        self._scheme = "https" if certificates else "http"
        service = "azurite-tls" if certificates else "azurite"
        self._container = compose.Container(
            service, port_variable="AZURITE_PORT", certificates=certificates
        )

    @property
    def address(self) -> str:
        return f"{self._scheme}://{LOOPBACK}:{self._container.port}"

    def start(self) -> None:
        self._container.start()

    def stop(self) -> None:
        self._container.kill()

    def close(self) -> None:
        self._container.close()


@dataclass(frozen=True, slots=True)
class OthersServer:
    """A server that somebody else runs: it is neither started nor stopped."""

    address: str

    def start(self) -> None:
        """It runs, or the first test says that it does not."""

    def stop(self) -> None:
        raise MissingServiceError(
            f"the server of ${VARIABLE} is not the tests' to stop; unset it to run this test"
        )

    def close(self) -> None:
        """It stays as it is."""


class Azurite:
    """A running emulator, with a container of its own for each test that asks."""

    account_name = ACCOUNT
    account_key = KEY

    def __init__(self, server: Server, ca_file: Path | None) -> None:
        self.server = server
        self.ca_file = ca_file
        """What verifies its certificate; None for plain HTTP."""

    @property
    def account_url(self) -> str:
        """The address of the account, as a driver takes it."""
        return f"{self.server.address}/{ACCOUNT}"

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return int(self.server.address.rpartition(":")[2])

    def start(self) -> None:
        """Start it again after `stop`, empty; nothing happens if it runs."""
        self.server.start()

    def stop(self) -> None:
        """End it at once; what it held is gone."""
        self.server.stop()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.server.close()

    @contextmanager
    def client(self) -> Iterator[BlobServiceClient]:
        """Yield the SDK's own client, to look past the driver under test."""
        verify = str(self.ca_file) if self.ca_file else True
        with BlobServiceClient(
            self.account_url,
            credential={"account_name": ACCOUNT, "account_key": self.account_key},
            connection_verify=verify,
        ) as client:
            yield client

    @contextmanager
    def container(self) -> Iterator[ContainerClient]:
        """Yield a new empty container, and delete it afterwards."""
        with self.client() as service:
            container = service.create_container(f"test-{secrets.token_hex(8)}")
            try:
                yield container
            finally:
                self.start()
                try:
                    container.delete_container()
                except AzureError:
                    # The test stopped the server, and all it held is gone.
                    if container.exists():
                        raise

    def sas(self, *, permissions: str = "rwdlacx", lifetime: timedelta = timedelta(hours=1)) -> str:
        """Return a shared access signature for the account's blobs; a negative lifetime has passed."""
        now = datetime.now(tz=UTC)
        return generate_account_sas(
            ACCOUNT,
            self.account_key,
            resource_types=ResourceTypes(service=True, container=True, object=True),
            permission=AccountSasPermissions.from_string(permissions),  # type: ignore[no-untyped-call]
            expiry=now + lifetime,
            start=now - timedelta(days=1),
        )

    def sas_by_policy(self, container: ContainerClient, policy: str) -> str:
        """Return a signature that a policy of the container permits; those by another one end."""
        permits = AccessPolicy(
            ContainerSasPermissions(read=True, write=True, delete=True, list=True),
            expiry=datetime.now(tz=UTC) + timedelta(hours=1),
        )
        container.set_container_access_policy({policy: permits})
        return generate_container_sas(
            ACCOUNT, container.container_name, account_key=self.account_key, policy_id=policy
        )

    def token(self, **claims: Any) -> Token:
        """Return a credential with the claims that Azurite asks for; those given replace them."""
        now = int(time.time())
        known = {
            "aud": "https://storage.azure.com",
            "iss": "https://sts.windows.net/11111111-1111-1111-1111-111111111111/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + 3600,
            "oid": "22222222-2222-2222-2222-222222222222",
        }
        return Token({**known, **claims})


class AzuriteOnDisk(Azurite):
    """A server of one test's own, whose account key can be regenerated."""

    def __init__(self) -> None:
        self._own = OwnServer(None, on_disk=True)
        super().__init__(self._own, None)

    def regenerate_key(self) -> str:
        """Give the account another key and return it; the server is away for about a second."""
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        self.account_key = self._own.account_key = key
        self._own.restart()
        return key


def find_azurite(certificates: Certificates | None, address: str | None) -> Azurite:
    """Start an emulator, or find the one at `address`; with certificates it takes tokens.

    Raises:
        MissingServiceError: There is none to be had; says what was tried.
    """
    ca_file = certificates.authority if certificates else None
    if address == compose.ASKED_FOR:
        compose.engine()
        return _started(ContainerServer(certificates), ca_file)
    if address:
        url, _, named_ca_file = address.partition("#")
        return Azurite(
            OthersServer(url.rstrip("/")), Path(named_ca_file) if named_ca_file else None
        )
    try:
        return _started(OwnServer(certificates), ca_file)
    except MissingServiceError as no_program:
        if (no_engine := compose.why_not()) is None:
            return _started(ContainerServer(certificates), ca_file)
        variable = VARIABLE_TLS if certificates else VARIABLE
        raise MissingServiceError(
            f"Azurite is missing: {no_program}; {no_engine}. Install Node 22 and npm's {install.AZURITE} "
            f"there, or start Docker, or set {variable}=http://HOST:PORT (https://HOST:PORT#CA_FILE)"
        ) from no_program


def _started(server: Server, ca_file: Path | None) -> Azurite:
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return Azurite(server, ca_file)
