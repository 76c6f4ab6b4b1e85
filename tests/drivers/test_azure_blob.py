import contextlib
import gc
import logging
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from hypothesis import settings
from typing_extensions import override

import datastores
from datastores.drivers.azure_blob import publish
from datastores.drivers.azure_blob.config import AzureBlobConfig
from datastores.drivers.azure_blob.driver import AzureBlobDriver
from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.new_files import version_of
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreWarning,
    NotFoundError,
    PreconditionFailedError,
)
from datastores.secrets import Secret
from datastores.testing.files import FileDriverConformance
from datastores.testing.stateful_files import FileMachine
from datastores.testing.tls import PLANTED, PlantedCredential, TlsConformance, TlsServer
from tests.services.azurite import Azurite
from tests.services.certificates import Certificates

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


class TestAzureBlob(FileDriverConformance, TlsConformance):
    """Over HTTP, signed with the account's key."""

    @pytest.fixture
    @override
    def tls_server(
        self, azurite_tls: Azurite, certificates: Certificates, one_try: None
    ) -> TlsServer:
        return TlsServer(
            host="localhost",
            port=azurite_tls.port,
            ca_bundle=str(azurite_tls.ca_file),
            elsewhere=str(certificates.elsewhere),
            credentials={"account_key": Secret(azurite_tls.account_key)},
            planted=[
                {"sas_token": Secret(f"sv=2024-01-01&sig={PLANTED}")},
                {"identity": PlantedCredential()},
            ],
        )

    @override
    def driver_at(self, host: str, port: int, **fields: Any) -> FileDriver:
        url = f"https://{host}:{port}/{Azurite.account_name}"
        place = {
            "account_name": Azurite.account_name,
            "container_name": "landing",
            "account_url": url,
        }
        return AzureBlobDriver(AzureBlobConfig.from_mapping({**place, **fields}))

    @pytest.fixture
    @override
    def driver(self, make: Make, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> FileDriver:
        monkeypatch.setenv("BLOB_KEY", azurite.account_key)
        return make(account_key="env:BLOB_KEY")


class BlobMachine(FileMachine):
    empty_folders = False
    azurite: Azurite

    @classmethod
    @override
    def open_filesystem(cls) -> tuple[Any, Callable[[], None]]:
        stack = contextlib.ExitStack()
        container = stack.enter_context(cls.azurite.container())
        config = AzureBlobConfig(
            account_name=cls.azurite.account_name,
            container_name=container.container_name,
            account_url=cls.azurite.account_url,
            account_key=Secret(cls.azurite.account_key),
        )
        driver = stack.enter_context(AzureBlobDriver(config))
        return driver.filesystem, stack.close


BlobMachine.TestCase.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)


@pytest.mark.usefixtures("_machine_server")
class TestAnyOrder(BlobMachine.TestCase):  # type: ignore[misc,valid-type]
    @pytest.fixture
    def _machine_server(self, azurite: Azurite) -> None:
        BlobMachine.azurite = azurite


class TestSignIn:
    """The ways to sign in beside the key, and each of the driver's kinds of request."""

    def check(self, driver: AzureBlobDriver) -> None:
        fs = driver.filesystem
        fs.pipe({"folder/a": b"a", "staged": b"s"})
        with fs.open("folder/b", "wb") as file:
            file.write(b"b" * 9 * MIB)
        assert fs.cat_file("folder/b", start=-2) == b"bb"
        assert fs.find("") == ["folder/a", "folder/b", "staged"]
        driver.publish_file("staged", "folder/c", replace=False)
        fs.mv("folder", "moved", recursive=True)
        assert fs.ls("moved", detail=False) == ["moved/a", "moved/b", "moved/c"]
        fs.rm("", recursive=True)
        assert fs.find("") == []

    def test_sas(self, make: Make, azurite: Azurite) -> None:
        self.check(make(sas_token=azurite.sas()))
        self.check(make(sas_token=f"?{azurite.sas()}"))

    def test_connection_string(self, azurite: Azurite, container: ContainerClient) -> None:
        text = (
            f"DefaultEndpointsProtocol=http;AccountName={azurite.account_name};"
            f"AccountKey={azurite.account_key};BlobEndpoint={azurite.account_url};"
        )
        config = AzureBlobConfig(
            container_name=container.container_name, connection_string=Secret(f"{text}\n")
        )
        with AzureBlobDriver(config) as driver:
            self.check(driver)
            assert azurite.account_key not in driver.place + repr(driver)

    def test_a_secret_with_a_line_end(self, make: Make, azurite: Azurite) -> None:
        self.check(make(sas_token=f"?{azurite.sas()}\n"))
        self.check(make(account_key=f"{azurite.account_key}\n"))

    def test_an_address_in_the_place_of_a_signature(self, make: Make, azurite: Azurite) -> None:
        sas = azurite.sas()
        driver = make(sas_token=f"{azurite.account_url}/c?{sas}")
        with pytest.raises(ConfigurationError, match="whole address") as caught:
            driver.filesystem.ls("")
        assert sas not in str(caught.value)

    def test_identity_over_tls(self, azurite_tls: Azurite) -> None:
        with azurite_tls.container() as container:
            config = AzureBlobConfig(
                account_name=azurite_tls.account_name,
                container_name=container.container_name,
                account_url=azurite_tls.account_url,
                ca_bundle=str(azurite_tls.ca_file),
                identity=azurite_tls.token(),
            )
            with AzureBlobDriver(config) as driver:
                self.check(driver)

    def test_key_and_sas_over_tls(self, azurite_tls: Azurite, make: Make) -> None:
        place = {"account_url": azurite_tls.account_url, "ca_bundle": str(azurite_tls.ca_file)}
        with azurite_tls.container() as container:
            place["container_name"] = container.container_name
            self.check(make(**place))
            self.check(make(**place, sas_token=azurite_tls.sas()))

    def test_a_token_goes_over_tls_only(self, make: Make, azurite: Azurite) -> None:
        with pytest.raises(ConfigurationError, match="https only"):
            make(identity=azurite.token())

    def test_tls_disable_warns(self, azurite_tls: Azurite, make: Make) -> None:
        driver = make(account_url=azurite_tls.account_url, tls="disable", container_name="nothing")
        with pytest.warns(DatastoreWarning, match="any certificate"), pytest.raises(NotFoundError):
            driver.filesystem.ls("")

    def test_nobody_is_signed_in_by_accident(
        self, container: ContainerClient, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("ACCOUNT_NAME", "ACCOUNT_KEY", "CONNECTION_STRING", "SAS_TOKEN", "CLIENT_ID"):
            monkeypatch.setenv(f"AZURE_STORAGE_{name}", azurite.account_key)
        config = AzureBlobConfig(
            account_name=azurite.account_name,
            container_name=container.container_name,
            account_url=azurite.account_url,
        )
        with (
            AzureBlobDriver(config) as driver,
            pytest.raises(ConfigurationError, match="no credentials"),
        ):
            driver.filesystem.ls("")


class TestConfig:
    def test_of_azure_ml(self) -> None:
        config = AzureBlobConfig.from_mapping(
            {
                "account_name": "acme",
                "container_name": "landing",
                "endpoint": "core.chinacloudapi.cn",
                "credentials": {"sas_token": "env:SAS"},
            }
        )
        assert config.url == "https://acme.blob.core.chinacloudapi.cn"
        assert AzureBlobDriver(config).place == "acme.blob.core.chinacloudapi.cn/landing"
        assert AzureBlobConfig.from_mapping(config.to_mapping()) == config

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"account_name": None}, "account_name must be given"),
            ({"account_name": ""}, "account_name must be given"),
            ({"container_name": ""}, "container_name must be given"),
            ({"account_url": "https://a", "endpoint": "core.windows.net"}, "so would endpoint"),
            ({"account_url": "https://a", "protocol": "http"}, "so would protocol"),
            ({"credentials": {"connection_string": "env:C"}}, "so would account_name"),
            ({"protocol": "ftp"}, "protocol"),
            ({"tls": "off"}, "tls"),
            ({"account_url": "acme.blob"}, "not an http"),
            ({"account_url": "https://acme/?sig=abc"}, "a signature in it"),
            ({"credentials": {"identity": "azure_cli"}}, "unknown key 'identity'"),
            ({"account_url": "http://a", "identity": "azure_cli"}, "https only"),
            ({"credentials": {"account_key": "a", "sas_token": "b"}}, "exactly one"),
            ({"staging": "x"}, "unknown key"),
        ],
    )
    def test_refused(self, fields: dict[str, Any], message: str) -> None:
        with pytest.raises(ConfigurationError, match=message) as caught:
            AzureBlobConfig.from_mapping({"account_name": "a", "container_name": "c", **fields})
        assert "sig=abc" not in str(caught.value)

    def test_an_identity_is_not_written_to_a_file(self, azurite: Azurite) -> None:
        config = AzureBlobConfig(account_name="a", container_name="c", identity=azurite.token())
        with pytest.raises(ConfigurationError, match="identity"):
            config.to_mapping()

    def test_a_store_of_this_type(self, azurite: Azurite, container: ContainerClient) -> None:
        store = datastores.Datastore(
            type="azure_blob",
            account_name=azurite.account_name,
            container_name=container.container_name,
            account_url=azurite.account_url,
            account_key=azurite.account_key,
        )
        store.write("raw/a.bin", b"1")
        assert store.read("raw/a.bin") == b"1"
        assert names(container) == ["raw/a.bin"]
        store.driver.close()


class TestBigFiles:
    """Of several blocks, staged while they are written."""

    def test_written_and_read(self, driver: AzureBlobDriver, container: ContainerClient) -> None:
        content = bytes(range(256)) * (21 * MIB // 256)
        with driver.filesystem.open("big", "wb") as file:
            for start in range(0, len(content), 3 * MIB):
                file.write(content[start : start + 3 * MIB])
            assert names(container) == []
        assert container.download_blob("big").readall() == content
        with driver.filesystem.open("big", "rb") as file:
            assert file.read() == content
            file.seek(10 * MIB + 7)
            assert file.read(5) == content[10 * MIB + 7 :][:5]

    def test_an_exception_leaves_the_old_one(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("big", b"old")

        def parts() -> Iterator[bytes]:
            yield b"x" * 20 * MIB
            raise RuntimeError

        with pytest.raises(RuntimeError), driver.filesystem.open("big", "wb") as file:
            file.writelines(parts())
        assert container.download_blob("big").readall() == b"old"

    def test_two_writers_of_one_name(self, driver: AzureBlobDriver) -> None:
        fs = driver.filesystem
        first, second = fs.open("big", "xb"), fs.open("big", "xb")
        first.write(b"1" * 9 * MIB)
        second.write(b"2" * 9 * MIB)
        first.close()
        with pytest.raises(AlreadyExistsError):
            second.close()
        assert fs.cat_file("big") == b"1" * 9 * MIB

    def test_files_in_and_out(self, driver: AzureBlobDriver, tmp_path: Path) -> None:
        (tmp_path / "in").write_bytes(b"x" * 17 * MIB)
        driver.filesystem.put_file(str(tmp_path / "in"), "folder/file")
        driver.filesystem.get_file("folder/file", str(tmp_path / "new" / "out"))
        assert (tmp_path / "new" / "out").read_bytes() == b"x" * 17 * MIB
        with pytest.raises(NotFoundError):
            driver.filesystem.get_file("nothing", str(tmp_path / "none"))
        assert not (tmp_path / "none").exists()


class TestOthersBlobs:
    def test_a_file_that_changes_while_it_is_read(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("file", b"1" * 20 * MIB)
        with driver.filesystem.open("file", "rb") as file:
            file.read(10)
            container.upload_blob("file", b"2" * 20 * MIB, overwrite=True)
            with pytest.raises(PreconditionFailedError, match="changed"):
                file.read()

    def test_a_file_that_changes_while_it_is_appended_to(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("file", b"1")
        with driver.filesystem.open("file", "ab") as file:
            assert file.tell() == 1
            file.write(b"2")
            container.upload_blob("file", b"other", overwrite=True)
        assert container.download_blob("file").readall() == b"other2"

    def test_a_big_file_is_appended_to(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("file", b"1" * 9 * MIB)
        with driver.filesystem.open("file", "ab") as file:
            file.write(b"2" * 9 * MIB)
        assert container.download_blob("file").readall() == b"1" * 9 * MIB + b"2" * 9 * MIB

    def test_blobs_that_mark_folders(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("hadoop", b"", metadata={"hdi_isfolder": "true"})
        container.upload_blob("hadoop/file", b"1")
        container.upload_blob("slash/", b"")
        container.upload_blob("slash/file", b"1")
        fs = driver.filesystem
        assert [one["type"] for one in fs.ls("")] == ["directory", "directory"]
        assert fs.find("") == ["hadoop/file", "slash/file"]
        assert fs.ls("slash", detail=False) == ["slash/file"]
        fs.rm("hadoop", recursive=True)
        fs.rm("slash", recursive=True)
        assert names(container) == []

    def test_names_with_the_words_of_versions(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("a", b"another")
        container.upload_blob("a?versionid=1", b"this")
        assert driver.filesystem.cat_file("a?versionid=1") == b"this"

    def test_another_process_shows_at_once(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        assert driver.filesystem.ls("") == []
        container.upload_blob("a", b"1")
        assert driver.filesystem.ls("", detail=False) == ["a"]


class TestPublishing:
    def change(self, driver: AzureBlobDriver, **options: Any) -> FolderChange:
        driver.filesystem.pipe({"_datastores/job/1": b"1", "_datastores/job/2": b"2"})
        add = (("_datastores/job/1", "p=1/1"), ("_datastores/job/2", "p=2/2"))
        return FolderChange(folder="table", add=add, **options)

    def test_a_publisher_that_died_is_followed_up(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        container.upload_blob("table/old", b"0")
        change = self.change(driver, clear=("",))
        container.upload_blob("table/p=1/1", b"1")
        driver.publish_folder(change)
        assert names(container) == ["table/p=1/1", "table/p=2/2"]
        container.upload_blob("table/later", b"3")
        driver.publish_folder(change)
        assert names(container) == ["table/later", "table/p=1/1", "table/p=2/2"]

    def test_a_move_that_was_cut_short_is_finished(self, driver: AzureBlobDriver) -> None:
        fs = driver.filesystem
        fs.pipe_file("in/file", b"1" * 5_000_000)
        fs.cp_file("in/file", "done/file")
        driver.move_file("in/file", "done/file", version=version_of(fs.info("in/file")))
        assert fs.find("") == ["done/file"]

    @pytest.mark.parametrize("before", ["copy_version", "delete_version"])
    def test_what_changes_while_it_is_moved_stays(
        self, driver: AzureBlobDriver, monkeypatch: pytest.MonkeyPatch, before: str
    ) -> None:
        fs = driver.filesystem
        fs.pipe_file("in/file", b"1")
        version = version_of(fs.info("in/file"))
        goes_on = getattr(fs, before)

        def meanwhile(*words: str) -> None:
            fs.pipe_file("in/file", b"2")
            goes_on(*words)

        monkeypatch.setattr(fs, before, meanwhile)
        with pytest.raises(PreconditionFailedError):
            driver.move_file("in/file", "done/file", version=version)
        assert fs.cat_file("in/file") == b"2"
        # The old one is safe where it was moved to, if it was.
        assert fs.exists("done/file") == (before == "delete_version")

    def test_a_claim_that_was_left_behind(
        self, driver: AzureBlobDriver, container: ContainerClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        change = self.change(driver, must_be_absent=True)
        with publish._claimed(driver.filesystem, "table", "_datastores", {"t": "other"}):
            with pytest.raises(AlreadyExistsError, match="being created by somebody else"):
                driver.publish_folder(change)
            monkeypatch.setattr(publish, "CLAIM_SECONDS", -60)
            driver.publish_folder(change)
        assert names(container) == ["table/p=1/1", "table/p=2/2"]

    def test_an_own_claim_is_taken_up(
        self, driver: AzureBlobDriver, container: ContainerClient
    ) -> None:
        change = self.change(driver, must_be_absent=True)
        adds = {f"table/{inner}": staged for staged, inner in change.add}
        with publish._claimed(driver.filesystem, "table", "_datastores", adds):
            container.upload_blob("table/p=1/1", b"1")
            driver.publish_folder(change)
        assert names(container) == ["table/p=1/1", "table/p=2/2"]


def test_sdk_loggers_are_quiet(driver: AzureBlobDriver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    driver.filesystem.pipe_file("file", b"1")
    assert not [one for one in caplog.records if one.name.startswith(("azure", "adlfs"))]


def test_pickling(make: Make, azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLOB_KEY", azurite.account_key)
    filesystem = make(account_key="env:BLOB_KEY").filesystem
    filesystem.pipe_file("file", b"1")
    other = pickle.loads(pickle.dumps(filesystem))
    assert other == filesystem
    assert other.cat_file("file") == b"1"
    # Nobody closes it: what it holds open is closed with it.
    del other
    gc.collect()
    with pytest.raises(ConfigurationError, match="literal secret"):
        pickle.dumps(make().filesystem)


def test_threads(driver: AzureBlobDriver) -> None:
    def write_and_read(number: int) -> bytes:
        driver.filesystem.pipe_file(f"{number}", b"%d" % number)
        content: bytes = driver.filesystem.cat_file(f"{number}")
        return content

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(write_and_read, range(40))) == [b"%d" % one for one in range(40)]
