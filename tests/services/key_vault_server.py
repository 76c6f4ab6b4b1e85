"""Key Vault's REST interface to secrets, as the genuine clients use it. One vault for each host name.

Source: https://learn.microsoft.com/rest/api/keyvault/secrets/ and recorded traffic of the SDKs.
"""

from __future__ import annotations

import json
import re
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any

from typing_extensions import override

from tests.services import tokens
from tests.services.https_server import Fake, Reply, Request, serve

API_VERSIONS = ("7.4", "7.5", "7.6", "2025-07-01", "2026-04-01")
_PAGE = 25
_NAME = "([0-9A-Za-z-]{1,127})"
_MESSAGES = {
    "SecretDisabled": "Operation get is not allowed on a disabled secret.",
    "SecretExpired": "Operation get is not allowed on an expired secret.",
    "SecretNotYetValid": "Operation get is not allowed on a secret that is not yet valid.",
    "ForbiddenByRbac": "Caller is not authorized to perform action on resource.",
    "AccessDenied": "The user, group or application does not have secrets get permission on key vault.",
    "ForbiddenByFirewall": "Client address is not authorized and caller is not a trusted service.",
    "ObjectIsDeletedButRecoverable": "Secret is currently in a deleted but recoverable state, and its name cannot be reused.",
    "ObjectIsBeingDeleted": "Secret is currently being deleted.",
}

Versions = list[dict[str, Any]]


class Vault(Fake):
    """What one vault holds, and who may do what."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.settings = {
            "tenant": str(uuid.UUID(int=1)),
            "login": "https://login.microsoftonline.com",
            "resource": "https://" + host.partition(".")[2],
            "denied": {},  # operation -> inner code; operations are get, list, set, delete
            "window_is_strict": False,
            "delete_seconds": 0.0,
        }
        self._secrets: dict[str, Versions] = {}
        self._deleted: dict[str, tuple[float, Versions]] = {}

    def put(self, name: str, value: str, **attributes: Any) -> str:
        """Set a secret and return its version; `enabled`, `nbf`, `exp`."""
        made = self._put(name, {"value": value, "attributes": attributes})
        version: str = made["id"].rpartition("/")[2]
        return version

    def value(self, name: str) -> str:
        """Return the newest value of a secret."""
        value: str = self._secrets[name.lower()][-1]["value"]
        return value

    def remove(self, name: str) -> None:
        """Delete a secret; it can be recovered."""
        self._deleted[name.lower()] = (0.0, self._secrets.pop(name.lower()))

    @override
    def error(self, status: int, code: str, message: str, **more: Any) -> Reply:
        error: dict[str, Any] = {"code": code, "message": message}
        if "inner" in more:
            error["innererror"] = {"code": more["inner"]}
        return Reply(status=status, body={"error": error}, headers=self._headers())

    @override
    def answer(self, request: Request) -> Reply:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        audience, tenant = self.settings["resource"], self.settings["tenant"]
        if (
            refusal := "missing"
            if not token
            else tokens.why_not(token, audience=audience, tenant=tenant)
        ):
            return self._challenge(refusal)
        if request.query.get("api-version") not in API_VERSIONS:
            return self.error(400, "BadParameter", "The specified version is not recognized.")
        for method, pattern, operation, handle in self._routes():
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                if inner := self.settings["denied"].get(operation):
                    return self._refused(403, "Forbidden", inner)
                return handle(request, *(part or "" for part in found.groups()))
        return self.error(400, "BadParameter", "The request URI contains an invalid name.")

    def _routes(self) -> tuple[tuple[str, str, str, Callable[..., Reply]], ...]:
        one, deleted = f"/secrets/{_NAME}", f"/deletedsecrets/{_NAME}"
        return (
            ("GET", "/secrets/?", "list", self._list),
            ("GET", f"{one}/versions", "list", self._list_versions),
            ("GET", f"{one}(?:/([0-9a-f]*))?", "get", self._get),
            ("PUT", one, "set", self._set),
            ("PATCH", f"{one}/([0-9a-f]*)", "set", self._update),
            ("DELETE", one, "delete", self._delete),
            ("GET", "/deletedsecrets/?", "list", self._list_deleted),
            ("GET", deleted, "get", self._get_deleted),
            ("POST", f"{deleted}/recover", "recover", self._recover),
            ("DELETE", deleted, "purge", self._purge),
        )

    def _get(self, _: Request, name: str, version: str) -> Reply:
        versions = self._secrets.get(name.lower(), [])
        found = [one for one in versions if not version or one["id"].endswith(f"/{version}")]
        if not found:
            what = f"{name}/{version}" if version else name
            return self.error(
                404,
                "SecretNotFound",
                f"A secret with (name/id) {what} was not found in this key vault.",
            )
        bundle = found[-1]
        if inner := self._closed(bundle["attributes"]):
            return self._refused(403, "Forbidden", inner)
        return self._ok(bundle)

    def _closed(self, attributes: dict[str, Any]) -> str | None:
        if not attributes["enabled"]:
            return "SecretDisabled"
        if self.settings["window_is_strict"]:
            if attributes.get("exp", 1e12) < time.time():
                return "SecretExpired"
            if attributes.get("nbf", 0) > time.time():
                return "SecretNotYetValid"
        return None

    def _set(self, request: Request, name: str) -> Reply:
        if name.lower() in self._deleted:
            return self._refused(409, "Conflict", "ObjectIsDeletedButRecoverable")
        return self._ok(self._put(name, json.loads(request.body)))

    def _put(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        now = int(time.time())
        bundle = {
            "id": f"https://{self.name}/secrets/{name}/{secrets.token_hex(16)}",
            "value": given["value"],
            **{key: given[key] for key in ("contentType", "tags") if given.get(key)},
            "attributes": {
                "enabled": True,
                **{
                    key: value
                    for key, value in (given.get("attributes") or {}).items()
                    if value is not None
                },
            }
            | {
                "created": now,
                "updated": now,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": 90,
            },
        }
        self._secrets.setdefault(name.lower(), []).append(bundle)
        return bundle

    def _update(self, request: Request, name: str, version: str) -> Reply:
        given = json.loads(request.body)
        for bundle in self._secrets.get(name.lower(), []):
            if not version or bundle["id"].endswith(version):
                bundle["attributes"] |= {
                    key: value
                    for key, value in given.get("attributes", {}).items()
                    if value is not None
                }
                return self._ok(_without_value(bundle))
        return self.error(
            404,
            "SecretNotFound",
            f"A secret with (name/id) {name} was not found in this key vault.",
        )

    def _list(self, request: Request) -> Reply:
        return self._page(
            request,
            [_item(versions[-1], versioned=False) for _, versions in sorted(self._secrets.items())],
        )

    def _list_versions(self, request: Request, name: str) -> Reply:
        return self._page(
            request, [_item(one, versioned=True) for one in self._secrets.get(name.lower(), [])]
        )

    def _list_deleted(self, request: Request) -> Reply:
        return self._page(request, [self._deleted_bundle(name) for name in sorted(self._deleted)])

    def _page(self, request: Request, items: list[dict[str, Any]]) -> Reply:
        begin, size = (
            int(request.query.get("$skiptoken", 0)),
            int(request.query.get("maxresults", _PAGE)),
        )
        following = None
        if len(items) > begin + size:
            query = f"api-version={request.query['api-version']}&$skiptoken={begin + size}&maxresults={size}"
            following = f"https://{self.name}{request.path}?{query}"
        return self._ok({"value": items[begin : begin + size], "nextLink": following})

    def _delete(self, _: Request, name: str) -> Reply:
        versions = self._secrets.pop(name.lower(), None)
        if versions is None:
            return self.error(
                404,
                "SecretNotFound",
                f"A secret with (name/id) {name} was not found in this key vault.",
            )
        self._deleted[name.lower()] = (time.monotonic() + self.settings["delete_seconds"], versions)
        return self._ok(self._deleted_bundle(name.lower()))

    def _get_deleted(self, _: Request, name: str) -> Reply:
        since, _versions = self._deleted.get(name.lower(), (float("inf"), []))
        if since > time.monotonic():
            return self.error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        return self._ok(self._deleted_bundle(name.lower()))

    def _deleted_bundle(self, name: str) -> dict[str, Any]:
        now = int(time.time())
        return _item(self._deleted[name][1][-1], versioned=False) | {
            "recoveryId": f"https://{self.name}/deletedsecrets/{name}",
            "deletedDate": now,
            "scheduledPurgeDate": now + 90 * 86_400,
        }

    def _recover(self, _: Request, name: str) -> Reply:
        if name.lower() not in self._deleted:
            return self.error(404, "SecretNotFound", f"Deleted Secret not found: {name}")
        _since, self._secrets[name.lower()] = self._deleted.pop(name.lower())
        return self._ok(_without_value(self._secrets[name.lower()][-1]))

    def _purge(self, _: Request, name: str) -> Reply:
        self._deleted.pop(name.lower(), None)
        return Reply(status=204, headers=self._headers())

    def _challenge(self, refusal: str) -> Reply:
        words = {
            "missing": "AKV10000: Request is missing a Bearer or PoP token.",
            "tid": "AKV10032: Invalid issuer. Expected one of the tenant's issuers, found another.",
            "aud": "AKV10022: Invalid audience.",
        }.get(refusal, f"AKV10001: The token is not valid: {refusal}.")
        where = f'authorization="{self.settings["login"]}/{self.settings["tenant"]}"'
        challenge = f'Bearer {where}, resource="{self.settings["resource"]}"'
        reply = self.error(401, "Unauthorized", words)
        return Reply(
            status=401, body=reply.body, headers={**reply.headers, "WWW-Authenticate": challenge}
        )

    def _refused(self, status: int, code: str, inner: str) -> Reply:
        return self.error(status, code, _MESSAGES[inner], inner=inner)

    def _ok(self, body: dict[str, Any]) -> Reply:
        return Reply(body=body, headers=self._headers())

    def _headers(self) -> dict[str, str]:
        return {
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-keyvault-region": "westeurope",
            "x-ms-keyvault-service-version": "1.9.2000.1",
        }


def _without_value(bundle: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in bundle.items() if key != "value"}


def _item(bundle: dict[str, Any], *, versioned: bool) -> dict[str, Any]:
    identifier = bundle["id"] if versioned else bundle["id"].rpartition("/")[0]
    return {**_without_value(bundle), "id": identifier}


if __name__ == "__main__":
    serve(Vault, lambda request: request.host)
