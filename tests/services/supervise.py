"""Runs one server as a child, and ends it when the process that asked for it is gone.

Started by path, with the standard library alone: `supervise.py FOLDER USER COMMAND...`. A line with
a signal's number on standard input ends the server by that signal. The end of the input without
one means that the test run died: the server is killed, and FOLDER removed.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys

# How often the server's own death is looked for.
_POLL_SECONDS = 0.2
# A server that does not obey a signal in this time is killed.
_OBEY_SECONDS = 15


def main(folder: str, user: str, command: list[str]) -> int:
    # Ctrl-C goes to every process of the terminal; who started us decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    as_user = {"user": user, "group": user, "extra_groups": []} if user else {}
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder, **as_user)  # type: ignore[call-overload]
    print(server.pid, flush=True)  # noqa: T201  # this is what the starter reads
    while server.poll() is None:
        ready, _, _ = select.select([0], [], [], _POLL_SECONDS)
        if ready:
            return _end(server, os.read(0, 16), folder)
    return int(server.returncode)


def _end(server: subprocess.Popen[bytes], order: bytes, folder: str) -> int:
    # The child is not reaped yet, so its id cannot be another process's.
    server.send_signal(int(order) if order else signal.SIGKILL)
    try:
        server.wait(_OBEY_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    if not order:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
