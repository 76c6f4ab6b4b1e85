"""Each identity by name gets a token, by its genuine class, where Azure documents it to be."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datastores import Identity
from datastores.errors import AuthenticationError, ConfigurationError, ConnectionFailedError
from datastores.identity import KINDS, token_for
from datastores.secrets import Secret
from tests.services import tokens
from tests.services.entra import ENDING_CHINA, FIRST_SECRET, Tenant

RESOURCE = "https://storage.azure.com"
CLIENT = "12345678-0000-0000-0000-000000000001"
Give = Callable[..., Identity]


@pytest.fixture
def give(tenant: Tenant) -> Any:
    """Make an identity of the tenant's application."""
    made = []

    def make(name: str, **settings: Any) -> Identity:
        ours = {"tenant_id": tenant.id, "client_id": tenant.client_id}
        ours["ca_bundle"] = str(tenant.ca_file)
        taken = {key: value for key, value in ours.items() if key in KINDS[name].takes}
        made.append(Identity(name=name, **{**taken, **settings}))
        return made[-1]

    yield make
    for one in made:
        one.close()


def is_of(tenant: Tenant, identity: Identity, client_id: str | None = None) -> bool:
    return tenant.is_of(token_for(identity, RESOURCE).reveal(), client_id)


def test_a_service_principal(give: Give, tenant: Tenant) -> None:
    assert is_of(tenant, give("service_principal", client_secret=Secret(FIRST_SECRET)))


@pytest.mark.parametrize("name", ["service_principal", "workload_identity"])
def test_entra_with_a_certificate_of_somebody_else(give: Give, name: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-kubernetes")
    settings: dict[str, dict[str, Any]] = {
        "service_principal": {"client_secret": Secret(FIRST_SECRET)},
        "workload_identity": {"token_file": str(tmp_path / "token")},
    }
    identity = give(name, ca_bundle=None, **settings[name])
    with pytest.raises(ConfigurationError, match=r"certificate.*is not trusted.*ca_bundle"):
        token_for(identity, RESOURCE)


@pytest.mark.parametrize("name", ["environment", "default"])
def test_the_environment(
    give: Give, tenant: Tenant, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_TENANT_ID", tenant.id)
    monkeypatch.setenv("AZURE_CLIENT_ID", tenant.client_id)
    monkeypatch.setenv("AZURE_CLIENT_SECRET", FIRST_SECRET)
    assert is_of(tenant, give(name, **({"client_id": CLIENT} if name == "default" else {})))


def test_a_workload_identity(
    give: Give, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant.accept(assertions=("of-kubernetes",))
    file = tmp_path / "token"
    file.write_text("of-kubernetes")
    assert is_of(tenant, give("workload_identity", token_file=str(file)))
    # As Kubernetes says it.
    monkeypatch.setenv("AZURE_TENANT_ID", tenant.id)
    monkeypatch.setenv("AZURE_CLIENT_ID", tenant.client_id)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(file))
    identity = Identity(name="workload_identity", ca_bundle=str(tenant.ca_file))
    assert is_of(tenant, identity)
    identity.close()


def test_a_virtual_machine(machine: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", machine.address)
    machine.change(machine={"metadata": "true"})
    for client_id in (None, CLIENT):
        identity = Identity(name="managed_identity", client_id=client_id)
        assert is_of(machine, identity, client_id or "the machine's own")
        identity.close()
    assert set(machine.asked()) == {f"/{machine.id}/metadata/identity/oauth2/token"}


def test_an_app_service(machine: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{machine.address}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "app-header")
    machine.change(machine={"x-identity-header": "app-header"})
    identity = Identity(name="managed_identity", client_id=CLIENT)
    assert is_of(machine, identity, CLIENT)
    identity.close()


@pytest.mark.parametrize("name", ["managed_identity", "default"])
def test_azure_mls_compute(machine: Tenant, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Which says by a variable which of its identities is meant."""
    monkeypatch.setenv("MSI_ENDPOINT", f"{machine.address}/msi/token")
    monkeypatch.setenv("MSI_SECRET", "ml-header")
    monkeypatch.setenv("DEFAULT_IDENTITY_CLIENT_ID", CLIENT)
    machine.change(machine={"secret": "ml-header"})
    for client_id in (None, CLIENT.replace("1", "2")):
        identity = Identity(name=name, client_id=client_id)
        assert is_of(machine, identity, client_id or CLIENT)
        identity.close()


def test_azures_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`az`, as `az account get-access-token` prints."""
    expires = int(time.time()) + 3600
    token = tokens.issue({"aud": RESOURCE, "tid": "t", "appid": "az", "exp": expires})
    printed = {
        "accessToken": token,
        "expiresOn": time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(expires)),
        "expires_on": expires,
        "subscription": CLIENT,
        "tenant": CLIENT,
        "tokenType": "Bearer",
    }
    program = tmp_path / "az"
    program.write_text(
        f"#!{sys.executable}\nimport sys\n"
        f"assert sys.argv[1:3] == ['account', 'get-access-token'], sys.argv\n"
        f"assert sys.argv[sys.argv.index('--tenant') + 1] == {CLIENT!r}, sys.argv\n"
        f"print({json.dumps(printed)!r})\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    identity = Identity(name="azure_cli", tenant_id=CLIENT)
    assert token_for(identity, RESOURCE) == Secret(token)


@pytest.fixture
def pipeline(give: Give, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Identity:
    monkeypatch.setenv("SYSTEM_OIDCREQUESTURI", tenant.vouch("pipeline-token"))
    return give(
        "azure_pipelines",
        service_connection_id="connection",
        system_access_token=Secret("pipeline-token"),
    )


@pytest.fixture
def job(give: Give, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> Identity:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{tenant.vouch('job-token')}?v=2")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-token")
    return give("github_actions")


@pytest.mark.parametrize("source", ["pipeline", "job"])
def test_a_long_job_is_vouched_for_anew(
    request: pytest.FixtureRequest,
    source: str,
    tenant: Tenant,
    forward: Callable[[float], None],
) -> None:
    """Each word serves once, so that one used twice would be AADSTS700024."""
    identity = request.getfixturevalue(source)
    tenant.change(token_seconds=60)
    for _ in range(3):
        assert is_of(tenant, identity)
        forward(61)
    asked = [path for path in tenant.asked() if path.endswith(("/oidc", "/token"))]
    assert asked == [f"/{tenant.id}/oidc", f"/{tenant.id}/oauth2/v2.0/token"] * 3


@pytest.mark.usefixtures("job")
def test_a_job_is_vouched_for_in_another_cloud(give: Give, tenant: Tenant) -> None:
    """Each cloud takes only a word that is addressed to itself."""
    assert is_of(tenant, give("github_actions", authority_url=f"https://{ENDING_CHINA}"))


def test_what_is_no_file_of_authorities_is_named(give: Give, tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("none")
    for name in ("service_principal", "github_actions", "default"):
        secret = {"client_secret": Secret(FIRST_SECRET)} if name == "service_principal" else {}
        for file in ("missing.pem", "no.pem"):
            identity = give(name, ca_bundle=str(tmp_path / file), **secret)
            with pytest.raises(ConfigurationError, match=f"ca_bundle: .*{file}: "):
                token_for(identity, RESOURCE)


def test_what_is_no_job_of_githubs(
    job: Identity, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "planted-t0ken")
    with pytest.raises(AuthenticationError, match=r"'github_actions' .* no job \(401\)") as caught:
        token_for(job, RESOURCE)
    assert "planted" not in str(caught.value)
    tenant.fail(drop=True)
    with pytest.raises(ConnectionFailedError, match="'github_actions'"):
        token_for(job, RESOURCE)
    place = tenant.vouch("another").replace("https://", "http://")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", place)
    tenant.asked()
    with pytest.raises(AuthenticationError, match="no https address"):
        token_for(job, RESOURCE)
    assert tenant.asked() == []
    monkeypatch.delenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
    with pytest.raises(AuthenticationError, match="id-token: write"):
        token_for(job, RESOURCE)
