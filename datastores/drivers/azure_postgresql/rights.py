"""The rights that a write needs, asked for before anything is written, and named if one is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from datastores.drivers.azure_postgresql.catalog import DIALECT, Table, qualified
from datastores.drivers.azure_postgresql.connection import Connection
from datastores.drivers.writing import WriteRequest
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


@dataclass(frozen=True, slots=True)
class Rights:
    """What the role of a connection may do for one write."""

    connection: Connection
    request: WriteRequest

    def check_target(self, table: Table | None, types: Iterable[TableName]) -> None:
        """Refuse a write that may not create its table and types, or not do what the mode does.

        Raises:
            PermissionDeniedError: The advice is the GRANT that is needed.
        """
        target = qualified(self.request.table)
        wanted = [(target, "create a table in")] if table is None else []
        wanted += [(one, f"create the type {one} in") for one in types]
        for name, what in wanted:
            if refusal := self._why_not_in(name.schema or "", what):
                raise refusal
        if table is None:
            return
        quoted = DIALECT.table(target)
        rows = self.connection.execute(
            "SELECT wanted FROM pg_catalog.unnest(%s::text[]) AS wanted "
            "WHERE NOT pg_catalog.has_table_privilege(%s, wanted)",
            (list(_ON_TABLE[self.request.mode]), quoted),
        ).fetchall()
        if rows:
            lacking = ", ".join(right for (right,) in rows)
            raise self._denied(
                f"no right to {lacking} on {self.request.table}", f"GRANT {lacking} ON {quoted}"
            )

    def check_owner(self, table: Table) -> None:
        """Refuse to alter a table that is another role's.

        Raises:
            PermissionDeniedError: The advice is the GRANT that is needed.
        """
        [(owner, may)] = self.connection.execute(
            "SELECT pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(relowner)), "
            "pg_catalog.pg_has_role(relowner, 'USAGE') FROM pg_catalog.pg_class WHERE oid = %s",
            (table.oid,),
        ).fetchall()
        if not may:
            raise self._denied(
                f"no right to alter {self.request.table}, which is {owner}'s", f"GRANT {owner}"
            )

    def check_temporary(self, why: str) -> None:
        """Refuse a write that needs a temporary table and may not create one.

        Raises:
            PermissionDeniedError: The advice is the GRANT that is needed.
        """
        if not self._may_on_database("TEMPORARY"):
            raise self._denied(
                f"no right to create a temporary table, which is needed since {why}",
                f"GRANT TEMPORARY ON DATABASE {self._database}",
            )

    def why_unstaged(self, schema: str) -> PermissionDeniedError | None:
        """Return why nothing can be staged in a schema, or None if it can."""
        return self._why_not_in(schema, "stage rows in")

    def _why_not_in(self, schema: str, what: str) -> PermissionDeniedError | None:
        found = self.connection.execute(
            "SELECT pg_catalog.has_schema_privilege(oid, 'USAGE') "
            "AND pg_catalog.has_schema_privilege(oid, 'CREATE') "
            "FROM pg_catalog.pg_namespace WHERE nspname = %s",
            (schema,),
        ).fetchone()
        if found is None:
            if self._may_on_database("CREATE"):
                return None
            return self._denied(
                f"no right to create the schema {schema!r}, to {what} it",
                f"GRANT CREATE ON DATABASE {self._database}",
            )
        if found[0]:
            return None
        return self._denied(
            f"no right to {what} the schema {schema!r}",
            f"GRANT USAGE, CREATE ON SCHEMA {DIALECT.identifier(schema)}",
        )

    def _may_on_database(self, right: str) -> bool:
        [(may,)] = self.connection.execute(
            "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), %s)", (right,)
        ).fetchall()
        return bool(may)

    @property
    def _database(self) -> str:
        [(name,)] = self.connection.execute("SELECT pg_catalog.current_database()").fetchall()
        return DIALECT.identifier(name)

    def _denied(self, message: str, grant: str) -> PermissionDeniedError:
        [(user,)] = self.connection.execute("SELECT current_user::text").fetchall()
        return PermissionDeniedError(
            message,
            driver=DIALECT.engine,
            operation="write_table",
            target=str(self.request.table),
            advice=f"{grant} TO {DIALECT.identifier(user)}; nothing was changed",
        )
