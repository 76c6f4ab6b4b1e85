import contextlib
import logging
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from datastores.drivers.azure_blob import client
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.driver import AzureBlobDriver
from datastores.drivers.azure_blob.errors import translated
from datastores.drivers.base import FolderChange
from datastores.drivers.filesystem import MissingRootError
from datastores.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DriverError,
    NotFoundError,
    OperationTimeoutError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
)
from tests.services.azurite import Azurite
from tests.services.certificates import Certificates
from tests.services.proxy import Faults, Proxy

MIB = 1 << 20
Make = Callable[..., AzureBlobDriver]


@pytest.fixture
def container(blob_container: ContainerClient) -> ContainerClient:
    return blob_container


@pytest.fixture
def make(make_blob: Make) -> Make:
    return make_blob


@pytest.fixture
def driver(make: Make) -> AzureBlobDriver:
    return make()


def names(container: ContainerClient) -> list[str]:
    return sorted(container.list_blob_names())


READS: tuple[Callable[[Any], Any], ...] = (
    lambda fs: fs.exists("file"),
    lambda fs: fs.isfile("file"),
    lambda fs: fs.isdir("folder"),
    lambda fs: fs.info("file"),
    lambda fs: fs.ls(""),
    lambda fs: fs.find(""),
    lambda fs: fs.glob("*"),
    lambda fs: fs.glob("folder/**"),
    lambda fs: list(fs.walk("")),
    lambda fs: fs.cat_file("file"),
    lambda fs: fs.cat_file("file", start=1, end=2),
    lambda fs: fs.open("file", "rb"),
)
WRITES: tuple[Callable[[Any], Any], ...] = (
    lambda fs: fs.pipe_file("file", b"1"),
    lambda fs: fs.rm_file("file"),
    lambda fs: fs.cp_file("file", "other"),
)


def refused(driver: AzureBlobDriver, *kinds: type[DatastoreError]) -> None:
    """Assert that every call raises one of our errors, in one line, and none says "not found"."""
    for call in (*READS, *WRITES):
        with pytest.raises(kinds) as caught:
            call(driver.filesystem)
        assert len(str(caught.value).splitlines()) == 1
        assert caught.value.driver == "azure_blob"
        assert caught.value.operation


@pytest.mark.usefixtures("one_try")
class TestRefusals:
    @pytest.fixture(autouse=True)
    def _unchanged(self, container: ContainerClient) -> Iterator[None]:
        container.upload_blob("file", b"before")
        yield
        assert names(container) == ["file"]
        assert container.download_blob("file").readall() == b"before"

    def test_wrong_key(self, make: Make) -> None:
        # Azurite's code for it is AuthorizationFailure; the service says AuthenticationFailed.
        refused(make(account_key="d3Jvbmc="), AuthenticationError, PermissionDeniedError)

    def test_a_key_that_is_no_key(self, make: Make) -> None:
        refused(make(account_key="no base64 at all"), AuthenticationError, ConfigurationError)

    def test_expired_sas(self, make: Make, azurite: Azurite) -> None:
        expired = azurite.sas(lifetime=timedelta(minutes=-5))
        refused(make(sas_token=expired), AuthenticationError, PermissionDeniedError)

    def test_sas_that_permits_less(self, make: Make, azurite: Azurite) -> None:
        fs = make(sas_token=azurite.sas(permissions="rl")).filesystem
        assert fs.cat_file("file") == b"before"
        for call in WRITES:
            with pytest.raises(PermissionDeniedError, match="not permitted"):
                call(fs)

    @pytest.mark.parametrize("claims", [{"exp": 1}, {"aud": "https://elsewhere"}])
    def test_token(self, azurite_tls: Azurite, claims: dict[str, Any]) -> None:
        with azurite_tls.container() as container:
            config = AzureBlobConfig(
                account_name=azurite_tls.account_name,
                container_name=container.container_name,
                account_url=azurite_tls.account_url,
                ca_bundle=str(azurite_tls.ca_file),
                identity=azurite_tls.token(**claims),
            )
            with AzureBlobDriver(config) as driver:
                refused(driver, AuthenticationError)

    def test_missing_container(self, make: Make) -> None:
        driver = make(container_name="no-such-container")
        refused(driver, NotFoundError)
        with pytest.raises(NotFoundError, match="container 'no-such-container' does not exist"):
            driver.filesystem.find("")

    def test_untrusted_certificate(
        self, make: Make, azurite_tls: Azurite, certificates: Certificates
    ) -> None:
        for ca_bundle in (None, str(certificates.stranger)):
            driver = make(account_url=azurite_tls.account_url, ca_bundle=ca_bundle)
            refused(driver, ConfigurationError)
            with pytest.raises(ConfigurationError, match="ca_bundle"):
                driver.filesystem.ls("")

    def test_nobody_listens(self, make: Make, proxy: Callable[[int], Proxy]) -> None:
        closed = proxy(1)
        closed.close()
        refused(make(account_url=f"http://127.0.0.1:{closed.port}/a"), ConnectionFailedError)


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, "InvalidAuthenticationInfo", AuthenticationError),
        (403, "AuthenticationFailed", AuthenticationError),
        (403, "AuthorizationFailure", PermissionDeniedError),
        (403, "AuthorizationPermissionMismatch", PermissionDeniedError),
        (403, "AuthorizationSourceIPMismatch", PermissionDeniedError),
        (404, "BlobNotFound", NotFoundError),
        (404, "ContainerNotFound", MissingRootError),
        (409, "ContainerBeingDeleted", MissingRootError),
        (409, "BlobAlreadyExists", AlreadyExistsError),
        (409, "SnapshotsPresent", PreconditionFailedError),
        (412, "ConditionNotMet", PreconditionFailedError),
        (412, "LeaseIdMissing", PreconditionFailedError),
        (429, "TooManyRequests", RateLimitedError),
        (500, "InternalError", ConnectionFailedError),
        (500, "OperationTimedOut", OperationTimeoutError),
        (503, "ServerBusy", RateLimitedError),
        (400, "InvalidHeaderValue", DriverError),
        (418, None, DriverError),
    ],
)
def test_what_the_service_documents(
    status: int, code: str | None, kind: type[DatastoreError]
) -> None:
    """Codes as the service sends them; Azurite knows few of them."""
    answer = HttpResponseError("planted")
    answer.status_code, answer.error_code = status, code  # type: ignore[attr-defined]

    def call() -> None:
        raise answer

    with pytest.raises(kind) as caught:
        translated(call, "read", "a/b", "landing", signed_in_by="a key")
    assert type(caught.value) is kind
    assert caught.value.context()["target"] == "a/b"
    assert caught.value.context()["operation"] == "read"
    # Its frames hold keys, and its text may be an address with a signature.
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert "planted" not in str(caught.value)
    assert caught.value.transient == (status in {429, 500, 503})
    assert ("signed in by a key" in str(caught.value)) == (
        kind in {AuthenticationError, PermissionDeniedError}
    )


def test_unknown_host() -> None:
    """In a process of its own: the tests' own may not look up other machines."""
    code = (
        "import datastores\n"
        "from datastores.drivers.azure_blob import client\n"
        "client.RETRIES = 0\n"
        "store = datastores.Datastore(type='azure_blob', account_name='a', container_name='c',\n"
        "    account_url='https://no-such-host.invalid', account_key='a2V5')\n"
        "try:\n"
        "    store.read('file')\n"
        "except datastores.errors.ConnectionFailedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert "cannot be reached" in done.stdout, done.stderr


@pytest.mark.usefixtures("one_try")
class TestStoppedServer:
    """The connection dies in the middle; the proxy stands for the server, whose content stays."""

    @pytest.fixture
    def between(self, azurite: Azurite, proxy: Callable[[int], Proxy]) -> Proxy:
        return proxy(azurite.port)

    @pytest.fixture
    def driver(self, make: Make, azurite: Azurite, between: Proxy) -> AzureBlobDriver:
        return make(account_url=f"http://127.0.0.1:{between.port}/{azurite.account_name}")

    def stop(self, between: Proxy) -> None:
        between.faults = Faults(refuse=True)
        between.cut()

    def test_reading(
        self, driver: AzureBlobDriver, container: ContainerClient, between: Proxy
    ) -> None:
        container.upload_blob("file", b"1" * 20 * MIB)
        with driver.filesystem.open("file", "rb") as file:
            file.read(10)
            self.stop(between)
            with pytest.raises(ConnectionFailedError):
                file.read()
        between.faults = Faults()
        assert driver.filesystem.cat_file("file", end=3) == b"111"

    def test_reading_half_an_answer(
        self, driver: AzureBlobDriver, container: ContainerClient, between: Proxy
    ) -> None:
        container.upload_blob("file", b"1" * 4 * MIB)
        between.faults = Faults(reset_after_received=1 * MIB)
        with pytest.raises(ConnectionFailedError):
            driver.filesystem.cat_file("file")

    def test_writing(
        self, driver: AzureBlobDriver, container: ContainerClient, between: Proxy
    ) -> None:
        container.upload_blob("file", b"old")
        for name in ("file", "new"):
            between.faults = Faults()
            with contextlib.ExitStack() as stack:
                file = driver.filesystem.open(name, "wb")
                file.write(b"x" * 9 * MIB)
                self.stop(between)
                stack.enter_context(pytest.raises(ConnectionFailedError))
                stack.enter_context(file).write(b"x" * 64 * MIB)
        assert names(container) == ["file"]
        assert container.download_blob("file").readall() == b"old"

    def test_closing(
        self, driver: AzureBlobDriver, container: ContainerClient, between: Proxy
    ) -> None:
        for size in (1, 9 * MIB):
            between.faults = Faults()
            file = driver.filesystem.open("new", "wb")
            file.write(b"x" * size)
            self.stop(between)
            with pytest.raises(ConnectionFailedError):
                file.close()
        assert names(container) == []

    def test_publishing(
        self, driver: AzureBlobDriver, container: ContainerClient, between: Proxy
    ) -> None:
        container.upload_blob("table/old", b"0")
        driver.filesystem.pipe_file("_datastores/job/1", b"1")
        change = FolderChange(folder="table", add=(("_datastores/job/1", "1"),), clear=("",))
        self.stop(between)
        with pytest.raises(ConnectionFailedError):
            driver.publish_folder(change)
        assert names(container) == ["_datastores/job/1", "table/old"]
        between.faults = Faults()
        driver.publish_folder(change)
        assert names(container) == ["table/1"]

    def test_a_server_that_says_nothing(
        self, make: Make, azurite: Azurite, between: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "READ_SECONDS", 1)
        between.faults = Faults(stall_after_received=0)
        driver = make(account_url=f"http://127.0.0.1:{between.port}/{azurite.account_name}")
        with pytest.raises(OperationTimeoutError):
            driver.filesystem.ls("")


@pytest.mark.usefixtures("one_try")
def test_a_server_that_is_killed(make: Make, azurite: Azurite) -> None:
    driver = make()
    file = driver.filesystem.open("file", "wb")
    file.write(b"x" * 9 * MIB)
    azurite.stop()
    with pytest.raises(ConnectionFailedError):
        file.close()
    refused(driver, ConnectionFailedError)


def test_a_short_fault_is_retried(
    make: Make, azurite: Azurite, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(azurite.port)
    driver = make(account_url=f"http://127.0.0.1:{between.port}/{azurite.account_name}")
    driver.filesystem.pipe_file("file", b"1")
    for call in (
        lambda: driver.filesystem.cat_file("file"),
        lambda: driver.filesystem.pipe_file("file", b"2" * 3 * MIB),
        lambda: driver.filesystem.pipe_file("big", b"3" * 9 * MIB),
    ):
        between.faults = Faults(refuse=True)
        between.cut()
        timer = threading.Timer(0.5, setattr, (between, "faults", Faults()))
        timer.start()
        call()
        timer.join()
    assert driver.filesystem.cat_file("file") == b"2" * 3 * MIB
    assert driver.filesystem.cat_file("big") == b"3" * 9 * MIB


@pytest.mark.parametrize("size", [3 * MIB, 9 * MIB])
def test_half_a_request_is_sent_again(
    make: Make, azurite: Azurite, proxy: Callable[[int], Proxy], size: int
) -> None:
    between = proxy(azurite.port)
    driver = make(account_url=f"http://127.0.0.1:{between.port}/{azurite.account_name}")
    content = bytes(range(256)) * (size // 256)
    with driver.filesystem.open("file", "wb") as file:
        between.cut()
        between.faults = Faults(reset_after_sent=MIB)
        timer = threading.Timer(0.5, setattr, (between, "faults", Faults()))
        timer.start()
        file.write(content)
    timer.join()
    assert driver.filesystem.cat_file("file") == content


def test_a_lost_answer_is_no_conflict(
    make: Make,
    azurite: Azurite,
    container: ContainerClient,
    proxy: Callable[[int], Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was made by a request whose answer was lost is not taken for somebody else's."""
    monkeypatch.setattr(client, "BACKOFF_SECONDS", 0)
    between = proxy(azurite.port)
    driver = make(account_url=f"http://127.0.0.1:{between.port}/{azurite.account_name}")
    container.upload_blob("appended", b"")

    def lose(received: int, call: Callable[[], Any]) -> None:
        between.cut()
        before = between.connections
        between.faults = Faults(reset_after_received=received)
        with ThreadPoolExecutor() as pool:
            running = pool.submit(call)
            while between.connections == before:
                time.sleep(0.001)
            between.faults = Faults()
            running.result()

    # An answer of Azurite's has about 400 bytes: the first, the second or the third is lost.
    for received in range(0, 1200, 150):
        created = driver.filesystem.open(f"created-{received}", "xb")
        appended = driver.filesystem.open("appended", "ab")
        created.write(b"1")
        appended.write(b"1")
        lose(received, created.close)
        lose(received, appended.close)
        driver.filesystem.pipe_file("staged", b"1")
        lose(received, partial(driver.publish_file, "staged", f"copy-{received}", replace=False))
    assert container.download_blob("appended").readall() == b"1" * 8
    assert len(names(container)) == 1 + 8 + 8
    for call in (
        lambda: driver.filesystem.open("created-0", "xb"),
        lambda: driver.publish_file("appended", "copy-0", replace=False),
    ):
        with pytest.raises(AlreadyExistsError):
            call()


@pytest.mark.usefixtures("one_try")
def test_a_new_secret_is_read_once_a_login_fails(
    make: Make, azurite: Azurite, proxy: Callable[[int], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    through = proxy(azurite.port)
    # Azurite's word for a wrong key, and the service's.
    through.faults = Faults(replace_received=(b"AuthorizationFailure", b"AuthenticationFailed"))
    monkeypatch.setenv("BLOB_KEY", "d3Jvbmc=")
    driver = make(
        account_key="env:BLOB_KEY",
        account_url=azurite.account_url.replace(str(azurite.port), str(through.port)),
    )
    with pytest.raises(AuthenticationError):
        driver.filesystem.ls("")
    monkeypatch.setenv("BLOB_KEY", azurite.account_key)
    assert driver.filesystem.ls("") == []


def test_no_secret_shows(make: Make, azurite: Azurite, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    key, sas = "cGxhbnRlZCBrZXk=", azurite.sas(lifetime=timedelta(minutes=-5))
    signature = sas.rpartition("sig=")[2]
    for driver in (make(account_key=key), make(sas_token=sas)):
        shown = [repr(driver), repr(driver.config), driver.place, repr(driver.filesystem)]
        for call in (*READS, *WRITES):
            with pytest.raises(DatastoreError) as caught:
                call(driver.filesystem)
            shown += [repr(caught.value), *traceback.format_exception(caught.value)]
        shown += [record.getMessage() for record in caplog.records]
        assert not [text for text in shown if key in text or signature in text]
