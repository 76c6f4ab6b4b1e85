"""A copy of many tables in a process of its own, that kills itself at a step.

python -m tests.transfer.killed_many WORKSPACE MODE STEP
"""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from datastores import Workspace
from datastores.transfer import CopyAllReport, copy_all

# What is called at each step, and before which of its calls the blow comes.
STEPS: Mapping[str, tuple[str, str, int]] = {
    "in the second table": ("datastores.transfer.meter:Meter", "count", 2),
    "the second table is copied": ("datastores.transfer.run:Call", "run", 3),
    "entries are taken out": ("datastores.transfer.run:Call", "forget", 2),
}


def _struck(call: Callable[..., Any], turn: int) -> Callable[..., Any]:
    turns = itertools.count(1)

    def struck(*arguments: Any, **options: Any) -> Any:
        if next(turns) == turn:
            os.kill(os.getpid(), signal.SIGKILL)
            threading.Event().wait()
        return call(*arguments, **options)

    return struck


def main() -> None:
    file, mode, step = sys.argv[1:]
    place, method, turn = STEPS[step]
    module, _, name = place.partition(":")
    class_ = getattr(importlib.import_module(module), name)
    setattr(class_, method, _struck(getattr(class_, method), turn))
    with Workspace.load(file) as workspace:
        copied(workspace, mode)


def copied(workspace: Workspace, mode: str) -> CopyAllReport:
    """Make the copy: the same call in whichever process."""
    return copy_all(workspace["source"] / "many", workspace["target"], mode=mode, workers=1)


if __name__ == "__main__":
    main()
