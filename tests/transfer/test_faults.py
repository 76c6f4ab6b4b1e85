"""What goes wrong around a copy: the target holds what it held or all it should, and the same call makes it so."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pytest
from azure.storage.blob import ContainerClient

import datastores
from datastores import Datastore
from datastores.errors import AuthenticationError, DatastoreError
from datastores.secrets import SecretRef
from datastores.transfer import CopyReport, PartProgress, meter
from tests.drivers.test_azure_postgresql import config_of, staged
from tests.drivers.test_azure_postgresql_faults import PUBLISHER, WRITER, found, strike
from tests.services.azurite import Azurite
from tests.services.postgresql import Database
from tests.services.process import unprivileged_user
from tests.services.proxy import Faults, Proxy

MIB = 1 << 20
WAIT_SECONDS = 30.0
ANOTHER = "another password"
OLD = pa.table({"id": [-1, -2], "word": ["old", "older"]})
# Of several files, so that a copy has several parts; no text repeats, so that PostgreSQL stores it whole.
NEW = pa.table({"id": range(4_000), "word": [f"{number:x} " * 40 for number in range(4_000)]})


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once, and tell the progress of every batch."""
    monkeypatch.setattr("datastores.retry.PAUSES_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(meter, "MIN_INTERVAL_SECONDS", 0.0)


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Datastore]:
    with Datastore(type="local", path=str(tmp_path / "source")) as store:
        store.write_table("in/", NEW, rows_per_file=1_000)
        yield store


@pytest.fixture
def target(database: Database) -> Iterator[Datastore]:
    database.run("CREATE TABLE orders (id bigint, word text)")
    with Datastore.from_config(config_of(database.owner)) as store:
        store.write_table("public.orders", OLD, mode="append")
        yield store
    assert not staged(database)


def replaced(source: Datastore, target: Datastore, **options: Any) -> CopyReport:
    words = {"mode": "replace", "workers": 2, "verify": True}
    return datastores.copy(source / "in/", target / "public/orders", **{**words, **options})


def content(store: Datastore, table: str = "public.orders") -> pa.Table:
    return store.scan(table).to_arrow().sort_by("id").select(["id", "word"])


def once(step: Callable[[], object]) -> Callable[[PartProgress], None]:
    """Return a progress that does something in the middle of a part, one time."""
    steps = iter([step])

    def told(progress: PartProgress) -> None:
        if progress.rows and not progress.done:
            for one in steps:
                one()

    return told


def once_staged(step: Callable[[], object]) -> Callable[[PartProgress], None]:
    """Return a progress that does something when the first part is staged."""
    steps = iter([step])

    def told(progress: PartProgress) -> None:
        if progress.done:
            for one in steps:
                one()

    return told


# Locks


def test_a_publish_that_is_deadlocked_is_made_again(
    source: Datastore, target: Datastore, database: Database
) -> None:
    def cross() -> None:
        """Hold one row, and ask for the other when the publish waits for the first."""
        with database.owner.connect(autocommit=False) as other:
            # The publish keeps writers out, but not those who only lock rows.
            other.execute("SELECT FROM orders WHERE id = -2 FOR UPDATE")
            held.set()
            wait_for(lambda: found(database, PUBLISHER) != [])
            # Who waited longer looks for a deadlock first, and is the one that gives way.
            time.sleep(0.4)
            other.execute("SELECT FROM orders WHERE id = -1 FOR UPDATE")

    held = threading.Event()
    thread = threading.Thread(target=cross)
    thread.start()
    assert held.wait(WAIT_SECONDS)
    report = replaced(source, target)
    thread.join()
    assert report.retries >= 1
    assert content(target).equals(NEW)


# Room


def test_a_servers_disk_that_is_full(
    source: Datastore, target: Datastore, database: Database
) -> None:
    """A limit on the size of files stands for a full disk: the server's write fails either way."""

    def fill() -> None:
        [pid] = found(database, WRITER)
        user = unprivileged_user()
        # More than a file of the write-ahead log has, without which no server lives on. Who may
        # do that is the server's own user.
        command = ["prlimit", f"--pid={pid}", f"--fsize={20 * MIB}"]
        subprocess.run(command, check=True, user=user, group=user)

    rows = 18_000
    wide = pa.table({"id": range(rows), "word": [f"{number:x} " * 300 for number in range(rows)]})
    source.write_table("in/", wide, mode="replace")
    with pytest.raises(DatastoreError, match="could not extend file") as caught:
        replaced(source, target, workers=1, progress=once(fill))
    assert caught.value.target == "public.orders"
    assert content(target).equals(OLD.sort_by("id"))


# Credentials


@pytest.fixture
def rotating(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[Datastore]:
    """A target whose password is read from a place where it may be changed."""
    monkeypatch.setenv("ROTATED", database.owner.password)
    database.run("CREATE TABLE orders (id bigint, word text)")
    password = SecretRef(source="env", name="ROTATED")
    with Datastore.from_config(config_of(database.owner, password=password)) as store:
        yield store


def change_password(database: Database) -> Database:
    """Change the owner's password, and refuse the next connection; those there are end."""
    owner = database.owner
    database.run(f"ALTER ROLE {owner.username} PASSWORD '{ANOTHER}'")
    changed = replace(database, owner=replace(owner, password=ANOTHER))
    strike(changed, "pg_terminate_backend", "true")
    return changed


def restore_password(changed: Database, database: Database) -> None:
    owner = database.owner
    changed.run(f"ALTER ROLE {owner.username} PASSWORD '{owner.password}'")


def test_a_password_that_is_renewed_in_the_middle(
    source: Datastore, rotating: Datastore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed: list[Database] = []

    def rotate() -> None:
        monkeypatch.setenv("ROTATED", ANOTHER)
        changed.append(change_password(database))

    report = replaced(source, rotating, progress=once_staged(rotate))
    restore_password(changed[0], database)
    assert report.rows == NEW.num_rows
    assert content(rotating).equals(NEW)
    assert not staged(database)


def test_a_password_that_expires_in_the_middle(
    source: Datastore, rotating: Datastore, database: Database
) -> None:
    changed: list[Database] = []
    with pytest.raises(AuthenticationError) as caught:
        replaced(
            source,
            rotating,
            progress=once_staged(lambda: changed.append(change_password(database))),
        )
    assert "the same call goes on from here" in caught.value.__notes__[-1]
    # Whoever holds the secret renews it, and makes the same call.
    restore_password(changed[0], database)
    assert replaced(source, rotating).parts_kept >= 1
    assert content(rotating).equals(NEW)
    assert not staged(database)


def test_a_signature_that_expires_in_the_middle(
    source: Datastore,
    azurite: Azurite,
    blob_container: ContainerClient,
    proxy: Callable[[int], Proxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = 4
    between = proxy(azurite.port)
    # Azurite's code is that of a right which is missing; the service says AuthenticationFailed.
    between.faults = Faults(replace_received=(b"AuthorizationFailure", b"AuthenticationFailed"))
    monkeypatch.setenv("ROTATED", azurite.sas(lifetime=timedelta(seconds=seconds)))
    store = Datastore(
        type="azure_blob",
        account_name=azurite.account_name,
        account_url=azurite.account_url.replace(str(azurite.port), str(between.port)),
        container_name=blob_container.container_name,
        sas_token=SecretRef(source="env", name="ROTATED"),
    )

    def copy(**options: Any) -> CopyReport:
        return datastores.copy(
            source / "in/", store / "orders/", types={"id": "int64"}, workers=2, **options
        )

    with store:
        with pytest.raises(AuthenticationError) as caught:
            copy(progress=once_staged(lambda: time.sleep(seconds + 1)))
        assert "the same call goes on from here" in caught.value.__notes__[-1]
        monkeypatch.setenv("ROTATED", azurite.sas())
        assert copy().parts_kept >= 1
        assert content(store, "orders/").equals(NEW)


# Replies


def test_a_publish_whose_reply_is_lost_counts_once(
    source: Datastore, database: Database, proxy: Callable[[int], Proxy]
) -> None:
    between = proxy(database.owner.port)
    database.run("CREATE TABLE orders (id bigint, word text)")
    database.run(
        "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$"
    )
    # It runs in COMMIT, so that there is time to cut the connection meanwhile.
    database.run(
        "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON orders DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW WHEN (NEW.id = 0) EXECUTE FUNCTION wait()"
    )

    def lose() -> None:
        wait_for(lambda: found(database, "query = 'COMMIT' AND wait_event = 'PgSleep'") != [])
        between.cut()

    with Datastore.from_config(config_of(replace(database.owner, port=between.port))) as store:
        thread = threading.Thread(target=lose)
        thread.start()
        report = replaced(source, store, mode="append")
        thread.join()
        assert report.retries >= 1
        assert content(store).equals(NEW)
    assert not staged(database)


# A target that takes little


def test_a_target_that_takes_nothing_holds_the_source_back(
    database: Database, target: Datastore, proxy: Callable[[int], Proxy]
) -> None:
    """Nothing is read that is not written: memory stays, and the source's snapshot with it."""
    between = proxy(database.owner.port)
    between.faults = Faults(stall_after_sent=2 * MIB)
    process = psutil.Process()
    grown: list[int] = []

    def watch() -> None:
        wait_for(lambda: found(database, WRITER) != [])
        before = process.memory_info().rss
        time.sleep(2)
        grown.append(process.memory_info().rss - before)
        between.faults = Faults()
        between.cut()

    many = target.query(
        "SELECT id, repeat(id::text, 60) AS word FROM generate_series(1, 500000) id"
    )
    with Datastore.from_config(config_of(replace(database.owner, port=between.port))) as slow:
        thread = threading.Thread(target=watch)
        thread.start()
        report = datastores.copy(many, slow / "public/orders", mode="replace", workers=1)
        thread.join()
    assert report.retries >= 1
    assert report.bytes_read > 150 * MIB
    assert grown[0] < 60 * MIB
    assert database.run("SELECT count(*), sum(id) FROM orders") == [(500_000, 125_000_250_000)]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
