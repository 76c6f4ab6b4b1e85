"""From a type name to its driver, imported on first use; other packages join by entry point."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from datastores.errors import MissingDependencyError, UnknownSchemeError

if TYPE_CHECKING:
    from datastores.drivers.base import Driver
    from datastores.drivers.config import DriverConfig

ENTRY_POINT_GROUP = "datastores.drivers"

# Type name -> the word its classes begin with. The folder is named as the type is.
_DRIVERS: Mapping[str, str] = {
    "azure_blob": "AzureBlob",
    "duckdb": "DuckDB",
    "local": "Local",
    "memory": "Memory",
}
# Import name of a service's package -> the extra of ours that brings it.
_EXTRAS: Mapping[str, str] = {"adlfs": "azure_blob", "azure": "azure_blob", "duckdb": "duckdb"}


def driver_types() -> list[str]:
    """Return every type name that a workspace file may hold, sorted."""
    return sorted({*_DRIVERS, *(one.name for one in entry_points(group=ENTRY_POINT_GROUP))})


def config_class(type_name: str) -> type[DriverConfig]:
    """Return the config class of a type, without importing its service's package if it is ours.

    Raises:
        UnknownSchemeError: No such type; the message lists those there are.
    """
    if prefix := _DRIVERS.get(type_name):
        module = importlib.import_module(f"datastores.drivers.{type_name}.config")
        found: type[DriverConfig] = getattr(module, f"{prefix}Config")
        return found
    return driver_class(type_name).config_type


def driver_class(type_name: str) -> type[Driver]:
    """Import and return the driver of a type.

    Raises:
        UnknownSchemeError: No such type; the message lists those there are.
        MissingDependencyError: Its package is not installed; the advice names the extra.
    """
    try:
        if prefix := _DRIVERS.get(type_name):
            module = importlib.import_module(f"datastores.drivers.{type_name}.driver")
            found: type[Driver] = getattr(module, f"{prefix}Driver")
            return found
        for entry in entry_points(group=ENTRY_POINT_GROUP, name=type_name):
            loaded: type[Driver] = entry.load()
            return loaded
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        extra = _EXTRAS.get(package)
        raise MissingDependencyError(
            f"a {type_name} datastore needs the package {package!r}, which is not installed",
            driver=type_name,
            advice=f"pip install 'datastores[{extra}]'" if extra else f"Install {package}",
        ) from error
    known = driver_types()
    close = difflib.get_close_matches(type_name, known, n=1)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    raise UnknownSchemeError(
        f"no datastore type {type_name!r}", advice=f"{hint}Known types are {', '.join(known)}"
    )
