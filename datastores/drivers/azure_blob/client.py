"""The connection to one container: adlfs for bytes, the SDK's client for what needs conditions."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import threading
import warnings
import weakref
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from adlfs import AzureBlobFileSystem
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.storage.blob.aio import BlobServiceClient, ContainerClient, ExponentialRetry
from fsspec.asyn import AsyncFileSystem, get_loop, sync
from typing_extensions import override

from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.errors import translated
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
)
from datastores.secrets import Resolver, Secret, SecretRef
from datastores.trust import readable

T = TypeVar("T")

BLOCK_BYTES = 8 << 20
MAX_CONCURRENCY = 8
"""Requests in flight for one file; adlfs' own default is an eighth of the limit of open files."""

RETRIES = 3
"""Of one request, after about one, three and five seconds."""
BACKOFF_SECONDS = 1

CONNECT_SECONDS = 20
READ_SECONDS = 60
_CLOSE_SECONDS = 10

_LOGGERS = ("azure", "adlfs")


class Container(AzureBlobFileSystem):  # type: ignore[misc]  # adlfs has no types
    """adlfs over one container, whose paths are names of blobs and nothing else.

    Its own constructor reads the environment for other credentials and falls back to whoever is
    signed in on the machine; and its paths lose what follows `?versionid=`.
    """

    cachable = False

    def __init__(self, service: BlobServiceClient, name: str) -> None:
        AsyncFileSystem.__init__(self, loop=get_loop(), use_listings_cache=False)
        self.service_client = service
        self.container_name = name
        self.client: ContainerClient = service.get_container_client(name)
        self.max_concurrency = MAX_CONCURRENCY
        self.version_aware = False
        self._timeout_kwargs: dict[str, int] = {}

    @classmethod
    @override
    def _strip_protocol(cls, path: Any) -> Any:
        return path

    @override
    def split_path(self, path: str, *arguments: Any, **options: Any) -> tuple[str, str, None]:
        return self.container_name, path, None


@dataclass(frozen=True, slots=True)
class Submitted(Generic[T]):
    """A call under way, and what it takes to make it again."""

    call: Callable[[Container], Awaitable[T]]
    container: Container
    future: Future[T]


class Connection:
    """One container, connected on first use and again after `close`; safe for threads."""

    def __init__(self, config: AzureBlobConfig) -> None:
        self._config = config
        self._resolver = Resolver()
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._container: Container | None = None
        self._closings: list[weakref.finalize[..., Connection]] = []
        self._secret: Secret | None = None
        self._signed_in = config.signs_in()
        self.loop = get_loop()

    def run(
        self,
        operation: str,
        path: str,
        call: Callable[[Container], Awaitable[T]],
        *,
        creating: bool = False,
    ) -> T:
        """Run a call in fsspec's event loop and wait for it; its errors are ours."""
        container = self._translated(self._connected, operation, path, creating=creating)
        try:
            return self._run(operation, path, call, container, creating=creating)
        except AuthenticationError as refusal:
            if not self._renewed(container, refusal):
                raise
        return self._run(operation, path, call, self._connected(), creating=creating)

    def _run(
        self,
        operation: str,
        path: str,
        call: Callable[[Container], Awaitable[T]],
        container: Container,
        *,
        creating: bool,
    ) -> T:
        def wait() -> T:
            result: T = sync(self.loop, call, container)
            return result

        return self._answered(wait, operation, path, container, creating=creating)

    def _answered(
        self,
        call: Callable[[], T],
        operation: str,
        path: str,
        container: Container,
        *,
        creating: bool = False,
    ) -> T:
        """Return what a call under way at a container returns; its errors are ours."""
        try:
            return self._translated(call, operation, path, creating=creating)
        except Exception as error:
            # What the packages raise of a session that another thread has closed is none of theirs.
            if isinstance(error, DatastoreError) or self._container is container:
                raise
        raise ConnectionFailedError(
            "the store was closed while this was under way", operation=operation, target=path
        )

    def _translated(
        self, call: Callable[[], T], operation: str, path: str, *, creating: bool = False
    ) -> T:
        config = self._config
        return translated(
            call,
            operation,
            path,
            config.container_name,
            signed_in_by=config.signs_in_by,
            creating=creating,
        )

    def submit(self, call: Callable[[Container], Awaitable[T]]) -> Submitted[T]:
        """Start a call in fsspec's event loop; its errors are the SDK's until `wait`."""

        async def run(container: Container) -> T:
            return await call(container)

        container = self._connected()
        future = asyncio.run_coroutine_threadsafe(run(container), self.loop)
        return Submitted(call, container, future)

    def wait(self, operation: str, path: str, submitted: Submitted[T]) -> T:
        """Return what a submitted call returned, made again as by `run`; its errors are ours."""
        try:
            return self._answered(submitted.future.result, operation, path, submitted.container)
        except AuthenticationError as refusal:
            if not self._renewed(submitted.container, refusal):
                raise
        return self._run(operation, path, submitted.call, self._connected(), creating=False)

    @property
    def url(self) -> str:
        """The account's address, without a signature."""
        found: str = self._config.url or self._connected().service_client.url
        return found.partition("?")[0]

    def close(self) -> None:
        """Close the connections; the next call opens others."""
        with self._lock:
            self._container = None
            closings, self._closings = self._closings, []
        for closing in closings:
            closing()
        self._config.close_signed_in(self._signed_in)

    def _renewed(self, refused: Container, refusal: AuthenticationError) -> bool:
        """Tell whether another connection than a refused one may be tried: one with a new secret."""
        config = self._config
        found = config.account_key or config.sas_token or config.connection_string
        with self._lock:
            if self._container is not refused:
                return True
            if found is None or self._secret is None:
                return False
            if not self._resolver.is_renewed(found, self._secret, refusal):
                return False
            # What other threads have under way on it goes on; it is closed with the new one.
            self._container = None
        return True

    def _reveal(self, value: Secret | SecretRef) -> str:
        self._secret = self._resolver.resolve(value)
        return self._secret.reveal()

    def _connected(self) -> Container:
        self._leave_parent()
        with self._lock:
            if self._container is None:
                self._container = self._connect()
            return self._container

    def _leave_parent(self) -> None:
        """Let go of what was opened before a fork: the thread that runs its loop is not in this process."""
        if self._process == os.getpid():
            return
        self._process, self._lock, self.loop = os.getpid(), threading.Lock(), get_loop()
        for closing in self._closings:
            closing.detach()
        self._container, self._closings = None, []

    def _connect(self) -> Container:
        for name in _LOGGERS:
            if not logging.getLogger(name).level:
                logging.getLogger(name).setLevel(logging.WARNING)
        service = self._service()
        # For connections that nobody closes, such as those of an unpickled filesystem.
        self._closings.append(weakref.finalize(self, _close, self.loop, service))
        return Container(service, self._config.container_name)

    def _service(self) -> BlobServiceClient:
        config, options = self._config, _options(self._config)
        if self._signed_in is not None:
            options["audience"] = config.resource
        # What follows is raised outside: the SDK's frames hold the secret.
        try:
            if config.connection_string is not None:
                return BlobServiceClient.from_connection_string(
                    self._reveal(config.connection_string).strip(), **options
                )
            assert config.url is not None  # noqa: S101  # the config has looked
            return BlobServiceClient(config.url, credential=self._credential(config.url), **options)
        except DatastoreError:
            raise
        except ValueError:
            pass
        if config.connection_string is None:
            raise ConfigurationError(f"the address {config.url!r} is malformed")
        raise ConfigurationError(
            "the connection string is malformed", advice="Copy it from the account's access keys"
        )

    def _credential(self, url: str) -> Any:
        config = self._config
        if config.account_key is not None:
            return AzureNamedKeyCredential(
                str(config.account_name), self._reveal(config.account_key)
            )
        if config.sas_token is not None:
            if "://" in self._reveal(config.sas_token):
                raise ConfigurationError(
                    "the SAS token is a whole address", advice="Give what follows its '?'"
                )
            # As text it is part of the addresses that server-side copies read from.
            return self._reveal(config.sas_token).strip().lstrip("?")
        if self._signed_in is None:
            raise ConfigurationError(
                "no credentials for the account",
                target=url,
                advice="Give account_key, sas_token, connection_string or identity",
            )
        return _Identity(self._signed_in)


class _Identity:
    """A credential's tokens for the SDK's asynchronous client, got in a thread."""

    def __init__(self, credential: Any) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if inspect.iscoroutinefunction(self._credential.get_token):
            found: AccessToken = await self._credential.get_token(*scopes, **options)
        else:
            found = await asyncio.to_thread(self._credential.get_token, *scopes, **options)
        return found

    async def close(self) -> None:
        """It is the user's, who closes it."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        """It is the user's, who closes it."""


def _close(loop: asyncio.AbstractEventLoop, service: BlobServiceClient) -> None:
    try:
        sync(loop, service.close, timeout=_CLOSE_SECONDS)
    except NotImplementedError:
        # The garbage collector has come by in the loop's own thread, which cannot wait for itself.
        asyncio.run_coroutine_threadsafe(_closed(service), loop)


async def _closed(service: BlobServiceClient) -> None:
    await service.close()


def _options(config: AzureBlobConfig) -> dict[str, Any]:
    verify: str | bool = readable(config.ca_bundle) or True
    if config.tls == "disable":
        warnings.warn(
            "tls: disable accepts any certificate; say ca_bundle where the authority is your own",
            DatastoreWarning,
            stacklevel=2,
        )
        verify = False
    return {
        "connection_verify": verify,
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "max_single_get_size": BLOCK_BYTES,
        "max_chunk_get_size": BLOCK_BYTES,
        # The SDK's default waits for a minute in all before it says that a server is gone.
        "retry_policy": ExponentialRetry(
            initial_backoff=BACKOFF_SECONDS,
            increment_base=2,
            retry_total=RETRIES,
            random_jitter_range=1,
        ),
    }
