"""`datastores secrets`: which references resolve, and a new value; never a value shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.key_vault import Vault

PLANTED = "pl4nted-v4lue"


@pytest.fixture
def main(folder: Path, vault: Vault, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """A vault that the workspace file names `main`, with the secret `pw`."""
    monkeypatch.setenv("SP", FIRST_SECRET)
    monkeypatch.setenv("PG", PLANTED)
    vault.change(tenant=tenant.id)
    vault.put("pw", PLANTED, exp=4_102_444_800)
    principal = f"{{tenant_id: {tenant.id}, client_id: {tenant.client_id}, client_secret: env:SP}}"
    stores = {
        "newest": "{vault: main, name: pw}",
        "local": "env:PG",
        "gone": "{vault: main, name: none}",
    }
    (folder / "datastores.yaml").write_text(
        f"vaults:\n  main:\n    url: {vault.url}\n    identity: service_principal\n"
        f"    ca_bundle: {vault.ca_file}\n    credentials: {principal}\ndatastores:\n"
        + "".join(
            f"  {name}:\n    type: postgresql\n    server_name: 127.0.0.1\n    port: 1\n    database_name: d\n"
            f"    credentials: {{username: u, password: {ref}}}\n"
            for name, ref in stores.items()
        )
    )
    return vault


def test_which_references_resolve(run: Run, main: Vault) -> None:
    done = run("secrets", "check", "newest", "local")
    assert (done.code, done.err) == (0, "")
    assert "main/secrets/pw" in done.out
    assert "2100-01-01" in done.out
    done = run("secrets", "check", "--json")
    newest, local, gone = done.records
    assert (newest["place"], len(newest["version"])) == (main.host, 32)
    assert (local["reference"], local["version"]) == ("env:PG", None)
    assert gone["failure"]["type"] == "NotFoundError"
    assert done.code == run("secrets", "check").code != 0
    assert PLANTED not in done.out + done.err


def test_how_a_store_signs_in(run: Run, main: Vault) -> None:
    done = run("explain", "gone")
    assert done.code == 3
    assert "credentials.password" in done.out
    assert "ClientSecretCredential" in done.out
    assert "does not exist" in done.err
    done = run("explain", "newest", "--json")
    [record] = done.records
    assert done.code != 0
    by_name = {step["what"]: step for step in record["steps"]}
    assert by_name["credentials.password"]["outcome"] == "ok"
    assert by_name["client_secret"]["said"].startswith("env:SP")
    assert by_name["tcp"]["outcome"] == "no"
    assert PLANTED not in done.out + done.err
    assert "Did you mean 'newest'?" in run("explain", "newes").err


def test_a_new_value_comes_from_standard_input(
    run: Run, main: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("n3w-v4lue\n"))
    done = run("secrets", "set", "main", "pw", "--json")
    assert done.code == 0, done.err
    (record,) = done.records
    assert record["version"] == run("secrets", "check", "newest", "--json").records[0]["version"]
    assert "n3w-v4lue" not in done.out + done.err
    assert main.value("pw") == "n3w-v4lue"


def test_what_cannot_be_set(run: Run, main: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x"))
    done = run("secrets", "set", "maim", "pw")
    assert done.code != 0
    assert "Did you mean 'main'?" in done.err
    assert run("secrets", "set", "main", "p_w").code != 0
    assert run("secrets", "set", "main", "pw", PLANTED).code == 2
    assert main.value("pw") == PLANTED
