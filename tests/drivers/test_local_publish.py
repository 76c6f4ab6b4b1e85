import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from datastores.drivers.base import FolderChange
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.errors import DriverError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def driver(root: Path) -> Iterator[LocalDriver]:
    with LocalDriver(LocalConfig(path=str(root))) as driver:
        yield driver


def stage(driver: LocalDriver, name: str) -> str:
    path = f"_datastores/job/{name}"
    driver.filesystem.pipe_file(path, b"new")
    return path


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk_while_publishing(root: Path) -> None:
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "tmpfs", root], check=False
    )
    if mounted.returncode:
        pytest.skip("may not mount here")
    try:
        driver = LocalDriver(LocalConfig(path=str(root)))
        with pytest.raises(DriverError, match="disk is full"):
            driver.filesystem.pipe_file("large", bytes(2 << 20))
        assert list(root.iterdir()) == []
        for number in range(6):
            driver.filesystem.pipe_file(f"table/p={number}/old", b"old")
        staged = stage(driver, "new")
        # Each partition is a folder of its own, and there are no inodes left for a second set.
        spare = 0
        while True:
            try:
                driver.filesystem.pipe_file(f"filler/{spare}", b"")
            except DriverError:
                break
            spare += 1
        change = FolderChange(folder="table", add=((staged, "new"),))
        with pytest.raises(DriverError, match="disk is full"):
            driver.publish_folder(change)
        assert len(driver.filesystem.find("table")) == 6
        assert driver.filesystem.find("_datastores") == [staged]
        driver.filesystem.rm("filler", recursive=True)
        driver.publish_folder(change)
        assert len(driver.filesystem.find("table")) == 7
    finally:
        subprocess.run(["umount", root], check=True)


_PUBLISH = """
import sys
from datastores.drivers.base import FolderChange
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver

root, job = sys.argv[1:]
driver = LocalDriver(LocalConfig(path=root))
names = [f"p={n}/{job}" for n in range(5)]
for name in names:
    driver.filesystem.pipe_file(f"_datastores/{job}/{name}", job.encode())
add = tuple((f"_datastores/{job}/{name}", name) for name in names)
clear = ("",) if job.startswith("replace") else ()
print("ready", flush=True)
sys.stdin.readline()
driver.publish_folder(FolderChange(folder="table", add=add, clear=clear))
"""


def publisher(root: Path, job: str, *wrapper: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*wrapper, sys.executable, "-c", _PUBLISH, str(root), job],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def publish(root: Path, job: str) -> None:
    process = publisher(root, job)
    _, errors = process.communicate("go\n", timeout=60)
    assert process.returncode == 0, errors


def placed(job: str) -> set[str]:
    return {f"table/p={n}/{job}" for n in range(5)}


def kill(root: Path, *inject: str) -> None:
    """Let a publisher die at a system call, counted from when its files are staged."""
    job = publisher(root, "replace1")
    assert job.stdout is not None
    assert job.stdout.readline() == "ready\n"
    rules = [word for rule in inject for word in ("-e", rule)]
    calls = ",".join(rule.split("=")[1].split(":")[0] for rule in inject)
    tracer = subprocess.Popen(
        ["strace", "-f", "-p", str(job.pid), "-e", f"trace={calls}", *rules],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    if "attached" not in tracer.stderr.readline():
        job.kill()
        job.communicate()
        tracer.communicate()
        pytest.skip("may not trace here")
    job.communicate("go\n", timeout=60)
    assert job.returncode == -signal.SIGKILL
    tracer.communicate(timeout=60)


def test_processes_that_append_at_once_are_all_kept(driver: LocalDriver, root: Path) -> None:
    driver.filesystem.pipe_file("table/old", b"0")
    jobs = [publisher(root, f"append{number}") for number in range(4)]
    for job in jobs:
        assert job.stdout is not None
        assert job.stdout.readline() == "ready\n"
    for job in jobs:
        assert job.stdin is not None
        job.stdin.write("go\n")
        job.stdin.flush()
    for job in jobs:
        _, errors = job.communicate(timeout=60)
        assert job.returncode == 0, errors
    expected = {"table/old", *(f"table/p={n}/append{k}" for n in range(5) for k in range(4))}
    assert set(driver.filesystem.find("table")) == expected


@pytest.mark.skipif(not shutil.which("strace"), reason="strace kills at an exact system call")
@pytest.mark.parametrize(
    ("call", "when"),
    [("linkat", 1), ("linkat", 3), ("renameat2", 1), ("unlinkat", 1), ("rmdir", 1), ("unlink", 2)],
)
def test_killed_while_publishing(driver: LocalDriver, root: Path, call: str, when: int) -> None:
    old = {f"table/p={n}/old": b"old" for n in range(5)}
    driver.filesystem.pipe(old)
    kill(root, f"inject={call}:signal=KILL:when={when}")
    found = set(driver.filesystem.find("table"))
    assert found in (set(old), placed("replace1"))
    publish(root, "append2")
    assert set(driver.filesystem.find("table")) == found | placed("append2")
    left = driver.filesystem.find("_datastores")
    assert all(path.startswith("_datastores/replace1/") for path in left)


@pytest.mark.skipif(not shutil.which("strace"), reason="strace kills at an exact system call")
def test_killed_between_two_renames(driver: LocalDriver, root: Path) -> None:
    """Where nothing can be exchanged, the old folder is aside when the publisher dies."""
    old = {f"table/p={n}/old": b"old" for n in range(5)}
    driver.filesystem.pipe(old)
    kill(root, "inject=renameat2:error=ENOSYS", "inject=rename:signal=KILL:when=2")
    assert driver.filesystem.find("table") == []
    publish(root, "append2")
    assert set(driver.filesystem.find("table")) == {*old, *placed("append2")}


def test_writes_beside_a_publish_are_kept(driver: LocalDriver) -> None:
    fs = driver.filesystem
    fs.pipe({f"table/old{n}": b"0" for n in range(50)})
    written: list[str] = []
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            path = f"table/beside{len(written)}"
            fs.pipe_file(path, b"1")
            written.append(path)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(20):
            staged = stage(driver, f"new{number}")
            driver.publish_folder(FolderChange(folder="table", add=((staged, f"new{number}"),)))
    finally:
        done.set()
        writer.join()
    assert len(written) > 20
    assert set(written) <= set(fs.find("table"))


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
def test_permissions_stay(driver: LocalDriver, root: Path) -> None:
    driver.filesystem.pipe_file("table/p=1/old", b"0")
    (root / "table").chmod(0o750)
    (root / "table" / "p=1").chmod(0o700)
    driver.publish_folder(FolderChange(folder="table", add=((stage(driver, "n"), "new"),)))
    assert (root / "table").stat().st_mode & 0o777 == 0o750
    assert (root / "table" / "p=1").stat().st_mode & 0o777 == 0o700
