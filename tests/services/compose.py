"""Servers in containers, by `compose.yaml` at the repository's root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.services.certificates import Certificates
from tests.services.process import MissingServiceError, free_port

FILE = Path(__file__).parents[2] / "compose.yaml"

ASKED_FOR = "docker"
"""In place of a server's address: take the container, whatever else this machine has."""

_START_SECONDS = 300


def why_not() -> str | None:
    """Return why no container can be started, or None if one can."""
    if shutil.which("docker") is None:
        return "there is no docker program"
    for command, reason in (
        (["docker", "info"], "no Docker engine answers"),
        (["docker", "compose", "version"], "docker has no compose plugin"),
    ):
        if subprocess.run(command, capture_output=True, check=False, timeout=30).returncode:
            return reason
    return None


def engine() -> None:
    """Raise unless containers can be started.

    Raises:
        MissingServiceError: Says what is missing.
    """
    if reason := why_not():
        raise MissingServiceError(f"a container was asked for, and {reason}")


class Container:
    """One service of `compose.yaml`, in a project of this process's own."""

    def __init__(
        self,
        service: str,
        *,
        port_variable: str,
        environment: Mapping[str, str] | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._service = service
        self._tls = Path(tempfile.mkdtemp(prefix="datastores-tls-"))
        if certificates is not None:
            for path in (certificates.authority, certificates.certificate, certificates.key):
                shutil.copy(path, self._tls)
        self.port = free_port()
        """Of loopback; it leads to the service."""
        self._environment = {
            "TLS_FOLDER": str(self._tls),
            port_variable: str(self.port),
            **(environment or {}),
        }
        self.command = (
            *("docker", "compose", "--file", str(FILE)),
            *("--project-name", f"datastores-tests-{os.getpid()}-{service}"),
        )

    def start(self) -> None:
        """Start it and wait until it is healthy; nothing happens if it runs."""
        self._run("up", "--detach", "--wait", self._service)

    def kill(self) -> None:
        """End it at once; its data stays."""
        self._run("kill", self._service)

    def close(self) -> None:
        """End it and remove it with its data."""
        self._run("down", "--volumes", "--timeout", "1")
        shutil.rmtree(self._tls, ignore_errors=True)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self.command, *arguments],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=_START_SECONDS,
            check=False,
        )
        if done.returncode:
            raise MissingServiceError(f"docker compose {arguments[0]} failed:\n{done.stderr}")
        return done.stdout
