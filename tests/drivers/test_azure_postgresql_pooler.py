"""Through PgBouncer with three server connections: everything works, and what it costs is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import datastores
from datastores import Datastore
from datastores.check import check_store
from datastores.errors import ConnectionFailedError, DatastoreWarning
from datastores.testing.arrow import assert_same_table
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.services.certificates import Certificates
from tests.services.pgbouncer import POOL_SIZE, pgbouncer
from tests.services.postgresql import Database

DATA = pa.table({"id": pa.array(range(30_000), pa.int64()), "word": ["word"] * 30_000})
MORE = pa.table({"id": pa.array(range(29_999, 30_010), pa.int64()), "word": ["more"] * 11})


@pytest.fixture(params=["transaction", "session"])
def pooled(
    request: pytest.FixtureRequest, database: Database, certificates: Certificates
) -> Iterator[Datastore]:
    with (
        pgbouncer(database.owner, certificates, request.param) as login,
        Datastore.from_config(config_of(login)) as store,
    ):
        with pytest.warns(DatastoreWarning, match="pooler") as said:
            store.tables()
        assert len(said) == 1
        yield store


def test_tables_are_written_and_read(pooled: Datastore, database: Database) -> None:
    assert pooled.write_table("public.orders", DATA, keys=["id"]) == len(DATA)
    assert_same_table(pooled.scan("public.orders").to_arrow(), DATA)
    pooled.write_table("public.orders", MORE, mode="upsert", keys=["id"])
    found = pooled.query("SELECT count(*) AS rows FROM orders WHERE word = :word", {"word": "more"})
    assert found.to_arrow().to_pydict() == {"rows": [11]}
    assert not staged(database)


def test_copies_in_every_mode(pooled: Datastore, database: Database, tmp_path: Path) -> None:
    with Datastore("local", path=str(tmp_path)) as files:
        files.write_table("data/", DATA, rows_per_file=15_000)
        files.write_table("more/", MORE)
        orders = pooled / "public/orders"
        for source, mode, keys, rows in (
            ("data/", "create", ["id"], 30_000),
            ("more/", "upsert", ["id"], 30_010),
            ("data/", "replace", [], 30_000),
        ):
            datastores.copy(files / source, orders, mode=mode, keys=keys, workers=2)
            assert database.run("SELECT count(*) FROM orders") == [(rows,)]
        database.run("ALTER TABLE orders DROP CONSTRAINT orders_pkey")
        datastores.copy(files / "more/", orders, mode="append", workers=2)
        report = datastores.copy(orders, files / "back/", workers=2, verify=True)
        assert report.rows == 30_011
        assert report.parts == 2
    assert not staged(database)


def test_the_check_says_that_a_pooler_answers(pooled: Datastore) -> None:
    found = check_store(pooled)
    assert found.passed
    assert "through a pooler" in found.details["sign-in"]


def test_more_workers_than_the_pool_has_connections(
    pooled: Datastore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy of two parts inside one database holds six: snapshot, job, two readers and writers."""
    assert POOL_SIZE < 6
    monkeypatch.setattr("datastores.retry.PAUSES_SECONDS", ())
    pooled.write_table("public.orders", DATA)
    with pytest.raises(ConnectionFailedError, match="query_wait_timeout") as caught:
        datastores.copy(pooled / "public/orders", pooled / "public/other", workers=2)
    assert "pooler" in str(caught.value.advice)
    assert not staged(database)
    assert [str(one) for one in pooled.tables()] == ["public.orders"]
    # One part holds three.
    datastores.copy(pooled / "public/orders", pooled / "public/other", workers=1, verify=True)
