"""Who does what beside whom, and the goals of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.harness import Contender, Goal, Scenario, Stage
from benchmarks.postgresql.server import BenchmarkServer
from benchmarks.postgresql.stages import ROW_GROUP_ROWS, FromParquet, IntoTable, Reading, ToParquet
from benchmarks.postgresql.tables import TABLES as FILLED

_PACKAGE = "benchmarks.postgresql.contenders"
_COMPILED = {"DATASTORES_POSTGRESQL_CODEC": "compiled"}
_PYTHON = {"DATASTORES_POSTGRESQL_CODEC": "python"}
_WALL, _CPU, _PEAK, _SIZE = "wall_seconds", "client_cpu_seconds", "peak_bytes", "file_bytes"
_MIB = 2**20
# The rows of the smaller copy, of which the larger has four times as many, are read once more.
_SAME = 1.1
TABLES = ("lineitem", "wide")


def _ours(name: str, call: str, *, note: str = "", **arguments: Any) -> Contender:
    return Contender(
        name=name,
        call=f"{_PACKAGE}.ours:{call}",
        arguments=arguments,
        variables=_COMPILED,
        note=note,
    )


def _peer(
    name: str, call: str, *, note: str = "", fraction: int = 1, **arguments: Any
) -> Contender:
    return Contender(
        name=name,
        call=f"{_PACKAGE}.{call}",
        arguments=arguments,
        peer=True,
        fraction=fraction,
        note=note,
    )


def _raw(call: str, **arguments: Any) -> Contender:
    return Contender(name="raw bytes", call=f"{_PACKAGE}.raw:{call}", arguments=arguments)


def read_one(table: str) -> Scenario:
    return Scenario(
        name="read, one connection",
        table=table,
        subject="ours",
        contenders=(
            _raw("read", connections=1),
            _ours("ours", "read", connections=1),
            Contender(
                name="ours, codec in Python",
                call=f"{_PACKAGE}.ours:read",
                arguments={"connections": 1},
                variables=_PYTHON,
                slow=True,
            ),
            _peer("DuckDB, 1 thread", "duckdb_scanner:read", threads=1),
            _peer("ADBC", "adbc:read"),
            _peer("ConnectorX", "connectorx_stream:read"),
            _peer("pandas", "pandas_sql:read", fraction=10),
        ),
        goals=(
            Goal(figure=_CPU, of="ours", over="ADBC", at_most=0.30),
            Goal(figure=_CPU, of="ours", over="DuckDB, 1 thread", at_most=0.75),
            Goal(figure=_WALL, of="ours", over="raw bytes", at_most=1.15),
            Goal(figure=_PEAK, of="ours", at_most=60 * _MIB),
        ),
    )


def read_two(table: str) -> Scenario:
    return Scenario(
        name="read, two connections",
        table=table,
        subject="ours",
        contenders=(
            _raw("read", connections=2),
            _ours("ours", "read", connections=2),
            _peer("DuckDB, 2 threads", "duckdb_scanner:read", threads=2),
            _peer(
                "ConnectorX, 2 partitions",
                "connectorx_stream:read_divided",
                note="no common snapshot",
                key=FILLED[table].key,
                partitions=2,
            ),
        ),
        goals=(
            Goal(figure=_WALL, of="ours", over="DuckDB, 2 threads", at_most=0.7),
            Goal(figure=_PEAK, of="ours", at_most=120 * _MIB),
        ),
    )


def to_parquet(table: str) -> Scenario:
    duckdb = "duckdb_scanner:to_parquet"
    # Traced: none of them calls fsync.
    whole, in_place = "appears whole, by one rename", "written in place"
    common: dict[str, Any] = {"row_group_rows": ROW_GROUP_ROWS, "note": in_place}
    against = (("ours, 1 worker", "DuckDB, 1 thread"), ("ours, 2 workers", "DuckDB, 2 threads"))
    return Scenario(
        name="to Parquet",
        table=table,
        subject="ours, 1 worker",
        contenders=(
            _ours("ours, 1 worker", "to_parquet", workers=1, note=whole),
            _ours("ours, 2 workers", "to_parquet", workers=2, note=f"a folder; {whole}"),
            _peer("DuckDB, 1 thread", duckdb, threads=1, **common),
            _peer("DuckDB, 2 threads", duckdb, threads=2, **common),
            _peer("ADBC, pyarrow", "adbc:to_parquet", **common),
        ),
        goals=tuple(
            goal
            for one, other in against
            for goal in (
                Goal(figure=_WALL, of=one, over=other, at_most=0.9),
                Goal(figure=_CPU, of=one, over=other, at_most=0.65),
                Goal(figure=_SIZE, of=one, over=other, at_most=1.05),
                Goal(figure=_PEAK, of=one, at_most=200 * _MIB),
            )
        ),
    )


def create(table: str) -> Scenario:
    duckdb = "duckdb_scanner:from_parquet"
    return Scenario(
        name="from Parquet, create",
        table=table,
        subject="ours, 1 worker",
        contenders=(
            _raw("write"),
            _ours("ours, 1 worker", "from_parquet", workers=1, mode="create"),
            _ours("ours, 2 workers", "from_parquet", workers=2, mode="create"),
            _peer("DuckDB, 1 thread", duckdb, threads=1, mode="create"),
            _peer("DuckDB, 2 threads", duckdb, threads=2, mode="create"),
            _peer("ADBC", "adbc:from_parquet", mode="create"),
            _peer("pgpq, psycopg", "pgpq_copy:from_parquet"),
            _peer("pandas", "pandas_sql:from_parquet", fraction=20),
        ),
        goals=(
            Goal(figure=_WALL, of="ours, 1 worker", over="DuckDB, 1 thread", at_most=0.65),
            Goal(figure=_WALL, of="ours, 2 workers", over="DuckDB, 2 threads", at_most=0.65),
            Goal(figure=_WALL, of="ours, 1 worker", over="ADBC", at_most=0.65),
            Goal(figure=_PEAK, of="ours, 1 worker", at_most=200 * _MIB),
            Goal(figure=_PEAK, of="ours, 2 workers", at_most=200 * _MIB),
        ),
    )


def append(table: str) -> Scenario:
    direct, staged = "ours, 1 part, direct", "ours, 2 workers"
    return Scenario(
        name="from Parquet, append",
        table=table,
        subject=direct,
        contenders=(
            _raw("write"),
            _ours(direct, "from_parquet", workers=1, mode="append"),
            _ours(
                staged,
                "from_parquet",
                workers=2,
                mode="append",
                note="staged, if the file has several row groups",
            ),
            _peer("ADBC", "adbc:from_parquet", mode="append"),
        ),
        goals=(Goal(figure=_WALL, of=staged, over=direct, at_most=2),),
    )


def memory(name: str, call: str, **arguments: Any) -> Scenario:
    """The peak at a sixteenth of the rows that were asked for, at a quarter, and at all."""
    shares = {"a sixteenth of the rows": 16, "a quarter of the rows": 4, "all rows": 1}
    contenders = tuple(
        Contender(
            name=share,
            call=f"{_PACKAGE}.ours:{call}",
            arguments=arguments,
            variables=_COMPILED,
            fraction=fraction,
        )
        for share, fraction in shares.items()
    )
    return Scenario(
        name=f"memory: {name}",
        table="lineitem",
        subject="all rows",
        contenders=contenders,
        goals=tuple(
            Goal(figure=_PEAK, of="all rows", over=one.name, at_most=_SAME)
            for one in contenders[:-1]
        ),
    )


def scenarios(
    kind: str, tables: list[str], server: BenchmarkServer, folder: Path
) -> list[tuple[Scenario, Stage]]:
    """Return the scenarios of a kind, and where each is run."""
    reading, parquet, copying = Reading(server), ToParquet(server, folder), IntoTable(server)
    creating, appending = (FromParquet(server, folder, make_table=make) for make in (False, True))
    by_kind: dict[str, list[tuple[Scenario, Stage]]] = {
        "read": [(make(table), reading) for table in tables for make in (read_one, read_two)],
        "parquet": [(to_parquet(table), parquet) for table in tables],
        "write": [
            pair
            for table in tables
            for pair in ((create(table), creating), (append(table), appending))
        ],
        "memory": [
            (memory("read", "read", connections=1), reading),
            *(
                pair
                for count, words in ((1, "1 worker"), (2, "2 workers"))
                for pair in (
                    (memory(f"to a table, {words}", "to_table", workers=count), copying),
                    (memory(f"to Parquet, {words}", "to_parquet", workers=count), parquet),
                    (
                        memory(
                            f"from Parquet, {words}", "from_parquet", workers=count, mode="create"
                        ),
                        creating,
                    ),
                )
            ),
        ],
    }
    return [one for name, found in by_kind.items() if kind in {name, "all"} for one in found]


KINDS = ("read", "parquet", "write", "memory", "all")
