"""Certificates that live as long as the test run: one authority that clients trust, one they do not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import trustme

NAMES = (
    "localhost",
    "127.0.0.1",
    # What `fakes.named` leads to this machine.
    "*.vault.azure.net",
    "*.vault.azure.cn",
    "login.microsoftonline.com",
)


@dataclass(frozen=True, slots=True)
class Certificates:
    """Files in PEM form."""

    authority: Path
    """What a client trusts: `ca_bundle`."""
    certificate: Path
    key: Path
    stranger: Path
    """An authority that signed nothing here, for a client that is to refuse the server."""


def make_certificates(folder: Path) -> Certificates:
    """Write a server certificate for loopback, and the authorities, into a folder."""
    files = Certificates(
        *(folder / name for name in ("authority.pem", "server.pem", "server.key", "stranger.pem"))
    )
    authority = trustme.CA()
    server = authority.issue_cert(*NAMES)
    authority.cert_pem.write_to_path(str(files.authority))
    server.private_key_pem.write_to_path(str(files.key))
    for part in server.cert_chain_pems:
        part.write_to_path(str(files.certificate), append=True)
    trustme.CA().cert_pem.write_to_path(str(files.stranger))
    return files
