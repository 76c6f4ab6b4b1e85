"""Whether a write fits its target, told before anything is written; the same for every engine."""

from __future__ import annotations

from collections.abc import Iterable

from datastores.drivers.drift import WAYS_ON
from datastores.drivers.sql.dialect import Dialect
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    SchemaMismatchError,
    did_you_mean,
)
from datastores.values import WriteMode

_NEEDS_TABLE = (WriteMode.APPEND, WriteMode.UPSERT)


def check_request(request: WriteRequest, dialect: Dialect) -> None:
    """Refuse a write that no table of the engine could take.

    Raises:
        SchemaMismatchError: No columns, or two of one name as the engine sees it.
        ConfigurationError: Options of file stores, or keys and partitions that do not go with
            the mode and the columns.
    """
    names = request.schema.names
    dialect.table(request.table)
    if not names:
        raise SchemaMismatchError(
            f"a table needs columns, and the data for {request.table} has none"
        )
    seen: dict[str, str] = {}
    for name in names:
        dialect.identifier(name)
        if (other := seen.setdefault(name.lower(), name)) is not name or names.count(name) > 1:
            raise SchemaMismatchError(
                f"columns {other!r} and {name!r} have one name in {dialect.engine}",
                advice="Rename one with rename={...}",
            )
    if request.format is not None or request.format_options or request.rows_per_file is not None:
        raise ConfigurationError(
            f"a table in {dialect.engine} has no files",
            advice="Leave format, format_options and rows_per_file out",
        )
    for name in [*request.keys, *request.partition_by]:
        if name not in names:
            raise ConfigurationError(
                f"no column {name!r} in the data", advice=f"Its columns are {', '.join(names)}"
            )
    if request.mode == WriteMode.UPSERT and not request.keys:
        raise ConfigurationError(
            "upsert needs keys", advice="Name the columns that identify a row with keys=[...]"
        )
    partitions = request.mode == WriteMode.REPLACE_PARTITIONS
    if partitions != bool(request.partition_by):
        raise ConfigurationError(
            f"partition_by goes with the mode replace_partitions, and the mode is {request.mode}",
            advice="Give both or neither",
        )


def check_existence(request: WriteRequest, *, exists: bool, engine: str) -> None:
    """Refuse `create` on a table that exists, and `append` or `upsert` on one that does not."""
    context = {"driver": engine, "operation": "write_table", "target": str(request.table)}
    if exists and request.mode == WriteMode.CREATE:
        raise AlreadyExistsError(
            f"{request.table} exists already, and the mode is create",
            advice="Choose append, replace or upsert; nothing was changed",
            **context,
        )
    if not exists and request.mode in _NEEDS_TABLE:
        raise NotFoundError(
            f"there is no table {request.table}, and the mode is {request.mode}",
            advice="Choose create or create_append; nothing was changed",
            **context,
        )


def check_names(request: WriteRequest, columns: Iterable[str]) -> None:
    """Refuse data whose column names are not those of the table; their order does not matter."""
    known, given = dict.fromkeys(columns), dict.fromkeys(request.schema.names)
    extra = [name for name in given if name not in known]
    lacking = [name for name in known if name not in given]
    if extra:
        raise SchemaMismatchError(
            f"{request.table} has no column {extra[0]!r}",
            target=str(request.table),
            advice=f"{did_you_mean(extra[0], known, 'Its columns are')}; or {WAYS_ON}",
        )
    if lacking:
        raise SchemaMismatchError(
            f"the data has no column {lacking[0]!r}, which {request.table} has",
            target=str(request.table),
            advice=f"Add it to the data, if only with NULLs; or {WAYS_ON}",
        )


def check_keys(request: WriteRequest, unique: Iterable[frozenset[str]]) -> None:
    """Refuse keys that the table does not declare unique: which row would they mean?"""
    if request.keys and frozenset(request.keys) not in set(unique):
        declared = [", ".join(sorted(one)) for one in unique]
        raise SchemaMismatchError(
            f"{', '.join(map(repr, request.keys))} is no unique key of {request.table}",
            target=str(request.table),
            advice=f"Its keys are: {'; '.join(declared)}" if declared else "It declares no key",
        )
