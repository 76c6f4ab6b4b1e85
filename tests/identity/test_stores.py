"""Stores that are sent tokens: who they are of, where they go, and what is said when they do not."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from azure.identity import ClientSecretCredential

import datastores
from datastores import Datastore
from datastores.check import check_store
from datastores.errors import AuthenticationError, PermissionDeniedError
from tests.services.azurite import Azurite
from tests.services.blob import ENDING_CHINA, Account
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.postgresql import Login
from tests.transfer.between_parts import BetweenParts

Forward = Callable[[float], None]
EntraRole = Callable[[Tenant], tuple[Login, list[str]]]
MakeAccount = Callable[..., Account]


@pytest.fixture(autouse=True)
def _secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SP", FIRST_SECRET)


def principal(tenant: Tenant, **fields: Any) -> dict[str, Any]:
    """Return the settings of a tenant's application, as Azure ML writes them."""
    return {
        "tenant_id": tenant.id,
        "client_id": tenant.client_id,
        "client_secret": "env:SP",
        **fields,
    }


@pytest.fixture
def vouched(tenant: Tenant, tmp_path: Path) -> dict[str, Any]:
    """The settings of the tenant's application, for which Kubernetes vouches."""
    tenant.accept(assertions=("of-kubernetes",))
    (tmp_path / "token").write_text("of-kubernetes")
    return {
        "ca_bundle": str(tenant.ca_file),
        "identity": "workload_identity",
        "tenant_id": tenant.id,
        "client_id": tenant.client_id,
        "token_file": str(tmp_path / "token"),
    }


@pytest.fixture
def opened() -> Iterator[Callable[..., Datastore]]:
    """Open stores, and close them when the test ends."""
    with ExitStack() as stack:
        yield lambda **fields: stack.enter_context(Datastore(**fields))


@pytest.fixture
def blob(opened: Callable[..., Datastore], tenant: Tenant) -> Callable[..., Datastore]:
    """Open a container of an account, at its genuine address."""

    def make(account: Account, **fields: Any) -> Datastore:
        given = {"account_name": account.name, "container_name": "c"}
        given["ca_bundle"] = str(tenant.ca_file)
        return opened(type="azure_blob", **{**given, **fields})

    return make


@pytest.fixture
def sales(opened: Callable[..., Datastore]) -> Callable[..., Datastore]:
    """Open a database as a role that has no password."""

    def make(login: Login, **fields: Any) -> Datastore:
        return opened(
            type="azure_postgresql",
            server_name=login.host,
            port=login.port,
            database_name=login.database,
            username=login.username,
            ca_bundle=str(login.ca_file),
            **fields,
        )

    return make


def test_blob_storage_takes_the_token_of_a_service_principal(
    azurite_tls: Azurite, tenant: Tenant, opened: Callable[..., Datastore]
) -> None:
    with azurite_tls.container() as container:
        store = opened(
            type="azure_blob",
            account_name=azurite_tls.account_name,
            account_url=azurite_tls.account_url,
            container_name=container.container_name,
            ca_bundle=str(tenant.ca_file),
            **principal(tenant),
        )
        store.write("a", b"1")
        assert store.read("a") == b"1"
        found = check_store(store)
        assert found.passed
        assert found.details["sign-in"] == "the identity 'service_principal'"
    assert tenant.tokens_asked() == 1


def test_a_workspace_file_names_the_identities_of_its_stores(
    tmp_path: Path,
    tenant: Tenant,
    machine: Tenant,
    blob_account: MakeAccount,
    entra_role: EntraRole,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tenant.accept(assertions=("of-kubernetes",))
    (tmp_path / "token").write_text("of-kubernetes")
    login, seen = entra_role(tenant)
    account = blob_account(tenant)
    machine.change(machine={"metadata": "true"})
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.address)
    workload = {
        "ca_bundle": str(tenant.ca_file),
        "identity": "workload_identity",
        "credentials": {
            "tenant_id": tenant.id,
            "client_id": tenant.client_id,
            "token_file": "token",
        },
    }
    landing = {"type": "azure_blob", "account_name": account.name, "container_name": "c"}
    warehouse = {
        "type": "azure_postgresql",
        "server_name": login.host,
        "port": login.port,
        "database_name": login.database,
        **workload,
        "credentials": {**workload["credentials"], "username": login.username},  # type: ignore[dict-item]
    }
    stranger = {**landing, "ca_bundle": str(tenant.ca_file), "identity": "managed_identity"}
    file = tmp_path / "datastores.yaml"
    stores = {"landing": {**landing, **workload}, "warehouse": warehouse, "stranger": stranger}
    file.write_text(yaml.safe_dump({"datastores": stores}))
    with datastores.Workspace.load(file) as workspace:
        assert list(workspace["landing"].list("")) == []
        assert workspace["warehouse"].tables() == []
        assert len(seen) == 1
        # A token that the account does not take, of who signs in for the machine.
        with pytest.raises(AuthenticationError, match="signed in by the identity 'managed_ident"):
            list(workspace["stranger"].list(""))


def test_an_object_signs_in_to_both(
    tenant: Tenant,
    blob_account: MakeAccount,
    entra_role: EntraRole,
    blob: Callable[..., Datastore],
    sales: Callable[..., Datastore],
) -> None:
    login, seen = entra_role(tenant)
    given = {"connection_verify": str(tenant.ca_file)}
    with ClientSecretCredential(tenant.id, tenant.client_id, FIRST_SECRET, **given) as credential:
        assert list(blob(blob_account(tenant), identity=credential).list("")) == []
        assert sales(login, identity=credential).tables() == []
        assert len(seen) == 1
    with ClientSecretCredential(tenant.id, tenant.client_id, "planted", **given) as credential:
        with pytest.raises(
            AuthenticationError, match=r"ClientSecretCredential.*AADSTS7000215"
        ) as no:
            sales(login, identity=credential).tables()
        assert "planted" not in str(no.value)
        assert no.value.__cause__ is None


def test_each_new_connection_asks_for_a_token_and_open_ones_stay(
    tenant: Tenant, entra_role: EntraRole, sales: Callable[..., Datastore], forward: Forward
) -> None:
    login, seen = entra_role(tenant)
    tenant.change(token_seconds=60)
    store = sales(login, **principal(tenant))
    assert store.tables() == []
    forward(45)
    assert store.tables() == []
    assert len(seen) == 1
    reader = store.query("select 1 as x").reader()
    # The one that waited is in use now, so this needs another.
    assert store.tables() == []
    reader.close()
    assert len(set(seen)) == 2
    assert tenant.tokens_asked() == 2


def test_a_refusal_names_the_identity(
    tenant: Tenant,
    other_tenant: Tenant,
    entra_role: EntraRole,
    blob_account: MakeAccount,
    blob: Callable[..., Datastore],
    sales: Callable[..., Datastore],
) -> None:
    """Of the wrong application, for the wrong resource, and by Entra itself."""
    login, seen = entra_role(other_tenant)
    with pytest.raises(
        AuthenticationError, match="with a token of the identity 'service_princ"
    ) as no:
        sales(login, **principal(tenant)).tables()
    assert "the identity's role, in exact case" in str(no.value)
    account = blob_account(tenant)
    account.change(client_id="another")
    with pytest.raises(PermissionDeniedError, match="signed in by the identity 'service_princip"):
        list(blob(account, **principal(tenant)).list(""))
    elsewhere = {"resource_url": "https://graph.microsoft.com/"}
    with pytest.raises(AuthenticationError, match="signed in by the identity 'service_principal'"):
        list(blob(blob_account(tenant), **principal(tenant, **elsewhere)).list(""))
    tenant.accept("another")
    with pytest.raises(
        AuthenticationError, match=r"'service_principal' has no token: .*AADSTS7000215"
    ):
        sales(login, **principal(tenant)).tables()
    assert seen == []


def test_a_sovereign_cloud_is_one_word(
    tenant: Tenant, blob_account: MakeAccount, blob: Callable[..., Datastore]
) -> None:
    """Storage, who signs in, and what tokens are for are that cloud's."""
    account = blob_account(tenant, ending=ENDING_CHINA)
    assert list(blob(account, cloud="china", **principal(tenant)).list("")) == []
    assert account.requests() == 1
    assert tenant.tokens_asked() == 1


def test_credentials_never_mix(
    tenant: Tenant,
    other_tenant: Tenant,
    entra_role: EntraRole,
    blob_account: MakeAccount,
    blob: Callable[..., Datastore],
    sales: Callable[..., Datastore],
) -> None:
    """Two accounts and two databases, each of which takes the tokens of one application only."""
    stores, signed_in = [], []
    for one in (tenant, other_tenant):
        login, seen = entra_role(one)
        signed_in.append(seen)
        stores += [
            blob(blob_account(one), **principal(one)),
            sales(login, **principal(one)),
        ]
    barrier = threading.Barrier(16)

    def use(number: int) -> None:
        store = stores[number % 4]
        barrier.wait()
        for _ in range(5):
            if store.type == "azure_blob":
                assert list(store.list("")) == []
            else:
                assert store.tables() == []

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(use, range(16)))
    for one, seen in zip((tenant, other_tenant), signed_in, strict=True):
        assert seen
        assert all(one.is_of(token) for token in seen)


def test_a_copy_outlives_the_tokens_that_it_began_with(
    azurite_tls: Azurite,
    tenant: Tenant,
    vouched: dict[str, Any],
    entra_role: EntraRole,
    opened: Callable[..., Datastore],
    forward: Forward,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each serves for a minute, of which three quarters pass after the first of its parts."""
    tenant.change(token_seconds=60)
    login, seen = entra_role(tenant)
    place = {"server_name": login.host, "port": login.port, "database_name": login.database}
    source = opened(type="azure_postgresql", **place, **vouched, username=login.username)
    source.write_table("public.orders", pa.table({"id": range(40_000)}))
    source.close()
    tenant.tokens_asked()
    asked, before = [], set[str]()

    def change() -> None:
        asked.append(tenant.tokens_asked())
        before.update(seen)
        between.note(f"{asked[0]} tokens were asked for; 45 seconds pass")
        forward(45)

    between = BetweenParts(monkeypatch, change)
    with azurite_tls.container() as container:
        target = opened(
            type="azure_blob",
            account_name=azurite_tls.account_name,
            account_url=azurite_tls.account_url,
            container_name=container.container_name,
            **vouched,
        )
        report = datastores.copy(
            source / "public/orders", target / "orders/", workers=4, progress=between.progress
        )
        asked.append(tenant.tokens_asked())
        between.note(f"published: {report.rows} rows; {asked[1]} more tokens were asked for")
        between.show()
        assert report.parts > 1
        assert (report.rows, target.scan("orders/").count()) == (40_000, 40_000)
    # One for each store and once more when they grew old; threads that ask at once may each ask.
    assert set(seen) - before
    assert min(asked) >= 2
    assert max(asked) <= 10
