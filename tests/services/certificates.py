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
    "*.blob.core.windows.net",
    "*.blob.core.chinacloudapi.cn",
    "login.microsoftonline.com",
    "login.chinacloudapi.cn",
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
    elsewhere: Path
    """The certificate of another host, by the trusted authority, with its key in the same file."""


def make_certificates(folder: Path) -> Certificates:
    """Write a server certificate for loopback, and the authorities, into a folder."""
    files = Certificates(
        *(
            folder / name
            for name in (
                "authority.pem",
                "server.pem",
                "server.key",
                "stranger.pem",
                "elsewhere.pem",
            )
        )
    )
    authority = trustme.CA()
    server = authority.issue_cert(*NAMES)
    authority.cert_pem.write_to_path(str(files.authority))
    server.private_key_pem.write_to_path(str(files.key))
    for part in server.cert_chain_pems:
        part.write_to_path(str(files.certificate), append=True)
    authority.issue_cert("elsewhere.example").private_key_and_cert_chain_pem.write_to_path(
        str(files.elsewhere)
    )
    trustme.CA().cert_pem.write_to_path(str(files.stranger))
    return files
