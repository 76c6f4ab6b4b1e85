"""Splits tile what they divide, whatever the key holds, and see one moment whatever others write."""

from __future__ import annotations

import contextlib
import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from datastores import Datastore, copy, plan_copy
from datastores.drivers.azure_postgresql import sampling, snapshot
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.azure_postgresql.heaps import Heap
from datastores.drivers.azure_postgresql.splits import by_pages
from datastores.drivers.reading import ReadPlan, ScanRequest
from datastores.errors import (
    ConfigurationError,
    OperationTimeoutError,
    SchemaMismatchError,
    UnsupportedOperationError,
)
from datastores.filters import parse_filters
from datastores.values import TableName
from tests.drivers.test_azure_postgresql import config_of
from tests.services.postgresql import Database, PostgreSQL

_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TYPE pair AS (x integer, y text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE SCHEMA apart;
CREATE EXTENSION citext SCHEMA apart;
"""
_WORDS = ["", "a", "A", "b", "B", "ä", "á", "z", "Z", "'", "\\", "a b", ":n", "%s", "日本"]
_NUMBERS = ["-1e300", "-1.5", "-0", "0", "1e-300", "2", "2.0", "Infinity", "-Infinity", "NaN"]
# A column's type -> values that sort in ways of their own, as text.
KEYS: dict[str, list[str]] = {
    "smallint": ["-32768", "-1", "0", "1", "32767"],
    "integer": ["-2147483648", "-7", "0", "5", "2147483647"],
    "bigint": [str(-(2**63)), "-9007199254740993", "-9007199254740992", "0", str(2**63 - 1)],
    "numeric": [*_NUMBERS, "1.10", "1.1", "1" + "0" * 200],
    "numeric(6,2)": ["NaN", "-9999.99", "0.00", "0.01"],
    "double precision": [*_NUMBERS, "0.1", "0.30000000000000004", "0.3"],
    "real": ["NaN", "-0", "0", "0.1", "16777216", "-Infinity"],
    'text COLLATE "C"': _WORDS,
    'text COLLATE "und-x-icu"': _WORDS,
    "text COLLATE folded": _WORDS,
    "apart.citext": _WORDS,
    "character(3)": ["", "a", "a  ", "B", "ab"],
    "bytea": ["", "\\x00", "\\xff", "\\x5c27"],
    "uuid": [f"{n:032x}" for n in (0, 1, 2**64, 2**127, 2**128 - 1)],
    "date": ["-infinity", "0044-03-15 BC", "1970-01-01", "9999-12-31", "infinity"],
    "timestamp": ["-infinity", "1999-12-31 23:59:59.999999", "2000-01-01", "infinity"],
    "timestamptz": ["-infinity", "2024-03-31 01:30+00", "2024-03-31 01:30+02", "infinity"],
    "interval": ["-1 mon", "30 days", "1 mon", "29 days 24:00", "720:00:00"],
    "boolean": ["f", "t"],
    "inet": ["10.0.0.1", "10.0.0.0/8", "10.0.0.1/8", "::1"],
    "mood": ["sad", "ok", "happy"],
    "positive": ["1", "2", "3"],
    "pair": ["(1,a)", "(1,)", "(,)", "(,a)", "(2,B)"],
    "integer[]": ["{}", "{1}", "{1,NULL}", "{NULL}", "{1,2}"],
    "jsonb": ["null", "1", '"a"', "[]", '{"a": 1}'],
}
# Some values of the keys have no form in Arrow.
_IDS: Any = {"columns": ("id",)}
SOURCES: dict[str, Callable[[tuple[str, ...]], ScanRequest]] = {
    "table": lambda key: ScanRequest(table=TableName("keyed", "public"), split_by=key, **_IDS),
    "view": lambda key: ScanRequest(table=TableName("seen", "public"), split_by=key, **_IDS),
    "query": lambda key: ScanRequest(query="select * from keyed -- all", split_by=key, **_IDS),
}


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def named(name: str, **request: Any) -> ScanRequest:
    """Return a request for a table of the tests' schema."""
    request["filters"] = parse_filters(request.get("filters"))
    return ScanRequest(table=TableName(name, "public"), **request)


def read_ids(driver: AzurePostgreSQLDriver, plan: ReadPlan) -> list[list[int]]:
    """Return the ids of each split, each through a connection of its own."""
    return [driver.read(one).read_all()["id"].to_pylist() for one in plan.splits]


@st.composite
def keyed_rows(draw: st.DrawFn) -> tuple[list[str], list[tuple[str | None, ...]]]:
    """Return the types of a key, and rows of its values with NULLs and duplicates."""
    types = draw(st.lists(st.sampled_from(list(KEYS)), min_size=1, max_size=3))
    values = [
        st.sampled_from([*draw(st.sampled_from([[], [None], [None] * 30])), *KEYS[one]])
        for one in types
    ]
    # The same value again and again, as a skewed key has it.
    skewed = st.integers(1, 20).flatmap(
        lambda times: st.tuples(*values).map(lambda one: [one] * times)
    )
    rows = draw(st.lists(skewed | st.tuples(*values).map(lambda one: [one]), max_size=40))
    return types, list(itertools.chain.from_iterable(rows))


@pytest.fixture
def sql(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """One connection for all that an example makes."""
    with database.owner.connect() as connection:
        connection.execute(_TYPES.encode())
        yield connection


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(keyed=keyed_rows(), splits=st.integers(1, 9), source=st.sampled_from(list(SOURCES)))
@example(
    keyed=(["integer", "integer"], [("1", None), (None, "1"), ("1", "1"), ("2", "0")]),
    splits=9,
    source="view",
)
@example(keyed=(["pair"], [("(,)",), (None,), ("(1,)",), ("(2,B)",)]), splits=4, source="query")
@example(keyed=(["text COLLATE folded"], [(one,) for one in _WORDS]), splits=9, source="view")
@example(keyed=(["apart.citext"], [(one,) for one in _WORDS]), splits=9, source="query")
def test_ranges_of_any_key_tile_what_they_divide(
    driver: AzurePostgreSQLDriver,
    sql: psycopg.Connection[Any],
    keyed: tuple[list[str], list[tuple[str | None, ...]]],
    splits: int,
    source: str,
) -> None:
    types, rows = keyed
    key = tuple(f"key {place}" for place in range(len(types)))
    make_keyed(sql, dict(zip(key, types, strict=True)), rows)
    with driver.plan_read(SOURCES[source](key), splits) as plan:
        assert 1 <= len(plan.splits) <= splits + 1
        found = read_ids(driver, plan)
    assert sorted(itertools.chain.from_iterable(found)) == list(range(1, len(rows) + 1))


def make_keyed(
    sql: psycopg.Connection[Any], key: dict[str, str], rows: Sequence[tuple[str | None, ...]]
) -> None:
    """Make a table of numbered rows, and a view of it."""
    columns = ", ".join(f'"{name}" {type_}' for name, type_ in key.items())
    bare = [type_.partition(" COLLATE")[0] for type_ in key.values()]
    casts = ", ".join(f"value_{place}::{type_}" for place, type_ in enumerate(bare))
    names = ", ".join(f"value_{place}" for place in range(len(key)))
    arrays = ", ".join(["%s::text[]"] * len(key))
    sql.execute(
        f"DROP TABLE IF EXISTS keyed CASCADE; CREATE TABLE keyed (id integer, {columns}); "
        "CREATE VIEW seen AS SELECT * FROM keyed".encode()
    )
    if rows:
        sql.execute(
            f"INSERT INTO keyed SELECT turn, {casts} "
            f"FROM unnest({arrays}) WITH ORDINALITY AS given({names}, turn)".encode(),
            [list(column) for column in zip(*rows, strict=True)],
        )


ROWS = 2_000
STEP = 500
PARTITIONS = "".join(
    f"CREATE TABLE parts_{at} PARTITION OF parts FOR VALUES FROM ({at}) TO ({at + STEP});"
    for at in range(0, ROWS, STEP)
)
MOVING = {
    "ctid pages": named("heap"),
    "ctid pages of 4 tables": named("parts"),
    "key ranges of (place), running the view 5 times": named("heap_view", split_by=("place",)),
}


@pytest.fixture
def moved(database: Database) -> Iterator[Callable[[], int]]:
    """Tables whose rows swap ranges of their ids without a pause; returns how often they did."""
    fill = f"SELECT n, n, repeat('x', 100) FROM generate_series(0, {ROWS - 1}) n"
    with database.owner.connect() as connection:
        connection.execute(
            f"CREATE TABLE heap (id integer, place integer, filler text); INSERT INTO heap {fill};"
            "CREATE TABLE parts (id integer, place integer, filler text) PARTITION BY RANGE (place);"
            f"{PARTITIONS} INSERT INTO parts {fill};"
            "CREATE VIEW heap_view AS SELECT * FROM heap".encode()
        )
    stop = threading.Event()
    turns = itertools.count()

    def swap() -> None:
        half, width = ROWS // 2, STEP // 4
        places = itertools.product(range(0, half, width), ("heap", "parts"))
        with database.owner.connect() as connection:
            for at, table in itertools.cycle(places):
                if stop.is_set():
                    return
                connection.execute(
                    f"UPDATE {table} SET place = (place + {half}) % {ROWS} WHERE place >= {at} AND "
                    f"place < {at + width} OR place >= {at + half} AND place < {at + half + width}".encode()
                )
                next(turns)

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(swap)
        try:
            yield lambda: next(turns)
        finally:
            stop.set()
            writer.result()


def test_no_read_of_a_hundred_is_of_two_moments(
    driver: AzurePostgreSQLDriver, moved: Callable[[], int], database: Database
) -> None:
    everything = list(range(ROWS))
    inconsistent = 0
    writes = []
    with ThreadPoolExecutor(4) as pool:
        for split_by, request in itertools.islice(itertools.cycle(MOVING.items()), 100):
            before = moved()
            with driver.plan_read(request, 4) as plan:
                assert (plan.split_by, len(plan.splits)) == (split_by, 4)
                found = pool.map(lambda one: driver.read(one).read_all(), plan.splits)
                ids = itertools.chain.from_iterable(one["id"].to_pylist() for one in found)
                inconsistent += sorted(ids) != everything
            writes.append(moved() - before - 1)
        assert inconsistent == 0
        assert sum(one > 1 for one in writes) > 90


def test_without_the_snapshot_the_same_ranges_do_show_two_moments(
    moved: Callable[[], int], database: Database
) -> None:
    def ids(at: int) -> list[tuple[int]]:
        statement = f"SELECT id FROM heap WHERE place >= {at} AND place < {at + STEP}"
        return readers[at // STEP].execute(statement.encode()).fetchall()

    with contextlib.ExitStack() as stack, ThreadPoolExecutor(4) as pool:
        readers = [stack.enter_context(database.owner.connect()) for _ in range(4)]
        for _ in range(1_000):
            found = itertools.chain.from_iterable(pool.map(ids, range(0, ROWS, STEP)))
            if sorted(found) != [(one,) for one in range(ROWS)]:
                return
    raise AssertionError("the writer does nothing that a reader could see")


def test_partitions_are_divided_by_pages_under_the_parents_rights(
    database: Database, sql: psycopg.Connection[Any]
) -> None:
    sql.execute(
        "CREATE TABLE parts (id integer, word text) PARTITION BY RANGE (id);"
        "CREATE TABLE small PARTITION OF parts FOR VALUES FROM (0) TO (100);"
        # Its columns are in another order, and it is divided again.
        "CREATE TABLE large (word text, gone integer, id integer) PARTITION BY LIST (word);"
        "ALTER TABLE large DROP COLUMN gone;"
        "ALTER TABLE parts ATTACH PARTITION large FOR VALUES FROM (100) TO (9000);"
        "CREATE TABLE larger PARTITION OF large DEFAULT;"
        "CREATE TABLE later (id integer, word text);"
        "INSERT INTO parts SELECT n, repeat('x', 100) FROM generate_series(0, 4999) n;"
        "INSERT INTO later SELECT n, 'late' FROM generate_series(9000, 9999) n;"
        # What holds for the parent's readers, and not for who asks a partition.
        f'GRANT SELECT ON parts TO "{database.stranger.username}";'
        "ALTER TABLE parts ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY even ON parts FOR SELECT USING (id % 2 = 0); ANALYZE".encode()
    )
    for login, wanted in ((database.owner, range(5_000)), (database.stranger, range(0, 5_000, 2))):
        with (
            AzurePostgreSQLDriver(config_of(login)) as driver,
            driver.plan_read(named("parts"), 4) as plan,
        ):
            assert plan.split_by == "ctid pages of 2 tables"
            assert plan.rows == 5_000
            # Attached with rows that are older than the snapshot.
            sql.execute(
                "ALTER TABLE parts ATTACH PARTITION later FOR VALUES FROM (9000) TO (10000)"
            )
            found = read_ids(driver, plan)
        sql.execute("ALTER TABLE parts DETACH PARTITION later")
        assert sorted(itertools.chain.from_iterable(found)) == list(wanted)
        assert max(map(len, found)) < 1.3 * len(wanted) / 4
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        # Only the partition that the filter leaves counts.
        with driver.plan_read(named("parts", filters=[("id", "<", 100)]), 2) as plan:
            assert plan.split_by == "ctid pages"
            found = read_ids(driver, plan)
        assert sorted(itertools.chain.from_iterable(found)) == list(range(100))
        sql.execute("CREATE TABLE heirs (id integer)")
        sql.execute("CREATE TABLE child (more text) INHERITS (heirs)")
        sql.execute("INSERT INTO heirs SELECT generate_series(1, 1000)")
        sql.execute("INSERT INTO child SELECT generate_series(1001, 2000)")
        with driver.plan_read(named("heirs"), 3) as plan:
            assert (plan.split_by, len(plan.splits)) == ("ctid pages of 2 tables", 3)
            found = read_ids(driver, plan)
        assert sorted(itertools.chain.from_iterable(found)) == list(range(1, 2_001))


@given(sizes=st.lists(st.integers(0, 500), max_size=6), splits=st.integers(1, 9))
def test_page_ranges_tile_and_are_even(sizes: list[int], splits: int) -> None:
    heaps = [
        Heap(name=TableName(str(at)), oid=at, pages=size, bytes=size * 8192, rows=None)
        for at, size in enumerate(sizes)
    ]
    division = by_pages(heaps, splits)
    assert 1 <= len(division.pieces) <= splits
    spans = [re.findall(r"ctid (>=|<) '\((\d+),0\)'", one.condition) for one in division.pieces]
    starts = [int(dict(one).get(">=", 0)) for one in spans]
    ends = [int(dict(one).get("<", max([1, *sizes]))) for one in spans]
    assert starts == [0, *ends[:-1]]
    assert ">=" not in dict(spans[0])
    assert "<" not in dict(spans[-1])
    shares = [
        sum(min(size, end) - min(size, start) for size in sizes)
        for start, end in zip(starts, ends, strict=True)
    ]
    # A bound is a page of every heap at once.
    assert max(shares) <= sum(sizes) / splits + len(sizes)


@pytest.mark.parametrize(("gibibytes", "splits", "pieces"), [(1, 1, 8), (1, 3, 9), (0.1, 2, 2)])
def test_no_range_is_larger_than_what_may_be_read_again(
    gibibytes: float, splits: int, pieces: int
) -> None:
    size = int(gibibytes * 2**30)
    heap = Heap(name=TableName("large"), oid=1, pages=size // 8192, bytes=size, rows=None)
    # As many for each reader.
    assert len(by_pages([heap], splits).pieces) == pieces


def test_what_is_read_is_locked_until_the_plan_is_closed(
    database: Database,
    driver: AzurePostgreSQLDriver,
    sql: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_keyed(sql, {"n": "integer"}, [(str(n),) for n in range(10)])
    sql.execute("SET lock_timeout = '100ms'")
    for request in (named("keyed"), named("seen", split_by=("n",)), SOURCES["query"](("n",))):
        with driver.plan_read(request, 3), pytest.raises(psycopg.errors.LockNotAvailable):
            sql.execute("TRUNCATE keyed")
    # Who waits for such a lock is in the way of our readers, who would wait for ever.
    monkeypatch.setattr(snapshot, "LOCK_TIMEOUT", "100ms")
    sql.execute("SET lock_timeout = 0")
    with ThreadPoolExecutor(1) as pool:
        with driver.plan_read(named("keyed"), 1) as plan:
            waiting = pool.submit(sql.execute, "TRUNCATE keyed")
            while not database.run("SELECT 1 FROM pg_locks WHERE NOT granted"):
                assert not waiting.done()
            with pytest.raises(OperationTimeoutError):
                driver.read(plan.splits[0]).read_all()
        waiting.result()


def test_plans_say_how_rows_are_divided_and_why_not(
    driver: AzurePostgreSQLDriver, sql: psycopg.Connection[Any], database: Database
) -> None:
    rows = [(str(n) if n % 4 else None, f"w{n}") for n in range(1, 1_001)]
    make_keyed(sql, {"n": "integer", "word": "text"}, rows)
    sql.execute(
        b"CREATE VIEW pure AS SELECT n, abs(n) AS m FROM keyed;"
        b"CREATE VIEW chance AS SELECT * FROM keyed WHERE random() > 0;"
        b"CREATE VIEW above AS SELECT n FROM chance;"
        b"CREATE VIEW few AS SELECT * FROM (SELECT n FROM keyed LIMIT 9) AS one;"
        b"CREATE VIEW firsts AS SELECT DISTINCT ON (word) word, n FROM keyed;"
        b"CREATE VIEW clock AS SELECT n, now() FROM keyed;"
        b"CREATE VIEW today AS SELECT n FROM keyed WHERE CURRENT_DATE > '2000-01-01';"
        b"CREATE VIEW mine AS SELECT n, CURRENT_USER FROM keyed"
    )
    query = ScanRequest(query="select n, random() from keyed", split_by=("n",))
    known: list[tuple[ScanRequest, str]] = [
        (named("keyed"), "ctid pages"),
        (named("seen"), "one reader: a view; name a column with split_by"),
        (ScanRequest(query="select 1 as n"), "one reader: a query; name a column with split_by"),
        (named("keyed", limit=5, split_by=("n",)), "one reader: a limit"),
        (named("pure", split_by=("m",)), "key ranges of (m), running the view 5 times"),
        (named("mine", split_by=("n",)), "key ranges of (n), running the view 5 times"),
        (named("chance", split_by=("n",)), "one reader: a view with random()"),
        (named("above", split_by=("n",)), "one reader: a view with random()"),
        (named("clock", split_by=("n",)), "one reader: a view with now()"),
        (named("today", split_by=("n",)), "one reader: a view with CURRENT_TIMESTAMP"),
        (named("few", split_by=("n",)), "one reader: a view with LIMIT"),
        (named("firsts", split_by=("n",)), "one reader: a view with DISTINCT ON"),
        # Whoever names a key for a query knows what it calls.
        (query, "key ranges of (n), running the query 5 times"),
        (
            named("keyed", filters=[("n", "=", 7)], split_by=("n",)),
            "one reader: too few values of (n) to divide",
        ),
    ]
    for request, split_by in known:
        with driver.plan_read(request, 4) as plan:
            assert plan.split_by == split_by
    with driver.plan_read(named("keyed", split_by=("n",)), 1) as plan:
        assert plan.split_by == "one reader: no more are asked for"
    with driver.plan_read(named("keyed", split_by=("n",)), 4) as plan:
        assert [one.label for one in plan.splits] == [
            "n to 333",
            "n from 334 to 666",
            "n from 667",
            "NULL keys",
        ]
        assert [len(one) for one in read_ids(driver, plan)] == [250, 250, 250, 250]
    by_two = named("keyed", split_by=("word", "n"), filters=[("n", "is not null")])
    with driver.plan_read(by_two, 2) as plan:
        assert [one.label for one in plan.splits] == [
            "(word, n) to below (w55, 55)",
            "(word, n) from (w55, 55) and NULL",
        ]
        assert [len(one) for one in read_ids(driver, plan)] == [375, 375]


def test_a_key_that_does_not_sort_or_is_not_there_is_named(
    driver: AzurePostgreSQLDriver, sql: psycopg.Connection[Any]
) -> None:
    make_keyed(sql, {"doc": "json", "place": "point", "n": "integer"}, [])
    for name in ("doc", "place"):
        with pytest.raises(SchemaMismatchError, match=f"does not sort by {name}"):
            driver.plan_read(named("seen", split_by=(name,)), 2)
    with pytest.raises(SchemaMismatchError, match="no column 'm'"):
        driver.plan_read(named("seen", split_by=("n", "m")), 2)
    with pytest.raises(ConfigurationError, match="split_by"):
        driver.plan_read(named("seen", split_by=("n", "n")), 2)


def test_a_big_table_is_sampled_by_its_pages(
    driver: AzurePostgreSQLDriver, sql: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "SAMPLE_PAGES", 20)
    make_keyed(sql, {"n": "integer"}, [(str(n),) for n in range(40_000)])
    with driver.plan_read(named("keyed", split_by=("n",)), 4) as plan:
        assert plan.split_by == "key ranges of (n)"
        found = read_ids(driver, plan)
    assert sorted(itertools.chain.from_iterable(found)) == list(range(1, 40_001))
    # The whole table in the sample would have made them even.
    assert {len(one) for one in found} != {10_000}
    assert max(map(len, found)) < 30_000


def test_what_is_no_heap_is_read_by_its_key_and_a_foreign_table_by_one(
    driver: AzurePostgreSQLDriver, postgresql: PostgreSQL, database: Database
) -> None:
    admin = replace(postgresql.admin, database=database.owner.database)
    with admin.connect() as connection:
        connection.execute(
            "CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler;"
            "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
            "CREATE FOREIGN TABLE far (id integer) SERVER files OPTIONS (program 'seq 3');"
            f'ALTER FOREIGN TABLE far OWNER TO "{database.owner.username}"'.encode()
        )
    database.run("CREATE VIEW farther AS SELECT * FROM far")
    database.run("CREATE TABLE odd (b text, a integer, PRIMARY KEY (a, b)) USING other")
    database.run("INSERT INTO odd SELECT 'w' || n, n / 10 FROM generate_series(1, 100) n")
    database.run("CREATE TABLE plain (a integer) USING other")
    known = [
        (named("odd"), "key ranges of (a, b)"),
        (
            named("plain"),
            "one reader: a table that is no heap and has no key; name a column with split_by",
        ),
        *(
            (one, "one reader: a foreign table, whose server does not share the snapshot")
            for one in (
                named("far"),
                named("far", split_by=("id",)),
                named("farther", split_by=("id",)),
                ScanRequest(query="select id from far", split_by=("id",)),
            )
        ),
    ]
    nothing = named("far", filters=[("id", "in", [])])
    for request, split_by in [
        *known,
        (nothing, "one reader: a foreign table; name a column with split_by"),
    ]:
        with driver.plan_read(request, 3) as plan:
            assert plan.split_by == split_by
    with driver.plan_read(named("odd"), 3) as plan:
        found = [driver.read(one).read_all()["b"].to_pylist() for one in plan.splits]
    assert sorted(itertools.chain.from_iterable(found)) == sorted(f"w{n}" for n in range(1, 101))
    assert [len(one) for one in found] == [34, 33, 33]


def test_a_copy_by_a_key_says_so(database: Database, tmp_path: Path) -> None:
    database.run(
        "CREATE TABLE orders AS SELECT n AS id, n % 7 AS day FROM generate_series(1, 99) n"
    )
    database.run("CREATE VIEW recent AS SELECT * FROM orders")
    config = config_of(database.owner)
    with Datastore.from_config(config) as warehouse, Datastore("local", path=str(tmp_path)) as lake:
        report = copy(
            warehouse / "public/recent", lake / "recent/", columns=["day"], split_by="id", workers=3
        )
        assert (report.rows, report.parts) == (99, 3)
        by_query = warehouse.query("select * from public.recent", split_by="id")
        plan = plan_copy(by_query, lake / "again/", workers=3, split_by=["day", "id"])
        assert (
            str(plan)
            .splitlines()[1]
            .startswith(
                "3 parts by key ranges of (day, id), running the query 4 times, one snapshot ("
            )
        )
        assert plan.parts[0].startswith("(day, id) to below (2, ")
        with pytest.raises(UnsupportedOperationError, match="split_by"):
            copy(lake / "recent/", lake / "more/", split_by="day")
        with pytest.raises(UnsupportedOperationError, match="split_by"):
            lake.scan("recent/", split_by="day").to_arrow()
