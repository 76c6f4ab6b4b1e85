"""Configs are read strictly, written back as they were read, and never show a secret."""

from __future__ import annotations

import dataclasses
import pickle
from typing import Any, ClassVar

import pytest

from datastores.drivers.config import DriverConfig, credential
from datastores.errors import ConfigurationError
from datastores.secrets import Secret, SecretRef

PLANTED = "pl4nted-s3cret"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LakeConfig(DriverConfig):
    """A config with one field of each sort."""

    type_name: ClassVar[str] = "lake"

    account_name: str
    port: int = 443
    timeout_seconds: float = 10.0
    read_only: bool = False
    proxy: str | None = None
    account_key: Secret | SecretRef | None = credential("account_key", secret=True)
    sas_token: Secret | SecretRef | None = credential("sas_token", secret=True)
    username: str | None = credential("password")
    password: Secret | SecretRef | None = credential("password", secret=True)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OpenConfig(DriverConfig):
    """A config without credentials."""

    type_name: ClassVar[str] = "open"

    path: str


ENTRIES: list[dict[str, Any]] = [
    {"account_name": "acme"},
    {"account_name": "acme", "port": 10000, "timeout_seconds": 2.5, "read_only": True, "proxy": "p"},
    {"account_name": "acme", "credentials": {"account_key": "env:KEY"}},
    {"account_name": "acme", "credentials": {"username": "u", "password": {"vault": "v", "name": "n"}}},
]  # fmt: skip


@pytest.mark.parametrize("entry", ENTRIES)
def test_entries_come_back(entry: dict[str, Any]) -> None:
    before = repr(entry)
    config = LakeConfig.from_mapping(entry)
    assert config.to_mapping() == entry
    assert LakeConfig.from_mapping(config.to_mapping()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert repr(entry) == before


def test_credentials_are_plain_arguments_in_code() -> None:
    config = LakeConfig.from_mapping({"account_name": "acme", "account_key": "env:KEY"})
    assert config.account_key == SecretRef(source="env", name="KEY")
    assert config.to_mapping()["credentials"] == {"account_key": "env:KEY"}
    assert LakeConfig.from_mapping({"account_name": "a", "credentials": None}).account_key is None


def test_defaults_are_not_written() -> None:
    config = LakeConfig.from_mapping(
        {"account_name": "a", "port": 443, "proxy": None, "timeout_seconds": 10}
    )
    assert config.to_mapping() == {"account_name": "a"}


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"acount_name": "a"}, "unknown key 'acount_name' for type 'lake'. Did you mean 'account_name'? Known keys are"),
        ({"account_name": "a", "credentials": {"acount_key": "x"}}, "credentials: unknown key 'acount_key' for type 'lake'. Did you mean 'account_key'?"),
        ({"account_name": "a", "credentials": {"port": 1}}, "credentials: unknown key 'port'"),
        ({"account_name": "a", 5: 1}, "unknown key 5"),
        ({}, "lake: account_name must be given"),
        ({"account_name": "a", "credentials": "x"}, "credentials: is a mapping"),
        ({"account_name": "a", "credentials": ["x"]}, "credentials: is a mapping"),
        ({"account_name": "a", "credentials": False}, "credentials: is a mapping"),
        ({"account_name": "a", "credentials": ""}, "credentials: is a mapping"),
        ({"account_name": "a", "timeout_seconds": float("inf")}, "timeout_seconds: inf is not a finite number"),
        ({"account_name": "a", "timeout_seconds": float("nan")}, "timeout_seconds: nan is not a finite number"),
        ({"account_name": ""}, "lake: account_name must be given"),
        ({"account_name": "a", "port": "443"}, "port: '443' is not of type int"),
        ({"account_name": "a", "port": True}, "port: True is not of type int"),
        ({"account_name": "a", "port": 1.0}, "port: 1.0 is not of type int"),
        ({"account_name": "a", "port": None}, "port: None is not of type int"),
        ({"account_name": None}, "account_name: None is not of type str"),
        ({"account_name": 5}, "account_name: 5 is not of type str"),
        ({"account_name": "a", "proxy": 5}, "proxy: 5 is not of type str"),
        ({"account_name": "a", "read_only": "yes"}, "read_only: 'yes' is not of type bool"),
        ({"account_name": "a", "timeout_seconds": True}, "timeout_seconds: True is not of type float"),
        ({"account_name": "a", "credentials": {"account_key": "x", "sas_token": "y"}}, "credentials: give exactly one of account_key, sas_token, password. Given were account_key, sas_token"),
        ({"account_name": "a", "account_key": "x", "credentials": {"username": "y"}}, "Given were account_key, username"),
        ({"account_name": "a", "account_key": "x", "credentials": {"account_key": "y"}}, "account_key is given twice"),
        ({"account_name": "a", "credentials": {"account_key": 5}}, "a secret is a text or a mapping, not int"),
    ],
)  # fmt: skip
def test_refused(entry: dict[Any, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        LakeConfig.from_mapping(entry)
    assert words in str(caught.value)


def test_a_type_without_credentials() -> None:
    with pytest.raises(ConfigurationError, match="Known keys are none"):
        OpenConfig.from_mapping({"path": "a", "credentials": {"account_key": "x"}})
    assert OpenConfig.from_mapping({"path": "a", "credentials": {}}).path == "a"


def test_a_literal_is_used_and_never_written() -> None:
    config = LakeConfig.from_mapping({"account_name": "a", "credentials": {"account_key": PLANTED}})
    assert config.literal_secrets() == ("account_key",)
    assert PLANTED not in f"{config} {config!r} {[config]}"
    assert config == dataclasses.replace(config)
    for call in (config.to_mapping, lambda: pickle.dumps(config)):
        with pytest.raises(ConfigurationError) as caught:
            call()
        assert PLANTED not in f"{caught.value} {caught.value!r}"
        assert "reference" in str(caught.value)


def test_errors_do_not_repeat_a_secret() -> None:
    wrong: list[dict[str, Any]] = [
        {"account_name": "a", "credentials": {"acount_key": PLANTED}},
        {"account_name": "a", "credentials": {"account_key": PLANTED, "sas_token": PLANTED}},
        {"credentials": {"account_key": PLANTED}},
        {"account_name": "a", "credentials": PLANTED},
    ]
    for entry in wrong:
        with pytest.raises(ConfigurationError) as caught:
            LakeConfig.from_mapping(entry)
        assert PLANTED not in f"{caught.value} {caught.value!r} {caught.value.context()}"


def test_references_are_no_literals() -> None:
    config = LakeConfig.from_mapping(
        {"account_name": "a", "credentials": {"account_key": "env:KEY"}}
    )
    assert config.literal_secrets() == ()
