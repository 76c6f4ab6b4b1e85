"""Tables shown as files: `public/orders.parquet` is the table `public.orders` as a Parquet file.

Read-only. The table itself is `public/orders`; any format's suffix is one of its file faces, of
which listings show the Parquet one.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import IO, Any, NoReturn

from typing_extensions import override

from datastores.bridges.renderings import renderings_of
from datastores.drivers.base import TableDriver
from datastores.drivers.filesystem import StoreFileSystem
from datastores.drivers.reading import ScanRequest
from datastores.errors import NotFoundError, UnsupportedOperationError
from datastores.formats.registry import format_of_path, open_format
from datastores.values import TableName

LISTED_SUFFIX = ".parquet"
"""Of the one face of each table that listings show."""


class TablesAsFiles(StoreFileSystem):
    """A read-only filesystem of one store's tables: folders are schemas, files are tables.

    A file is rendered once to a temporary file, which all opens in this process share for
    `SHARED_SECONDS` and for as long as one of them is open: what they read is one moment's
    table, and they may seek in it. Memory is about one batch. `ls` knows the size of a file that
    is rendered; `info` renders it.
    """

    protocol = "datastore-tables"

    def __init__(self, driver: TableDriver, **options: Any) -> None:
        super().__init__(driver, **options)
        self._driver = driver
        self._renderings = renderings_of(driver)

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        folder = self._strip_protocol(path)
        if folder and (folder not in self._folders()):
            infos = [self._describe(folder)]
        else:
            infos = sorted(self._children(folder), key=lambda one: str(one["name"]))
        return infos if detail else [one["name"] for one in infos]

    @override
    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        name = self._strip_protocol(path)
        if self._face(name) is None:
            return self._describe(name)
        return self._renderings.stat(name, partial(self._render, name))

    @override
    def exists(self, path: str, **kwargs: Any) -> bool:
        try:
            self._describe(self._strip_protocol(path))
        except NotFoundError:
            return False
        return True

    @override
    def isdir(self, path: str) -> bool:
        name = self._strip_protocol(path)
        return not name or name in self._folders()

    @override
    def isfile(self, path: str) -> bool:
        return self._face(self._strip_protocol(path)) is not None

    @override
    def invalidate_cache(self, path: str | None = None) -> None:
        self._renderings.forget()

    @override
    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> IO[bytes]:
        name = self._strip_protocol(path)
        if mode != "rb":
            self._refuse("open", name)
        if self._face(name) is None:
            found = self._describe(name)
            raise UnsupportedOperationError(
                f"{name!r} is a {found['type']}, and not a file",
                driver=self._driver.type_name,
                operation="open",
                target=name,
                advice=f"Add the suffix of a file format, such as {LISTED_SUFFIX}, to a table's name",
            )
        return self._renderings.open(name, partial(self._render, name))

    def _folders(self) -> set[str]:
        return {_segment(one.schema) for one in self._driver.tables() if one.schema is not None}

    def _children(self, folder: str) -> Iterator[dict[str, Any]]:
        tables = self._driver.tables()
        if not folder:
            for name in sorted({_segment(one.schema) for one in tables if one.schema is not None}):
                yield {"name": name, "size": 0, "type": "directory"}
        for one in tables:
            if _segment(one.schema or "") == folder:
                path = f"{folder}/{_segment(one.name)}".lstrip("/") + LISTED_SUFFIX
                yield self._renderings.known(path) or _unrendered(path, "file")

    def _describe(self, name: str) -> dict[str, Any]:
        """Return what stands at a path, without rendering it."""
        if self.isdir(name):
            return {"name": name, "size": 0, "type": "directory"}
        if self._face(name) is not None:
            return self._renderings.known(name) or _unrendered(name, "file")
        if self._is_table(name):
            return _unrendered(name, "table")
        raise NotFoundError(
            f"no table or schema stands at {name!r}",
            driver=self._driver.type_name,
            target=name,
            advice="List the store's tables to see their names",
        )

    def _face(self, name: str) -> TableName | None:
        """Return the table whose file face a path is, or None if it is none."""
        if format_of_path(name) is None:
            return None
        folder, _, last = name.rpartition("/")
        # Two suffixes where the file is compressed: `orders.csv.gz`. The shorter name is rarer.
        stems = [last.rsplit(".", count)[0] for count in (1, 2)]
        for stem in dict.fromkeys(stems):
            table = f"{folder}/{stem}".lstrip("/")
            if stem and self._is_table(table):
                return TableName.from_path(table)
        return None

    def _is_table(self, path: str) -> bool:
        if path.count("/") > 1:
            return False
        try:
            self._driver.schema(TableName.from_path(path))
        except NotFoundError:
            return False
        return True

    def _render(self, name: str, file: IO[bytes]) -> None:
        table = self._face(name)
        if table is None:
            raise NotFoundError(f"no table stands at {name!r}", target=name)
        form = open_format(None, name, {})
        with self._driver.plan_read(ScanRequest(table=table), 1) as plan:
            form.check(plan.schema)
            with form.writer(file, plan.schema) as writer:
                for split in plan.splits:
                    with self._driver.read(split) as reader:
                        for batch in reader:
                            writer.write(batch)

    def _refuse(self, operation: str, path: str) -> NoReturn:
        raise UnsupportedOperationError(
            f"the tables of a {self._driver.type_name} datastore are not written as files",
            driver=self._driver.type_name,
            operation=operation,
            target=path,
            advice="Write a table with write_table or copy; nothing was sent",
        )

    @override
    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        self._refuse("mkdir", path)

    @override
    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        self._refuse("makedirs", path)

    @override
    def rmdir(self, path: str) -> None:
        self._refuse("rmdir", path)

    @override
    def rm_file(self, path: str) -> None:
        self._refuse("rm_file", path)

    @override
    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        self._refuse("touch", path)

    @override
    def _rename(self, source: str, target: str) -> None:
        self._refuse("mv", source)

    @override
    def _remove_tree(self, path: str) -> None:
        self._refuse("rm", path)


def _segment(name: str) -> str:
    # As in locations, only a slash inside a name is written otherwise.
    return name.replace("/", "%2F")


def _unrendered(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "size": None, "type": kind}
