"""The caller's `progress`: told by one worker at a time, and what it raises ends the copy."""

from __future__ import annotations

import threading
import time

import pyarrow as pa
import pytest

import datastores
from datastores import Workspace
from datastores.errors import ConnectionFailedError
from datastores.transfer import PartProgress, meter

from .conftest import ROWS, staging_of


class CallerError(Exception):
    """What only the caller knows."""


@pytest.mark.parametrize("store", ["warehouse", "other", "cache"])
@pytest.mark.parametrize("error", [CallerError("no"), ConnectionFailedError("no")])
def test_an_error_of_the_callback_ends_the_copy(
    workspace: Workspace, orders: pa.Table, store: str, error: Exception
) -> None:
    workspace["files"].write_table("in/", orders, rows_per_file=100)
    target = workspace[store]
    calls = []

    def refuse(part: PartProgress) -> None:
        calls.append(part)
        raise error

    with pytest.raises(type(error)) as caught:
        datastores.copy(
            workspace["files"] / "in/",
            target / "target",
            types={"id": "int64"},
            workers=2,
            progress=refuse,
        )
    assert caught.value is error
    assert str(error) == "no"
    assert len(calls) == 1
    assert not target.exists("main/target.parquet" if store == "warehouse" else "target")
    assert staging_of(workspace) == []


def test_an_error_while_rows_flow_is_the_callers_own(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The driver hears of it first, and would make an error of its own of it."""
    monkeypatch.setattr(meter, "MIN_INTERVAL_SECONDS", 0.0)
    workspace["files"].write_table("in.parquet", pa.table({"id": range(300_000)}))

    def refuse(part: PartProgress) -> None:
        assert not part.done
        raise CallerError

    for store in ("warehouse", "other"):
        with pytest.raises(CallerError):
            datastores.copy(
                workspace["files"] / "in.parquet", workspace[store] / "target", progress=refuse
            )
    assert staging_of(workspace) == []


def test_one_worker_at_a_time_tells(
    workspace: Workspace, orders: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter, "MIN_INTERVAL_SECONDS", 0.0)
    workspace["files"].write_table("in/", orders, rows_per_file=10)
    inside = threading.Lock()
    parts: dict[str, PartProgress] = {}

    def note(part: PartProgress) -> None:
        assert inside.acquire(blocking=False)
        time.sleep(0.001)
        parts[part.part] = part
        inside.release()

    report = datastores.copy(
        workspace["files"] / "in/",
        workspace["other"] / "out/",
        types={"id": "int32"},
        workers=4,
        progress=note,
    )
    assert len(parts) == report.parts > 1
    assert sum(part.rows for part in parts.values()) == ROWS
    assert all(part.done for part in parts.values())
    for part in report.part_reports:
        # Waiting for a worker is no time of the part's.
        assert parts[part.name].seconds == pytest.approx(
            part.ended_seconds - part.began_seconds, abs=0.05
        )
