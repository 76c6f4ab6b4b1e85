"""Which host is a vault: https, nothing beside the host, and a name that only Azure gives out.

A token for Key Vault goes to whichever host an address names, so a host that merely looks like a
vault's must not get that far.
"""

from __future__ import annotations

import re

from datastores.clouds import CLOUDS
from datastores.errors import ConfigurationError

# https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers
SUFFIXES = tuple(cloud.vaults for cloud in CLOUDS.values())
PUBLIC = CLOUDS["public"].vaults

_BARE = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]*")
_HOST = re.compile(r"[0-9a-z-]+(?:\.[0-9a-z-]+)*", re.IGNORECASE)
_ADDRESS = re.compile(r"(\w+)://([^/]*)(.*)", re.DOTALL)
_MEANT_AS_VAULT = re.compile(
    r"\s*(?:\w+://[^/]*\.vault\.[^/]*|https?://[^/]+/(?:secrets|keys|certificates))(?:/|$)",
    re.IGNORECASE,
)


def is_vault_uri(text: str) -> bool:
    """Tell whether a text is meant as an address in a vault, well-formed or not."""
    return _MEANT_AS_VAULT.match(text) is not None


def is_vault(text: str) -> bool:
    """Tell whether a text is a vault's bare name, or the host of one of Azure's clouds."""
    return bool(_BARE.fullmatch(text)) or (bool(_HOST.fullmatch(text)) and _ends_in(text, SUFFIXES))


def host_of_secret_uri(uri: str) -> tuple[str, str]:
    """Return a secret URI's host, and what follows it.

    Raises:
        ConfigurationError: Not https, or not a host of a vault.
    """
    return _split(uri, SUFFIXES)


def host_of_vault(url: str, more_suffixes: tuple[str, ...] = ()) -> str:
    """Return the host, and port if it is not the usual one, of a vault's own address.

    Args:
        url: `https://HOST`.
        more_suffixes: Names, beside Azure's, that a vault's host may be or end in.

    Raises:
        ConfigurationError: Not https, more than a host, or not a host of a vault.
    """
    host, rest = _split(url, (*SUFFIXES, *more_suffixes))
    if rest not in {"", "/"}:
        raise _refused("a vault's address is https://HOST and nothing more")
    return host


def _split(url: str, suffixes: tuple[str, ...]) -> tuple[str, str]:
    found = _ADDRESS.fullmatch(url)
    if found is None or found[1].lower() != "https":
        raise _refused("a vault's address begins with https://")
    place, rest = found[2], found[3]
    host, _, port = place.partition(":")
    if not _HOST.fullmatch(host) or (port and not port.isdecimal()):
        # Not shown: what stands before an @ may be a password.
        raise _refused("a vault's address has a plain host, without user, backslash or the like")
    if not _ends_in(host, suffixes):
        raise _refused(
            f"{host.lower()!r} is not the host of a vault",
            "A vault's host ends in "
            f"{', '.join(SUFFIXES)}; another one is allowed in code only: "
            "KeyVault(url=..., host_suffixes=...)",
        )
    return host.lower() + (f":{port}" if port not in {"", "443"} else ""), rest


def _ends_in(host: str, suffixes: tuple[str, ...]) -> bool:
    return any(f".{host.lower()}".endswith(f".{suffix}") for suffix in suffixes) and (
        host.lower() not in SUFFIXES
    )


def _refused(message: str, advice: str | None = None) -> ConfigurationError:
    return ConfigurationError(message, advice=advice or f"Write https://NAME.{PUBLIC}")
