"""A PostgreSQL server for tests: TLS with a certificate of the run's own, passwords by scram-sha-256."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg
from psycopg import sql

from tests.services import compose, install
from tests.services.certificates import Certificates
from tests.services.process import (
    LOOPBACK,
    MissingServiceError,
    ServerProcess,
    accepts,
    unprivileged_user,
)

VARIABLE = "DATASTORES_TEST_POSTGRESQL"
VARIABLE_WITHOUT_TLS = "DATASTORES_TEST_POSTGRESQL_WITHOUT_TLS"

_ADMIN = "datastores_admin"

# Nothing here outlives the machine, so nothing waits for its disk. `synchronous_commit` stays on:
# what was committed survives `stop`.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where a server is, which database, and who signs in: all that a client needs."""

    host: str
    port: int
    database: str
    username: str
    password: str
    ca_file: Path | None
    """None where the server has no TLS."""

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """Open a connection in autocommit, its server verified where it has TLS."""
        tls: dict[str, Any] = {"sslmode": "disable"}
        if self.ca_file is not None:
            tls = {"sslmode": "verify-full", "sslrootcert": str(self.ca_file)}
        given = {
            "host": self.host,
            "port": self.port,
            "dbname": self.database,
            "user": self.username,
            "password": self.password,
            "connect_timeout": 10,
            "autocommit": True,
        }
        return psycopg.connect(**{**given, **tls, **options})


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A database of one test's own, and the roles that meet it."""

    owner: Login
    """May do everything in it, and nothing outside."""
    clerk: Login
    """Reads and writes the owner's tables in `public`, and may create none."""
    stranger: Login
    """May connect, and has no right to any table."""

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement as the owner; return its rows, if it has any."""
        with self.owner.connect() as connection:
            cursor = connection.execute(statement.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def member(self, group: str, admin: Login) -> Iterator[Login]:
        """Yield a new role without a password, of a group, that may do what the owner may."""
        login = replace(self.owner, username=f"{group}_{secrets.token_hex(6)}", password="")
        with replace(admin, database=login.database).connect() as connection:
            if not connection.execute(
                "SELECT FROM pg_roles WHERE rolname = %s", [group]
            ).fetchall():
                connection.execute(_sql("CREATE ROLE {}", group))
            connection.execute(
                _sql(
                    "CREATE ROLE {} LOGIN IN ROLE {}, {}",
                    login.username,
                    group,
                    self.owner.username,
                )
            )
            try:
                yield login
            finally:
                connection.execute(_sql("DROP OWNED BY {}", login.username))
                connection.execute(_sql("DROP ROLE {}", login.username))


class Server(Protocol):
    """How a server is reached, and stopped and started where it is the tests' own."""

    @property
    def admin(self) -> Login:
        """A role that may create databases and roles."""

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens if it runs."""

    def stop(self) -> None:
        """End it at once, as a crash would; what was committed stays."""

    def close(self) -> None:
        """End it, and leave nothing behind."""


class OwnServer:
    """A server from the machine's programs, in a new folder, run by a user who is not root."""

    def __init__(self, certificates: Certificates | None) -> None:
        self._programs = install.postgresql_programs()
        self._ca_file = certificates.authority if certificates else None
        self._password = secrets.token_urlsafe(12)
        self._user = unprivileged_user()
        self._tls: dict[str, str] = {}
        self.process = ServerProcess("postgresql", self._command, answers=accepts, user=self._user)
        try:
            self._make(certificates)
        except BaseException:
            self.process.close(signal.SIGKILL)
            raise

    @property
    def admin(self) -> Login:
        return Login(
            host=LOOPBACK,
            port=self.process.port,
            database="postgres",
            username=_ADMIN,
            password=self._password,
            ca_file=self._ca_file,
        )

    def start(self) -> None:
        self.process.start()
        _wait_until_ready(self.admin)

    def stop(self) -> None:
        # What `pg_ctl -m immediate` sends: no checkpoint, connections cut, recovery at the start.
        self.process.stop(signal.SIGQUIT)

    def close(self) -> None:
        self.process.close(signal.SIGQUIT)

    def _make(self, certificates: Certificates | None) -> None:
        password_file = self.process.place("password", self._password.encode())
        command = [
            str(self._programs / "initdb"),
            *("-D", str(self._data), "-U", _ADMIN, "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"),
            *("--auth=scram-sha-256", f"--pwfile={password_file}"),
        ]
        as_user: dict[str, Any] = {}
        if self._user is not None:
            as_user = {"user": self._user, "group": self._user, "extra_groups": []}
        done = subprocess.run(
            command,
            cwd=self.process.folder,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            check=False,
            **as_user,
        )
        if done.returncode:
            raise MissingServiceError(f"initdb failed:\n{done.stdout}{done.stderr}")
        password_file.unlink()
        if certificates is not None:
            self._tls = {
                "ssl": "on",
                "ssl_cert_file": str(
                    self.process.place("server.pem", certificates.certificate.read_bytes())
                ),
                "ssl_key_file": str(
                    self.process.place("server.key", certificates.key.read_bytes())
                ),
            }

    def _command(self, folder: Path, port: int) -> list[str]:
        settings = {**_SETTINGS, **self._tls, "port": str(port)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [str(self._programs / "postgres"), "-D", str(folder / "data"), *options]

    @property
    def _data(self) -> Path:
        return self.process.folder / "data"


class ContainerServer:
    """A server in a container, from `compose.yaml`."""

    def __init__(self, service: str, certificates: Certificates | None) -> None:
        self._password = secrets.token_urlsafe(12)
        self._ca_file = certificates.authority if certificates else None
        self._container = compose.Container(
            service,
            port_variable="POSTGRESQL_PORT",
            certificates=certificates,
            environment={"POSTGRESQL_ADMIN": _ADMIN, "POSTGRESQL_PASSWORD": self._password},
        )

    @property
    def admin(self) -> Login:
        return Login(
            host=LOOPBACK,
            port=self._container.port,
            database="postgres",
            username=_ADMIN,
            password=self._password,
            ca_file=self._ca_file,
        )

    def start(self) -> None:
        self._container.start()
        _wait_until_ready(self.admin)

    def stop(self) -> None:
        self._container.kill()

    def close(self) -> None:
        self._container.close()


class OthersServer:
    """A server that somebody else runs: it is neither started nor stopped."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        ca_file = parse_qs(parts.query).get("sslrootcert")
        self.admin = Login(
            host=parts.hostname or LOOPBACK,
            port=parts.port or 5432,
            database=parts.path.strip("/") or "postgres",
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
            ca_file=Path(ca_file[0]) if ca_file else None,
        )

    def start(self) -> None:
        self.admin.connect().close()

    def stop(self) -> None:
        raise MissingServiceError(
            f"the server of ${VARIABLE} is not the tests' to stop; unset it to run this test"
        )

    def close(self) -> None:
        """It stays as it is."""


class PostgreSQL:
    """A running server, with a database of its own for each test that asks."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._roles: dict[str, Login] = {}
        self._suffix = secrets.token_hex(4)

    @property
    def admin(self) -> Login:
        """A role that may create databases and roles; not what a test should sign in as."""
        return self.server.admin

    def start(self) -> None:
        """Start it again after `stop`; nothing happens if it runs."""
        self.server.start()

    def stop(self) -> None:
        """End it at once, as a crash would: connections are cut, what was committed stays."""
        self.server.stop()

    def close(self) -> None:
        """Drop the roles and end it."""
        try:
            self.start()
            self._drop_roles()
        finally:
            self.server.close()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """Yield a new empty database, and drop it afterwards, connections or not."""
        roles = self._make_roles()
        name = f"test_{secrets.token_hex(6)}"
        with self.admin.connect() as connection:
            # Who creates a database for a role must belong to that role, a superuser apart.
            connection.execute(_sql("GRANT {} TO CURRENT_USER", roles["owner"].username))
            connection.execute(_sql("CREATE DATABASE {} OWNER {}", name, roles["owner"].username))
        logins = {role: replace(login, database=name) for role, login in roles.items()}
        try:
            with logins["owner"].connect() as connection:
                connection.execute(
                    _sql(
                        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {}",
                        logins["clerk"].username,
                    )
                )
                # Before PostgreSQL 15 everybody may create tables in `public`.
                connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
            yield Database(**logins)
        finally:
            self.start()
            with self.admin.connect() as connection:
                connection.execute(_sql("DROP DATABASE {} WITH (FORCE)", name))

    @contextmanager
    def ruled(self, rule: str) -> Iterator[None]:
        """Let a line stand before all others of pg_hba.conf, for a while."""
        with self.admin.connect() as connection:
            [(place, text)] = connection.execute(
                "SELECT current_setting('hba_file'), pg_read_file(current_setting('hba_file'))"
            ).fetchall()
        try:
            self._rule(place, f"{rule}\n{text}")
            yield
        finally:
            self.start()
            self._rule(place, text)

    def _rule(self, place: str, text: str) -> None:
        copy = sql.SQL("COPY (SELECT unnest({}::text[])) TO {}")
        with self.admin.connect() as connection:
            connection.execute(copy.format(text.splitlines(), place))
            connection.execute("SELECT pg_reload_conf()")

    def _make_roles(self) -> dict[str, Login]:
        if not self._roles:
            with self.admin.connect() as connection:
                for role in ("owner", "clerk", "stranger"):
                    login = replace(
                        self.admin,
                        username=f"{role}_{self._suffix}",
                        password=secrets.token_urlsafe(12),
                    )
                    connection.execute(
                        sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(
                            sql.Identifier(login.username), sql.Literal(login.password)
                        )
                    )
                    self._roles[role] = login
        return self._roles

    def _drop_roles(self) -> None:
        if self._roles:
            with self.admin.connect() as connection:
                for login in self._roles.values():
                    connection.execute(_sql("DROP ROLE {}", login.username))


def find_postgresql(certificates: Certificates | None, address: str | None) -> PostgreSQL:
    """Start a server, or find the one at `address`; without certificates it has no TLS.

    Raises:
        MissingServiceError: There is none to be had; says what was tried.
    """
    service = "postgresql" if certificates else "postgresql-without-tls"
    if address == compose.ASKED_FOR:
        compose.engine()
        return _started(ContainerServer(service, certificates))
    if address:
        return _started(OthersServer(address))
    try:
        return _started(OwnServer(certificates))
    except MissingServiceError as no_program:
        if (no_engine := compose.why_not()) is None:
            return _started(ContainerServer(service, certificates))
        variable = VARIABLE if certificates else VARIABLE_WITHOUT_TLS
        raise MissingServiceError(
            f"PostgreSQL is missing: {no_program}; {no_engine}. Install Debian's package postgresql, "
            f"or start Docker, or set {variable}=postgresql://ADMIN:PASSWORD@HOST:PORT/postgres?sslrootcert=FILE"
        ) from no_program


def _started(server: Server) -> PostgreSQL:
    try:
        server.start()
    except BaseException:
        server.close()
        raise
    return PostgreSQL(server)


def _wait_until_ready(admin: Login) -> None:
    """Return once the server takes queries: it accepts connections before recovery is done."""
    for attempt in range(200):
        try:
            admin.connect().close()
        except psycopg.OperationalError as error:
            # The code of a server that is starting; a refused connection has none.
            if attempt == 199 or error.sqlstate not in {None, "57P03"}:
                raise
            time.sleep(0.05)
        else:
            return


def _sql(statement: str, *names: str) -> sql.Composed:
    return sql.SQL(statement).format(*(sql.Identifier(name) for name in names))
