"""Names of tables and the other small values that every layer shares."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datastores.errors import ConfigurationError
from datastores.values import (
    Atomicity,
    Capabilities,
    OnUnfit,
    Snapshot,
    TableName,
    Unfit,
    UnfitExample,
    UnfitPolicy,
    WriteMode,
)

SMALL = settings(max_examples=50, deadline=None)
NAMES = st.builds(
    TableName,
    name=st.text(min_size=1, max_size=10) | st.text("./%2EF e", min_size=1, max_size=8),
    schema=st.none() | st.text(min_size=1, max_size=10) | st.text("./%2EF", min_size=1, max_size=8),
)


@SMALL
@given(NAMES)
def test_a_name_survives_its_text(name: TableName) -> None:
    assert TableName.parse(str(name)) == name


@SMALL
@given(NAMES)
def test_a_path_has_one_safe_segment_for_each_part(name: TableName) -> None:
    segments = name.path.split("/")
    assert len(segments) == (1 if name.schema is None else 2)
    assert all(segment.isascii() for segment in segments)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", TableName("orders")),
        ("public.orders", TableName("orders", "public")),
        ("public.a%2Eb", TableName("a.b", "public")),
        ("50%25", TableName("50%")),
        ("a/b", TableName("a/b")),
    ],
)
def test_parse(text: str, expected: TableName) -> None:
    assert TableName.parse(text) == expected
    assert str(TableName.parse(text)) == text


def test_from_path() -> None:
    assert TableName.from_path("public/orders") == TableName("orders", "public")
    assert TableName.from_path("/orders/") == TableName("orders")
    assert TableName.from_path("public/a.b c") == TableName("a.b c", "public")
    assert TableName.from_path("public/a%2Fb") == TableName("a/b", "public")


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a.b.c", "a..b"])
def test_not_a_name(text: str) -> None:
    with pytest.raises(ConfigurationError, match="is not a table name"):
        TableName.parse(text)


def test_write_modes_are_read_strictly() -> None:
    assert WriteMode.parse("replace_partitions") is WriteMode.REPLACE_PARTITIONS
    with pytest.raises(ConfigurationError) as caught:
        WriteMode.parse("overwrite")
    assert all(mode in str(caught.value) for mode in WriteMode)


def test_capabilities_as_plain_values() -> None:
    capabilities = Capabilities(write_modes={WriteMode.CREATE: Atomicity.ATOMIC}, query=True)
    assert capabilities.to_dict() == {
        "write_modes": {"create": "atomic"},
        "snapshot": "none",
        "query": True,
        "split_by": False,
        "writable_files": False,
        "empty_folders": True,
        "processes": False,
        "on_unfit": False,
        "clean": False,
    }
    assert Capabilities().snapshot is Snapshot.NONE


def test_policies_are_for_all_columns_or_for_some() -> None:
    everywhere, some = OnUnfit.parse("null"), OnUnfit.parse({"day": "reject", "at": "raise"})
    assert everywhere.for_column("any") is UnfitPolicy.NULL
    assert [some.for_column(one) for one in ("day", "at", "other")] == ["reject", "raise", "raise"]
    assert OnUnfit.parse(some) is some
    assert everywhere
    assert some
    assert not OnUnfit.parse(None)
    assert not OnUnfit.parse({"at": "raise"})
    assert some.renamed({"day": "on_day"}).for_column("on_day") is UnfitPolicy.REJECT


def test_what_did_not_fit_adds_up() -> None:
    example = UnfitExample(column="day", key="id = 1", value="infinity")
    one = Unfit(rows_rejected=1, examples=(example,) * 15)
    both = one + Unfit(values_nulled=1_000, examples=(example,) * 15)
    assert str(both) == "1 row left out, 1,000 values made NULL"
    assert len(both.examples) == 20
    assert both.lines(1)[1:] == ["  day infinity (id = 1)"]
    assert both
    assert not Unfit()
