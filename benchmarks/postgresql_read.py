"""PostgreSQL to Arrow: time and client CPU beside the peers, and beside the bytes alone.

Usage: postgresql_read.py [--rows 1000000] [--repeats 3] [--peers PYTHON] [--json FILE]

Starts a server of its own, fills a table like TPC-H's lineitem and a wide one of many types, and
lets each contender read them in fresh processes, one after the other, several times; the figures
are medians. PYTHON is another environment's, for the peers, since DuckDB's scanner wants a DuckDB
of its own version:

    python -m venv peers
    peers/bin/pip install adbc-driver-postgresql pyarrow duckdb-extension-postgres-scanner

Only ratios inside one run mean something.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from tests.services.postgresql import Login

ROOT = Path(__file__).parents[1]
TABLES = {
    "lineitem": """
        SELECT (n / 4)::int8 AS l_orderkey, (n::int8 * 7919 % 200000)::int4 AS l_partkey,
          (n * 31 % 10000)::int4 AS l_suppkey, (n % 7 + 1)::int4 AS l_linenumber,
          (n % 50 + 1)::numeric(15,2) AS l_quantity,
          (900 + n::int8 * 7919 % 10000000 / 100.0)::numeric(15,2) AS l_extendedprice,
          (n % 11 / 100.0)::numeric(15,2) AS l_discount, (n % 9 / 100.0)::numeric(15,2) AS l_tax,
          substr('ANR', 1 + n % 3, 1) AS l_returnflag, substr('OF', 1 + n % 2, 1) AS l_linestatus,
          date '1992-01-02' + n % 2500 AS l_shipdate, date '1992-01-31' + n % 2470 AS l_commitdate,
          date '1992-01-03' + n % 2520 AS l_receiptdate,
          (array['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + n % 4]
            AS l_shipinstruct,
          (array['TRUCK', 'MAIL', 'REG AIR', 'AIR', 'FOB', 'RAIL', 'SHIP'])[1 + n % 7] AS l_shipmode,
          substr('furiously regular deposits sleep across the carefully final accounts blithely',
            1 + n % 30, 10 + n % 34) AS l_comment
        FROM generate_series(1, {rows}) AS n""",
    "wide": """
        SELECT n::int4 AS id, md5(n::text)::uuid AS key,
          CASE WHEN n % 10 > 0 THEN jsonb_build_object('n', n, 'tags', array['a', 'b']) END AS doc,
          timestamptz '2020-01-01 00:00Z' + n * interval '1.000001 s' AS at,
          CASE WHEN n % 9 > 0 THEN timestamp '1970-01-01' + n * interval '1 min' END AS local,
          CASE WHEN n % 11 > 0 THEN decode(md5(n::text), 'hex') END AS raw, n % 3 = 0 AS flag,
          sqrt(n) AS ratio, (n / 7.0)::real AS part,
          CASE WHEN n % 10 > 0 THEN (n % 30000)::int2 END AS small,
          CASE WHEN n % 8 > 0 THEN (n * 1234567.0123456789)::numeric(38,10) END AS amount,
          CASE WHEN n % 10 > 0 THEN 'straße ' || n || E' \\\\ "zitat" naïve' END AS text,
          date '2000-02-29' + n % 9000 AS day
        FROM generate_series(1, {rows} / 2) AS n""",
}
OURS, PEERS = ("bytes dropped", "ours, compiled", "ours, Python"), ("ADBC", "DuckDB")
BATCH_ROWS = 65_536


def drop_bytes(url: str, table: str) -> Iterable[int]:
    import psycopg

    with (
        psycopg.connect(url) as connection,
        connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy,
    ):
        # Header and trailer are messages too, or parts of one: only ever one row too many.
        yield sum(1 for _ in copy) - 1


def through_the_driver(url: str, table: str) -> Iterable[int]:
    from datastores import Datastore

    parts = urlsplit(url)
    store = Datastore(
        type="postgresql",
        server_name=parts.hostname,
        port=parts.port,
        database_name=parts.path[1:],
        credentials={"username": parts.username, "password": parts.password},
        tls="disable",
    )
    return (batch.num_rows for batch in store.scan(f"public.{table}"))


def through_adbc(url: str, table: str) -> Iterable[int]:
    adbc: Any = import_module("adbc_driver_postgresql.dbapi")
    with adbc.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table}")  # noqa: S608
        for batch in cursor.fetch_record_batch():
            yield batch.num_rows


def through_duckdb(url: str, table: str) -> Iterable[int]:
    duckdb: Any = import_module("duckdb")
    scanner = import_module("duckdb_extension_postgres_scanner")
    (extension,) = Path(scanner.__path__[0]).glob("**/*.duckdb_extension")
    connection = duckdb.connect(config={"threads": 1, "allow_unsigned_extensions": "true"})
    connection.load_extension(str(extension))
    connection.execute(f"ATTACH '{url}' AS server (TYPE postgres, READ_ONLY)")
    result = connection.execute(f"SELECT * FROM server.public.{table}")  # noqa: S608
    for batch in result.fetch_record_batch(BATCH_ROWS):
        yield batch.num_rows


READERS: dict[str, Callable[[str, str], Iterable[int]]] = {
    "bytes dropped": drop_bytes,
    "ours, compiled": through_the_driver,
    "ours, Python": through_the_driver,
    "ADBC": through_adbc,
    "DuckDB": through_duckdb,
}


def measure(contender: str, url: str, table: str) -> dict[str, Any]:
    """Read a table once, in this process; imports do not count."""
    list(READERS[contender](url, "warm"))
    floor = resource.getrusage(resource.RUSAGE_SELF)
    begin = time.perf_counter()
    rows = sum(READERS[contender](url, table))
    seconds = time.perf_counter() - begin
    end = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": rows,
        "wall": seconds,
        "cpu": end.ru_utime + end.ru_stime - floor.ru_utime - floor.ru_stime,
        # In KiB on Linux.
        "peak_over_imports": (end.ru_maxrss - floor.ru_maxrss) / 1024,
    }


def run(contender: str, url: str, table: str, peers: str | None) -> dict[str, Any]:
    """Measure in a fresh process."""
    codec = {"ours, compiled": "compiled", "ours, Python": "python"}.get(contender)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    if codec:
        environment["DATASTORES_POSTGRESQL_CODEC"] = codec
    python = peers if peers and contender in PEERS else sys.executable
    done = subprocess.run(
        [python, __file__, "--measure", contender, url, table],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{contender}: {done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def url_of(login: Login) -> str:
    user, password = quote(login.username), quote(login.password)
    return (
        f"postgresql://{user}:{password}@{login.host}:{login.port}/{login.database}?sslmode=disable"
    )


def compare(rows: int, repeats: int, peers: str | None) -> dict[str, Any]:
    """Return every contender's medians, by table."""
    sys.path.insert(0, str(ROOT))
    from tests.services.postgresql import find_postgresql

    contenders = [*OURS, *(PEERS if peers else ())]
    measured: dict[str, Any] = {}
    server = find_postgresql(None, None)
    try:
        with server.database() as database:
            url = url_of(database.owner)
            database.run("CREATE TABLE warm AS SELECT 1 AS one")
            for table, query in TABLES.items():
                database.run(f"CREATE TABLE {table} AS {query.format(rows=rows)}")
                database.run(f"VACUUM ANALYZE {table}")
                runs = [
                    {name: run(name, url, table, peers) for name in contenders}
                    for _ in range(repeats)
                ]
                if len({one[name]["rows"] for one in runs for name in contenders}) != 1:
                    sys.exit(f"{table}: not everybody read the same number of rows")
                measured[table] = {
                    name: {
                        what: statistics.median(one[name][what] for one in runs)
                        for what in runs[0][name]
                    }
                    for name in contenders
                }
    finally:
        server.close()
    return measured


def show(measured: dict[str, Any]) -> None:
    for table, by_name in measured.items():
        bytes_alone = by_name["bytes dropped"]
        others = [name for name in PEERS if name in by_name]
        print(f"\n{table}: {by_name['ours, compiled']['rows']:,.0f} rows")
        heads = [
            "wall s",
            "client CPU s",
            "peak MB",
            "wall / bytes",
            *(f"CPU / {o}" for o in others),
        ]
        print(f"{'':18}" + "".join(f"{head:>20}" for head in heads))
        for name, one in by_name.items():
            figures = [one["wall"], one["cpu"], one["peak_over_imports"]]
            figures += [one["wall"] / bytes_alone["wall"]]
            figures += [one["cpu"] / by_name[other]["cpu"] for other in others]
            print(f"{name:18}" + "".join(f"{figure:20.2f}" for figure in figures))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", help="the Python of an environment that has ADBC and DuckDB")
    parser.add_argument("--json", type=Path, help="where the medians are written")
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(*given.measure)))
        return
    measured = compare(given.rows, given.repeats, given.peers)
    show(measured)
    if given.json:
        given.json.write_text(json.dumps(measured, indent=2))


if __name__ == "__main__":
    main()
