"""What a run's figures depend on beside the contenders: the machine, its load, and versions."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_VERSIONS = """
import importlib.metadata, json, sys
found = {"python": sys.version.split()[0]}
for name in sys.argv[1:]:
    try:
        found[name] = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def describe() -> dict[str, object]:
    """Return the machine in a few words."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": platform.platform(),
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "memory_bytes": memory,
    }


def load() -> float:
    """Return how many processes wanted a core during the last minute, on average."""
    return os.getloadavg()[0]


def versions(python: str | None, packages: Sequence[str]) -> dict[str, str]:
    """Return the versions of an environment's Python and of those packages that it has."""
    done = subprocess.run(
        [python or sys.executable, "-c", _VERSIONS, *packages],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found
