"""The rights that a write needs, asked for before anything is written, and named if one is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from datastores.drivers.azure_postgresql.catalog import DIALECT, Table, qualified
from datastores.drivers.azure_postgresql.client import Connection
from datastores.drivers.base import WriteRequest
from datastores.errors import PermissionDeniedError
from datastores.values import TableName, WriteMode

# `upsert` and `replace_partitions` compare rows, so they read the table too.
_ON_TABLE: Mapping[WriteMode, tuple[str, ...]] = {
    WriteMode.APPEND: ("INSERT",),
    WriteMode.CREATE_APPEND: ("INSERT",),
    WriteMode.REPLACE: ("DELETE", "INSERT"),
    WriteMode.UPSERT: ("SELECT", "INSERT", "UPDATE"),
    WriteMode.REPLACE_PARTITIONS: ("SELECT", "DELETE", "INSERT"),
}


def check_rights(
    connection: Connection,
    request: WriteRequest,
    table: Table | None,
    staging_schema: str,
    types: Iterable[TableName],
) -> None:
    """Refuse a write for which a right is missing; `types` are those it creates.

    Raises:
        PermissionDeniedError: The advice is the GRANT that is needed.
    """
    target = qualified(request.table)
    _check_schema(connection, request, staging_schema, "stage rows in")
    if table is None:
        _check_schema(connection, request, target.schema or "", "create a table in")
        for type_ in types:
            _check_schema(connection, request, type_.schema or "", f"create the type {type_} in")
        return
    name = DIALECT.table(target)
    wanted = _ON_TABLE[request.mode]
    rows = connection.execute(
        "SELECT wanted FROM pg_catalog.unnest(%s::text[]) AS wanted "
        "WHERE NOT pg_catalog.has_table_privilege(%s, wanted)",
        (list(wanted), name),
    ).fetchall()
    if rows:
        lacking = ", ".join(right for (right,) in rows)
        raise _denied(
            connection,
            request,
            f"no right to {lacking} on {request.table}",
            f"GRANT {lacking} ON {name}",
        )


def _check_schema(connection: Connection, request: WriteRequest, schema: str, what: str) -> None:
    found = connection.execute(
        "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') "
        "AND pg_catalog.has_schema_privilege(oid, 'CREATE') "
        "FROM pg_catalog.pg_namespace WHERE nspname = %s",
        (schema,),
    ).fetchone()
    quoted = DIALECT.identifier(schema)
    if found is None:
        [(may_create, database)] = connection.execute(
            "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), "
            "pg_catalog.current_database()"
        ).fetchall()
        if may_create:
            return
        raise _denied(
            connection,
            request,
            f"no right to create the schema {schema!r}, to {what} it",
            f"GRANT CREATE ON DATABASE {DIALECT.identifier(database)}",
        )
    if not found[0]:
        raise _denied(
            connection,
            request,
            f"no right to {what} the schema {schema!r}",
            f"GRANT USAGE, CREATE ON SCHEMA {quoted}",
        )


def _denied(
    connection: Connection, request: WriteRequest, message: str, grant: str
) -> PermissionDeniedError:
    [(user,)] = connection.execute("SELECT current_user::text").fetchall()
    return PermissionDeniedError(
        message,
        driver=DIALECT.engine,
        operation="write_table",
        target=str(request.table),
        advice=f"{grant} TO {DIALECT.identifier(user)}; nothing was changed",
    )
