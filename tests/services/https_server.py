"""What the fakes of Azure's HTTPS services share: TLS, faults on order, and a log of requests.

Without a certificate it speaks plain HTTP, as the endpoints of managed identities do. A process of its own, of the standard library alone. One server holds any number of fakes, each
with a name of its own, so that tests do not meet. `POST /_control/NAME` with a JSON object
changes one: `order`, a method's name, and its `arguments`.
"""

from __future__ import annotations

import argparse
import json
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

CONTROL = "/_control/"


@dataclass(frozen=True, kw_only=True)
class Request:
    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: Any = None
    """Sent as JSON, unless there is `xml`."""
    xml: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Fake:
    """One vault or tenant. A subclass answers requests; its public methods are orders of tests."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.settings: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._log: list[dict[str, Any]] = []
        self._faults: list[dict[str, Any]] = []

    def answer(self, request: Request) -> Reply:
        raise NotImplementedError

    def error(self, status: int, code: str, message: str, **more: Any) -> Reply:
        """Return an error as the service words it."""
        raise NotImplementedError

    def change(self, **settings: Any) -> None:
        """Replace some of the settings."""
        self.settings |= settings

    def fail(self, **fault: Any) -> None:
        """Queue a fault: `status`, `code`, `message`, `inner`, `headers`, `delay_seconds`, `drop`, `times`."""
        self._faults.append({"times": 1, "delay_seconds": 0, **fault})

    def heal(self) -> None:
        """Forget the faults that are left."""
        self._faults.clear()

    def log(self) -> list[dict[str, Any]]:
        """Return all requests since the last call."""
        found, self._log = self._log, []
        return found

    def order(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Do what a test asks for."""
        with self._lock:
            return getattr(self, name)(**arguments)

    def reply(self, request: Request) -> Reply:
        """Note a request, and answer it or fail as ordered."""
        with self._lock:
            entry = {"method": request.method, "path": request.path, "at": time.time()}
            entry |= {"authorized": "authorization" in request.headers, "bytes": len(request.body)}
            self._log.append(entry)
            fault = self._next_fault()
        if fault is None:
            with self._lock:
                return self.answer(request)
        time.sleep(fault["delay_seconds"])
        if fault.get("drop"):
            raise ConnectionAbortedError
        if "status" not in fault:
            with self._lock:
                return self.answer(request)
        more = {"inner": fault["inner"]} if "inner" in fault else {}
        made = self.error(
            fault["status"], fault.get("code", "Fault"), fault.get("message", "as ordered"), **more
        )
        return Reply(
            status=made.status,
            body=made.body,
            xml=made.xml,
            headers={**made.headers, **fault.get("headers", {})},
        )

    def _next_fault(self) -> dict[str, Any] | None:
        if not self._faults:
            return None
        fault = self._faults[0]
        fault["times"] -= 1
        if not fault["times"]:
            self._faults.pop(0)
        return fault


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True
    # Many clients of a test connect at once.
    request_queue_size = 128

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext | None,
        make: Callable[[str], Fake],
        name_of: Callable[[Request], str],
    ) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        if context is not None:
            # Each thread shakes hands with its own client.
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self._make, self.name_of = make, name_of
        self._lock = threading.Lock()
        self._fakes: dict[str, Fake] = {}

    def fake(self, name: str) -> Fake:
        with self._lock:
            if name not in self._fakes:
                self._fakes[name] = self._make(name)
            return self._fakes[name]

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or does not trust the certificate, is no error here."""


class Handler(BaseHTTPRequestHandler):
    server: FakeServer
    protocol_version = "HTTP/1.1"
    timeout: ClassVar[float] = 60

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            host=self.headers.get("Host", "").partition(":")[0].lower(),
            path=parts.path,
            query={
                key: values[-1]
                for key, values in parse_qs(parts.query, keep_blank_values=True).items()
            },
            headers={key.lower(): value for key, value in self.headers.items()},
            body=self.rfile.read(int(self.headers.get("Content-Length") or 0)),
        )
        if request.path.startswith(CONTROL):
            order = json.loads(request.body)
            fake = self.server.fake(request.path.removeprefix(CONTROL))
            self._send(Reply(body=fake.order(order["order"], order["arguments"])))
        else:
            self._send(self.server.fake(self.server.name_of(request)).reply(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  # http.server's names

    def _send(self, reply: Reply) -> None:
        text = json.dumps(reply.body) if reply.xml is None else reply.xml
        content = b"" if reply.status == 204 else text.encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        kind = "json" if reply.xml is None else "xml"
        self.send_header("Content-Type", f"application/{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, *arguments: Any) -> None:
        """The fakes have logs of their own."""


def serve(make: Callable[[str], Fake], name_of: Callable[[Request], str]) -> None:
    """Serve until this process is ended; the command line is PORT [CERTIFICATE KEY]."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port")
    parser.add_argument("files", nargs="*")
    given = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if given.files else None
    if context is not None:
        context.load_cert_chain(*given.files)
    FakeServer(int(given.port), context, make, name_of).serve_forever()
