"""Azure's clouds: where each has its services, and what its tokens are for.

Sources: https://github.com/Azure/azure-cli/blob/dev/src/azure-cli-core/azure/cli/core/cloud.py,
https://learn.microsoft.com/entra/workload-id/workload-identity-federation-config-app-trust-managed-identity
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One of them."""

    authority: str
    """The host that signs in."""
    vaults: str
    """How the hosts of Key Vault end."""
    storage: str
    """What follows `ACCOUNT.blob.`."""
    storage_resource: str
    """What a token for storage is asked for, as are those below."""
    database_resource: str
    """For PostgreSQL and MySQL."""
    federation_audience: str
    """Whom the word on a job of GitHub's is addressed to."""


CLOUDS: Mapping[str, Cloud] = {
    "public": Cloud(
        authority="login.microsoftonline.com",
        vaults="vault.azure.net",
        storage="core.windows.net",
        storage_resource="https://storage.azure.com",
        database_resource="https://ossrdbms-aad.database.windows.net",
        federation_audience="api://AzureADTokenExchange",
    ),
    "china": Cloud(
        authority="login.chinacloudapi.cn",
        vaults="vault.azure.cn",
        storage="core.chinacloudapi.cn",
        storage_resource="https://storage.azure.com",
        database_resource="https://ossrdbms-aad.database.chinacloudapi.cn",
        federation_audience="api://AzureADTokenExchangeChina",
    ),
    "us_government": Cloud(
        authority="login.microsoftonline.us",
        vaults="vault.usgovcloudapi.net",
        storage="core.usgovcloudapi.net",
        storage_resource="https://storage.azure.com",
        database_resource="https://ossrdbms-aad.database.usgovcloudapi.net",
        federation_audience="api://AzureADTokenExchangeUSGov",
    ),
}


def cloud_of(authority_url: str | None) -> Cloud:
    """Return the cloud that signs in there; the public one for None and for places of others."""
    host = (authority_url or "").rpartition("://")[2].partition("/")[0].lower()
    found = [cloud for cloud in CLOUDS.values() if cloud.authority == host]
    return found[0] if found else CLOUDS["public"]
