"""One front for the data services of a team on Azure: files through fsspec, tables through Arrow."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datastores.datastore import Datastore
    from datastores.errors import DatastoreError
    from datastores.explanation import explain
    from datastores.identity import Identity
    from datastores.location import Location
    from datastores.secrets import KeyVault, Secret, SecretRef
    from datastores.transfer import copy, copy_all, plan_copy, plan_copy_all, verify
    from datastores.values import Capabilities, FileInfo, TableName, WriteMode
    from datastores.workspace import Workspace

__version__ = "0.1.0"

_HOMES = {
    "Capabilities": "datastores.values",
    "Datastore": "datastores.datastore",
    "DatastoreError": "datastores.errors",
    "FileInfo": "datastores.values",
    "Identity": "datastores.identity",
    "KeyVault": "datastores.secrets",
    "Location": "datastores.location",
    "Secret": "datastores.secrets",
    "SecretRef": "datastores.secrets",
    "TableName": "datastores.values",
    "Workspace": "datastores.workspace",
    "WriteMode": "datastores.values",
    "copy": "datastores.transfer",
    "copy_all": "datastores.transfer",
    "explain": "datastores.explanation",
    "plan_copy": "datastores.transfer",
    "plan_copy_all": "datastores.transfer",
    "verify": "datastores.transfer",
}

__all__ = [
    "Capabilities",
    "Datastore",
    "DatastoreError",
    "FileInfo",
    "Identity",
    "KeyVault",
    "Location",
    "Secret",
    "SecretRef",
    "TableName",
    "Workspace",
    "WriteMode",
    "copy",
    "copy_all",
    "explain",
    "plan_copy",
    "plan_copy_all",
    "verify",
]


def __getattr__(name: str) -> Any:
    # Names are looked up on first use, so that importing the package loads nothing heavy.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
