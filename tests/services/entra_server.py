"""Entra's token endpoint, as azure-identity uses it. One tenant for each first part of a path.

Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
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
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_WORDS = {
    "AADSTS7000215": "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{app}'.",
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
            "applications": {},  # client id -> {"secrets": [...], "assertions": [...]}
            "resources": None,  # those that exist; None for all
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
            return self._token(form)
        return Reply(status=404, body={"error": "not_found"})

    def _token(self, form: dict[str, str]) -> Reply:
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
        elif form.get("client_secret") not in known.get("secrets", ()):
            return self._refused("AADSTS7000215", "invalid_client", 401, app=app)
        if self.settings["resources"] is not None and resource not in self.settings["resources"]:
            return self._refused("AADSTS500011", "invalid_resource", 400, resource=resource)
        now, seconds = int(time.time()), self.settings["token_seconds"]
        claims = {
            "aud": resource,
            "iss": f"https://sts.windows.net/{self.name}/",
            "tid": self.name,
            "appid": app,
            "oid": str(uuid.uuid5(uuid.NAMESPACE_OID, app)),
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
        }
        token = {
            "access_token": tokens.issue(claims),
            "expires_in": seconds,
            "ext_expires_in": seconds,
        }
        return Reply(body={"token_type": "Bearer", **token})

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
