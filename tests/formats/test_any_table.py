"""Any table through every format: exact on return, or refused by an error that names the column."""

from __future__ import annotations

import re

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from datastores.errors import DataError, SchemaMismatchError
from datastores.formats.registry import FORMATS, open_format
from datastores.testing.arrow import assert_same_table, tables

from .test_every_type import back, there


@pytest.mark.parametrize("format_name", FORMATS)
@given(table=tables())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_table_comes_back_or_is_refused_by_column(format_name: str, table: pa.Table) -> None:
    format_ = open_format(format_name, "", {})
    try:
        file = there(format_, table)
    except (DataError, SchemaMismatchError) as error:
        assert re.search(r"column ['\"]", error.message)  # noqa: PT017  # either outcome is right
        return
    assert_same_table(back(format_, file, table.schema), table, ordered=True)
