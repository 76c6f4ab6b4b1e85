"""`datastores secrets`: which references resolve, and a new value; never a value shown."""

from __future__ import annotations

import io
import os
import pty
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import Popen

import pytest

from tests.cli.conftest import Run
from tests.services import entra, key_vault
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.fakes import FakeServer
from tests.services.key_vault import Vault

PLANTED = "pl4nted-v4lue"

Start = Callable[..., Popen[str]]


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


ASKED = """
import sys
from datastores.cli import main
from tests.services.fakes import named

with named({ports}):
    sys.exit(main(["secrets", "set", "main", "pw"]))
"""


def test_a_terminal_asks_for_a_value_and_does_not_show_it(
    start: Start,
    main: Vault,
    key_vault_server: FakeServer,
    entra_server: FakeServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    servers = {key_vault.ENDING: key_vault_server, entra.ENDING: entra_server}
    script = ASKED.format(ports={name: one.process.port for name, one in servers.items()})
    ours, theirs = pty.openpty()
    shown = b""
    with start("-c", script, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        # Linux says EIO when the last process has closed the terminal.
        with suppress(OSError):
            for prompt in (b"Value: ", b"confirmation: "):
                while not shown.endswith(prompt):
                    shown += os.read(ours, 1024)
                os.write(ours, b"typed-v4lue\n")
            while chunk := os.read(ours, 1024):
                shown += chunk
        assert process.wait(timeout=60) == 0, shown
    os.close(ours)
    assert main.value("pw") == "typed-v4lue"
    assert b"typed-v4lue" not in shown
    assert f"{main.host}/secrets/pw/".encode() in shown


def test_what_cannot_be_set(run: Run, main: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("x"))
    done = run("secrets", "set", "maim", "pw")
    assert done.code != 0
    assert "Did you mean 'main'?" in done.err
    assert run("secrets", "set", "main", "p_w").code != 0
    assert run("secrets", "set", "main", "pw", PLANTED).code == 2
    for nothing in ("", "\n"):
        monkeypatch.setattr("sys.stdin", io.StringIO(nothing))
        assert "nothing was set" in run("secrets", "set", "main", "pw").err
    assert main.value("pw") == PLANTED
