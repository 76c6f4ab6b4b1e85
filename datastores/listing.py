"""What a store lists: files and folders as values, and as a table for people."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from typing_extensions import override

from datastores.display import html_table, text_table
from datastores.values import FileInfo


class Listing(list[FileInfo]):
    """Files and folders, in the order of their paths; shows as a table."""

    _COLUMNS = ("path", "size", "modified")

    def _rows(self) -> list[tuple[object, ...]]:
        return [(one.path, one.size, one.modified) for one in self]

    @override
    def __repr__(self) -> str:
        return text_table(self._COLUMNS, self._rows())

    def _repr_html_(self) -> str:
        return html_table(self._COLUMNS, self._rows())


def file_info(entry: Mapping[str, Any]) -> FileInfo:
    """Return what an entry of an fsspec listing says."""
    folder = entry["type"] == "directory"
    modified = entry.get("modified", entry.get("mtime"))
    if isinstance(modified, int | float):
        modified = datetime.fromtimestamp(modified, UTC)
    return FileInfo(
        path=entry["name"].strip("/"),
        size=None if folder else entry.get("size"),
        modified=modified,
        is_folder=folder,
        etag=entry.get("etag"),
    )
