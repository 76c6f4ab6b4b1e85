"""What the two ends of a copy are: resolved from a URL, a location or a scan, without any I/O."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from datastores.datastore import Datastore, StorePath
from datastores.drivers.base import FileDriver, TableDriver
from datastores.drivers.reading import ScanRequest
from datastores.errors import ConfigurationError, UnknownSchemeError
from datastores.filters import both, parse_filters
from datastores.formats.registry import known_ending
from datastores.location import SCHEME, Location, refuse_secrets
from datastores.scan import Scan
from datastores.transfer.options import CopyOptions
from datastores.values import OnUnfit, TableName, column_names
from datastores.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSource:
    """Rows to copy: of a table, of files read as one, or of a query."""

    driver: TableDriver
    request: ScanRequest
    label: str
    store: str | None

    @override
    def __str__(self) -> str:
        return self.label


def resolve(end: Any, options: CopyOptions) -> StorePath | Scan:
    """Return the place that a URL or location names; a scan stays what it is."""
    if isinstance(end, StorePath | Scan):
        return end
    if isinstance(end, Location):
        return _workspace(options).locate(end)
    if isinstance(end, str):
        refuse_secrets(end)
        if "://" not in end:
            raise UnknownSchemeError(
                f"{end!r} is not a URL", advice=f"Write {SCHEME}://NAME/PATH or store / {end!r}"
            )
        return _workspace(options).locate(end)
    if isinstance(end, Datastore):
        raise ConfigurationError(
            f"{end.label} is a whole datastore", advice='Name a path in it: store / "path"'
        )
    raise ConfigurationError(
        f"a {type(end).__name__} is neither a source nor a target of a copy",
        advice='Give a URL, store / "path", a scan or a query; '
        "rows in memory are written by store.write_table",
    )


def row_source(end: StorePath | Scan, options: CopyOptions) -> RowSource:
    """Return the rows that a place or scan holds, narrowed by the copy's columns and filters."""
    if isinstance(end, Scan):
        request, driver, label, store = end.request, end.driver, end.label, end.store
    else:
        driver = end.store.tabular
        request = ScanRequest(
            table=table_at(end),
            format=options.get("source_format"),
            format_options=dict(options.get("source_format_options") or {}),
        )
        label, store = str(place(end)), end.store.name
    filters = parse_filters(options.get("filters"))
    if filters and request.limit is not None:
        raise ConfigurationError(
            "a scan with a limit is not filtered again", advice="Give the filters to the scan"
        )
    columns = options.get("columns")
    if columns is not None:
        _refuse_columns_left_out(tuple(columns), request)
    request = dataclasses.replace(
        request,
        columns=request.columns if columns is None else tuple(columns),
        filters=both(request.filters, filters),
        path_column=options.get("path_column"),
        split_by=column_names(options.get("split_by", ())) or request.split_by,
        on_unfit=_of_source(driver, options) or request.on_unfit,
    )
    return RowSource(driver=driver, request=request, label=label, store=store)


def _of_source(driver: TableDriver, options: CopyOptions) -> OnUnfit:
    """Return the copy's policies by the source's names, if its driver takes them."""
    if not driver.capabilities.on_unfit:
        return OnUnfit()
    old_names = {new: old for old, new in (options.get("rename") or {}).items()}
    return OnUnfit.parse(options.get("on_unfit")).renamed(old_names)


def table_at(end: StorePath) -> TableName:
    """Return the table at a path; at a store of tables a file suffix is its file face's."""
    driver = end.store.driver
    path = end.path
    if not isinstance(driver, FileDriver):
        path = path[: len(path) - len(known_ending(path))]
    if not path:
        raise ConfigurationError(
            f"{end} names no table",
            store=end.store.name,
            advice="Write the path of a file or folder, or schema/table",
        )
    return end.store.tabular.table_name(path)


def place(end: StorePath) -> str:
    """Return the short form for people: `warehouse/public.flights`, `files/flights/`."""
    if isinstance(end.store.driver, FileDriver):
        return f"{end.store.label}/{end.path}"
    return f"{end.store.label}/{table_at(end)}"


def _workspace(options: CopyOptions) -> Workspace:
    return options.get("workspace") or Workspace.load()


def _refuse_columns_left_out(columns: tuple[str, ...], request: ScanRequest) -> None:
    if request.columns is None:
        return
    for name in columns:
        if name not in request.columns:
            raise ConfigurationError(
                f"the scan has no column {name!r}",
                advice=f"It has {', '.join(request.columns)}",
            )
