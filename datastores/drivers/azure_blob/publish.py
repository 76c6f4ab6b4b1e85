"""Publishing in a container: new blobs appear one by one, then the old ones go.

A staged blob is deleted last. So a second call that still finds one goes on with what the first
left, and one that finds only the targets has nothing to do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime

from datastores.drivers.azure_blob.filesystem import AzureBlobStoreFileSystem
from datastores.drivers.base import FolderChange, changed_meanwhile
from datastores.drivers.filesystem import check_publishable
from datastores.drivers.new_files import version_of
from datastores.errors import AlreadyExistsError, DatastoreError, NotFoundError
from datastores.location import join_path, normalize_path

# After this time a claim on a folder is taken for one whose owner died.
CLAIM_SECONDS = 900
_COMPARED_BYTES = 4 << 20


def publish_file(
    filesystem: AzureBlobStoreFileSystem, staged: str, path: str, *, replace: bool
) -> None:
    """Copy a staged blob to its place at one moment, and delete it."""
    source, target = normalize_path(staged), normalize_path(path).rstrip("/")
    filesystem.refuse_folder_or_obstacle(target)
    try:
        filesystem.copy_blobs([(source, target)], creating=not replace)
    except NotFoundError as error:
        raise _gone(staged, target) from error
    filesystem.delete_blobs([source])


def move_file(
    filesystem: AzureBlobStoreFileSystem, path: str, target: str, *, version: str
) -> None:
    """Copy a blob that has this version to where nothing is, and delete it."""
    source, goal = normalize_path(path), normalize_path(target)
    info = filesystem.info(source)
    if version_of(info) != version:
        raise changed_meanwhile(source)
    filesystem.refuse_folder_or_obstacle(goal)
    try:
        filesystem.copy_version(source, goal, info["etag"])
    except AlreadyExistsError as error:
        # Azurite says the same of either condition.
        if version_of(filesystem.info(source)) != version:
            raise changed_meanwhile(source) from error
        # Perhaps an earlier call has made it, and was cut short.
        if not _are_same(filesystem, source, goal):
            raise
    filesystem.delete_version(source, info["etag"])


def publish_folder(
    filesystem: AzureBlobStoreFileSystem, change: FolderChange, staging: str
) -> None:
    """Make one change to a folder, file by file: those added first, then those that go."""
    folder = normalize_path(change.folder).rstrip("/")
    check_publishable(folder, staging, "azure_blob")
    adds = {join_path(folder, inner): normalize_path(staged) for staged, inner in change.add}
    # Also where nothing waits any more: a claim that an earlier call left is to go.
    creates = change.must_be_absent
    with _claimed(filesystem, folder, staging, adds) if creates else nullcontext():
        if adds and not _waiting(filesystem, adds):
            return
        filesystem.refuse_obstacle(f"{folder}/any")
        if creates and set(filesystem.find(folder)) - adds.keys():
            raise AlreadyExistsError(
                f"{folder!r} exists already, with files in it", driver="azure_blob", target=folder
            )
        _publish(filesystem, change, folder, adds)


def _waiting(filesystem: AzureBlobStoreFileSystem, adds: Mapping[str, str]) -> bool:
    """Tell whether staged blobs wait to be published; an error if one is neither here nor there."""
    staged = filesystem.look_up_all(list(adds.values()))
    missing = [
        target for (target, _), found in zip(adds.items(), staged, strict=True) if found is None
    ]
    for target, found in zip(missing, filesystem.look_up_all(missing), strict=True):
        if found is None:
            raise _gone(adds[target], target)
    return len(missing) < len(adds)


def _publish(
    filesystem: AzureBlobStoreFileSystem,
    change: FolderChange,
    folder: str,
    adds: Mapping[str, str],
) -> None:
    there = dict(zip(adds, filesystem.look_up_all(list(adds)), strict=True))
    staged = dict(zip(adds, filesystem.look_up_all(list(adds.values())), strict=True))
    pairs = [(adds[target], target) for target in adds if staged[target] is not None]
    try:
        filesystem.copy_blobs(pairs)
    except BaseException:
        # Nothing old is gone yet: without the new ones the folder is as it was.
        with suppress(DatastoreError):
            filesystem.delete_blobs([target for _, target in pairs if there[target] is None])
        raise
    cleared = tuple(join_path(folder, one).rstrip("/") for one in change.clear)
    old = [path for one in cleared for path in filesystem.find(one) if path not in adds]
    filesystem.delete_blobs(old)
    filesystem.delete_blobs(list(adds.values()))


@contextmanager
def _claimed(
    filesystem: AzureBlobStoreFileSystem, folder: str, staging: str, adds: Mapping[str, str]
) -> Iterator[None]:
    """Hold a blob that says who creates a folder: of several creators one makes it."""
    claim = join_path(staging, f"creating/{hashlib.sha256(folder.encode()).hexdigest()[:32]}")
    owner = hashlib.sha256("\n".join(sorted(adds.values())).encode()).hexdigest().encode()
    try:
        filesystem.pipe_file(claim, owner, mode="create")
    except AlreadyExistsError as error:
        if not _may_take(filesystem, claim, owner):
            raise AlreadyExistsError(
                f"{folder!r} is being created by somebody else", driver="azure_blob", target=folder
            ) from error
    try:
        yield
    finally:
        with suppress(DatastoreError):
            filesystem.delete_blobs([claim])


def _may_take(filesystem: AzureBlobStoreFileSystem, claim: str, owner: bytes) -> bool:
    """Tell whether a claim is an earlier one for the same change, or was left behind; take it."""
    try:
        age = datetime.now(tz=UTC) - filesystem.modified(claim)
        if age.total_seconds() < CLAIM_SECONDS:
            return filesystem.cat_file(claim) == owner
        filesystem.rm_file(claim)
        filesystem.pipe_file(claim, owner, mode="create")
    except (NotFoundError, AlreadyExistsError):
        # Its owner has just finished, or another one was faster.
        return False
    return True


def _are_same(filesystem: AzureBlobStoreFileSystem, one: str, other: str) -> bool:
    if filesystem.info(one)["size"] != filesystem.info(other)["size"]:
        return False
    with filesystem.open(one, "rb") as left, filesystem.open(other, "rb") as right:
        while (chunk := left.read(_COMPARED_BYTES)) == right.read(_COMPARED_BYTES):
            if not chunk:
                return True
    return False


def _gone(staged: str, target: str) -> NotFoundError:
    return NotFoundError(f"the staged file {staged!r} is gone", driver="azure_blob", target=target)
