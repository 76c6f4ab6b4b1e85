"""Blob storage that takes tokens of one application only: it lists a container, and says who may not.

Azurite looks at a token's audience and times, and does not mind whose it is.

Source: https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory
"""

from __future__ import annotations

from typing import Any

from typing_extensions import override

from tests.services import tokens
from tests.services.https_server import Fake, Reply, Request, serve

RESOURCE = "https://storage.azure.com"


class Account(Fake):
    """One account, which is empty."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.settings = {"tenant": "", "client_id": "", "resource": RESOURCE}

    @override
    def error(self, status: int, code: str, message: str, **more: Any) -> Reply:
        xml = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
        return Reply(status=status, xml=xml, headers={"x-ms-error-code": code})

    @override
    def answer(self, request: Request) -> Reply:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = self.settings
        if scheme != "Bearer":
            return self.error(401, "NoAuthenticationInformation", "no token")
        if why := tokens.why_not(token, audience=known["resource"], tenant=known["tenant"]):
            return self.error(401, "InvalidAuthenticationInfo", why)
        if tokens.claims_of(token)["appid"] != known["client_id"]:
            return self.error(403, "AuthorizationPermissionMismatch", "another application")
        return Reply(
            xml="<?xml version='1.0'?><EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
        )


if __name__ == "__main__":
    serve(Account, lambda request: request.host)
