"""What is shown of a store, its parts and its workspace, for each kind of secret and of reference."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from warnings import WarningMessage

import pytest
import yaml

from datastores import Datastore, Identity, Workspace
from datastores.check import check_store
from datastores.drivers.azure_blob import client as blob_client
from datastores.drivers.base import FileDriver
from datastores.errors import ConfigurationError
from datastores.secrets import KeyVault, Resolver
from tests.redaction.conftest import (
    ACCOUNT_KEY,
    CLIENT_SECRET,
    OF_POSTGRESQL,
    OF_STORAGE,
    PASSWORD,
    PLANTED,
    SAS,
    TOKEN,
    Records,
    Refer,
)
from tests.redaction.planted import Planted, found, shown, shown_error, without_callers

SOURCES = ("literal", "env", "file", "key_vault")
_POSTGRESQL = {"type": "azure_postgresql", "server_name": "127.0.0.1", "port": 1}
_SALES = {**_POSTGRESQL, "database_name": "sales", "username": "loader"}
_BLOB = {
    "type": "azure_blob",
    "account_name": "acme",
    "account_url": "http://127.0.0.1:1/acme",
    "container_name": "landing",
}
STORES: dict[str, tuple[dict[str, Any], str, Planted]] = {
    "password": (_SALES, "password", PASSWORD),
    "connection string of PostgreSQL": (_POSTGRESQL, "connection_string", OF_POSTGRESQL),
    "account key": (_BLOB, "account_key", ACCOUNT_KEY),
    "SAS": (_BLOB, "sas_token", SAS),
    "connection string of storage": (
        {"type": "azure_blob", "container_name": "landing"},
        "connection_string",
        OF_STORAGE,
    ),
}
IDENTITIES: dict[str, tuple[dict[str, str], str, Planted]] = {
    "service_principal": (
        {"tenant_id": "t", "client_id": "c"},
        "client_secret",
        CLIENT_SECRET,
    ),
    "azure_pipelines": (
        {"tenant_id": "t", "client_id": "c", "service_connection_id": "s"},
        "system_access_token",
        TOKEN,
    ),
}


def places_of(store: Datastore) -> Iterator[tuple[str, str | bytes]]:
    """Yield all that a program may print, write or send of a store."""
    things: dict[str, Any] = {
        "store": store,
        "path": store / "a/b",
        "driver": store.driver,
        "config": store.config,
        "filesystem": store.filesystem,
        "tabular": store.tabular,
        "capabilities": store.capabilities,
    }
    if isinstance(store.driver, FileDriver):
        things["sign-in words"] = store.config.signs_in_by  # type: ignore[attr-defined]
    for name, thing in things.items():
        yield name, f"{thing!r} {thing!s} {thing:} {shown(thing)}"
        for how, made in COPIED.items():
            yield f"{name}, {how}", tried(lambda made=made, thing=thing: made(thing))  # type: ignore[misc]
    for how in ("to_json", "to_dict"):
        yield how, tried(getattr(store.filesystem, how))
    yield "fsspec token", repr(getattr(store.filesystem, "_fs_token", ""))
    yield "mapping", tried(store.config.to_mapping)


COPIED: dict[str, Callable[[Any], Any]] = {
    "pickled": pickle.dumps,
    "asdict": dataclasses.asdict,
    "copied": copy.deepcopy,
    "as json": json.dumps,
    "vars": vars,
}


def tried(make: Callable[[], Any]) -> str | bytes:
    """Return what a call made, or all that its error shows."""
    try:
        made = make()
    except Exception as error:  # noqa: BLE001  # also this is looked through
        return shown_error(error)
    return made if isinstance(made, bytes | str) else shown(made)


@pytest.fixture(autouse=True)
def one_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob_client, "RETRIES", 0)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("kind", STORES)
def test_a_store(
    kind: str, source: str, refer: Refer, logged: Records, warned: list[WarningMessage]
) -> None:
    fields, name, planted = STORES[kind]
    value: Any = refer(planted, source)
    with Datastore(**fields, **{name: value}) as store:
        assert Resolver().resolve(value).reveal() == planted.value
        places = dict(places_of(store))
        # Nobody listens there, so what is used gets as far as an error.
        places["use"] = tried(lambda: list(store.list("")))
        assert "ConnectionFailedError" in str(places["use"])
        places |= {f"{place}, used": text for place, text in places_of(store)}
        places["check"] = tried(lambda: check_store(store))
        places["logs"] = "\n".join(logged.texts)
        places["warnings"] = repr([vars(one) for one in warned])
    assert len(places) > 60
    assert not found(PLANTED, places)
    pickled = str(places["store, pickled"])
    assert ("literal" in pickled) is (source == "literal")


@pytest.mark.parametrize("source", ["literal", "env", "file"])
@pytest.mark.parametrize("kind", IDENTITIES)
def test_an_identity(kind: str, source: str, refer: Refer, logged: Records) -> None:
    settings, name, planted = IDENTITIES[kind]
    given: dict[str, Any] = {**settings, name: refer(planted, source)}
    identity = Identity(name=kind, **given)
    vault = KeyVault(url="https://acme-kv.vault.azure.net", credential=identity)
    places = {"logs": "\n".join(logged.texts)}
    for thing in (identity, vault, vault.secret("a"), vault.cache):
        places[repr(thing)] = shown(thing)
        for how, made in COPIED.items():
            places[f"{thing!r}, {how}"] = str(tried(lambda made=made, thing=thing: made(thing)))  # type: ignore[misc]
    assert not found(PLANTED, places)
    with pytest.raises(ConfigurationError) if source == "literal" else nullcontext():
        pickle.dumps(vault)


def test_a_workspace(tmp_path: Path, warned: list[WarningMessage], logged: Records) -> None:
    stores = {
        f"store-{number}": {**fields, name: f"literal:{planted.value}"}
        for number, (fields, name, planted) in enumerate(STORES.values())
    }
    vaults = {
        kind.replace("_", "-"): {"identity": kind, **settings, name: planted.value}
        for kind, (settings, name, planted) in IDENTITIES.items()
    }
    path = tmp_path / "datastores.yaml"
    path.write_text(yaml.safe_dump({"datastores": stores, "vaults": vaults}), encoding="utf-8")
    assert len(found(PLANTED, {"file": path.read_text()})) >= len(stores) + len(vaults)
    with Workspace.load(path) as workspace:
        assert sum("literal secret" in str(one.message) for one in warned) == 7
        places = {"workspace": shown(workspace), "html": workspace._repr_html_()}
        for how, made in (*COPIED.items(), ("mapping", Workspace.to_mapping)):
            places[how] = str(tried(lambda made=made: made(workspace)))  # type: ignore[misc]
        places["yaml"] = str(tried(workspace.to_yaml))
        places["saved"] = str(tried(lambda: workspace.save(tmp_path / "out.yaml")))
        places["logs"] = "\n".join(logged.texts)
        places["warnings"] = repr([vars(one) for one in warned])
    assert not found(PLANTED, places)
    assert not (tmp_path / "out.yaml").exists()


DAMAGED: dict[str, dict[str, Any] | None] = {
    "an unknown key": {"colour": "red"},
    "two credentials": {"account_key": "x", "sas_token": "y"},
    "a number": {"container_name": 7},
    "none": None,
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_file_that_is_wrong(tmp_path: Path, damage: str) -> None:
    entry = {**_BLOB, "credentials": {"account_key": ACCOUNT_KEY.value}}
    changes = DAMAGED[damage]
    store: dict[str, Any] | None = None if changes is None else {**entry, **changes}
    content = {"datastores": {"a": {**_SALES, "password": PASSWORD.value}, "b": store}}
    path = tmp_path / "datastores.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    for make in (
        lambda: Workspace.load(path),
        lambda: Workspace.from_mapping(content),
        lambda: Datastore(**(store or {"type": "azure_blob", "account_key": ACCOUNT_KEY.value})),
    ):
        with pytest.raises((ConfigurationError, TypeError)) as caught:
            make()
        assert not found(PLANTED, {"error": shown_error(without_callers(caught.value))})
