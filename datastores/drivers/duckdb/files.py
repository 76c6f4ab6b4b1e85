"""SQL over the files of a store: an in-memory DuckDB that can reach these files and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import duckdb
import pyarrow as pa
from fsspec import AbstractFileSystem
from typing_extensions import override

from datastores.drivers.duckdb.catalog import DIALECT, columns_of
from datastores.drivers.duckdb.client import SESSION
from datastores.drivers.duckdb.errors import translated
from datastores.drivers.duckdb.read import exact, select, single_select
from datastores.drivers.sql.parameters import bind_named, tokens
from datastores.location import normalize_path

_PROTOCOL = "datastore-files"
# Set in this order: the last two make the ones before them final.
_LOCKED = (
    *SESSION,
    f"SET allowed_directories = ['{_PROTOCOL}://']",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
# Functions whose text arguments name files, and keywords that a file's name follows.
_FILE_FUNCTION = re.compile(r"(read_|parquet_|sniff_csv$|glob$)", re.IGNORECASE)
_BEFORE_FILE = {"from", "join"}


class _StoreFiles(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """The store's filesystem under a protocol of its own, by which DuckDB finds it."""

    protocol = _PROTOCOL
    cachable = False

    def __init__(self, filesystem: AbstractFileSystem) -> None:
        super().__init__()
        self._filesystem = filesystem

    def _inside(self, path: str) -> str:
        return normalize_path(self._strip_protocol(path))

    @override
    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        found: list[Any] = self._filesystem.ls(self._inside(path), detail=detail)
        return found

    @override
    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._filesystem.info(self._inside(path))
        return found

    @override
    def modified(self, path: str) -> datetime:
        # DuckDB asks in order to notice changes; not every store knows, and one query is short.
        found = self.info(path).get("mtime") or self.info(path).get("modified")
        if isinstance(found, int | float):
            return datetime.fromtimestamp(found, UTC)
        return found if isinstance(found, datetime) else datetime.fromtimestamp(0, UTC)

    @override
    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        return self._filesystem.open(self._inside(path), "rb")


def query_files(
    filesystem: AbstractFileSystem, sql: str, parameters: Mapping[str, Any], batch_rows: int
) -> pa.RecordBatchReader:
    """Stream the result of a SELECT over files.

    Args:
        filesystem: Its root is the store's; nothing outside can be reached, not even by path.
        sql: File names in it, such as `from 'flights/*.parquet'`, are relative to that root.
        parameters: Values for the `:name` in it.
        batch_rows: Upper bound of rows per batch; none is empty.

    Raises:
        PermissionDeniedError: The SQL reaches for something that is not the store's.
    """
    connection = duckdb.connect()
    try:
        connection.register_filesystem(_StoreFiles(filesystem))
        for statement in _LOCKED:
            connection.execute(statement)
        with translated("query", "query"):
            text, values = bind_named(sql, parameters, DIALECT)
            text = single_select(connection, _with_protocol(text))
            columns = columns_of(connection, text, values)
            selected, _, columns = select(
                columns, None, (), source=f"(\n{text}\n) AS query", pages=False, new=""
            )
    except BaseException:
        connection.close()
        raise

    def batches() -> Iterator[pa.RecordBatch]:
        with connection, translated("query", "query"):
            relation = connection.sql(selected, params=values or None)
            with relation.to_arrow_reader(batch_rows) as reader:
                for chunk in reader:
                    yield from exact(chunk, columns, batch_rows)

    return pa.RecordBatchReader.from_batches(pa.schema([one.field for one in columns]), batches())


def _with_protocol(sql: str) -> str:
    """Return the SQL with the protocol before each relative file name."""
    pieces: list[str] = []
    word, functions = "", [""]
    for kind, text in tokens(sql):
        names_file = word in _BEFORE_FILE or (word in {"(", "[", ","} and functions[-1])
        if kind == "text" and names_file and "://" not in text and not text.startswith("'/"):
            pieces.append(f"'{_PROTOCOL}://{text[1:]}")
        else:
            pieces.append(text)
        if text == "(":
            functions.append(word if _FILE_FUNCTION.match(word) else "")
        elif text == ")" and len(functions) > 1:
            functions.pop()
        if kind not in {"line", "block"} and text.strip():
            word = text.lower()
    return "".join(pieces)
