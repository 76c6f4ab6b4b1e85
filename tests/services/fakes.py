"""A fake of a web service as its own process: started, ordered about, and found by its public name."""

from __future__ import annotations

import json
import signal
import socket
import ssl
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any
from unittest import mock

from tests.services.certificates import Certificates
from tests.services.https_server import CONTROL
from tests.services.process import LOOPBACK, ServerProcess, accepts

_ROOT = Path(__file__).parents[2]


class FakeServer:
    """One of the modules `*_server.py`, running."""

    def __init__(self, module: str, certificates: Certificates | None) -> None:
        self._certificates = certificates
        self._module = module
        self.process = ServerProcess(module.rpartition(".")[2], self._command, answers=accepts)
        try:
            self.process.start()
        except BaseException:
            self.close()
            raise

    def order(self, fake: str, order: str, /, **arguments: Any) -> Any:
        """Tell one fake of the server what to do; return what it answers."""
        connection = self._connection()
        try:
            connection.request(
                "POST", CONTROL + fake, json.dumps({"order": order, "arguments": arguments})
            )
            reply = connection.getresponse()
            assert reply.status == 200
            return json.loads(reply.read())
        finally:
            connection.close()

    def close(self) -> None:
        """End it, and leave nothing behind."""
        self.process.close(signal.SIGKILL)

    def _connection(self) -> HTTPConnection:
        if self._certificates is None:
            return HTTPConnection(LOOPBACK, self.process.port, timeout=10)
        context = ssl.create_default_context(cafile=str(self._certificates.authority))
        return HTTPSConnection(LOOPBACK, self.process.port, context=context, timeout=10)

    def _command(self, _folder: Path, port: int) -> list[str]:
        given = self._certificates
        files = (given.certificate, given.key) if given is not None else ()
        environment = ("/usr/bin/env", f"PYTHONPATH={_ROOT}")
        return [*environment, sys.executable, "-m", self._module, str(port), *map(str, files)]


@contextmanager
def named(ports: Mapping[str, int]) -> Iterator[None]:
    """Let every host whose name ends so be a port of loopback, for this process.

    With that genuine clients use genuine addresses, and nothing of them has to be turned off.
    """
    genuine = socket.getaddrinfo

    def find(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        for ending, here in ports.items():
            if name and name.endswith(ending):
                return genuine(LOOPBACK, here, *arguments, **options)
        return genuine(host, port, *arguments, **options)

    with mock.patch("socket.getaddrinfo", find):
        yield
