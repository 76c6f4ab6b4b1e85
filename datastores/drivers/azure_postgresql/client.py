"""Connections: each verified, with our session settings, and the only place that sees the secret."""

from __future__ import annotations

import contextlib
import math
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from typing_extensions import override

from datastores.drivers.azure_postgresql.config import AzurePostgreSQLConfig
from datastores.drivers.azure_postgresql.errors import translated
from datastores.drivers.azure_postgresql.probe import (
    endpoint_of,
    network_failure,
    system_ca_bundle,
)
from datastores.drivers.network import Endpoint
from datastores.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectionFailedError,
    DatastoreError,
    DatastoreWarning,
    NotFoundError,
    RateLimitedError,
)
from datastores.secrets import Secret
from datastores.secrets.resolver import Resolver

Connection = psycopg.Connection[Any]

_PORT = 5432
_SECRETS = {"password", "sslpassword", "oauth_client_secret"}
# Values that travel as text must not depend on the server's or the user's settings.
_SESSION = "; ".join(
    f"SET {name} = {value}"
    for name, value in {
        "DateStyle": "'ISO, YMD'",
        "IntervalStyle": "postgres",
        "TimeZone": "'UTC'",
        "extra_float_digits": "3",
        "bytea_output": "hex",
        "xmloption": "content",
    }.items()
)
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
        self._resolver = Resolver()
        if config.tls == "disable":
            warnings.warn(
                f"tls: disable sends the password and all data to {config.where} in clear",
                DatastoreWarning,
                stacklevel=4,
            )

    @override
    def __reduce__(self) -> tuple[Any, ...]:
        return (Client, (self.config,))

    @property
    def endpoint(self) -> Endpoint:
        """Where the server is; resolves the connection string, if that is what says it."""
        place = self._place()
        return endpoint_of(
            str(place["host"]),
            int(place["port"]),
            ca_bundle=self.config.ca_bundle,
            tls=self.config.tls == "verify",
        )

    @contextmanager
    def connection(self, operation: str, target: str | None = None) -> Iterator[Connection]:
        """Hand out a connection in autocommit, translate what it raises, and close it."""
        connection = self.connect()
        try:
            with translated(operation, target):
                yield connection
        finally:
            connection.close()

    @contextmanager
    def transaction(self, operation: str, target: str | None = None) -> Iterator[Connection]:
        """Hand out a connection in a transaction: committed at the end, or rolled back."""
        with self.connection(operation, target) as connection, connection.transaction():
            yield connection

    def connect(self) -> Connection:
        """Return a new connection in autocommit; the caller closes it.

        Raises:
            AuthenticationError: The server refuses who signs in.
            ConnectionFailedError: It cannot be reached.
            ConfigurationError: It has no TLS, or a certificate that is not trusted.
        """
        found = self._try_to_connect(refresh=False)
        if isinstance(found, AuthenticationError):
            # The secret may have changed since it was read.
            found = self._try_to_connect(refresh=True)
        if isinstance(found, DatastoreError):
            raise found
        return found

    def _try_to_connect(self, *, refresh: bool) -> Connection | DatastoreError:
        # Not raised from here: psycopg's frames hold the password, and a traceback would show them.
        failure: str | None = None
        try:
            connection: Connection = psycopg.connect(
                **_revealed(self._arguments(refresh=refresh)), autocommit=True
            )
        except psycopg.Error as error:
            failure = str(error)
        if failure is not None:
            return self._failure(failure)
        try:
            connection.execute(_SESSION)
        except psycopg.Error as error:
            connection.close()
            return self._failure(str(error))
        return connection

    def _arguments(self, *, refresh: bool) -> dict[str, Any]:
        """Return libpq's parameters, secrets still wrapped: the connection string's and ours."""
        config = self.config
        given: dict[str, Any] = self._place(refresh=refresh)
        if config.password is not None:
            given["password"] = self._resolver.resolve(config.password, refresh=refresh)
        verify = config.tls == "verify"
        return given | {
            "sslmode": "verify-full" if verify else "disable",
            "sslrootcert": (config.ca_bundle or system_ca_bundle()) if verify else "",
            "gssencmode": "disable",
            # Passwords come from the config, and from no file that happens to be there.
            "passfile": os.devnull,
            # libpq takes whole seconds, two at least.
            "connect_timeout": max(2, math.ceil(config.connect_timeout_seconds)),
            "client_encoding": "UTF8",
            "application_name": "datastores",
            "keepalives_idle": 60,
            "keepalives_interval": 10,
            "keepalives_count": 6,
        }

    def _place(self, *, refresh: bool = False) -> dict[str, Any]:
        config = self.config
        given: dict[str, Any] = {}
        if config.connection_string is not None:
            given = _parsed(self._resolver.resolve(config.connection_string, refresh=refresh))
        named = {
            "host": config.server_name,
            "port": config.port,
            "dbname": config.database_name,
            "user": config.username,
        }
        given |= {name: value for name, value in named.items() if value is not None}
        given.setdefault("port", _PORT)
        for name in ("host", "dbname", "user"):
            if not given.get(name):
                raise ConfigurationError(f"the connection string names no {name}")
        return given

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
                "Look at the user name, the password and the server's pg_hba.conf",
            ),
        )
        if f'database "{place["dbname"]}" does not exist' in text:
            kind, advice = NotFoundError, "Look at database_name"
        return kind(
            f"could not sign in to {host}:{port}/{place['dbname']} as {user!r}: {said}",
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
    """Return a connection string's parts, the password wrapped; an error quotes none of it."""
    result: dict[str, Any] | None = None
    # Raised outside, and without the text in a variable: tracebacks may show variables.
    with contextlib.suppress(psycopg.Error):
        result = {
            name: Secret(str(value)) if name in _SECRETS else value
            # SQLAlchemy names its driver behind a plus sign.
            for name, value in conninfo_to_dict(
                re.sub(r"^(\w+)\+\w+://", r"\1://", text.reveal())
            ).items()
            if not name.startswith("ssl") or name in _SECRETS
        }
    if result is None:
        raise ConfigurationError(
            "the connection string is not one of PostgreSQL's",
            advice="Write postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or host=... dbname=...",
        )
    return result
