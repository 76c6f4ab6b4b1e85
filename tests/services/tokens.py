"""Entra's tokens for tests: signed with a key that every fake knows, so that each may check them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

_KEY = b"of the tests"


def issue(claims: Mapping[str, Any]) -> str:
    """Return a token with these claims."""
    header = _encoded(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{header}.{_encoded(json.dumps(dict(claims)).encode())}"
    return f"{signed}.{_signature(signed)}"


def why_not(token: str, *, audience: str, tenant: str) -> str | None:
    """Return why a token is not accepted, or None if it is."""
    signed, _, signature = token.rpartition(".")
    if not hmac.compare_digest(signature, _signature(signed)):
        return "signature"
    claims = claims_of(token)
    expected = {"aud": audience, "tid": tenant}
    wrong = next((name for name, value in expected.items() if claims.get(name) != value), None)
    return wrong or ("exp" if claims["exp"] < time.time() else None)


def claims_of(token: str) -> dict[str, Any]:
    """Return what a token says, whether or not it is true."""
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(
        base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    )
    return found


def _signature(signed: str) -> str:
    return _encoded(hmac.digest(_KEY, signed.encode(), hashlib.sha256))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
