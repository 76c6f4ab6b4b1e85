"""Entra's token endpoint, as azure-identity uses it. One tenant for each first part of a path.

Beside it are those who vouch for an application without a secret: the OIDC endpoints of Azure
Pipelines and of GitHub, and the endpoints of managed identities.

Sources: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow,
https://learn.microsoft.com/rest/api/azure/devops/distributedtask/oidctoken/create,
https://docs.github.com/actions/reference/security/oidc,
https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token,
https://learn.microsoft.com/azure/app-service/overview-managed-identity (REST endpoint reference)
"""

from __future__ import annotations

import time
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from tests.services import tokens
from tests.services.https_server import Fake, Reply, Request, serve

HOST = "login.microsoftonline.com"
HOST_CHINA = "login.chinacloudapi.cn"
# Whom GitHub's word must be addressed to; that of Pipelines takes no audience.
_AUDIENCES = {
    HOST: "api://AzureADTokenExchange",
    HOST_CHINA: "api://AzureADTokenExchangeChina",
}
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_WORDS = {
    "AADSTS7000215": "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'.",
    "AADSTS700212": "No matching federated identity record found for presented assertion audience '{audience}'.",
    "AADSTS700024": "Client assertion is not within its valid time range.",
    "AADSTS700016": "Application with identifier '{app}' was not found in the directory '{tenant}'.",
    "AADSTS90002": "Tenant '{tenant}' not found.",
    "AADSTS500011": "The resource principal named {resource} was not found in the tenant named {tenant}.",
}


class Tenant(Fake):
    """The applications of one tenant, and how long its tokens live."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.settings = {
            "applications": {},  # client id -> {"secrets": [...], "assertions": [...], "audience": ...}
            "resources": None,  # those that exist; None for all
            "job": {},  # whose job is vouched for, and by which token: {"client_id", "token"}
            "machine": {},  # header that its endpoint wants -> value
            "token_seconds": 3599,
        }

    @override
    def error(self, status: int, code: str, message: str, **more: Any) -> Reply:
        return Reply(
            status=status, body={"error": "server_error", "error_description": f"{code}: {message}"}
        )

    @override
    def answer(self, request: Request) -> Reply:
        if request.path.endswith("/discovery/instance"):
            return Reply(body=_discovery(request.query["authorization_endpoint"]))
        if request.path.endswith("/.well-known/openid-configuration"):
            base = f"https://{HOST}/{self.name}"
            return Reply(
                body={
                    "token_endpoint": f"{base}/oauth2/v2.0/token",
                    "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    "issuer": f"{base}/v2.0",
                    "jwks_uri": f"{base}/discovery/v2.0/keys",
                }
            )
        if request.method == "POST" and request.path.endswith("/oauth2/v2.0/token"):
            form = {key: values[-1] for key, values in parse_qs(request.body.decode()).items()}
            return self._token(form, request.host)
        if request.path.endswith("/oidc"):
            return self._vouch(request)
        if request.path.endswith(("/msi/token", "/metadata/identity/oauth2/token")):
            return self._of_machine(request)
        return Reply(status=404, body={"error": "not_found"})

    def _token(self, form: dict[str, str], host: str) -> Reply:
        app, scope = form.get("client_id", ""), form.get("scope", "").split(" ")[0]
        resource = scope.removesuffix("/.default")
        known = self.settings["applications"].get(app)
        if form.get("grant_type") != "client_credentials" or not scope.endswith("/.default"):
            return Reply(
                status=400,
                body={"error": "invalid_request", "error_description": "AADSTS900144: invalid"},
            )
        if known is None:
            return self._refused("AADSTS700016", "unauthorized_client", 400, app=app)
        if form.get("client_assertion_type") == _ASSERTION:
            if form.get("client_assertion") not in known.get("assertions", ()):
                return self._refused("AADSTS700024", "invalid_client", 401, app=app)
            if (audience := known.get("audience")) not in {None, _AUDIENCES[host]}:
                return self._refused("AADSTS700212", "invalid_client", 401, audience=audience)
        elif form.get("client_secret") not in known.get("secrets", ()):
            return self._refused("AADSTS7000215", "invalid_client", 401, app=app)
        if self.settings["resources"] is not None and resource not in self.settings["resources"]:
            return self._refused("AADSTS500011", "invalid_resource", 400, resource=resource)
        found = self._issued(resource, app)
        del found["resource"], found["expires_on"]
        return Reply(body={**found, "ext_expires_in": found["expires_in"]})

    def _vouch(self, request: Request) -> Reply:
        """Return a word on the running job: the application's newest one is the only one that serves."""
        job = self.settings["job"]
        if request.headers.get("authorization") != f"Bearer {job['token']}":
            return Reply(status=401, body={"message": "no job"})
        word = f"word-{uuid.uuid4()}"
        application = self.settings["applications"][job["client_id"]]
        application |= {"assertions": [word], "audience": request.query.get("audience")}
        return Reply(body={"oidcToken": word} if request.method == "POST" else {"value": word})

    def _of_machine(self, request: Request) -> Reply:
        wanted = self.settings["machine"]
        if any(request.headers.get(name) != value for name, value in wanted.items()):
            return Reply(status=400, body={"error": "invalid_request", "error_description": "no"})
        given = request.query
        app = given.get("client_id") or given.get("clientid") or "the machine's own"
        found = self._issued(given["resource"].removesuffix("/"), app)
        return Reply(body={name: str(value) for name, value in found.items()})

    def _issued(self, resource: str, app: str) -> dict[str, Any]:
        now, seconds = int(time.time()), self.settings["token_seconds"]
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{self.name}/",
            "tid": self.name,
            "appid": app,
            "oid": str(uuid.uuid5(uuid.NAMESPACE_OID, app)),
            "uti": uuid.uuid4().hex,
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
        }
        return {
            "access_token": tokens.issue(claims),
            "token_type": "Bearer",
            "resource": resource,
            "expires_in": seconds,
            "expires_on": now + seconds,
        }

    def _refused(self, code: str, word: str, status: int, **names: str) -> Reply:
        text = _WORDS[code].format(tenant=self.name, **names)
        trace = f"Trace ID: {uuid.uuid4()} Correlation ID: {uuid.uuid4()} Timestamp: 2026-01-01 00:00:00Z"
        return Reply(
            status=status,
            body={
                "error": word,
                "error_description": f"{code}: {text} {trace}",
                "error_codes": [int(code.removeprefix("AADSTS"))],
            },
        )


def _discovery(authorization_endpoint: str) -> dict[str, Any]:
    tenant = urlsplit(authorization_endpoint).path.split("/")[1]
    return {
        "tenant_discovery_endpoint": f"https://{HOST}/{tenant}/v2.0/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [
            {"preferred_network": HOST, "preferred_cache": "login.windows.net", "aliases": [HOST]}
        ],
    }


if __name__ == "__main__":
    serve(Tenant, lambda request: request.path.split("/")[1])
