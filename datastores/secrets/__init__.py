"""Secrets, references to them, and the one place that turns the second into the first."""

from datastores.secrets.key_vault import KeyVault
from datastores.secrets.reference import SecretRef, parse_secret
from datastores.secrets.resolver import Resolver, SecretFacts, SecretSource
from datastores.secrets.secret import Secret

__all__ = [
    "KeyVault",
    "Resolver",
    "Secret",
    "SecretFacts",
    "SecretRef",
    "SecretSource",
    "parse_secret",
]
