"""Servers as child processes: on loopback, at free ports, ended with the test run however it ends."""

from __future__ import annotations

import gc
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

LOOPBACK = "127.0.0.1"

_SUPERVISOR = Path(__file__).with_name("supervise.py")
_START_SECONDS = 60.0
_LOG_LINES = 20
_FORK_SECONDS = 20.0


class MissingServiceError(Exception):
    """A test service is not to be had here; says what is missing and how to get it."""


class ServerProcess:
    """One server with a folder of its own, which can be stopped and started at the same port.

    Args:
        name: For the folder's name and for messages.
        command: Builds the command line from the folder and the port.
        answers: Tells whether the server at a port is ready.
        user: Who it runs as; None for the user of this process.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[Path, int], Sequence[str]],
        *,
        answers: Callable[[int], bool],
        user: str | None = None,
    ) -> None:
        self.name = name
        self.folder = Path(tempfile.mkdtemp(prefix=f"datastores-{name}-"))
        if user is not None:
            shutil.chown(self.folder, user, user)
        self._command = command
        self._answers = answers
        self._user = user
        self._supervisor: subprocess.Popen[bytes] | None = None
        self.pid = 0
        self.port = free_port()

    def place(self, name: str, content: bytes) -> Path:
        """Write a file into the folder that only the server's user may read."""
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        if self._user is not None:
            shutil.chown(path, self._user, self._user)
        return path

    @property
    def is_running(self) -> bool:
        """Whether the server was started and has not ended since."""
        return self._supervisor is not None and self._supervisor.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers; nothing happens if it runs."""
        if self.is_running:
            return
        arguments = [str(self.folder), self._user or ""]
        command = [str(part) for part in self._command(self.folder, self.port)]
        with self._log.open("ab") as log:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", str(_SUPERVISOR), *arguments, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        try:
            assert self._supervisor.stdout is not None
            self.pid = int(self._supervisor.stdout.readline() or 0)
            self._wait()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise

    def stop(self, number: signal.Signals) -> None:
        """End it by a signal and wait until it is gone; its folder stays."""
        if self._supervisor is None:
            return
        # The supervisor's own output pipe is closed here too.
        self._supervisor.communicate(b"%d\n" % number if self.is_running else None)
        self._supervisor = None

    def close(self, number: signal.Signals) -> None:
        """End it and remove its folder."""
        self.stop(number)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """Return the last lines that it wrote."""
        lines = self._log.read_text(errors="replace").splitlines() if self._log.exists() else []
        return "\n".join(lines[-_LOG_LINES:])

    @property
    def _log(self) -> Path:
        return self.folder / "server.log"

    def _wait(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers(self.port):
            if not self.is_running:
                raise MissingServiceError(f"{self.name} ended while starting:\n{self.log()}")
            if time.monotonic() > deadline:
                raise MissingServiceError(f"{self.name} does not answer:\n{self.log()}")
            time.sleep(0.05)


def forked(call: Callable[[], bytes]) -> bytes:
    """Return what a call returns in a fork of this process; a child that hangs is killed, and fails."""
    reading, writing = os.pipe()
    # What the parent has done with is not the child's to collect.
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads
        child = os.fork()
    if not child:
        found = b"failed"
        try:
            found = call()
        finally:
            os.write(writing, found)
            os._exit(0)
    has_answered, _, _ = select.select([reading], [], [], _FORK_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    found = os.read(reading, 1024) if has_answered else b"no answer"
    os.close(reading)
    os.close(writing)
    return found


def unprivileged_user() -> str | None:
    """Return who servers run as that refuse to be root's, when this is root; else None."""
    if os.geteuid() != 0:
        return None
    import pwd

    names = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def free_port() -> int:
    """Return a port of loopback that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def accepts(port: int) -> bool:
    """Tell whether somebody listens at a port of loopback."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True
