"""The workspace on the command line, its mistakes, and secrets that never show."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run

PLANTED = "S3cr3t-planted/value=="

VAULT_DRIVER = '''
from dataclasses import dataclass
from typing import ClassVar

from datastores.drivers.config import credential
from datastores.drivers.local.config import LocalConfig
from datastores.drivers.local.driver import LocalDriver
from datastores.secrets import Secret, SecretRef


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultConfig(LocalConfig):
    """A folder behind a key."""

    type_name: ClassVar[str] = "vault"
    account_key: Secret | SecretRef | None = credential("account_key", secret=True)


class VaultDriver(LocalDriver):
    config_type = VaultConfig
'''


def test_stores_are_listed(run: Run, folder: Path) -> None:
    found = run("stores")
    assert found.code == 0
    lines = found.out.splitlines()
    assert lines[1].split() == ["files", "default", "local", f"{folder}/files", "A", "folder"]
    assert lines[2].split() == ["warehouse", "duckdb", f"{folder}/warehouse.duckdb"]
    assert run("stores", "--json").records == [
        {
            "name": "files",
            "default": True,
            "type": "local",
            "place": f"{folder}/files",
            "description": "A folder",
        },
        {
            "name": "warehouse",
            "default": False,
            "type": "duckdb",
            "place": f"{folder}/warehouse.duckdb",
            "description": "",
        },
    ]


@pytest.mark.parametrize("words", [["--help"], ["stores"], ["cp", "--help"]])
def test_what_reads_no_data_imports_nothing_heavy(folder: Path, words: list[str]) -> None:
    script = (
        "import sys; from datastores.cli import main\n"
        f"assert main({words}) == 0\n"
        "heavy = {'pyarrow', 'duckdb', 'fsspec', 'pandas', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imports {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_workspace_file_is_an_option_or_a_variable(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = folder / "elsewhere.yaml"
    other.write_text("datastores: {only: {type: memory}}")
    assert [one["name"] for one in run("stores", "--json", "-f", str(other)).records] == ["only"]
    monkeypatch.setenv("DATASTORES_FILE", str(other))
    assert [one["name"] for one in run("stores", "--json").records] == ["only"]
    assert len(run("stores", "--json", "--file", "datastores.yaml").records) == 2
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "data"))
    embedded = run("stores", "--json", "--file", "embedded").records
    assert [one["name"] for one in embedded] == ["files", "warehouse"]
    assert all(one["place"].startswith(str(folder / "data")) for one in embedded)


def test_no_workspace_file(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "datastores.yaml").unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
    found = run("stores")
    assert found.code == 3
    assert found.out == ""
    assert found.err.startswith(" error: no workspace file; looked for ./datastores.yaml,")
    assert "or set DATASTORES_FILE to a file or to 'embedded'." in " ".join(found.err.split())
    assert len(found.err.splitlines()) <= 3


def test_a_typo_in_a_stores_name(run: Run, folder: Path) -> None:
    found = run("ls", "datastore://warehose/public")
    assert found.code == 3
    words = " ".join(found.err.split())
    assert words == (
        f"error: no datastore named 'warehose' in {folder}/datastores.yaml. "
        "Did you mean 'warehouse'? There are files, warehouse."
    )
    as_json = run("ls", "datastore://warehose/public", "--json")
    assert as_json.code == 3
    assert as_json.out == ""
    assert as_json.error == {
        "type": "NotFoundError",
        "message": f"no datastore named 'warehose' in {folder}/datastores.yaml",
        "advice": "Did you mean 'warehouse'? There are files, warehouse",
        "store": "warehose",
        "operation": None,
        "target": None,
        "transient": False,
        "notes": [],
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datastores: {a: {type: lokal, path: x}}", "Did you mean 'local'?"),
        ("datastores: {a: {type: local, paht: x}}", "unknown key 'paht' for type 'local'"),
        ("datastores:\n  a: [", "line 2"),
        ("datastore: {}", "Did you mean 'datastores'?"),
    ],
)
def test_a_typo_in_the_file(run: Run, folder: Path, text: str, message: str) -> None:
    (folder / "datastores.yaml").write_text(text)
    found = run("stores")
    assert found.code == 2
    assert message in " ".join(found.err.split())
    assert "Traceback" not in found.err


def test_debug_adds_the_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASTORES_DEBUG", "1")
    found = run("ls", "datastore://warehose/public")
    assert found.code == 3
    assert "Traceback (most recent call last)" in found.err
    assert found.err.splitlines()[-1].endswith(
        "Did you mean 'warehouse'? There are files, warehouse."
    )


@pytest.mark.parametrize(
    "url",
    [
        f"datastore://user:{PLANTED}@files/a",
        f"https://acme.blob.core.windows.net/a?sig={PLANTED}",
        f"datastore://files/a?sas_token={PLANTED}",
    ],
)
@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_secret_in_a_url_is_refused_and_never_shown(
    run: Run, monkeypatch: pytest.MonkeyPatch, url: str, more: list[str]
) -> None:
    monkeypatch.setenv("DATASTORES_DEBUG", "1")
    for words in (["ls", url], ["cp", url, "datastore://files/b"], ["tables", url]):
        found = run(*words, *more)
        assert found.code == 2
        assert PLANTED not in found.out + found.err


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_a_literal_secret_is_warned_about_and_never_shown(folder: Path, more: list[str]) -> None:
    (folder / "vault_driver.py").write_text(VAULT_DRIVER)
    (folder / "vault-1.dist-info").mkdir()
    (folder / "vault-1.dist-info" / "METADATA").write_text("Name: vault\nVersion: 1\n")
    entry_point = "[datastores.drivers]\nvault = vault_driver:VaultDriver\n"
    (folder / "vault-1.dist-info" / "entry_points.txt").write_text(entry_point)
    (folder / "datastores.yaml").write_text(
        "datastores:\n  keyed:\n    type: vault\n    path: x\n"
        f'    credentials: {{account_key: "{PLANTED}"}}\n'
    )
    for words in (
        ["stores"],
        ["ls", "datastore://keyed/none"],
        ["tables", "keyed"],
        ["cp", "datastore://keyed/a", "datastore://keyed/b"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "datastores", *words, *more],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "DATASTORES_DEBUG": "1"},
            capture_output=True,
            check=False,
            text=True,
        )
        assert PLANTED not in done.stdout + done.stderr
        assert "account_key is a literal secret in a file" in " ".join(done.stderr.split())
        if not more:
            assert done.stderr.startswith(" warning: ")
            assert "warnings.warn" not in done.stderr
