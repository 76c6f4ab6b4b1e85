"""How PostgreSQL's tables are written: one part in one transaction, and nothing of a table's life lost."""

from __future__ import annotations

import gc
import importlib.util
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from datastores import Datastore, copy
from datastores.drivers.azure_postgresql.driver import AzurePostgreSQLDriver
from datastores.drivers.writing import WriteRequest
from datastores.errors import (
    ConfigurationError,
    ConnectionFailedError,
    DataError,
    PermissionDeniedError,
    PreconditionFailedError,
)
from datastores.testing.arrow import assert_same_table
from datastores.testing.table_case import read, write
from datastores.testing.table_writing import BrokenSourceError, broken
from datastores.values import TableName, WriteMode
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.postgresql import Database, Login
from tests.services.proxy import Proxy

ORDERS = TableName("orders", "public")
DATA = pa.table({"id": [1, 2, 3], "word": ["a", None, "c"]})
MORE = pa.table({"id": [3, 4], "word": ["x", "y"]})
EXAMPLES = Path(__file__).parents[2] / "examples"
CATALOGUE = (EXAMPLES / "shop" / "catalogue.sql").read_bytes()
either_way = pytest.mark.parametrize("parts", [None, 1], ids=["staged", "one part"])


@pytest.fixture
def driver(database: Database) -> Iterator[AzurePostgreSQLDriver]:
    with AzurePostgreSQLDriver(config_of(database.owner)) as driver:
        yield driver


def driver_of(login: Login, **fields: Any) -> AzurePostgreSQLDriver:
    return AzurePostgreSQLDriver(config_of(login, **fields))


def one_part(mode: WriteMode = WriteMode.CREATE, **options: Any) -> WriteRequest:
    return WriteRequest(table=ORDERS, schema=DATA.schema, mode=mode, parts=1, **options)


def connections(database: Database, condition: str = "true") -> int:
    """Return how many connections the driver has."""
    [(count,)] = database.run(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datastores' "
        f"AND datname = current_database() AND {condition}"
    )
    return int(count)


def wait_for(condition: Callable[[], bool]) -> None:
    """Return once it holds: the server sees a connection's end a moment after the client."""
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def catalogue(database: Database, schema: str = "public") -> list[tuple[Any, ...]]:
    with database.owner.connect() as connection:
        return connection.execute(CATALOGUE, {"schema": schema}).fetchall()


# One part, one transaction


@pytest.mark.parametrize("mode", [WriteMode.CREATE, WriteMode.REPLACE])
def test_one_part_shows_when_it_is_published_and_stages_nothing(
    database: Database, driver: AzurePostgreSQLDriver, mode: WriteMode
) -> None:
    if mode == WriteMode.REPLACE:
        write(driver, ORDERS, MORE)
    session = driver.begin(one_part(mode))
    receipt = session.write("0", DATA.to_reader())
    assert not staged(database)
    if mode == WriteMode.REPLACE:
        assert_same_table(read(driver, ORDERS), MORE)
    else:
        assert driver.tables() == []
    session.publish([receipt])
    assert_same_table(read(driver, ORDERS), DATA)


def end_by_publish(session: Any, receipt: Any) -> None:
    session.publish([receipt])
    assert session.write("0", MORE.to_reader()) == receipt


def end_by_discard(session: Any, _: Any) -> None:
    session.discard()
    with pytest.raises(PreconditionFailedError, match="write them again"):
        session.publish([_])


def end_by_error(session: Any, _: Any) -> None:
    with pytest.raises(BrokenSourceError):
        session.write("0", broken(MORE))


def end_by_wrong_receipts(session: Any, receipt: Any) -> None:
    with pytest.raises(PreconditionFailedError):
        session.publish([replace(receipt, rows=7)])
    session.discard()


@pytest.mark.parametrize(
    ("end", "rows"),
    [
        (end_by_publish, 3),
        (end_by_discard, None),
        (end_by_error, None),
        (end_by_wrong_receipts, None),
        (lambda *_: None, None),
    ],
    ids=["publish", "discard", "error", "wrong receipts", "forgotten"],
)
def test_the_transaction_ends_with_the_session(
    database: Database,
    driver: AzurePostgreSQLDriver,
    end: Callable[[Any, Any], None],
    rows: int | None,
) -> None:
    session = driver.begin(one_part())
    receipt = session.write("0", DATA.to_reader())
    assert connections(database, "state = 'idle in transaction'") == 1
    end(session, receipt)
    del session
    gc.collect()
    wait_for(lambda: connections(database, "state <> 'idle'") == 0)
    assert not staged(database)
    if rows is None:
        assert driver.tables() == []
    else:
        assert database.run("SELECT count(*) FROM orders") == [(rows,)]


def test_a_write_of_one_part_is_of_this_process_and_takes_no_second_one(
    driver: AzurePostgreSQLDriver,
) -> None:
    session = driver.begin(one_part())
    with pytest.raises(ConfigurationError, match="parts=None"):
        pickle.dumps(session)
    session.write("0", DATA.to_reader())
    with pytest.raises(PreconditionFailedError, match="second one"):
        session.write("1", DATA.to_reader())
    session.discard()


def test_two_creators_at_once_are_both_kept(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    table = TableName("orders", "fresh")
    request = replace(one_part(WriteMode.CREATE_APPEND), table=table)
    first = driver.begin(request)
    receipt = first.write("0", DATA.to_reader())
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(write, driver, table, MORE, WriteMode.CREATE_APPEND)
        wait_for(lambda: connections(database, "wait_event_type = 'Lock'") == 1)
        first.publish([receipt])
        second.result(timeout=20)
    assert_same_table(read(driver, table), pa.concat_tables([DATA, MORE]))


# A COMMIT whose reply is lost


@pytest.fixture
def between(database: Database, proxy: Callable[[int], Proxy]) -> Proxy:
    return proxy(database.owner.port)


def test_a_commit_whose_reply_is_lost_is_found(database: Database, between: Proxy) -> None:
    database.run("CREATE TABLE orders (id bigint, word text)")
    database.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(1); RETURN NULL; END $$"
    )
    # It runs in COMMIT, so that there is time to cut the connection meanwhile.
    database.run(
        "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION wait()"
    )
    with driver_of(replace(database.owner, port=between.port)) as driver:
        session = driver.begin(one_part(WriteMode.APPEND))
        receipt = session.write("0", DATA.to_reader())
        with ThreadPoolExecutor(1) as pool:
            publishing = pool.submit(session.publish, [receipt])
            wait_for(lambda: connections(database, "query = 'COMMIT' AND state = 'active'") == 1)
            between.cut()
            publishing.result(timeout=20)
        session.publish([receipt])
        session.discard()
        assert_same_table(read(driver, ORDERS), DATA)


def test_a_commit_that_never_came_is_no_commit(database: Database, between: Proxy) -> None:
    with driver_of(replace(database.owner, port=between.port)) as driver:
        session = driver.begin(one_part())
        receipt = session.write("0", DATA.to_reader())
        between.cut()
        with pytest.raises(ConnectionFailedError):
            session.publish([receipt])
        # Nothing is wrong with the target: the same copy may do better.
        with pytest.raises(ConnectionFailedError, match="write them again"):
            session.publish([receipt])
        assert driver.tables() == []
        session.publish([session.write("0", DATA.to_reader())])
        assert_same_table(read(driver, ORDERS), DATA)


# Rights


@pytest.mark.parametrize("mode", [one for one in WriteMode if one != WriteMode.CREATE_APPEND])
def test_one_part_needs_no_right_to_stage(database: Database, mode: WriteMode) -> None:
    with driver_of(database.owner) as owner:
        write(owner, ORDERS, DATA, keys=("id",))
    known: dict[WriteMode, dict[str, Any]] = {
        WriteMode.UPSERT: {"keys": ("id",)},
        WriteMode.REPLACE_PARTITIONS: {"partition_by": ("word",)},
    }
    options = known.get(mode, {})
    table = TableName("other", "desk") if mode == WriteMode.CREATE else ORDERS
    # The key keeps out what would be there twice.
    data = MORE.slice(1) if mode == WriteMode.APPEND else MORE
    if mode == WriteMode.REPLACE_PARTITIONS:
        data = pa.table({"id": [9], "word": pa.array([None], pa.string())})
    clerk = database.clerk.username
    database.run(f'CREATE SCHEMA desk AUTHORIZATION "{database.owner.username}"')
    database.run(f'GRANT USAGE, CREATE ON SCHEMA desk TO "{clerk}"')
    with driver_of(database.clerk) as driver:
        # How many parts there will be is not known: the plan says one, and why.
        request = WriteRequest(table=table, schema=data.schema, mode=mode, **options)
        plan = driver.plan_write(request)
        assert plan.max_parts == 1
        assert "no right to create the schema '_datastores'" in plan.bulk_path
        session = driver.begin(request)
        receipt = session.write("0", data.to_reader())
        with pytest.raises(PreconditionFailedError) as caught:
            session.write("1", data.to_reader())
        assert "GRANT CREATE ON DATABASE" in (caught.value.advice or "")
        session.publish([receipt])
        with pytest.raises(PermissionDeniedError, match="GRANT CREATE ON DATABASE"):
            driver.begin(replace(request, parts=2, mode=WriteMode.CREATE_APPEND, partition_by=()))
        found = read(driver, table)["id"].to_pylist()
    expected = {
        WriteMode.CREATE: [3, 4],
        WriteMode.APPEND: [1, 2, 3, 4],
        WriteMode.REPLACE: [3, 4],
        WriteMode.UPSERT: [1, 2, 3, 4],
        WriteMode.REPLACE_PARTITIONS: [1, 3, 9],
    }
    assert sorted(found) == expected[mode]


def test_a_copy_without_the_right_to_stage_is_one_part(database: Database) -> None:
    database.run("CREATE TABLE source AS SELECT n AS id FROM generate_series(1, 20000) n")
    database.run("CREATE TABLE orders (id integer)")
    with Datastore.from_config(config_of(database.clerk), name="desk") as store:
        report = copy(store / "public/source", store / "public/orders", mode="append", workers=2)
    assert (report.rows, report.parts) == (20_000, 1)


def test_a_missing_right_to_temporary_tables_is_named(database: Database) -> None:
    with driver_of(database.owner) as owner:
        write(owner, ORDERS, DATA, keys=("id",))
    [(name,)] = database.run("SELECT current_database()")
    database.run(f'REVOKE TEMPORARY ON DATABASE "{name}" FROM PUBLIC')
    with driver_of(database.clerk) as driver:
        with pytest.raises(PermissionDeniedError, match="GRANT TEMPORARY ON DATABASE"):
            write(driver, ORDERS, MORE, WriteMode.UPSERT, keys=("id",))
        # Straight into the table goes without.
        write(driver, ORDERS, MORE, WriteMode.REPLACE)
        assert_same_table(read(driver, ORDERS), MORE)


def test_row_level_security_and_rules_take_part(database: Database) -> None:
    database.run("CREATE TABLE orders (id bigint, word text)")
    database.run("CREATE TABLE seen (id bigint)")
    database.run("CREATE RULE see AS ON INSERT TO orders DO ALSO INSERT INTO seen VALUES (NEW.id)")
    with driver_of(database.owner) as driver:
        plan = driver.plan_write(one_part(WriteMode.APPEND))
        assert "the table has a rule" in plan.bulk_path
        write(driver, ORDERS, DATA, WriteMode.APPEND)
        write(driver, ORDERS, DATA, WriteMode.REPLACE)
        assert database.run("SELECT count(*) FROM seen") == [(6,)]
    database.run("DROP RULE see ON orders")
    database.run("ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    database.run("CREATE POLICY low ON orders USING (true) WITH CHECK (id < 4)")
    with driver_of(database.clerk) as driver:
        plan = driver.plan_write(one_part(WriteMode.APPEND))
        assert "the table has row-level security" in plan.bulk_path
        write(driver, ORDERS, DATA, WriteMode.APPEND)
        with pytest.raises(PermissionDeniedError, match="row-level security"):
            write(driver, ORDERS, MORE, WriteMode.APPEND)
    assert database.run("SELECT count(*) FROM orders") == [(6,)]


# The table's life


LIVELY = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE parent (id bigint PRIMARY KEY);
INSERT INTO parent VALUES (1), (2), (3), (4);
CREATE TABLE orders (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    word text DEFAULT 'none' CHECK (length(word) < 9),
    parent bigint REFERENCES parent,
    self bigint REFERENCES orders,
    number serial UNIQUE,
    mood mood,
    size bigint GENERATED ALWAYS AS (id * 2) STORED
) WITH (fillfactor = 70);
INSERT INTO orders (id, word, parent, number) VALUES (1, 'a', 1, 1), (2, 'b', 2, 2), (3, 'c', 3, 3);
CREATE TABLE items (id bigint CONSTRAINT items_of_orders REFERENCES orders);
INSERT INTO items VALUES (2), (3);
CREATE INDEX by_word ON orders (lower(word)) WHERE parent > 1;
ALTER TABLE orders ALTER word SET STATISTICS 500;
CREATE INDEX by_plain_word ON orders (word);
ALTER TABLE orders CLUSTER ON by_plain_word;
CREATE STATISTICS both_of ON word, parent FROM orders;
COMMENT ON TABLE orders IS 'what was ordered';
COMMENT ON COLUMN orders.word IS 'in a word';
CREATE VIEW words AS SELECT word FROM orders;
CREATE VIEW longest AS SELECT max(length(word)) FROM words;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER touched BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE orders DISABLE TRIGGER touched;
CREATE POLICY low ON orders USING (id < 100);
CREATE PUBLICATION outgoing FOR TABLE orders;
GRANT SELECT (word), INSERT ON orders TO {clerk};
ALTER TABLE orders REPLICA IDENTITY FULL;
"""
LIVELY_DATA = pa.table(
    {
        "id": [2, 3, 7],
        "word": ["b", "z", "new"],
        "parent": [2, 2, 4],
        "self": [None, 2, 7],
        "number": pa.array([2, 3, 7], pa.int32()),
        "mood": ["sad", None, "happy"],
    }
)


@either_way
@pytest.mark.parametrize("mode", [one for one in WriteMode if one != WriteMode.CREATE])
def test_no_mode_changes_what_hangs_on_a_table(
    database: Database, driver: AzurePostgreSQLDriver, mode: WriteMode, parts: int | None
) -> None:
    database.run(LIVELY.replace("{clerk}", f'"{database.clerk.username}"'))
    before = catalogue(database)
    assert {kind for kind, _, _ in before} == {
        *("relation", "column", "constraint", "index", "trigger", "policy", "rule", "view of"),
        *("comment", "sequence", "publication", "statistics", "type"),
    }
    options: dict[str, Any] = {"parts": parts}
    data = LIVELY_DATA
    if mode in {WriteMode.APPEND, WriteMode.CREATE_APPEND}:
        data = data.slice(2)
    if mode == WriteMode.UPSERT:
        options["keys"] = ("id",)
    if mode == WriteMode.REPLACE_PARTITIONS:
        # Goes away and comes again, with the rows of `items` that refer to it.
        data = data.slice(0, 2)
        database.run("DELETE FROM orders WHERE id = 1")
        options["partition_by"] = ("parent",)
        database.run("UPDATE orders SET parent = 2")
    write(driver, ORDERS, data, mode, **options)
    assert catalogue(database) == before
    assert database.run("SELECT 1 FROM orders WHERE id = 7 OR word = 'z'")


def test_the_catalogue_of_a_partitioned_table_stays(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    database.run(
        """
        CREATE TABLE orders (id bigint, word text, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF orders FOR VALUES FROM (0) TO (3);
        CREATE TABLE high PARTITION OF orders FOR VALUES FROM (3) TO (9);
        CREATE TABLE items (id bigint CONSTRAINT items_of_orders REFERENCES orders);
        """
    )
    write(driver, ORDERS, DATA, WriteMode.APPEND)
    database.run("INSERT INTO items VALUES (1), (3)")
    before = catalogue(database)
    assert "inheritance" in {kind for kind, _, _ in before}
    write(driver, ORDERS, DATA.slice(0, 3).take([2, 0]), WriteMode.REPLACE)
    with pytest.raises(PreconditionFailedError, match=r"key constraint.*\(id\)=\(1\)"):
        write(driver, ORDERS, DATA.slice(1), WriteMode.REPLACE)
    assert catalogue(database) == before
    assert database.run("SELECT id FROM orders ORDER BY id") == [(1,), (3,)]


@either_way
def test_replace_keeps_referenced_keys_and_refuses_to_lose_one(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    write(driver, ORDERS, DATA, keys=("id",))
    database.run("ALTER TABLE orders ADD UNIQUE (word)")
    database.run("CREATE TABLE items (id bigint CONSTRAINT items_of_orders REFERENCES orders)")
    database.run("INSERT INTO items VALUES (3)")
    plan = driver.plan_write(one_part(WriteMode.REPLACE))
    assert "foreign key 'items_of_orders'" in plan.bulk_path
    # Word `a` was another row's, and is taken again.
    data = pa.table({"id": [3, 4], "word": ["a", "c"]})
    write(driver, ORDERS, data, WriteMode.REPLACE, parts=parts)
    assert_same_table(read(driver, ORDERS), data)
    with pytest.raises(PreconditionFailedError, match=r"items_of_orders.*\(id\)=\(3\)"):
        write(driver, ORDERS, DATA.slice(0, 2), WriteMode.REPLACE, parts=parts)
    assert_same_table(read(driver, ORDERS), data)


def test_a_restricting_foreign_key_is_refused_if_rows_refer(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    write(driver, ORDERS, DATA, keys=("id",))
    database.run(
        "CREATE TABLE items (id bigint CONSTRAINT items_of_orders REFERENCES orders ON DELETE RESTRICT)"
    )
    write(driver, ORDERS, DATA, WriteMode.REPLACE)
    database.run("INSERT INTO items VALUES (3)")
    with pytest.raises(PreconditionFailedError, match="items_of_orders"):
        driver.plan_write(one_part(WriteMode.REPLACE))


def test_a_cascading_foreign_key_is_refused(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    write(driver, ORDERS, DATA, keys=("id",))
    database.run(
        "CREATE TABLE items (id bigint CONSTRAINT items_of_orders REFERENCES orders ON DELETE CASCADE)"
    )
    database.run("INSERT INTO items VALUES (2)")
    with pytest.raises(PreconditionFailedError, match="items_of_orders"):
        write(driver, ORDERS, DATA, WriteMode.REPLACE)
    write(driver, ORDERS, DATA, WriteMode.UPSERT, keys=("id",))
    assert database.run("SELECT * FROM items") == [(2,)]


@either_way
def test_upsert_never_takes_the_row_of_another_unique_key(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    write(driver, ORDERS, DATA, keys=("id",))
    database.run("ALTER TABLE orders ADD CONSTRAINT one_word UNIQUE (word)")
    data = pa.table({"id": [9], "word": ["a"]})
    with pytest.raises(PreconditionFailedError, match=r"one_word.*\(word\)=\(a\)"):
        write(driver, ORDERS, data, WriteMode.UPSERT, keys=("id",), parts=parts)
    assert_same_table(read(driver, ORDERS), DATA)


@pytest.mark.parametrize("type_", ["bigint GENERATED BY DEFAULT AS IDENTITY", "bigserial"])
def test_a_sequence_stays_where_it_is_and_the_plan_says_so(
    database: Database, driver: AzurePostgreSQLDriver, type_: str
) -> None:
    database.run(f"CREATE TABLE orders (id {type_} PRIMARY KEY, word text)")
    request = one_part(WriteMode.REPLACE)
    notes = {one.name: one.note for one in driver.plan_write(request).columns}
    assert notes == {"id": "its sequence stays where it is", "word": None}
    write(driver, ORDERS, DATA, WriteMode.REPLACE)
    assert database.run("SELECT nextval(pg_get_serial_sequence('orders', 'id'))") == [(1,)]


@either_way
def test_triggers_fire_as_for_any_insert(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None
) -> None:
    database.run(
        """
        CREATE TABLE orders (id bigint, word text);
        CREATE TABLE log (what text);
        CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO log VALUES (TG_OP); RETURN NULL; END $$;
        CREATE TRIGGER noted AFTER INSERT OR DELETE ON orders FOR EACH ROW EXECUTE FUNCTION note();
        """
    )
    write(driver, ORDERS, DATA, WriteMode.APPEND, parts=parts)
    write(driver, ORDERS, MORE, WriteMode.REPLACE, parts=parts)
    assert database.run("SELECT what, count(*) FROM log GROUP BY what ORDER BY what") == [
        ("DELETE", 3),
        ("INSERT", 5),
    ]
    database.run("DROP TRIGGER noted ON orders")
    database.run(
        "CREATE TRIGGER drops BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id = 2) "
        "EXECUTE FUNCTION note()"
    )
    with pytest.raises(PreconditionFailedError, match="orders took 2 rows of 3"):
        write(driver, ORDERS, DATA, WriteMode.APPEND, parts=parts)
    assert_same_table(read(driver, ORDERS), MORE)


@pytest.mark.parametrize(("parts", "referenced"), [(1, False), (1, True), (None, False)])
def test_a_reader_sees_one_state_or_the_next(
    database: Database, driver: AzurePostgreSQLDriver, parts: int | None, *, referenced: bool
) -> None:
    def state(turn: int) -> pa.Table:
        return pa.table({"id": list(range(500)), "word": [str(turn)] * 500})

    write(driver, ORDERS, state(0), keys=("id",))
    if referenced:
        database.run("CREATE TABLE items AS SELECT id FROM orders")
        database.run("ALTER TABLE items ADD FOREIGN KEY (id) REFERENCES orders")
    seen: set[tuple[int, int]] = set()
    stop = threading.Event()

    def watch() -> None:
        with database.owner.connect() as connection:
            while not stop.is_set():
                query = "SELECT count(*), count(DISTINCT word) FROM orders"
                seen.update(connection.execute(query).fetchall())

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            for turn in range(1, 5):
                write(driver, ORDERS, state(turn), WriteMode.REPLACE, parts=parts)
        finally:
            stop.set()
        watching.result()
    assert seen == {(500, 1)}


def test_a_value_that_only_the_server_can_judge_is_named(
    database: Database, driver: AzurePostgreSQLDriver
) -> None:
    database.run("CREATE TABLE orders (id bigint, word inet)")
    plan = driver.plan_write(one_part(WriteMode.APPEND))
    assert plan.bulk_path.endswith("since the server casts column 'word'")
    with pytest.raises(DataError, match=r"'word'.*nowhere"):
        write(driver, ORDERS, pa.table({"id": [1], "word": ["nowhere"]}), WriteMode.APPEND)
    assert database.run("SELECT count(*) FROM orders") == [(0,)]


def test_a_shop_goes_to_parquet_and_comes_back_in_place(database: Database, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location(
        "shop_round_trip", EXAMPLES / "shop_round_trip.py"
    )
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with (
        database.owner.connect() as connection,
        Datastore.from_config(config_of(database.owner), name="warehouse") as warehouse,
        Datastore(type="local", path=str(tmp_path)) as lake,
    ):
        example.make(connection, 300)
        views = {"open_orders", "debtors"}
        connection.execute("CREATE SCHEMA kept")
        tables = [one.name for one in warehouse.tables("shop") if one.name not in views]
        for table in tables:
            connection.execute(f"CREATE TABLE kept.{table} AS TABLE shop.{table}".encode())
        before = example.catalogue(connection)
        assert len(before) > 100
        out = example.copy_out(warehouse, lake)
        back = example.copy_back(warehouse, lake)
        assert example.catalogue(connection) == before
        assert {name for name, _ in out.left_out} == {f"shop.{one}" for one in views}
        assert (len(out.tables), out.is_one_moment) == (len(tables), True)
        assert sum(one.rows for one in back) == out.rows
        for table in tables:
            one, other = f"TABLE kept.{table}", f"TABLE shop.{table}"
            # By the server, which knows nothing of us; both ways.
            for query in (f"{one} EXCEPT ALL {other}", f"{other} EXCEPT ALL {one}"):
                assert connection.execute(query.encode()).fetchall() == []
    assert not staged(database)
