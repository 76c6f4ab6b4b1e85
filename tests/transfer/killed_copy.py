"""A copy in a process of its own, that kills itself at a step, or waits to be killed.

python -m tests.transfer.killed_copy WORKSPACE SOURCE TARGET MODE WORDS STEP
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from datastores import Workspace
from datastores.transfer import CopyReport, copy

_JOBS = ("datastores.transfer.rows:RowJob", "datastores.transfer.files:FileJob")
_WORKS = ("datastores.transfer.row_work:RowWork", "datastores.transfer.file_work:FileWork")
_ARCHIVE = ("datastores.transfer.archive:Archive",)
# What is called at each step, and whether the blow comes before or after it.
STEPS: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "before anything is staged": (_JOBS, "begin", "before"),
    "begun": (_JOBS, "begin", "after"),
    "in the middle of a part": (("datastores.transfer.meter:Meter",), "count", "after"),
    "a part is staged": (_WORKS, "run", "after"),
    "before the publish": (_JOBS, "publish", "before"),
    "the publish is decided": (
        ("datastores.bridges.file_journal:Publication",),
        "carry_out",
        "before",
    ),
    "the bookmark is claimed": (
        ("datastores.bridges.file_bookmarks:BookmarkMove",),
        "claim",
        "after",
    ),
    "the files are published": (
        ("datastores.bridges.file_bookmarks:BookmarkMove",),
        "settle",
        "before",
    ),
    "rejected rows are staged": (
        ("datastores.transfer.rejects:RejectsWriter",),
        "write",
        "after",
    ),
    "between the two publishes": (
        ("datastores.transfer.rejects:RejectsWrite",),
        "publish",
        "before",
    ),
    "rejected rows are published": (
        ("datastores.transfer.rejects:RejectsWrite",),
        "publish",
        "after",
    ),
    "published": (_JOBS, "publish", "after"),
    "before the archive": (_ARCHIVE, "move", "before"),
    "a file is archived": (_ARCHIVE, "_move", "after"),
    "a blob is copied": (
        ("datastores.drivers.azure_blob.filesystem:AzureBlobStoreFileSystem",),
        "delete_version",
        "before",
    ),
    "before what was staged is removed": (_JOBS, "discard", "before"),
}


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def _struck(call: Callable[..., Any], when: str) -> Callable[..., Any]:
    def struck(*arguments: Any, **options: Any) -> Any:
        if when == "before":
            _die()
        result = call(*arguments, **options)
        _die()
        return result

    return struck


def main() -> None:
    file, source, target, mode, words, step = sys.argv[1:]
    if step in STEPS:
        places, method, when = STEPS[step]
        for place in places:
            module, _, name = place.partition(":")
            class_ = getattr(importlib.import_module(module), name)
            setattr(class_, method, _struck(getattr(class_, method), when))
    with Workspace.load(file) as workspace:
        for name in ("source", "target"):
            # So that what is timed is the copy.
            workspace[name].driver  # noqa: B018
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        copied(workspace, source, target, mode=mode, words=json.loads(words))


def copied(
    workspace: Workspace, source: str, target: str, *, mode: str, words: dict[str, Any]
) -> CopyReport:
    """Make the copy: the same call in whichever process. Without words files are copied as they are."""
    ends = workspace["source"] / source, workspace["target"] / target
    options: Any = {"workspace": workspace, **words}
    return copy(*ends, mode=mode, workers=2, **options)


def forked(
    tells: Connection,
    secrets: Mapping[str, str],
    file: str,
    source: str,
    target: str,
    mode: str,
    words: dict[str, Any],
) -> None:
    """Make the copy in a process that is struck from outside, once it has told that it begins."""
    os.environ.update(secrets)
    with Workspace.load(file) as workspace:
        tells.send("ready")
        copied(workspace, source, target, mode=mode, words=words)


if __name__ == "__main__":
    main()
