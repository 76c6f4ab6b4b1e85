"""What `import datastores` adds to the start of Python, in fresh processes.

The statements take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

ROUNDS = 21
LIMIT_MILLISECONDS = 60.0

STATEMENTS = {
    "bare interpreter": "pass",
    "import datastores": "import datastores",
    "from datastores import Workspace": "from datastores import Workspace",
    "datastores --help": "from datastores.cli import main; main(['--help'])",
}


def seconds(statement: str) -> float:
    """Return how long a fresh interpreter takes for one statement."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Print the median of each statement, and what it adds to the bare interpreter."""
    for statement in STATEMENTS.values():
        seconds(statement)  # compiles, and warms the file cache
    times: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(ROUNDS):
        for name, statement in STATEMENTS.items():
            times[name].append(seconds(statement) * 1_000)
    medians = {name: statistics.median(found) for name, found in times.items()}
    bare = medians["bare interpreter"]
    print(f"median of {ROUNDS} fresh processes each, Python {sys.version.split()[0]}")
    for name, median in medians.items():
        print(f"  {name:34} {median:7.1f} ms   {median - bare:+7.1f} ms")
    cost = medians["import datastores"] - bare
    verdict = "within" if cost < LIMIT_MILLISECONDS else "ABOVE"
    print(f"import datastores adds {cost:.1f} ms: {verdict} {LIMIT_MILLISECONDS:.0f} ms")


if __name__ == "__main__":
    main()
