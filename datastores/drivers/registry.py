"""From a type name to its driver, imported on first use; other packages join by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from datastores.errors import MissingDependencyError, UnknownSchemeError, did_you_mean

if TYPE_CHECKING:
    from datastores.drivers.base import Driver
    from datastores.drivers.config import DriverConfig

ENTRY_POINT_GROUP = "datastores.drivers"

# Type name -> the word its classes begin with. The folder is named as the type is.
_DRIVERS: Mapping[str, str] = {
    "azure_blob": "AzureBlob",
    "azure_postgresql": "AzurePostgreSQL",
    "duckdb": "DuckDB",
    "local": "Local",
    "memory": "Memory",
}
# Other names of a type: the service is not always on Azure.
_ALIASES: Mapping[str, str] = {"postgresql": "azure_postgresql"}
# Import name of a service's package -> the extra of ours that brings it.
_EXTRAS: Mapping[str, str] = {
    "adlfs": "azure_blob",
    "azure": "azure_blob",
    "duckdb": "duckdb",
    "psycopg": "azure_postgresql",
}


def built_in_types() -> list[str]:
    """Return the types that come with this package, sorted."""
    return sorted(_DRIVERS)


def driver_types() -> list[str]:
    """Return every type, sorted, without the other names that some have."""
    return sorted({*_DRIVERS, *(one.name for one in entry_points(group=ENTRY_POINT_GROUP))})


def config_class(type_name: str) -> type[DriverConfig]:
    """Return the config class of a type, without importing its service's package if it is ours.

    Raises:
        UnknownSchemeError: No such type; the message lists those there are.
    """
    type_name = _ALIASES.get(type_name, type_name)
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
    type_name = _ALIASES.get(type_name, type_name)
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
    raise UnknownSchemeError(
        f"no datastore type {type_name!r}",
        advice=did_you_mean(type_name, driver_types(), "Known types are"),
    )
