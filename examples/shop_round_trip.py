"""A shop's database: every table to Parquet and back in place, nothing lost and nothing altered.

Makes the schema `shop` of `examples/shop` in the database at `$SHOP_URL`, fills it, copies its
tables to files, replaces their rows from those files, and compares rows and catalogue. Needs a
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
from datastores.transfer import CopyAllReport

FOLDER = Path(__file__).parent / "shop"
ORDERS = 30_000
LOG = "shop.price_log"


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


def copy_out(warehouse: datastores.Datastore, lake: datastores.Datastore) -> CopyAllReport:
    """Copy the schema's tables to folders of Parquet files, as of one moment."""
    return datastores.copy_all(warehouse / "shop", lake, mode="replace", verify=True)


def copy_back(warehouse: datastores.Datastore, lake: datastores.Datastore) -> list[CopyAllReport]:
    """Replace the tables' rows with those of their files, parents first, the log after them all."""
    patterns = ({"exclude": LOG}, {"include": LOG})
    return [
        datastores.copy_all(lake, warehouse, mode="replace", verify=True, **one) for one in patterns
    ]


def main() -> None:
    workspace = datastores.Workspace.load()
    warehouse, lake = workspace["warehouse"], workspace["lake"]
    with psycopg.connect(os.environ["SHOP_URL"], autocommit=True) as database:
        make(database, ORDERS)
        before = catalogue(database)
        print(copy_out(warehouse, lake))
        for report in copy_back(warehouse, lake):
            print(report)
        differ = before ^ catalogue(database)
    print(f"catalogue: {len(before)} facts, {len(differ)} differ")
    for fact in sorted(differ):
        print(*fact)


if __name__ == "__main__":
    main()
