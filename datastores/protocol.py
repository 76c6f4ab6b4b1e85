"""The fsspec protocol `datastore`: every store of a workspace under `datastore://NAME/PATH`.

Behind the prefix a path is percent-encoded, as in any URL. Without it, as `ls` returns it, a path
is raw: `NAME/100%.csv`.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.asyn import AsyncFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import stringify_path
from typing_extensions import Buffer, override

from datastores.drivers.filesystem import CommittingFileSystem, omit_absent
from datastores.errors import (
    AlreadyExistsError,
    ConfigurationError,
    DatastoreError,
    NotFoundError,
    located,
)
from datastores.location import SCHEME, Location, normalize_path
from datastores.workspace import Workspace
from datastores.workspace_file import EMBEDDED, find_workspace

_PREFIX = f"{SCHEME}://"
_COPY_BYTES = 4 << 20


class _FindsWorkspace(type(AsyncFileSystem)):  # type: ignore[misc]  # fsspec has no types
    """Puts the workspace file that is found into the arguments, so that it is in token and pickle.

    fsspec keeps instances by their arguments: one made in another folder would be taken for this.
    """

    @override
    def __call__(cls, *args: Any, workspace: str | None = None, **options: Any) -> Any:
        found = find_workspace(workspace)
        if found != EMBEDDED:
            found = str(Path(found).resolve())
        return super().__call__(*args, workspace=found, **options)


class DatastoreFileSystem(CommittingFileSystem, AsyncFileSystem, metaclass=_FindsWorkspace):  # type: ignore[misc]
    """All stores of a workspace as one filesystem, each a folder at the root.

    Pickles as the path of the workspace file: another process opens the stores for itself.

    Args:
        workspace: The workspace file; found as `Workspace.load` finds it if None.
    """

    protocol = SCHEME
    root_marker = ""

    def __init__(self, *args: Any, workspace: str, **options: Any) -> None:
        super().__init__(*args, **options)
        self._source = workspace

    @cached_property
    def workspace(self) -> Workspace:
        """The workspace, read on first use."""
        return Workspace.load(self._source)

    # Paths

    @classmethod
    @override
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = stringify_path(path)
        if not isinstance(text, str):
            raise ConfigurationError(f"{path!r} is not a path")
        if text.startswith(_PREFIX) and text.strip("/") != _PREFIX.strip("/"):
            location = Location.parse(text)
            text = f"{location.store}/{location.path}"
        return normalize_path(text.removeprefix(_PREFIX)).rstrip("/")

    @override
    def unstrip_protocol(self, name: str) -> str:
        store, _, path = self._strip_protocol(name).partition("/")
        return str(Location(store, path)).rstrip("/") if store else _PREFIX

    def _route(self, path: str) -> tuple[AbstractFileSystem, str, str]:
        """Return a path's store as a filesystem, the store's name, and the path in it."""
        store, _, inner = self._strip_protocol(path).partition("/")
        if not store:
            raise ConfigurationError(
                "the path names no datastore", advice=f"Write {_PREFIX}NAME/PATH"
            )
        return self.workspace[store].filesystem, store, inner

    async def _call(self, method: str, path: str, *args: Any, **options: Any) -> Any:
        """Call a method of a path's store in a thread: stores are synchronous, or run a loop of their own."""
        return await asyncio.to_thread(self._call_now, method, path, *args, **options)

    def _call_now(self, method: str, path: str, *args: Any, **options: Any) -> Any:
        filesystem, store, inner = self._route(path)
        with located(store=store):
            return getattr(filesystem, method)(inner, *args, **options)

    # Reading

    @override
    async def _info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        if not (path := self._strip_protocol(path)):
            return _folder("")
        info = await self._call("info", path, **kwargs)
        return {**info, "name": path}

    @override
    async def _ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        if path := self._strip_protocol(path):
            found = await self._call("ls", path, detail=True, **kwargs)
            infos = [_below(path, one) for one in found]
        else:
            infos = [_folder(name) for name in self.workspace]
        return infos if detail else [one["name"] for one in infos]

    @override
    async def _exists(self, path: str, **kwargs: Any) -> bool:
        return await self._ask("exists", path, **kwargs)

    @override
    async def _isdir(self, path: str) -> bool:
        return await self._ask("isdir", path)

    @override
    async def _isfile(self, path: str) -> bool:
        return bool(self._strip_protocol(path)) and await self._ask("isfile", path)

    async def _ask(self, method: str, path: str, **kwargs: Any) -> bool:
        # A store may know without what `info` costs: a table's size is that of a rendered file.
        try:
            return not self._strip_protocol(path) or await self._call(method, path, **kwargs)
        except FileNotFoundError:
            return False

    @override
    async def _walk(
        self, path: str, maxdepth: int | None = None, on_error: Any = "omit", **kwargs: Any
    ) -> AsyncIterator[Any]:
        on_error = omit_absent if on_error == "omit" else on_error
        async for found in super()._walk(path, maxdepth, on_error=on_error, **kwargs):
            yield found

    @override
    async def _find(
        self, path: str, maxdepth: int | None = None, withdirs: bool = False, **kwargs: Any
    ) -> Any:
        detail = kwargs.pop("detail", False)
        # A hint of fsspec's glob for services that filter by the beginning of a name.
        kwargs.pop("prefix", None)
        path = self._strip_protocol(path)
        if not path:
            found = await super()._find(path, maxdepth, withdirs, detail=True, **kwargs)
        else:
            # The store's own: it sees one version of a folder that is being published.
            inner = await self._call("find", path, maxdepth, withdirs, detail=True, **kwargs)
            infos = [_below(path, one) for one in inner.values()]
            if withdirs and "/" not in path:
                infos.append(_folder(path))
            found = {one["name"]: one for one in sorted(infos, key=lambda one: str(one["name"]))}
        return found if detail else list(found)

    @override
    async def _expand_path(self, path: Any, *args: Any, **kwargs: Any) -> list[str]:
        try:
            return await super()._expand_path(path, *args, **kwargs)  # type: ignore[no-any-return]
        except FileNotFoundError as error:
            if isinstance(error, DatastoreError):
                raise
            raise NotFoundError(f"nothing matches {path!r}", target=str(path)) from error

    @override
    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any
    ) -> bytes:
        content: bytes = await self._call("cat_file", path, start=start, end=end, **kwargs)
        return content

    @override
    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **kwargs: Any
    ) -> None:
        await self._call("get_file", rpath, lpath, callback=callback, **kwargs)

    @override
    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return self._call_now("open", path, mode, **kwargs)

    @override
    def modified(self, path: str) -> Any:
        return self._call_now("modified", path)

    @override
    def created(self, path: str) -> Any:
        return self._call_now("created", path)

    # Writing

    @override
    async def _pipe_file(
        self, path: str, value: Buffer, mode: str = "overwrite", **kwargs: Any
    ) -> None:
        await self._call("pipe_file", path, value, mode=mode, **kwargs)

    @override
    async def _put_file(
        self,
        lpath: Any,
        rpath: str,
        mode: str = "overwrite",
        callback: Any = DEFAULT_CALLBACK,
        **kwargs: Any,
    ) -> None:
        def put(path: str) -> None:
            filesystem, store, inner = self._route(path)
            with located(store=store):
                filesystem.put_file(lpath, inner, mode=mode, callback=callback, **kwargs)

        await asyncio.to_thread(put, rpath)

    @override
    async def _cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        await asyncio.to_thread(self._copy_now, path1, path2)

    def _copy_now(self, path1: str, path2: str) -> None:
        source, name, inner = self._route(path1)
        target, target_name, target_inner = self._route(path2)
        if name == target_name:
            with located(store=name):
                source.cp_file(inner, target_inner)
        elif source.isdir(inner):
            target.makedirs(target_inner, exist_ok=True)
        else:
            with (
                located(store=name),
                source.open(inner, "rb") as reader,
                located(store=target_name),
                target.open(target_inner, "wb") as writer,
            ):
                shutil.copyfileobj(reader, writer, _COPY_BYTES)

    @override
    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(path1, str) and isinstance(path2, str):
            source, name, inner = self._route(path1)
            _, target_name, target_inner = self._route(path2)
            if name == target_name:
                with located(store=name):
                    into = "/" if path2.endswith("/") else ""
                    source.mv(inner, f"{target_inner}{into}", recursive, maxdepth)
                return
        super().mv(path1, path2, recursive, maxdepth, **kwargs)

    @override
    async def _rm_file(self, path: str, **kwargs: Any) -> None:
        await self._call("rm_file", path, **kwargs)

    @override
    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: int | None = None,
        maxdepth: int | None = None,
        **kwargs: Any,
    ) -> None:
        for one in path if isinstance(path, list) else [path]:
            await self._call("rm", one, recursive=recursive, maxdepth=maxdepth)

    @override
    async def _mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        if "/" not in self._strip_protocol(path):
            raise AlreadyExistsError(f"{path!r} is a datastore, not a folder", target=path)
        await self._call("mkdir", path, create_parents=create_parents, **kwargs)

    @override
    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        await self._call("makedirs", path, exist_ok=exist_ok)

    @override
    def rmdir(self, path: str) -> None:
        self._call_now("rmdir", path)

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        self._call_now("touch", path, truncate=truncate, **kwargs)


def _folder(name: str) -> dict[str, Any]:
    return {"name": name, "size": 0, "type": "directory"}


def _below(path: str, info: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry that a store named from its own root, named from ours."""
    return {**info, "name": f"{path.partition('/')[0]}/{info['name']}".rstrip("/")}
