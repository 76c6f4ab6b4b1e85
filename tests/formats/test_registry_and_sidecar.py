"""Names, endings and the schema kept beside text files."""

from __future__ import annotations

import json

import pyarrow as pa
import pytest

from datastores.errors import ConfigurationError, DataError, SchemaMismatchError
from datastores.formats.registry import format_of_path, open_format
from datastores.formats.sidecar import Sidecar, beside, check_types


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.parquet", "parquet"), ("B.PARQUET", "parquet"), ("b.csv", "csv"), ("b.tsv", "csv"), ("b.csv.gz", "csv"),
        ("b.jsonl", "jsonl"), ("b.ndjson.bz2", "jsonl"), ("b.arrow", "arrow"), ("b.feather", "arrow"),
        ("b.parquet.gz", None), ("b.txt", None), ("b", None), ("csv", None), ("a.csv/b", None), ("b.gz", None),
    ],
)  # fmt: skip
def test_endings_say_the_format(path: str, name: str | None) -> None:
    assert format_of_path(path) == name


def test_endings_imply_options_that_given_ones_go_before() -> None:
    assert open_format(None, "a.tsv", {}).description == "CSV (delimiter '\\t')"
    assert open_format(None, "a.csv.gz", {}).description == "CSV (compression 'gzip')"
    assert open_format(None, "a.tsv", {"delimiter": ";"}).description == "CSV (delimiter ';')"
    assert open_format("csv", "a.txt", {}).description == "CSV"


def test_unknown_ones_are_refused_with_the_known() -> None:
    with pytest.raises(
        ConfigurationError, match=r"no file format 'parket'.*Did you mean 'parquet'.*jsonl"
    ):
        open_format("parket", "", {})
    with pytest.raises(ConfigurationError, match=r"does not say a file format.*\.parquet"):
        open_format(None, "a.txt", {})


def test_a_sidecar_keeps_names_types_nullability_and_notes() -> None:
    schema = pa.schema(
        [
            pa.field(
                "é",
                pa.timestamp("us", "Europe/Berlin"),
                nullable=False,
                metadata={b"k": b"\xff\x00"},
            ),
            pa.field("l", pa.list_(pa.struct([("a b", pa.decimal128(5, 2))]))),
        ]
    )
    kept = Sidecar.load(Sidecar(schema, ("é",)).dump())
    assert kept.schema.equals(schema, check_metadata=True)
    assert kept.partition_by == ("é",)
    assert beside("a/b.csv") == "a/_b.csv.schema.json"
    assert beside("b.csv") == "_b.csv.schema.json"


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"{}", b'{"version":1}', b'{"version":1,"columns":[{}],"partition_by":[]}', b"\xff",
        b'{"version":1,"columns":[{"name":"a","type":"nope","nullable":true}],"partition_by":[]}',
        b'{"version":1,"columns":[],"partition_by":["a"]}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_damaged_sidecar_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match="is damaged"):
        Sidecar.load(data)


def test_a_newer_sidecar_is_refused() -> None:
    document = {"version": 2, "fields": []}
    with pytest.raises(DataError, match="has version 2, known is 1"):
        Sidecar.load(json.dumps(document).encode())


def test_a_type_that_no_sidecar_can_name_is_refused_by_column() -> None:
    sorted_map = pa.map_(pa.string(), pa.int32(), keys_sorted=True)
    with pytest.raises(SchemaMismatchError, match=r"column 'm': .* has no written form"):
        check_types(pa.schema([("a", pa.int32()), ("m", sorted_map)]))
