"""`datastores jobs`: what was begun and did not end is listed, gone on from, or forgotten."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import datastores
from datastores import Workspace
from datastores.errors import ConfigurationError, DataError
from datastores.transfer import PartProgress

from .conftest import Run, staging

ROWS = pa.table({"id": range(400), "word": ["x" * 50] * 400})
TARGET = "datastore://files/out/"


@pytest.fixture
def job(folder: Path) -> str:
    """A copy that was interrupted when its first part was staged; its id."""

    def interrupt(progress: PartProgress) -> None:
        if progress.done:
            signal.raise_signal(signal.SIGINT)
            # Until the main thread has taken it.
            time.sleep(0.1)

    with Workspace.load(folder / "datastores.yaml") as workspace:
        workspace["files"].write_table("in/", ROWS, rows_per_file=100)
        with pytest.raises(KeyboardInterrupt):
            copied(workspace, workers=4, progress=interrupt)
        [entry] = workspace["files"].jobs()
    return entry.job


def copied(workspace: Workspace, **options: Any) -> datastores.transfer.CopyReport:
    """Make the copy that is interrupted."""
    report: datastores.transfer.CopyReport = datastores.copy(
        "datastore://files/in/", TARGET, workspace=workspace, types={"id": "int32"}, **options
    )
    return report


def test_an_interrupted_copy_is_listed_and_gone_on_from(run: Run, folder: Path, job: str) -> None:
    [record] = run("jobs", "list", "--json").records
    assert (record["store"], record["job"], record["target"]) == ("files", job, "out/")
    assert record["state"] == "writing"
    assert 1 <= record["parts"] <= 4
    assert job in run("jobs", "list", "files").out
    resumed = run("jobs", "resume", job)
    assert resumed.code == 0, resumed.err
    assert f"{record['parts']} of 4 parts are there" in resumed.out
    assert run("head", TARGET, "--json").records[0] == {"id": 0, "word": "x" * 50}
    assert "no job" in run("jobs", "list").out
    assert staging(folder) == []


def test_an_interrupted_copy_is_forgotten(run: Run, folder: Path, job: str) -> None:
    cleaned = run("jobs", "clean", job)
    assert cleaned.code == 0, cleaned.err
    assert job in cleaned.out
    assert staging(folder) == []
    again = run("jobs", "clean", job)
    assert again.code == 3
    assert "datastores jobs list" in again.err


def test_a_job_of_another_copy_is_not_gone_on_from(folder: Path, job: str) -> None:
    with Workspace.load(folder / "datastores.yaml") as workspace:
        with pytest.raises(ConfigurationError, match="another copy: from files/in/ to out/"):
            datastores.copy(
                "datastore://files/in/", "datastore://files/other/", workspace=workspace, job=job
            )
        assert not workspace["files"].exists("other")


@pytest.mark.parametrize(
    ("pattern", "instead", "words"),
    [
        ("^datastores 1", "datastores 2", "newer version"),
        ('"', "'", "damaged"),
        (".$", "", "damaged"),
        ("(?s).*", "", "damaged"),
    ],
)
@pytest.mark.parametrize("document", ["job.json", "receipts/*.json"])
def test_a_journal_that_is_damaged_or_newer_is_refused(
    folder: Path,
    run: Run,
    job: str,
    document: str,
    pattern: str,
    instead: str,
    words: str,
) -> None:
    # Whichever part was finished first.
    file = next((folder / "files" / "_datastores" / job).glob(document))
    file.write_text(re.sub(pattern, instead, file.read_text(), count=1))
    with Workspace.load(folder / "datastores.yaml") as workspace:
        with pytest.raises(DataError, match=words) as caught:
            copied(workspace)
        assert "jobs clean --store NAME ID" in str(caught.value.advice)
        assert not workspace["files"].exists("out")
    listed = run("jobs", "list")
    assert listed.code == 0
    assert words in " ".join(listed.err.split())
    cleaned = run("jobs", "clean", "--store", "files", job)
    assert cleaned.code == 0, cleaned.err
    assert staging(folder) == []


def test_a_damaged_decision_to_publish_is_refused_and_forgotten(
    folder: Path, run: Run, job: str
) -> None:
    place = folder / "files" / "_datastores" / job
    (place / "publication.json").write_text("datastores 1 0\n{")
    with Workspace.load(folder / "datastores.yaml") as workspace:
        with pytest.raises(DataError, match="damaged") as caught:
            copied(workspace)
        assert "Look whether the target has its rows" in str(caught.value.advice)
        assert not workspace["files"].exists("out")
    assert run("jobs", "clean", "--store", "files", job).code == 0
    assert staging(folder) == []


@pytest.mark.parametrize("place", ["files/rejects/", "warehouse/main/rejects"])
@pytest.mark.parametrize("verb", ["resume", "clean"])
def test_rejected_rows_go_with_their_job(run: Run, folder: Path, verb: str, place: str) -> None:
    def interrupt(progress: PartProgress) -> None:
        if progress.done:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.1)

    rejects = f"datastore://{place}"
    with Workspace.load(folder / "datastores.yaml") as workspace:
        workspace["files"].write_table("in/", ROWS.slice(0, 140), rows_per_file=35)
        with pytest.raises(KeyboardInterrupt):
            datastores.copy(
                *("datastore://files/in/", TARGET),
                workspace=workspace,
                types={"id": "int8"},
                rejects=rejects,
                workers=4,
                progress=interrupt,
            )
    jobs = run("jobs", "list", "--json").records
    [job] = [one["job"] for one in jobs if not one["job"].endswith("-rej")]
    assert {one["job"] for one in jobs} == {job, f"{job}-rej"}
    refused = run("jobs", "resume", f"{job}-rej")
    assert refused.code != 0
    assert "Make the same call again" in refused.err
    done = run("jobs", verb, job)
    assert done.code == 0, done.err
    assert "no job" in run("jobs", "list").out
    assert staging(folder) == []
    rows = run("head", rejects, "--json", "-n", "99")
    if verb == "resume":
        assert "12 rejected rows are in" in done.out
        assert len(rows.records) == 12
    else:
        assert f"{job}-rej" in done.out
        assert rows.code != 0
