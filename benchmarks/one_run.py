"""One contender in a process of its own: `python -m benchmarks.one_run MODULE:FUNCTION ARGUMENTS`.

Started in each contender's own environment, so this needs the standard library alone. The function
is called once on little, which loads what it loads on first use, and then by the clock. The last
line of the output is what was measured. Linux only.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

_STATUS = Path("/proc/self/status")
# Writing this sets the peak of resident memory back to what is resident now.
# https://www.kernel.org/doc/html/latest/filesystems/proc.html (clear_refs)
_CLEAR_PEAK = (Path("/proc/self/clear_refs"), "5")


def main(target: str, arguments: str) -> None:
    module, _, name = target.partition(":")
    call = getattr(import_module(module), name)
    given = json.loads(arguments)
    call(**given["warm_up"])
    gc.collect()
    _CLEAR_PEAK[0].write_text(_CLEAR_PEAK[1])
    floor, cpu = _status_bytes("VmRSS"), _cpu_seconds()
    begin = time.perf_counter()
    result = call(**given["measured"])
    wall = time.perf_counter() - begin
    measured = {
        "wall_seconds": wall,
        "client_cpu_seconds": _cpu_seconds() - cpu,
        "peak_bytes": max(0, _status_bytes("VmHWM") - floor),
        **({"rows": result} if result is not None else {}),
    }
    print(json.dumps(measured))


def _cpu_seconds() -> float:
    """Return user and system time of this process, its threads and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _status_bytes(name: str) -> int:
    lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(lines[name].removesuffix("kB")) * 1024


if __name__ == "__main__":
    main(*sys.argv[1:])
