"""The fakes of Key Vault and Entra satisfy the genuine clients, synchronous and asynchronous."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseTimeoutError,
)
from azure.identity import ClientAssertionCredential, ClientSecretCredential
from azure.identity.aio import ClientSecretCredential as AsyncClientSecretCredential
from azure.keyvault.secrets import SecretClient
from azure.keyvault.secrets.aio import SecretClient as AsyncSecretClient

from tests.services.certificates import Certificates
from tests.services.entra import FIRST_SECRET, Tenant
from tests.services.key_vault import Tokens, Vault

SCOPE = "https://vault.azure.net/.default"
LONG = 'quotes ", lines\n and ünicode ' * 800


def client(vault: Vault, credential: Any = None, **options: Any) -> SecretClient:
    given = {"connection_verify": str(vault.ca_file), "retry_total": 0, **options}
    return SecretClient(vault.url, credential or Tokens(), **given)


def signed_in(tenant: Tenant, secret: str = FIRST_SECRET, **options: Any) -> ClientSecretCredential:
    return ClientSecretCredential(
        tenant.id, tenant.client_id, secret, connection_verify=str(tenant.ca_file), **options
    )


def inner_code(error: HttpResponseError) -> Any:
    assert error.error is not None
    return (error.error.innererror or {}).get("code")


def test_set_get_and_versions(vault: Vault) -> None:
    with client(vault) as one:
        first = one.set_secret("A-name", LONG, tags={"a": "b"}, content_type="text/plain")
        second = one.set_secret("a-NAME", "")
        assert one.get_secret("a-name").value == ""
        found = one.get_secret("A-name", first.properties.version)
        assert (found.value, found.properties.tags) == (LONG, {"a": "b"})
        versions = {each.version for each in one.list_properties_of_secret_versions("a-name")}
        assert versions == {first.properties.version, second.properties.version}
    # Without a token the first request goes without its body.
    assert next((each["method"], each["bytes"]) for each in vault.log()) == ("PUT", 0)


def test_lists_have_pages(vault: Vault) -> None:
    names = {f"n{number}" for number in range(31)}
    for name in names:
        vault.put(name, "x")
    with client(vault) as one:
        assert {each.name for each in one.list_properties_of_secrets(max_page_size=7)} == names
    assert len(vault.log()) == 1 + 5


def test_soft_delete(vault: Vault) -> None:
    vault.change(delete_seconds=0.3)
    vault.put("a", "x")
    with client(vault) as one:
        deleted = one.begin_delete_secret("a", _polling_interval=0.1).result()
        assert deleted.recovery_id
        with pytest.raises(ResourceNotFoundError):
            one.get_secret("a")
        with pytest.raises(HttpResponseError) as caught:
            one.set_secret("a", "y")
        assert (caught.value.status_code, inner_code(caught.value)) == (
            409,
            "ObjectIsDeletedButRecoverable",
        )
        one.begin_recover_deleted_secret("a", _polling_interval=0.1).result()
        assert one.get_secret("a").value == "x"
        one.begin_delete_secret("a", _polling_interval=0.1).result()
        assert [each.name for each in one.list_deleted_secrets()] == ["a"]
        one.purge_deleted_secret("a")
        assert one.set_secret("a", "z").value == "z"


def test_disabled_expired_and_not_yet_valid(vault: Vault) -> None:
    now = datetime.now(tz=UTC)
    with client(vault) as one:
        made = one.set_secret("a", "x", expires_on=now - timedelta(days=1))
        one.set_secret("b", "x", not_before=now + timedelta(days=1))
        assert [one.get_secret(name).value for name in "ab"] == ["x", "x"]
        vault.change(window_is_strict=True)
        for name, code in (("a", "SecretExpired"), ("b", "SecretNotYetValid")):
            with pytest.raises(HttpResponseError) as caught:
                one.get_secret(name)
            assert (caught.value.status_code, inner_code(caught.value)) == (403, code)
        one.update_secret_properties("a", made.properties.version, enabled=False)
        with pytest.raises(HttpResponseError) as caught:
            one.get_secret("a")
        assert inner_code(caught.value) == "SecretDisabled"


@pytest.mark.parametrize("code", ["ForbiddenByRbac", "AccessDenied", "ForbiddenByFirewall"])
def test_three_kinds_of_forbidden(vault: Vault, code: str) -> None:
    vault.put("a", "x")
    vault.change(denied={"get": code})
    with client(vault) as one, pytest.raises(HttpResponseError) as caught:
        one.get_secret("a")
    assert (caught.value.status_code, inner_code(caught.value)) == (403, code)


def test_absent(vault: Vault) -> None:
    vault.put("a", "x")
    with client(vault) as one:
        for arguments in (("b",), ("a", "0" * 32)):
            with pytest.raises(ResourceNotFoundError) as caught:
                one.get_secret(*arguments)
            assert caught.value.error is not None
            assert caught.value.error.code == "SecretNotFound"


def test_faults(vault: Vault) -> None:
    vault.put("a", "x")
    with client(vault, read_timeout=0.3) as one:
        one.get_secret("a")
        for status, headers in ((429, {"Retry-After": "1"}), (503, {})):
            vault.fail(status=status, code="Throttled", headers=headers, times=2)
            for _ in range(2):
                with pytest.raises(HttpResponseError) as caught:
                    one.get_secret("a")
                assert caught.value.status_code == status
        vault.fail(delay_seconds=1.0)
        with pytest.raises(ServiceResponseTimeoutError):
            one.get_secret("a")
        assert one.get_secret("a").value == "x"
        vault.fail(status=503)
        vault.heal()
        assert one.get_secret("a").value == "x"


def test_tokens_and_versions_of_the_protocol(vault: Vault, certificates: Certificates) -> None:
    vault.put("a", "x")
    with client(vault, api_version="7.4") as one:
        assert one.get_secret("a").value == "x"
    with (
        client(vault, api_version="7.0") as one,
        pytest.raises(HttpResponseError, match="not recognized"),
    ):
        one.get_secret("a")
    with client(vault, Tokens({"exp": 1})) as one, pytest.raises(ClientAuthenticationError):
        one.get_secret("a")
    with (
        client(vault, connection_verify=str(certificates.stranger)) as one,
        pytest.raises(ServiceRequestError, match="certificate verify failed"),
    ):
        one.get_secret("a")


def test_a_vault_that_moves_to_another_tenant(vault: Vault) -> None:
    vault.put("a", "x")
    credential = Tokens()
    with client(vault, credential) as one:
        one.get_secret("a")
        vault.change(tenant="22222222-2222-2222-2222-222222222222")
        assert one.get_secret("a").value == "x"
    assert credential.asked[-1][1]["tenant_id"].startswith("2222")


def test_resource_is_verified_by_the_client(vault: Vault) -> None:
    vault.change(resource="https://evil.example")
    with client(vault) as one, pytest.raises(ValueError, match=r"evil\.example"):
        one.get_secret("a")


def test_entra_client_secret(tenant: Tenant) -> None:
    with signed_in(tenant) as credential:
        for _ in range(5):
            assert credential.get_token(SCOPE).expires_on > time.time() + 3000
        assert tenant.tokens_asked() == 1
    with (
        signed_in(tenant, "wrong") as credential,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        credential.get_token(SCOPE)
    tenant.change(resources=["https://storage.azure.com"])
    with signed_in(tenant) as credential:
        assert credential.get_token("https://storage.azure.com/.default")
        with pytest.raises(ClientAuthenticationError, match="AADSTS500011"):
            credential.get_token(SCOPE)
        with pytest.raises(ClientAuthenticationError, match="additionally_allowed_tenants"):
            credential.get_token(SCOPE, tenant_id="22222222-2222-2222-2222-222222222222")


def test_entra_lifetimes(tenant: Tenant) -> None:
    tenant.change(token_seconds=60)
    with signed_in(tenant) as credential:
        # A token with less than five minutes left is asked for anew.
        for _ in range(2):
            assert credential.get_token(SCOPE).expires_on < time.time() + 61
        assert tenant.tokens_asked() == 2


def test_entra_instance_discovery(tenant: Tenant) -> None:
    tenant.discoveries()
    with signed_in(tenant, authority=f"https://localhost:{tenant.port}") as credential:
        assert credential.get_token(SCOPE)
    assert tenant.discoveries() == 1


def test_entra_federated_assertion(tenant: Tenant) -> None:
    assertions = iter(["first", "second"])
    tenant.accept(assertions=("second",))
    with ClientAssertionCredential(
        tenant.id, tenant.client_id, lambda: next(assertions), connection_verify=str(tenant.ca_file)
    ) as credential:
        with pytest.raises(ClientAuthenticationError, match="AADSTS700024"):
            credential.get_token(SCOPE)
        assert credential.get_token(SCOPE)


def test_the_vault_takes_entras_tokens(vault: Vault, tenant: Tenant) -> None:
    vault.put("a", "x")
    vault.change(tenant=tenant.id)
    with signed_in(tenant) as credential, client(vault, credential) as one:
        assert one.get_secret("a").value == "x"


class AsyncTokens:
    def __init__(self) -> None:
        self._tokens = Tokens()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return self._tokens.get_token(*scopes, **options)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        pass


def run_async(
    vault: Vault, credential: Any, work: Callable[[AsyncSecretClient], Awaitable[None]]
) -> None:
    async def main() -> None:
        options: dict[str, Any] = {"connection_verify": str(vault.ca_file), "retry_total": 0}
        async with AsyncSecretClient(vault.url, credential, **options) as one, credential:
            await work(one)

    asyncio.run(main())


def test_asynchronous_client(vault: Vault) -> None:
    async def work(one: AsyncSecretClient) -> None:
        await one.set_secret("a", LONG)
        found = await asyncio.gather(*(one.get_secret("a") for _ in range(20)))
        assert {each.value for each in found} == {LONG}
        assert [each.name async for each in one.list_properties_of_secrets()] == ["a"]
        with pytest.raises(ResourceNotFoundError):
            await one.get_secret("b")
        vault.fail(status=429, headers={"Retry-After": "1"})
        with pytest.raises(HttpResponseError):
            await one.get_secret("a")
        await one.delete_secret("a")

    run_async(vault, AsyncTokens(), work)


def test_asynchronous_identity(vault: Vault, tenant: Tenant) -> None:
    vault.put("a", "x")
    vault.change(tenant=tenant.id)

    async def work(one: AsyncSecretClient) -> None:
        assert (await one.get_secret("a")).value == "x"

    credential = AsyncClientSecretCredential(
        tenant.id, tenant.client_id, FIRST_SECRET, connection_verify=str(tenant.ca_file)
    )
    run_async(vault, credential, work)
