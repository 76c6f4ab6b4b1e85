"""References in all their written forms: read without I/O, written back as they were read."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from datastores.errors import ConfigurationError
from datastores.secrets import Secret, SecretRef, parse_secret

URI = "https://acme-kv.vault.azure.net/secrets/pg-loader"


HOST = "acme-kv.vault.azure.net"


def at(place: str, version: str | None = None, field: str | None = None) -> SecretRef:
    return SecretRef(
        source="key_vault", vault=place, name="pg-loader", version=version, field=field
    )


def vault(version: str | None = None, field: str | None = None) -> SecretRef:
    return at("acme-kv", version, field)


def host(version: str | None = None, field: str | None = None) -> SecretRef:
    return at(HOST, version, field)


FORMS: list[tuple[Any, SecretRef]] = [
    ("env:PASSWORD", SecretRef(source="env", name="PASSWORD")),
    ("env:PASSWORD#user", SecretRef(source="env", name="PASSWORD", field="user")),
    ("file:/run/secrets/pw", SecretRef(source="file", name="/run/secrets/pw")),
    ("file:C:/pw", SecretRef(source="file", name="C:/pw")),
    (URI, host()),
    (URI + "/", host()),
    (URI + "/0a1b", host("0a1b")),
    (URI + "/0a1b#user", host("0a1b", "user")),
    (URI + "#user", host(field="user")),
    (URI.upper().replace("/SECRETS/PG-LOADER", "/secrets/pg-loader").replace("HTTPS", "https"), host()),
    (URI.replace(".net", ".net:443"), host()),
    (URI.replace("azure.net", "azure.cn"), at("acme-kv.vault.azure.cn")),
    (f"@Microsoft.KeyVault(SecretUri={URI})", host()),
    (f"@Microsoft.KeyVault(SecretUri={URI}/0a1b)", host("0a1b")),
    ("@microsoft.keyvault(VaultName=acme-kv;SecretName=pg-loader)", vault()),
    ("@Microsoft.KeyVault(VaultName=acme-kv;SecretName=pg-loader;SecretVersion=0a1b)", vault("0a1b")),
    ({"vault": "acme-kv", "name": "pg-loader"}, vault()),
    ({"vault": "acme-kv", "name": "pg-loader", "version": None}, vault()),
    ({"vault": HOST, "name": "pg-loader"}, host()),
    ({"vault": "acme-kv", "secret_name": "pg-loader", "secret_version": "0a1b"}, vault("0a1b")),
    ({"vault": "acme-kv", "secretName": "pg-loader", "secretVersion": "0a1b"}, vault("0a1b")),
    ({"vault": "acme-kv", "name": "pg-loader", "version": "0a1b", "field": "user"}, vault("0a1b", "user")),
]  # fmt: skip


@pytest.mark.parametrize(("written", "expected"), FORMS)
def test_forms(written: Any, expected: SecretRef) -> None:
    found = parse_secret(written)
    assert found == expected
    assert parse_secret(found) is found
    assert isinstance(found, SecretRef)
    assert parse_secret(found.to_plain()) == expected
    assert pickle.loads(pickle.dumps(found)) == expected


@pytest.mark.parametrize(
    "text", ["", "hunter2", "https://acme.blob.core.windows.net/c", "Env:X", "a:b", "files:x"]
)
def test_literals(text: str) -> None:
    found = parse_secret(text)
    assert isinstance(found, Secret)
    assert found.reveal() == text


@pytest.mark.parametrize("text", ["env:X", "", URI, "literal:x"])
def test_a_literal_that_looks_like_a_reference(text: str) -> None:
    assert parse_secret(f"literal:{text}") == Secret(text)


@pytest.mark.parametrize(
    "written",
    [
        "env:", "file:", "env:#user", "@Microsoft.KeyVault()", "@Microsoft.KeyVault(SecretUri=x)",
        f"@Microsoft.KeyVault(SecretUri={URI};x=1)", f"@Microsoft.KeyVault(SecretUri={URI}",
        "@Microsoft.KeyVault(VaultName=a)", "@Microsoft.KeyVault(VaultName=;SecretName=b)",
        "https://acme-kv.vault.azure.net/secret/pg-loader", "https://acme-kv.vault.azure.net/keys/k",
        {"vault": "a"}, {"name": "a"}, {"vault": "", "name": "a"}, {"vault": "a", "name": None},
        {"vault": "a", "name": "b", "versoin": "c"}, {"vault": "a", "name": "b", "secret_name": "b"},
        {"vault": "evil.example", "name": "b"}, {"vault": "a", "name": "b_c"}, {"vault": "a", "name": "b", "version": "x"},
        {"vault": ["a"], "name": "b"}, {"vault": "a", "name": True}, {"vault": "a", "name": 83}, {"vault": "a", "name": "b", "field": 1}, 5, None, ["env:X"],
    ],
)  # fmt: skip
def test_malformed(written: Any) -> None:
    with pytest.raises(ConfigurationError):
        parse_secret(written)


def test_what_people_see() -> None:
    assert str(vault("0a1b", "user")) == "acme-kv/secrets/pg-loader/0a1b#user"
    assert str(SecretRef(source="env", name="X")) == "env:X"
