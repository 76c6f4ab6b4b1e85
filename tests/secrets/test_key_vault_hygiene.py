"""KV-50 to KV-52: what is told of a secret, and what is left open."""

from __future__ import annotations

import gc
import logging
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from typing_extensions import override

from datastores import Identity, Workspace
from datastores.errors import DatastoreError, DatastoreWarning
from datastores.secrets import KeyVault, Resolver, Secret, SecretRef
from tests.secrets.shown import shown
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.fakes import FakeServer
from tests.services.key_vault import Tokens, Vault

Open = Callable[..., KeyVault]
PLANTED = "pl4nted-v4lue"


class Remembering(Tokens):
    """Keeps what it gave out."""

    given: list[str]

    @override
    def get_token(self, *scopes: str, **options: Any) -> Any:
        found = super().get_token(*scopes, **options)
        self.given = [found.token]
        return found


def test_kv_50_no_value_and_no_token_shows(
    vault: Vault, opened: Open, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    vault.put("a", f'{{"password": "{PLANTED}"}}')
    credential = Remembering()
    one = opened(credential, lifetime_seconds=0)
    ref, resolver = one.secret("a", field="password"), Resolver()
    assert resolver.resolve(ref).reveal() == PLANTED
    texts = [repr(ref), str(ref), repr(one), repr(one.cache), repr(vars(one.cache)), repr(resolver)]
    texts += [repr(resolver.describe(ref)), repr(resolver.resolve(ref))]
    one.set("b", Secret(PLANTED))
    for fault in ({"status": 403, "inner": "AccessDenied"}, {"status": 401}, {"status": 418}):
        vault.fail(**fault, times=2)
        for call in (lambda: resolver.resolve(ref), lambda: one.set("b", Secret(PLANTED))):
            with pytest.raises(DatastoreError) as caught:
                call()
            texts.append(shown(caught.value))
        vault.heal()
        one.close()
    texts.append(caplog.text + repr([vars(record) for record in caplog.records]))
    assert len(texts) > 10
    for planted in (PLANTED, *credential.given):
        assert not [text for text in texts if planted in text]


def test_kv_50_no_client_secret_shows(
    tenant: Tenant, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    identity = Identity(
        name="service_principal",
        tenant_id=tenant.id,
        client_id=tenant.client_id,
        client_secret=Secret(PLANTED),
        ca_bundle=str(tenant.ca_file),
    )
    with pytest.raises(DatastoreError) as caught:
        identity.get_token("https://vault.azure.net/.default")
    texts = [shown(caught.value), repr(identity), str(identity), caplog.text]
    texts += [repr([vars(record) for record in caplog.records])]
    assert PLANTED not in "".join(texts)
    with pytest.raises(DatastoreError):
        pickle.dumps(identity)
    identity.close()


def test_kv_50_a_literal_client_secret_in_a_file_is_warned_about(tmp_path: Path) -> None:
    path = tmp_path / "datastores.yaml"
    path.write_text(
        "vaults:\n  main:\n    identity: service_principal\n"
        f"    credentials: {{tenant_id: t, client_id: c, client_secret: {PLANTED}}}\n"
        "datastores: {}\n"
    )
    with pytest.warns(DatastoreWarning, match="main: client_secret is a literal secret") as warned:
        workspace = Workspace.load(path)
    with pytest.raises(DatastoreError, match="not written"):
        workspace.to_yaml()
    assert PLANTED not in "".join(str(one.message) for one in warned)


def test_kv_51_what_may_be_told(vault: Vault, opened: Open) -> None:
    expires = int(time.time()) + 1000
    version = vault.put("a", PLANTED, exp=expires)
    facts = Resolver().describe(opened().secret("a"))
    assert (facts.place, facts.name, facts.version) == (vault.host, "a", version)
    assert facts.expires is not None
    assert facts.expires.timestamp() == expires
    assert 0 <= facts.age_seconds < 10
    assert PLANTED not in repr(facts)


def connections_to(*servers: FakeServer) -> int:
    ports = {server.process.port for server in servers}
    mine = psutil.Process().net_connections("tcp")
    return sum(bool(one.raddr) and one.raddr.port in ports for one in mine)


def test_kv_52_a_vault_is_closed_with_its_workspace(
    vault: Vault,
    tenant: Tenant,
    key_vault_server: FakeServer,
    entra_server: FakeServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SP", FIRST_SECRET)
    vault.put("a", "x")
    vault.change(tenant=tenant.id)
    (tmp_path / "ca.pem").write_bytes(vault.ca_file.read_bytes())
    path = tmp_path / "datastores.yaml"
    path.write_text(
        f"vaults:\n  {vault.name}:\n    identity: service_principal\n    ca_bundle: ca.pem\n"
        f"    credentials: {{tenant_id: {tenant.id}, client_id: {tenant.client_id}, client_secret: env:SP}}\n"
        "datastores:\n  pg:\n    type: postgresql\n    server_name: localhost\n    database_name: d\n"
        f"    credentials: {{username: u, password: {{vault: {vault.name}, name: a}}}}\n"
    )
    gc.collect()
    before = connections_to(key_vault_server, entra_server)
    with Workspace.load(path) as workspace:
        assert Workspace.from_mapping(workspace.to_mapping()).to_mapping() == workspace.to_mapping()
        ref = workspace["pg"].config.password  # type: ignore[attr-defined]
        assert isinstance(ref, SecretRef)
        assert Resolver().resolve(ref) == Secret("x")
        assert connections_to(key_vault_server, entra_server) > before
    assert connections_to(key_vault_server, entra_server) == before
