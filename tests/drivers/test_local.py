import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from typing_extensions import override

from datastores.drivers.base import FileDriver, FolderChange
from datastores.drivers.local import system
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.drivers.new_files import version_of
from datastores.errors import (
    ConfigurationError,
    DriverError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
)
from datastores.testing.files import FileDriverConformance
from datastores.testing.stateful_files import FileMachine

posix = pytest.mark.skipif(os.name != "posix", reason="symbolic links and limits of POSIX")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def driver(root: Path) -> Iterator[LocalDriver]:
    with LocalDriver(LocalConfig(path=str(root))) as driver:
        yield driver


class TestLocal(FileDriverConformance):
    @pytest.fixture
    @override
    def driver(self, root: Path) -> Iterator[FileDriver]:
        with LocalDriver(LocalConfig(path=str(root))) as driver:
            yield driver
            # Nothing of ours stays in the user's folder, not even an empty one.
            assert not [path for path in root.rglob("_datastores/*") if path.is_file()]


def test_what_changes_while_it_is_moved_is_put_back(
    driver: LocalDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = driver.filesystem
    files.pipe_file("in/file", b"1")
    version = version_of(files.info("in/file"))
    goes_on = driver.publish_file

    def meanwhile(staged: str, path: str, *, replace: bool) -> None:
        if staged == "in/file":
            files.pipe_file(staged, b"2")
        goes_on(staged, path, replace=replace)

    monkeypatch.setattr(driver, "publish_file", meanwhile)
    with pytest.raises(PreconditionFailedError, match="changed meanwhile"):
        driver.move_file("in/file", "done/file", version=version)
    assert files.cat_file("in/file") == b"2"
    assert files.find("done") == []


@pytest.fixture
def _no_renameat2(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Take away the system call, as on an older kernel or another system."""
    system._renameat2.cache_clear()
    monkeypatch.setattr(sys, "platform", "other")
    yield
    system._renameat2.cache_clear()


@pytest.mark.usefixtures("_no_renameat2")
class TestLocalWithoutExchange(TestLocal):
    @override
    def test_readers_see_the_old_or_the_new(self, driver: FileDriver) -> None:
        pytest.skip("where no two folders can be exchanged, the folder is absent for a moment")


class LocalMachine(FileMachine):
    @staticmethod
    @override
    def open_filesystem() -> tuple[Any, Callable[[], None]]:
        root = tempfile.mkdtemp()
        return LocalDriver(LocalConfig(path=root)).filesystem, lambda: shutil.rmtree(root)


LocalMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestAnyOrder = LocalMachine.TestCase


def test_the_folder_is_made_on_the_first_write(driver: LocalDriver, root: Path) -> None:
    assert driver.filesystem.ls("") == []
    assert driver.filesystem.find("") == []
    assert not driver.filesystem.exists("file")
    assert not root.exists()
    driver.filesystem.pipe_file("file", b"1")
    assert [path.name for path in root.iterdir()] == ["file"]


def test_home_folder() -> None:
    driver = LocalDriver(LocalConfig(path="~/somewhere"))
    assert driver.filesystem.root == str(Path.home() / "somewhere")
    assert driver.place == "~/somewhere"


def test_staging_in_the_root_is_refused(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="staging_path"):
        LocalDriver(LocalConfig(path=str(root), staging_path="/"))


def test_filesystem_pickles(driver: LocalDriver) -> None:
    driver.filesystem.pipe_file("file", b"1")
    other = pickle.loads(pickle.dumps(driver.filesystem))
    assert other.cat_file("file") == b"1"
    assert other.staging == driver.filesystem.staging


def test_transactions(driver: LocalDriver) -> None:
    fs = driver.filesystem
    with fs.transaction:
        fs.pipe_file("a", b"1")
        fs.pipe_file("b", b"2")
        assert fs.find("") == ["_datastores"] or not fs.exists("a")
    assert fs.cat(["a", "b"]) == {"a": b"1", "b": b"2"}


@posix
class TestLinks:
    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        (tmp_path / "outside").mkdir()
        (tmp_path / "outside" / "secret").write_bytes(b"secret")
        return tmp_path / "outside"

    @pytest.fixture
    def linked(self, driver: LocalDriver, root: Path, outside: Path) -> LocalDriver:
        driver.filesystem.pipe_file("folder/file", b"1")
        (root / "folder" / "out").symlink_to(outside)
        (root / "folder" / "leak").symlink_to(outside / "secret")
        (root / "folder" / "relative").symlink_to("../../outside/secret")
        return driver

    @pytest.mark.parametrize(
        "path", ["folder/out", "folder/out/secret", "folder/leak", "folder/relative"]
    )
    def test_out_of_the_root_is_refused(
        self, linked: LocalDriver, outside: Path, path: str
    ) -> None:
        fs = linked.filesystem
        calls: tuple[Callable[[], object], ...] = (
            lambda: fs.open(path, "rb"),
            lambda: fs.pipe_file(path, b"x"),
            lambda: fs.pipe_file(f"{path}/new", b"x"),
            lambda: fs.open(path, "ab").close(),
            lambda: fs.info(path),
            lambda: fs.exists(path),
            lambda: fs.ls(path),
            lambda: fs.find(path),
            lambda: fs.glob(f"{path}/*"),
            lambda: fs.rm(path, recursive=True),
            lambda: fs.rm_file(path),
            lambda: fs.mv(path, "stolen"),
            lambda: fs.mv("folder/file", path),
            lambda: fs.cp_file(path, "stolen"),
            lambda: fs.cp_file("folder/file", path),
            lambda: fs.makedirs(f"{path}/new"),
            lambda: fs.rmdir(path),
            lambda: fs.touch(path),
            lambda: linked.publish_file(path, "stolen", replace=True),
            lambda: linked.publish_folder(FolderChange(folder=path, add=(), clear=("",))),
            lambda: linked.publish_folder(FolderChange(folder="t", add=((path, "stolen"),))),
        )
        for call in calls:
            with pytest.raises(PermissionDeniedError):
                call()
        assert [one.read_bytes() for one in outside.iterdir()] == [b"secret"]
        assert not fs.exists("stolen")
        assert fs.find("t") == []

    def test_listings_show_them_as_what_they_are(self, linked: LocalDriver, tmp_path: Path) -> None:
        types = {one["name"]: one["type"] for one in linked.filesystem.ls("folder")}
        assert types.pop("folder/file") == "file"
        assert set(types.values()) == {"other"}
        with pytest.raises(PermissionDeniedError):
            linked.filesystem.get("folder", str(tmp_path / "copy"), recursive=True)

    def test_deleting_the_folder_does_not_follow(
        self, linked: LocalDriver, outside: Path, root: Path
    ) -> None:
        linked.filesystem.rm("folder", recursive=True)
        assert not (root / "folder").exists()
        assert (outside / "secret").read_bytes() == b"secret"

    def test_emptying_the_root_does_not_follow(
        self, driver: LocalDriver, outside: Path, root: Path
    ) -> None:
        driver.filesystem.pipe_file("file", b"1")
        (root / "out").symlink_to(outside)
        driver.filesystem.rm("", recursive=True)
        assert list(root.iterdir()) == []
        assert (outside / "secret").read_bytes() == b"secret"

    def test_inside_the_root_is_fine(self, driver: LocalDriver, root: Path) -> None:
        fs = driver.filesystem
        fs.pipe_file("real/file", b"1")
        (root / "link").symlink_to("real")
        assert fs.cat_file("link/file") == b"1"
        assert fs.ls("link", detail=False) == ["link/file"]
        fs.pipe_file("_datastores/job/x", b"new")
        driver.publish_folder(FolderChange(folder="link", add=(("_datastores/job/x", "more"),)))
        assert fs.find("real") == ["real/file", "real/more"]
        assert (root / "link").is_symlink()
        fs.rm("link", recursive=True)
        assert fs.find("") == ["real/file", "real/more"]

    def test_circle_and_dangling(self, driver: LocalDriver, root: Path) -> None:
        driver.filesystem.pipe_file("file", b"1")
        (root / "circle").symlink_to("circle")
        (root / "dangling").symlink_to("gone")
        with pytest.raises((PermissionDeniedError, NotFoundError)):
            driver.filesystem.open("circle", "rb")
        with pytest.raises(NotFoundError):
            driver.filesystem.open("dangling", "rb")
        assert driver.filesystem.ls("", detail=False) == ["circle", "dangling", "file"]

    def test_a_root_that_is_a_link(self, tmp_path: Path, outside: Path) -> None:
        (tmp_path / "alias").symlink_to(outside)
        driver = LocalDriver(LocalConfig(path=str(tmp_path / "alias")))
        assert driver.filesystem.find("") == ["secret"]


@posix
class TestNoRoom:
    @pytest.fixture(autouse=True)
    def small_files(self) -> Iterator[None]:
        """Let no file of this process grow beyond 64 KiB: writing fails half way, as on a full disk."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
        yield
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    @pytest.mark.parametrize("mode", ["wb", "xb", "ab"])
    def test_a_new_file_leaves_nothing(self, driver: LocalDriver, root: Path, mode: str) -> None:
        with pytest.raises(DriverError, match="larger"), driver.filesystem.open("f", mode) as file:
            file.write(bytes(1 << 17))
        assert list(root.iterdir()) == []

    def test_the_last_bytes_at_close(self, driver: LocalDriver, root: Path) -> None:
        file = driver.filesystem.open("f", "wb")
        file.write(bytes((1 << 16) - 100))
        file.write(bytes(200))
        with pytest.raises(DriverError, match="larger"):
            file.close()
        assert list(root.iterdir()) == []

    def test_a_failed_write_is_not_committed_by_closing(
        self, driver: LocalDriver, root: Path
    ) -> None:
        file = driver.filesystem.open("f", "wb")
        with pytest.raises(DriverError):
            file.write(bytes(1 << 17))
        file.close()
        assert list(root.iterdir()) == []

    def test_an_old_file_stays(self, driver: LocalDriver, root: Path) -> None:
        driver.filesystem.pipe_file("f", bytes(60_000))
        with pytest.raises(DriverError):
            driver.filesystem.pipe_file("f", bytes(1 << 17))
        with pytest.raises(DriverError), driver.filesystem.open("f", "ab") as file:
            file.write(bytes(20_000))
        assert driver.filesystem.cat_file("f") == bytes(60_000)
        assert [path.name for path in root.iterdir()] == ["f"]
