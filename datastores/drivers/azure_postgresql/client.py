"""Signing in: each connection is verified, and this is the only place that sees the secret."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict
from typing_extensions import override

from datastores.drivers.azure_postgresql.config import PORTS, AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.connection import Connection, settings_text
from datastores.drivers.azure_postgresql.errors import translate, translated
from datastores.drivers.azure_postgresql.pool import Pool
from datastores.drivers.azure_postgresql.probe import (
    endpoint_of,
    network_failure,
    system_ca_bundle,
)
from datastores.drivers.network import Endpoint
from datastores.drivers.reopened import elsewhere
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    RateLimitedError,
)
from datastores.identity import named, token_for
from datastores.secrets import Secret
from datastores.secrets.resolver import Resolver

T = TypeVar("T")

_PORT = 5432
POOLER_ADVICE = (
    "a connection pooler answers; each worker, snapshot and write holds one of its server "
    "connections, so use fewer workers than it has, or the server's own port (5432 on Azure)"
)
_PSYCOPGS_OWN_LEVEL = logging.WARNING
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}
# libpq gives no SQLSTATE when a sign-in fails, only text. What is not listed is taken for a
# refused sign-in, and never for something that is not there.
# https://www.postgresql.org/docs/current/libpq-status.html (PQerrorMessage)
_REFUSALS: Mapping[str, tuple[type[DatastoreError], str]] = {
    "too many clients": (RateLimitedError, "Use fewer workers, or raise max_connections"),
    "connection slots are reserved": (RateLimitedError, "Use fewer workers"),
    "too many connections": (RateLimitedError, "Use fewer workers, or raise the limit"),
    "the database system is": (ConnectionFailedError, "It starts or stops; try again"),
    "server closed the connection": (ConnectionFailedError, "Try again"),
    "timeout expired": (ConnectionFailedError, "Raise connect_timeout_seconds"),
}


class Client:
    """Opens connections to one database. Pickles as its config."""

    def __init__(self, config: AzurePostgreSQLConfig) -> None:
        self.config = config
        self.pool = Pool(self.connect)
        self._resolver = Resolver()
        self._credential = config.signs_in()
        self._pooled: bool | None = None
        self._settings = settings_text(config.statement_timeout_seconds)
        # What it tells of a COPY that broke is in our error, if another attempt does not help.
        if (log := logging.getLogger("psycopg")).level == _PSYCOPGS_OWN_LEVEL:
            log.setLevel(logging.ERROR)
        if config.tls == "disable":
            warnings.warn(
                f"tls: disable sends the password and all data to {config.where} in clear",
                DatastoreWarning,
                stacklevel=4,
            )

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return elsewhere(Client, self.config)

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is; resolves the connection string, if that is what says it."""
        place = self._place()
        return endpoint_of(
            str(place["host"]),
            int(place["port"]),
            ca_bundle=place["sslrootcert"],
            tls=self.config.tls == "verify",
        )

    @contextmanager
    def connection(self, operation: str, target: str | None = None) -> Iterator[Connection]:
        """Hand out a connection in autocommit, and translate what it raises."""
        with self._lent(self.pool.take(), operation, target) as connection:
            yield connection

    @contextmanager
    def transaction(self, operation: str, target: str | None = None) -> Iterator[Connection]:
        """Hand out a connection in a transaction: committed at the end, or rolled back."""
        with self.connection(operation, target) as connection, connection.transaction():
            yield connection

    def look(self, operation: str, target: str | None, step: Callable[[Connection], T]) -> T:
        """Return what a step finds in a transaction, and changes nothing; made as `repeated` does."""

        def found(connection: Connection) -> T:
            with connection.transaction():
                return step(connection)

        return self.repeated(operation, target, found)

    def repeated(self, operation: str, target: str | None, step: Callable[[Connection], T]) -> T:
        """Return what a step makes of a connection; of a second one if the first one broke."""
        # Whoever cannot even connect is told so at once.
        connection = self.pool.take()
        try:
            with self._lent(connection, operation, target):
                return step(connection)
        except DatastoreError as error:
            if not error.transient:
                raise
        with self.connection(operation, target) as connection:
            return step(connection)

    @contextmanager
    def _lent(
        self, connection: Connection, operation: str, target: str | None
    ) -> Iterator[Connection]:
        try:
            with translated(operation, target):
                yield connection
        except BaseException:
            # Whatever state it is in, nobody else meets it.
            connection.close()
            raise
        self.pool.give_back(connection)

    def connect(self) -> Connection:
        """Return a new connection in autocommit; the caller closes it.

        Raises:
            AuthenticationError: The server refuses who signs in.
            ConnectionFailedError: It cannot be reached.
            ConfigurationError: It has no TLS, or a certificate that is not trusted.
        """
        secret = self.config.password or self.config.connection_string
        used = None if secret is None else self._resolver.resolve(secret)
        found = self._try_to_connect()
        # It may have changed since it was read. A token was asked for just now.
        if (
            isinstance(found, AuthenticationError)
            and secret is not None
            and used is not None
            and self._resolver.is_renewed(secret, used, found)
        ):
            found = self._try_to_connect()
        if isinstance(found, DatastoreError):
            raise found
        return found

    def _try_to_connect(self) -> Connection | DatastoreError:
        # Not raised from here: psycopg's frames hold the password, and a traceback would show them.
        failure: str | None = None
        try:
            connection = Connection.connect(
                **_revealed(self._arguments()),
                autocommit=True,
                # A pooler's next session would not know what was prepared in another.
                prepare_threshold=None,
            )
        except psycopg.Error as error:
            failure = str(error)
        except UnicodeError:
            failure = "a name or the password is no text that could be sent"
        if failure is not None:
            return self._failure(failure)
        connection.settings = self._settings
        try:
            connection.is_pooled = self._is_pooled(connection)
        except psycopg.Error as error:
            connection.close()
            return translate(error, "connect", self.config.where)
        return connection

    def _is_pooled(self, connection: Connection) -> bool:
        """Find out once whether a pooler answers: it signs clients in under numbers of its own."""
        if self._pooled is None:
            [(pid,)] = connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchall()
            self._pooled = pid != connection.pgconn.backend_pid
            if self._pooled:
                warnings.warn(
                    f"{self.config.where}: {POOLER_ADVICE}", DatastoreWarning, stacklevel=2
                )
        return self._pooled

    def _arguments(self) -> dict[str, Any]:
        """Return libpq's parameters, secrets still wrapped: the connection string's and ours."""
        config = self.config
        given: dict[str, Any] = self._place()
        if config.password is not None:
            given["password"] = self._resolver.resolve(config.password)
        elif self._credential is not None:
            # Not kept here: the credential has it as long as it is good.
            given["password"] = token_for(self._credential, config.resource)
        verify = config.tls == "verify"
        return given | {
            "sslmode": "verify-full" if verify else "disable",
            "sslrootcert": (given["sslrootcert"] or system_ca_bundle()) if verify else "",
            "gssencmode": "disable",
            # Passwords come from the config, and from no file that happens to be there.
            # A file that there cannot be: of one that is none libpq warns on the terminal.
            "passfile": f"{os.devnull}/none",
            # libpq takes whole seconds, two at least.
            "connect_timeout": max(2, math.ceil(config.connect_timeout_seconds)),
            "client_encoding": "UTF8",
            "application_name": "datastores",
            # A network that went silent is noticed within a minute: by the first three where we
            # wait for the server, by the last one where it does not take what we send.
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
            "tcp_user_timeout": 60_000,
        }

    def _place(self) -> dict[str, Any]:
        config = self.config
        given: dict[str, Any] = {}
        if config.connection_string is not None:
            given = _parsed(self._resolver.resolve(config.connection_string))
        named = {
            "host": config.server_name,
            "port": config.port,
            "dbname": config.database_name,
            "user": config.username,
            "sslrootcert": config.ca_bundle,
        }
        given |= {name: value for name, value in named.items() if value is not None}
        given.setdefault("port", _PORT)
        given.setdefault("sslrootcert", None)
        for name in ("host", "dbname", "user"):
            if not given.get(name):
                raise ConfigurationError(f"the connection string names no {name}")
        return given

    @property
    def _by(self) -> str:
        if self._credential is None:
            return ""
        return f" with a token of {named(self._credential)}"

    @property
    def _sign_in_advice(self) -> str:
        if self._credential is None:
            return "Look at the user name, the password and the server's pg_hba.conf"
        return (
            "Look whether username is the identity's role, in exact case, and whether the server "
            "takes Entra's tokens"
        )

    def close(self) -> None:
        """Close all that is open; the next use opens others."""
        self.pool.close()
        self.config.close_signed_in(self._credential)

    def _failure(self, text: str) -> DatastoreError:
        place = self._place()
        host, port, user = str(place["host"]), int(place["port"]), place["user"]
        found = network_failure(self.endpoint, timeout_seconds=self.config.connect_timeout_seconds)
        if found is not None:
            return found
        said = text.strip().splitlines()[-1].rpartition("FATAL:")[2].strip()
        kind, advice = next(
            (outcome for words, outcome in _REFUSALS.items() if words in text),
            (
                AuthenticationError,
                self._sign_in_advice,
            ),
        )
        if f'database "{place["dbname"]}" does not exist' in text:
            kind, advice = NotFoundError, "Look at database_name"
        return kind(
            f"could not sign in to {host}:{port}/{place['dbname']} as {user!r}{self._by}: {said}",
            driver="azure_postgresql",
            operation="connect",
            target=f"{host}:{port}/{place['dbname']}",
            advice=advice,
        )


def _revealed(arguments: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.reveal() if isinstance(value, Secret) else value
        for name, value in arguments.items()
    }


def _parsed(text: Secret) -> dict[str, Any]:
    """Return a connection string's parts, the password wrapped; an error quotes none of it.

    Of what it says about TLS only whom to trust counts: whether to verify is the config's.
    """
    result: dict[str, Any] | None = None
    # Raised outside, and without the text in a variable: tracebacks may show variables.
    with contextlib.suppress(psycopg.Error):
        result = {
            name: Secret(str(value)) if name in _SECRETS else value
            # SQLAlchemy names its driver behind a plus sign.
            for name, value in conninfo_to_dict(
                re.sub(r"^(\w+)\+\w+://", r"\1://", text.reveal().strip())
            ).items()
            if not name.startswith("ssl")
            or name in _SECRETS
            # What `system` means, we look up ourselves.
            or (name == "sslrootcert" and value != "system")
        }
    if result is not None and _is_plain(result):
        return result
    del result
    raise ConfigurationError(
        "the connection string is not one of PostgreSQL's, or not of one host and port",
        advice="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %40 for @ and %2F for / in "
        "the password, or host=... dbname=...",
    )


def _is_plain(parts: Mapping[str, Any]) -> bool:
    """Return whether host and port are such: of a password with an @ or / in it, a part would be one."""
    port = str(parts.get("port") or _PORT)
    return not set("@,") & set(str(parts.get("host"))) and port.isdecimal() and int(port) in PORTS
