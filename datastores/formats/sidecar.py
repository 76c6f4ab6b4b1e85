"""A table's schema as a JSON document: beside CSV and JSON lines, and inside partitioned files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.types.text import format_type, parse_type

VERSION = 1
METADATA_KEY = b"datastores:table"
"""Where Parquet and Arrow files of a partitioned folder keep the document."""
FOLDER_FILE = "_datastores_schema.json"
"""Name of a folder's sidecar; other tools skip names that begin with `_`."""


@dataclass(frozen=True, slots=True)
class Sidecar:
    """A table's whole schema, and which of its columns are folders."""

    schema: pa.Schema
    partition_by: tuple[str, ...] = ()

    def dump(self) -> bytes:
        """Return the document."""
        columns = [
            {
                "name": field.name,
                "type": format_type(field.type),
                "nullable": field.nullable,
                **({"metadata": _plain(field.metadata)} if field.metadata else {}),
            }
            for field in self.schema
        ]
        document = {"version": VERSION, "columns": columns, "partition_by": self.partition_by}
        return json.dumps(document, indent=1).encode()

    @classmethod
    def load(cls, data: bytes) -> Sidecar:
        """Read a document.

        Raises:
            DataError: Damaged, or written by a newer version.
        """
        try:
            document = json.loads(data)
            version = document["version"]
            if version != VERSION:
                document = {"columns": [], "partition_by": []}  # a newer one may look otherwise
            schema = pa.schema([_field(one) for one in document["columns"]])
            partition_by = tuple(document["partition_by"])
            agree = len(set(schema.names)) == len(schema) and set(partition_by) <= set(schema.names)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise _damaged() from error
        if version != VERSION:
            raise DataError(
                f"the schema kept beside the data has version {version!r}, known is {VERSION}",
                advice="Install a newer version of datastores",
            )
        if not agree:
            raise _damaged()
        return cls(schema, partition_by)


def beside(path: str) -> str:
    """Return where the sidecar of a single file is: `a/_b.csv.schema.json` for `a/b.csv`."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}_{name}.schema.json"


def check_types(schema: pa.Schema) -> None:
    """Raise for the first column whose type has no written form.

    Raises:
        SchemaMismatchError: Naming the column.
    """
    for field in schema:
        try:
            format_type(field.type)
        except ConfigurationError as error:
            raise SchemaMismatchError(
                f"column {field.name!r}: {error.message}",
                advice="Convert it with types={...}, or leave it out with columns=[...]",
            ) from error


def _damaged() -> DataError:
    return DataError(
        "the schema kept beside the data is damaged",
        advice="Remove it and give types={...}, or write the table again",
    )


def _plain(metadata: Mapping[bytes, bytes]) -> dict[str, str]:
    return {
        key.decode(errors="surrogateescape"): value.decode(errors="surrogateescape")
        for key, value in metadata.items()
    }


def _field(column: Mapping[str, Any]) -> pa.Field:
    metadata = {
        key.encode(errors="surrogateescape"): value.encode(errors="surrogateescape")
        for key, value in column.get("metadata", {}).items()
    }
    return pa.field(
        str(column["name"]), parse_type(column["type"]), bool(column["nullable"]), metadata or None
    )
