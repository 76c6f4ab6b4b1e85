"""A shop's database: every table to Parquet and back in place, nothing lost and nothing altered.

Makes the schema `shop` of `examples/shop` in the database at `$SHOP_URL`, fills it, copies each
table to files, replaces its rows from those files, and compares rows and catalogue. Needs a
workspace (`$DATASTORES_FILE` or ./datastores.yaml) with two datastores:

    datastores:
      warehouse:
        type: azure_postgresql
        credentials: {connection_string: "env:SHOP_URL"}
      lake: {type: local, path: ./lake}

Run it with `python examples/shop_round_trip.py`, in a database without such a schema.

Triggers fire as for any INSERT and DELETE. So the table that one of them writes to comes last: what
the load of `products` added to it is replaced with the rest. The one on `customers` is for UPDATE,
which `replace` never does.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import psycopg

import datastores

FOLDER = Path(__file__).parent / "shop"
ORDERS = 30_000
# Parents first. A partitioned table is one table.
TABLES = ("countries", "categories", "customers", "products", "orders", "items", "price_log")


def make(database: psycopg.Connection[Any], orders: int) -> None:
    """Make the schema and fill it: some four rows for each order."""
    with database.transaction():
        database.execute((FOLDER / "schema.sql").read_bytes())
        for statement in (FOLDER / "rows.sql").read_text().split(";\n"):
            database.execute(statement.encode(), {"orders": orders})


def catalogue(database: psycopg.Connection[Any]) -> set[tuple[str, str, str]]:
    """Return all that hangs on the schema's tables, as facts that can be compared."""
    facts = database.execute((FOLDER / "catalogue.sql").read_bytes(), {"schema": "shop"})
    return set(facts.fetchall())


def given_columns(warehouse: datastores.Datastore, table: str) -> list[str]:
    """Return a table's columns without those that PostgreSQL computes, which takes none for them."""
    found = warehouse.query(
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass(:name) "
        "AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        {"name": f"shop.{table}"},
    )
    return [row["name"] for row in found.to_arrow().to_pylist()]


def copy_out(
    warehouse: datastores.Datastore, lake: datastores.Datastore, table: str
) -> datastores.CopyReport:
    """Copy a table to a folder of Parquet files."""
    return datastores.copy(
        warehouse / f"shop/{table}",
        lake / f"shop/{table}/",
        columns=given_columns(warehouse, table),
        mode="replace",
        verify=True,
    )


def copy_back(
    warehouse: datastores.Datastore, lake: datastores.Datastore, table: str
) -> datastores.CopyReport:
    """Replace a table's rows with those of its files."""
    return datastores.copy(
        lake / f"shop/{table}/", warehouse / f"shop/{table}", mode="replace", verify=True
    )


def main() -> None:
    workspace = datastores.Workspace.load()
    warehouse, lake = workspace["warehouse"], workspace["lake"]
    with psycopg.connect(os.environ["SHOP_URL"], autocommit=True) as database:
        make(database, ORDERS)
        before = catalogue(database)
        out = {table: copy_out(warehouse, lake, table) for table in TABLES}
        back = {table: copy_back(warehouse, lake, table) for table in TABLES}
        differ = before ^ catalogue(database)
    for table in TABLES:
        there, again = out[table], back[table]
        print(
            f"{table:<10} {there.rows:>7,} rows  {str(there.digest)[:16]}  out {there.seconds:.2f} s"
        )
        print(
            f"{'':<10} {again.rows:>7,} rows  {str(again.digest)[:16]}  back {again.seconds:.2f} s"
        )
    print(f"catalogue: {len(before)} facts, {len(differ)} differ")
    for fact in sorted(differ):
        print(*fact)


if __name__ == "__main__":
    main()
