"""Secrets, references to them, and the one place that turns the second into the first."""

from datastores.secrets.reference import SecretRef, parse_secret
from datastores.secrets.resolver import Resolver, SecretSource
from datastores.secrets.secret import Secret

__all__ = ["Resolver", "Secret", "SecretRef", "SecretSource", "parse_secret"]
