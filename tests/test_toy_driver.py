"""A driver in a package of its own joins by its entry point, as CONTRIBUTING says it does.

The package is built and installed for real, into a folder that only this module's processes see.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
SECRET = "planted-4711-secret"  # noqa: S105  # planted to be looked for

WORKSPACE = """
default: shelf
datastores:
  shelf:
    type: toy
    path: shelf.db
    credentials: {password: env:SHELF_PASSWORD}
"""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that the toy driver's wheel was built for and unpacked into."""
    folder = tmp_path_factory.mktemp("toy")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder / "dist"],
        cwd=ROOT / "examples" / "toy_driver",
        capture_output=True,
        check=True,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    # A wheel of pure Python is installed by unpacking it: no installer and no network.
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, folder / "site"], check=True)
    return folder / "site"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.joinpath("datastores.yaml").write_text(WORKSPACE)
    return tmp_path


def run(
    installed: Path, folder: Path, code: str, *options: str
) -> subprocess.CompletedProcess[str]:
    """Run Python code in a process that sees the toy driver."""
    paths = [str(installed), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-W", "error", *options, "-c", textwrap.dedent(code)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "SHELF_PASSWORD": SECRET},
        capture_output=True,
        text=True,
        check=False,
    )


def printed(result: subprocess.CompletedProcess[str]) -> Any:
    """Return the JSON that a process printed; it must have succeeded and kept the secret."""
    assert result.returncode == 0, result.stderr
    assert SECRET not in result.stdout + result.stderr
    return json.loads(result.stdout)


def test_joins_by_its_entry_point(installed: Path, folder: Path) -> None:
    result = run(
        installed,
        folder,
        """
        import json, sys
        from datastores.drivers.registry import driver_types
        print(json.dumps([driver_types(), "datastores_toy" in sys.modules]))
        """,
    )
    types, imported = printed(result)
    assert "toy" in types
    assert not imported


def test_reads_and_writes_files_and_tables(installed: Path, folder: Path) -> None:
    result = run(
        installed,
        folder,
        """
        import json, pyarrow as pa
        from datastores import Workspace, copy
        with Workspace.load() as workspace:
            shelf = workspace.default
            shelf.write("notes/a.txt", b"one")
            orders = pa.table({"id": [1, 2, 3], "day": ["mon", "mon", "tue"]})
            shelf.write_table("orders/", orders, partition_by=["day"])
            report = copy(shelf / "orders/", shelf / "copy.parquet", verify=True, workspace=workspace)
            print(json.dumps([
                [one.path for one in shelf.list()],
                shelf.read("notes/a.txt").decode(),
                shelf.scan("orders/", columns=["id"], filters=[("day", "=", "mon")]).count(),
                report.rows,
                [one.name for one in shelf.tables()],
            ]))
        """,
    )
    found, text, mondays, copied, tables = printed(result)
    assert found == ["copy.parquet", "notes", "orders"]
    assert (text, mondays, copied) == ("one", 2, 3)
    assert tables == ["copy.parquet", "orders/"]


def test_two_credentials_are_refused_before_the_driver_opens(installed: Path, folder: Path) -> None:
    folder.joinpath("datastores.yaml").write_text(
        WORKSPACE.replace("SHELF_PASSWORD}", "SHELF_PASSWORD, token: env:SHELF_TOKEN}")
    )
    result = run(
        installed,
        folder,
        """
        import json
        from datastores import DatastoreError, Workspace
        try:
            Workspace.load()
        except DatastoreError as error:
            print(json.dumps([type(error).__name__, str(error)]))
        """,
    )
    kind, message = printed(result)
    assert kind == "ConfigurationError"
    assert "shelf: credentials: give exactly one of password, token" in message
    assert not folder.joinpath("shelf.db").exists()


def test_a_wrong_password_is_an_error_of_ours(installed: Path, folder: Path) -> None:
    result = run(
        installed,
        folder,
        """
        import json
        from datastores import Datastore, DatastoreError, Workspace
        Workspace.load()["shelf"].write("a", b"1")
        try:
            Datastore(type="toy", path="shelf.db", password="guess").read("a")
        except DatastoreError as error:
            print(json.dumps([type(error).__name__, error.driver, error.operation]))
        """,
        "-W",
        "ignore::ResourceWarning",  # what is under test is left open
    )
    assert printed(result) == ["AuthenticationError", "toy", "read"]


def test_a_planted_secret_shows_nowhere(installed: Path, folder: Path) -> None:
    """As a literal and by reference: in no repr, log, pickle, or traceback that prints locals."""
    result = run(
        installed,
        folder,
        f"""
        import logging, pickle, sys, traceback
        from datastores import Datastore, DatastoreError, Workspace
        logging.basicConfig(level=logging.DEBUG)
        secret = "-".join(["planted", "4711", "secret"])
        literal = Datastore(type="toy", path="shelf.db", password=secret)
        named = Workspace.load()["shelf"]
        del secret
        for store in (literal, named):
            store.write("a", b"1", mode="replace")
            print(repr(store), store._repr_html_(), store.config, vars(store), store.filesystem)
            try:
                store.read("absent")
            except DatastoreError:
                shown = traceback.TracebackException(*sys.exc_info(), capture_locals=True)
                print("".join(shown.format()))
        try:
            pickle.dumps(literal)
        except DatastoreError as error:
            print("refused:", error)
        for pickled in (pickle.dumps(named), pickle.dumps(named.filesystem)):
            assert b"{SECRET[:12]}" not in pickled
        assert pickle.loads(pickle.dumps(named)).read("a") == b"1"
        print("stored:", b"{SECRET[:12]}" in open("shelf.db", "rb").read())
        """,
        "-W",
        "ignore::ResourceWarning",  # what is under test is left open
    )
    assert result.returncode == 0, result.stderr
    assert SECRET not in result.stdout + result.stderr
    assert "refused: this datastore was given password as a literal" in result.stdout
    assert "stored: False" in result.stdout


BROKEN = {
    "a key that is not known": "credentials: {password: planted-4711-secret, usr: x}",
    "two credentials": "credentials: {password: planted-4711-secret, token: planted-4711-secret}",
    "a type that is wrong": "credentials: {password: planted-4711-secret}, staging_path: 3",
    "YAML that is broken": "credentials: {password: planted-4711-secret",
}


@pytest.mark.parametrize("entry", BROKEN.values(), ids=BROKEN)
def test_a_planted_secret_in_a_file_that_is_wrong_shows_nowhere(
    installed: Path, folder: Path, entry: str
) -> None:
    folder.joinpath("datastores.yaml").write_text(
        f"datastores:\n  shelf: {{type: toy, path: shelf.db, {entry}}}\n"
    )
    result = run(
        installed,
        folder,
        """
        import sys, traceback
        from datastores import Datastore, DatastoreError, Workspace

        def show():
            error = sys.exc_info()[1]
            while error is not None:
                shown = traceback.TracebackException.from_exception(error, capture_locals=True)
                print("".join(shown.format()))
                error = error.__cause__ or error.__context__

        try:
            Workspace.load()
        except DatastoreError:
            show()
        try:
            Datastore(type="toy", pth="x", password="-".join(["planted", "4711", "secret"]))
        except DatastoreError:
            show()
        """,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("datastores.errors.") >= 2
    assert SECRET not in result.stdout + result.stderr


CONFORMANCE = """
from collections.abc import Iterator
from pathlib import Path

import pytest
from datastores_toy.config import ToyConfig
from datastores_toy.driver import ToyDriver

from datastores.drivers.base import FileDriver
from datastores.testing.files import FileDriverConformance


class TestToy(FileDriverConformance):
    @pytest.fixture
    def driver(self, tmp_path: Path) -> Iterator[FileDriver]:
        with ToyDriver(ToyConfig(path=str(tmp_path / "shelf.db"))) as driver:
            yield driver
"""


def test_passes_the_conformance_suite(installed: Path, tmp_path: Path) -> None:
    """In a process of its own, as the driver's author would run it."""
    tmp_path.joinpath("test_conformance.py").write_text(CONFORMANCE)
    options = ["-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path)]
    result = run(
        installed,
        tmp_path,
        f"import sys, pytest; sys.exit(pytest.main({options!r}))",
    )
    assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout
