"""KV-10 to KV-16: who signs in to a vault, and what is sent to whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.credentials import AccessToken, AccessTokenInfo

from datastores import Identity
from datastores.errors import AuthenticationError, ConfigurationError, NotFoundError
from datastores.identity import KINDS
from datastores.secrets import KeyVault, Resolver, Secret
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.key_vault import Tokens, Vault

Open = Callable[..., KeyVault]


class OnlyToken:
    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return Tokens().get_token(*scopes, **options)


class OnlyTokenInfo:
    def get_token_info(self, *scopes: str, options: Any = None) -> AccessTokenInfo:
        found = Tokens().get_token(*scopes, tenant_id=options["tenant_id"])
        return AccessTokenInfo(found.token, found.expires_on)


class Asynchronous:
    async def get_token(self, *_: str) -> None:
        """Nobody waits for it."""


def principal(tenant: Tenant, **settings: Any) -> Identity:
    given = {
        "tenant_id": tenant.id,
        "client_id": tenant.client_id,
        "client_secret": Secret(FIRST_SECRET),
        "ca_bundle": str(tenant.ca_file),
    }
    return Identity(name="service_principal", **{**given, **settings})


@pytest.mark.parametrize("credential", [OnlyToken(), OnlyTokenInfo()])
def test_kv_10_any_object_with_a_token_will_do(vault: Vault, opened: Open, credential: Any) -> None:
    vault.put("a", "x")
    assert Resolver().resolve(opened(credential).secret("a")) == Secret("x")


@pytest.mark.usefixtures("no_network")
def test_kv_10_no_credential_is_made_unless_asked_for() -> None:
    for credential, words in ((None, "neither get_token"), (Asynchronous(), "is asynchronous")):
        with pytest.raises(ConfigurationError, match=words):
            KeyVault(url="https://acme-kv.vault.azure.net", credential=credential)


def test_kv_10_no_identity_by_name_opens_a_browser() -> None:
    classes = {kind.credential for kind in KINDS.values()}
    assert not [name for name in classes if "Interactive" in name or "DeviceCode" in name]
    default = Identity(name="default")
    made = default._made(None)
    chain = {type(one).__name__ for one in made.credentials}
    assert "ManagedIdentityCredential" in chain
    assert "InteractiveBrowserCredential" not in chain
    made.close()


def test_kv_11_a_challenge_that_leads_elsewhere_is_refused(vault: Vault, opened: Open) -> None:
    vault.change(resource="https://evil.example")
    credential = Tokens()
    with pytest.raises(AuthenticationError) as caught:
        Resolver().resolve(opened(credential).secret("a"))
    assert vault.host in str(caught.value)
    assert "evil.example" in str(caught.value)
    assert "verify_challenge_resource" not in str(caught.value)
    assert not credential.asked
    assert [one["authorized"] for one in vault.log()] == [False]


def test_kv_12_no_value_leaves_before_the_sign_in(vault: Vault, opened: Open) -> None:
    ref = opened().set("a", Secret("x"))
    assert Resolver().resolve(ref) == Secret("x")
    first, second, *_ = vault.log()
    assert (first["method"], first["authorized"], first["bytes"]) == ("PUT", False, 0)
    assert (second["method"], second["authorized"]) == ("PUT", True)
    assert second["bytes"] > 0


def test_kv_13_the_vaults_tenant_is_asked_for(vault: Vault, opened: Open, tenant: Tenant) -> None:
    vault.put("a", "x")
    credential = Tokens()
    vault.change(tenant=tenant.id)
    Resolver().resolve(opened(credential).secret("a"))
    assert [options["tenant_id"] for _, options in credential.asked] == [tenant.id]
    with_name = opened(principal(tenant))
    assert Resolver().resolve(with_name.secret("a")) == Secret("x")


def test_kv_13_another_tenant_has_to_be_allowed(vault: Vault, opened: Open, tenant: Tenant) -> None:
    vault.put("a", "x")
    identity = principal(tenant)
    with pytest.raises(AuthenticationError, match="additionally_allowed_tenants"):
        Resolver().resolve(opened(identity).secret("a"))
    identity.close()


def test_kv_14_a_vault_that_moved_is_found_within_one_call(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    ref = opened(lifetime_seconds=0).secret("a")
    resolver = Resolver()
    resolver.resolve(ref)
    vault.log()
    vault.change(tenant="22222222-2222-2222-2222-222222222222")
    assert resolver.resolve(ref) == Secret("x")
    assert len(vault.log()) == 2


def test_kv_15_a_token_that_is_refused_is_told_once(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    ref = opened(Tokens({"exp": 1})).secret("a")
    for _ in range(3):
        with pytest.raises(AuthenticationError, match="does not accept the token") as caught:
            Resolver().resolve(ref)
        assert caught.value.advice
    assert len(vault.log()) == 2


def test_kv_16_credentials_do_not_mix(vault: Vault, opened: Open) -> None:
    vault.put("a", "x")
    good, bad = opened(Tokens()), opened(Tokens({"exp": 1}))
    assert good != bad
    resolver = Resolver()
    assert resolver.resolve(good.secret("a")) == Secret("x")
    with pytest.raises(AuthenticationError):
        resolver.resolve(bad.secret("a"))
    with pytest.raises(NotFoundError):
        resolver.resolve(good.secret("b"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "browser"}, "'browser' is not known"),
        ({"name": "service_principal"}, "needs tenant_id, client_id, client_secret"),
        ({"name": "azure_cli", "client_id": "x"}, "takes no client_id"),
        ({"name": "managed_identity", "client_secret": Secret("x")}, "takes no client_secret"),
    ],
)
def test_identities_are_looked_at_before_they_are_used(settings: Any, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Identity(**settings)


@pytest.mark.parametrize("name", KINDS)
def test_each_identity_is_one_of_azure_identitys(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made by its genuine class from each of its settings, which asks nothing yet."""
    for variable in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{variable}", "00000000-0000-0000-0000-000000000001")
    monkeypatch.setenv("SYSTEM_OIDCREQUESTURI", "https://dev.azure.com/x")
    texts = {"authority_url": "login.chinacloudapi.cn", "additionally_allowed_tenants": ("*",)}
    secrets = {"client_secret": Secret("x"), "system_access_token": Secret("x")}
    settings: dict[str, Any] = {
        setting: {**texts, **secrets}.get(setting, "00000000-0000-0000-0000-000000000002")
        for setting in KINDS[name].takes
        if setting != "ca_bundle"
    }
    identity = Identity(name=name, **settings)
    _credential, secret = identity._credential(identity._here())
    assert (secret is not None) == bool(secrets.keys() & settings.keys())
    identity.close()
