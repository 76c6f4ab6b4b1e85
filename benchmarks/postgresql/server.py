"""The server of a run: the tests' own, without TLS, filled when a table is first asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from benchmarks.postgresql.tables import TABLES
from tests.services.postgresql import Database, Login, OwnServer, PostgreSQL, find_postgresql

_WARM_UP_ROWS = 100
# Nothing but a contender's own work is to fall into its time.
_QUIET = {"autovacuum": "off", "max_wal_size": "'8GB'", "checkpoint_timeout": "'1h'"}
_STATED = (
    *("server_version", "ssl", "fsync", "full_page_writes", "synchronous_commit"),
    *("shared_buffers", "max_wal_size", "autovacuum"),
)
_TICK = os.sysconf("SC_CLK_TCK")


class BenchmarkServer:
    """One database, whose owner every contender signs in as."""

    def __init__(self, server: PostgreSQL, database: Database, rows: int) -> None:
        if not isinstance(server.server, OwnServer):
            raise SystemExit("the benchmarks need PostgreSQL's programs on this machine")
        self._pid = server.server.process.pid
        self._server = server
        self._database = database
        self._rows = rows

    @property
    def url(self) -> str:
        """The address with everything, as libpq takes it."""
        return url_of(self._database.owner)

    def settings(self) -> dict[str, str]:
        """Return the settings that speed depends on."""
        return {name: str(self.run(f"SHOW {name}")[0][0]) for name in _STATED}

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run one statement as the owner."""
        return self._database.run(statement)

    def table(self, name: str, fraction: int = 1) -> str:
        """Return the name in SQL of a filled table, with one row of so many."""
        return self._filled(name, max(1, int(self._rows * TABLES[name].share) // fraction))

    def warm_up_table(self, name: str) -> str:
        """Return the name in SQL of a small table with the same columns."""
        return self._filled(name, _WARM_UP_ROWS)

    def _filled(self, name: str, rows: int) -> str:
        found = f"{name.partition(',')[0]}_{rows}"
        if self.run(f"SELECT to_regclass('{found}') IS NULL") == [(True,)]:
            self.run(f"CREATE TABLE {found} AS {TABLES[name].query.format(rows=rows)}")
            self.run(f"VACUUM ANALYZE {found}")
        return found

    def save_copy(self, table: str, path: Path) -> None:
        """Write a table to a file as a binary COPY sends it."""
        with (
            self._database.owner.connect() as connection,
            path.open("wb") as file,
            connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)".encode()) as copy,
        ):
            file.writelines(copy)

    def settle(self) -> None:
        """Write out what is dirty, so that nobody pays for what another one left."""
        with self._server.admin.connect() as connection:
            connection.execute("CHECKPOINT")

    def quiet(self) -> None:
        """Keep the server from working of its own accord."""
        with self._server.admin.connect() as connection:
            for name, value in _QUIET.items():
                connection.execute(f"ALTER SYSTEM SET {name} = {value}".encode())
            connection.execute("SELECT pg_reload_conf()")

    def cpu_seconds(self) -> float:
        """Return what the server's processes, ended ones too, have used so far."""
        ticks = 0
        for place in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name in parentheses may hold blanks.
                fields = place.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: 4 ppid, 14 utime,
            # 15 stime, 16 and 17 those of children that have ended.
            user, system, *of_ended = (int(fields[at - 3]) for at in (14, 15, 16, 17))
            if int(place.parent.name) == self._pid:
                ticks += user + system + sum(of_ended)
            elif int(fields[4 - 3]) == self._pid:
                ticks += user + system
        return ticks / _TICK


def url_of(login: Login) -> str:
    """Return a login as libpq takes it, without TLS."""
    user, password = quote(login.username), quote(login.password)
    place = f"{login.host}:{login.port}/{login.database}"
    return f"postgresql://{user}:{password}@{place}?sslmode=disable"


@contextmanager
def benchmark_server(rows: int) -> Iterator[BenchmarkServer]:
    """Start a server, and end it afterwards."""
    server = find_postgresql(None, None)
    try:
        with server.database() as database:
            found = BenchmarkServer(server, database, rows)
            found.quiet()
            yield found
    finally:
        server.close()
