"""Every ordered pair of kinds: equal, or refused for a stated reason. `nox -s matrix` runs all of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain

import pytest

from datastores.drivers.writing import Verdict
from tests.formats.table_of_types import COLUMNS, NOT_FINITE
from tests.transfer.kinds import FORMATS, KINDS, kind_of
from tests.transfer.matrix import ENDS, PAIRS, End, Stores, check_refused, moved
from tests.transfer.plugin import PROPERTY
from tests.transfer.shop import REPEATED, shop


@pytest.fixture(scope="module")
def stores(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stores]:
    folder = tmp_path_factory.mktemp("shop")
    with contextlib.ExitStack() as stack:
        yield Stores(request, folder, stack, whole=bool(request.config.getoption("matrix")))


@pytest.mark.parametrize("end", ENDS, ids=str)
def test_an_end_holds_all_but_what_it_states(end: End, stores: Stores) -> None:
    store = stores.empty(end)
    for name, table in stores.tables.items():
        stores.written(end, name)
        for column, refusal in end.stated(table).items():
            write = partial(store.write_table, name, table.select([column]), **end.options)
            check_refused(store, column, refusal.reason, write)


@pytest.mark.parametrize(("source", "target"), PAIRS, ids=str)
def test_a_pair_is_equal_or_refused(
    source: End, target: End, stores: Stores, record_property: Callable[[str, object], None]
) -> None:
    counts = dict.fromkeys(Verdict, 0)
    for name in stores.tables_of(source, target):
        for verdict, count in moved(stores, source, target, name).items():
            # The columns of these are those of others.
            counts[verdict] += count * (name not in REPEATED)
    record_property(PROPERTY, [str(source), str(target), *counts.values()])


def test_a_kind_without_an_entry_says_what_to_add() -> None:
    with pytest.raises(pytest.fail.Exception, match="add an entry to KINDS"):
        kind_of("another")


def test_the_shop_has_every_type_that_formats_are_tested_with() -> None:
    columns = {name for table in shop(whole=False).values() for name in table.column_names}
    assert columns >= {*COLUMNS, *NOT_FINITE}


def test_every_refusal_is_of_a_column_of_the_shop() -> None:
    columns = {name for table in shop(whole=False).values() for name in table.column_names}
    every = [one.refusals for one in KINDS.values()] + list(FORMATS.values())
    stated = [
        name
        for one in every
        for reasons in (one.types, one.values)
        for name in chain(*reasons.values())
    ]
    assert set(stated) <= columns
