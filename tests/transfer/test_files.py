"""Copies of files as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

import datastores
from datastores import Workspace
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    NotFoundError,
    UnsupportedOperationError,
)

from .conftest import staging_of

TREE = {"in/a.bin": b"\x00\xff" * 5_000, "in/deep/b.txt": "ü".encode(), "in/deep/empty": b""}


@pytest.fixture(autouse=True)
def tree(workspace: Workspace) -> None:
    for path, content in TREE.items():
        workspace["files"].write(path, content)


@pytest.mark.parametrize("target", ["other", "cache", "files"])
def test_a_folder(workspace: Workspace, target: str) -> None:
    report = datastores.copy(
        workspace["files"] / "in/", workspace[target] / "out/", verify=True, workers=2
    )
    found = workspace[target].list("out", recursive=True)
    content = {one.path.replace("out/", "in/"): workspace[target].read(one.path) for one in found}
    assert content == TREE
    assert report.files == len(TREE)
    assert report.bytes_read == sum(map(len, TREE.values()))
    assert staging_of(workspace) == []


def test_one_file_to_a_name_and_into_a_folder(workspace: Workspace) -> None:
    source = workspace["files"] / "in/a.bin"
    datastores.copy(source, workspace["other"] / "b.bin")
    datastores.copy(source, workspace["other"] / "folder/")
    assert workspace["other"].read("b.bin") == TREE["in/a.bin"]
    assert workspace["other"].read("folder/a.bin") == TREE["in/a.bin"]


def test_a_glob(workspace: Workspace) -> None:
    datastores.copy(workspace["files"] / "in/*.bin", workspace["other"] / "out/")
    assert [one.path for one in workspace["other"].list("out", recursive=True)] == ["out/a.bin"]


def test_modes(workspace: Workspace) -> None:
    source, other = workspace["files"] / "in/", workspace["other"]
    other.write("out/old.txt", b"old")
    with pytest.raises(AlreadyExistsError):
        datastores.copy(source, other / "out/")
    assert [one.path for one in other.list("out", recursive=True)] == ["out/old.txt"]
    datastores.copy(source, other / "out/", mode="append")
    assert len(other.list("out", recursive=True)) == 4
    datastores.copy(source, other / "out/", mode="replace")
    assert len(other.list("out", recursive=True)) == 3
    with pytest.raises(AlreadyExistsError):
        datastores.copy(workspace["files"] / "in/a.bin", other / "out/a.bin")
    datastores.copy(workspace["files"] / "in/deep/b.txt", other / "out/a.bin", mode="replace")
    assert other.read("out/a.bin") == TREE["in/deep/b.txt"]
    with pytest.raises(ConfigurationError):
        datastores.copy(workspace["files"] / "in/a.bin", other / "out/a.bin", mode="append")
    with pytest.raises(NotFoundError):
        datastores.copy(source, other / "nowhere/", mode="append")


def test_what_is_not_there(workspace: Workspace) -> None:
    for path in ("nothing.bin", "no/folder/", "*.none"):
        with pytest.raises(NotFoundError):
            datastores.copy(workspace["files"] / path, workspace["other"] / "out/")
    assert not workspace["other"].exists("out")


def test_a_folder_is_not_copied_to_the_root(workspace: Workspace) -> None:
    with pytest.raises(ConfigurationError, match="root"):
        datastores.copy(workspace["files"] / "in/", workspace["other"] / "")
    assert list(workspace["other"].list()) == []


def test_a_link_out_of_the_store_is_named(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "files" / "in" / "link").symlink_to("/etc/hostname")
    with pytest.raises(UnsupportedOperationError, match="in/link"):
        datastores.copy(workspace["files"] / "in/", workspace["other"] / "out/")
    assert not workspace["other"].exists("out")
