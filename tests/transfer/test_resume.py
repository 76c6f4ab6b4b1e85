"""What the next call keeps of an interrupted one: only what the source proves to be unchanged."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import datastores
from datastores import Workspace
from datastores.datastore import StorePath
from datastores.errors import DataError
from datastores.transfer import CopyReport, PartProgress
from tests.services.postgresql import Database

PARTS = 4
FILLED = "SELECT n AS id, repeat('x', 200) AS word FROM generate_series(1, 20000) AS n"


@pytest.fixture
def workspace(database: Database, tmp_path: Path) -> Iterator[Workspace]:
    login = database.owner
    stores: dict[str, Any] = {
        "files": {"type": "local", "path": str(tmp_path / "files")},
        "warehouse": {
            "type": "azure_postgresql",
            "server_name": login.host,
            "port": login.port,
            "database_name": login.database,
            "ca_bundle": str(login.ca_file),
            "credentials": {"username": login.username, "password": "env:RESUME_SECRET"},
        },
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESUME_SECRET", login.password)
        with Workspace.from_mapping({"datastores": stores}) as workspace:
            yield workspace


def copier(source: StorePath, target: StorePath, **words: Any) -> Callable[..., CopyReport]:
    """Return a call of `copy` that can be made again, with options of its own each time."""

    def copied(**options: Any) -> CopyReport:
        report: CopyReport = datastores.copy(source, target, **{**words, **options})
        return report

    return copied


def interrupted(copy: Callable[..., CopyReport]) -> None:
    """Make a copy, and press Ctrl-C once all its parts are staged."""
    done: set[str] = set()

    def interrupt(progress: PartProgress) -> None:
        if progress.done:
            done.add(progress.part)
        if len(done) == PARTS:
            signal.raise_signal(signal.SIGINT)
            # Until the main thread has taken it.
            time.sleep(0.2)

    with pytest.raises(KeyboardInterrupt):
        copy(progress=interrupt)


@pytest.mark.parametrize(
    ("statements", "kept"),
    [
        ([], 4),
        (["VACUUM ANALYZE orders"], 4),
        (["CREATE TABLE another AS SELECT 1 AS n"], 4),
        # There is room on its page for the new version of a row.
        (["UPDATE orders SET word = 'y' WHERE id = 1"], 3),
        (["DELETE FROM orders WHERE id = 1"], 3),
        (["INSERT INTO orders VALUES (0, 'new')"], 3),
        # Its own transaction is undone, and nobody sees it.
        (["BEGIN; UPDATE orders SET word = 'y' WHERE id = 1; ROLLBACK"], 4),
        # The same rows, at other places.
        (["VACUUM FULL orders"], 0),
        (["TRUNCATE orders", f"INSERT INTO orders {FILLED}"], 0),
        (["ALTER TABLE orders ALTER word TYPE varchar(300)"], 0),
        (["ALTER TABLE orders ADD COLUMN note text DEFAULT 'none'"], 0),
        (["ALTER TABLE orders DROP word", "ALTER TABLE orders ADD word text DEFAULT 'new'"], 0),
        (
            [
                "ALTER TABLE orders ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE orders FORCE ROW LEVEL SECURITY",
                "CREATE POLICY positive ON orders USING (id > 0)",
            ],
            0,
        ),
    ],
    ids=lambda given: "; ".join(given)[:40] if isinstance(given, list) else str(given),
)
def test_a_table_that_changed_in_between(
    workspace: Workspace, database: Database, statements: list[str], kept: int
) -> None:
    database.run(f"CREATE TABLE orders AS {FILLED}")
    warehouse, files = workspace["warehouse"], workspace["files"]

    copy = copier(warehouse / "public/orders", files / "orders/", workers=PARTS)
    interrupted(copy)
    with database.owner.connect() as connection:
        for statement in statements:
            connection.execute(statement.encode())
    report = copy(verify=False)
    assert report.parts_kept == kept
    assert datastores.verify(warehouse / "public/orders", files / "orders/", keys=["id"])


def test_a_file_that_changed_in_between(workspace: Workspace) -> None:
    files = workspace["files"]
    rows = pa.table({"id": range(400), "word": ["x" * 200] * 400})
    files.write_table("in/", rows, rows_per_file=100)

    copy = copier(files / "in/", workspace["warehouse"] / "public/orders", workers=PARTS)
    interrupted(copy)
    changed = files.list("in/")[1].path
    files.write_table(changed, rows.slice(100, 50), mode="replace")
    report = copy()
    assert report.parts_kept == PARTS - 1
    assert report.rows == 350
    assert datastores.verify(files / "in/", workspace["warehouse"] / "public/orders", keys=["id"])


def test_a_kept_part_has_no_digest_for_a_call_that_verifies(workspace: Workspace) -> None:
    files = workspace["files"]
    rows = pa.table({"id": range(400), "word": ["x" * 200] * 400})
    files.write_table("in/", rows, rows_per_file=100)

    copy = copier(files / "in/", workspace["warehouse"] / "public/orders", workers=PARTS)
    interrupted(copy)
    report = copy(verify=True)
    assert report.parts_kept == 0
    assert report.digest is not None


def test_what_was_staged_for_one_type_is_not_rounded_to_another(
    workspace: Workspace, database: Database
) -> None:
    files = workspace["files"]
    amounts = pa.array([Decimal("1.2345")] * 400, pa.decimal128(12, 4))
    files.write_table("in/", pa.table({"id": range(400), "amount": amounts}), rows_per_file=100)
    database.run("CREATE TABLE orders (id bigint, amount numeric(12,4))")
    words: dict[str, Any] = {"mode": "append", "workers": PARTS}
    copy = copier(files / "in/", workspace["warehouse"] / "public/orders", **words)
    interrupted(copy)
    database.run("ALTER TABLE orders ALTER amount TYPE numeric(12,2)")
    with pytest.raises(DataError, match=r"amount.*1\.2345"):
        copy()
    assert database.run("SELECT count(*) FROM orders") == [(0,)]


@pytest.mark.parametrize(
    ("meanwhile", "kept"), [("SELECT 1", PARTS), ("ALTER TABLE orders ADD word text", 0)]
)
def test_a_copy_that_alters_its_target_goes_on(
    workspace: Workspace, database: Database, meanwhile: str, kept: int
) -> None:
    files = workspace["files"]
    rows = pa.table({"id": range(400), "word": ["x" * 200] * 400})
    files.write_table("in/", rows, rows_per_file=100)
    database.run("CREATE TABLE orders (id integer)")
    words: dict[str, Any] = {"mode": "append", "workers": PARTS, "drift": "evolve"}
    copy = copier(files / "in/", workspace["warehouse"] / "public/orders", **words)
    interrupted(copy)
    assert workspace["warehouse"].schema("public.orders").types == [pa.int32()]
    database.run(meanwhile)
    report = copy()
    assert report.parts_kept == kept
    assert workspace["warehouse"].schema("public.orders").types == [pa.int64(), pa.string()]
    assert datastores.verify(files / "in/", workspace["warehouse"] / "public/orders", keys=["id"])


def test_two_calls_at_once_are_two_jobs(workspace: Workspace) -> None:
    """Nobody can tell two intended appends from one that is made twice, but that the first lives."""
    files, orders = workspace["files"], workspace["warehouse"] / "public/orders"
    rows = pa.table({"id": range(400), "word": ["x" * 200] * 400})
    files.write_table("in/", rows, rows_per_file=100)
    workspace["warehouse"].write_table("public.orders", rows.slice(0, 0))
    inner: list[CopyReport] = []

    copy = copier(files / "in/", orders, mode="append", workers=2)

    def again(_: Any) -> None:
        inner.append(copy())

    outer = copy(on_plan=again)
    assert inner[0].job != outer.job
    assert workspace["warehouse"].scan("public.orders").count() == 800
    assert list(workspace["warehouse"].jobs()) == []


class Deletions:
    """Sees each deletion below a staging folder, and strikes at one of them."""

    def __init__(self) -> None:
        self.left: int | None = None
        # There is no way to take a hook back.
        sys.addaudithook(self._see)

    @contextlib.contextmanager
    def struck(self, number: int) -> Iterator[None]:
        """Press Ctrl-C at so manyth deletion of the block, if there are so many."""
        self.left = number
        with contextlib.suppress(KeyboardInterrupt):
            yield
        self.left = None

    def _see(self, event: str, arguments: Any) -> None:
        deletes = event in {"os.remove", "os.rmdir"} and "_datastores" in str(arguments[0])
        if self.left is None or not deletes:
            return
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


DELETIONS = Deletions()


@pytest.mark.parametrize("moment", ["half way", "published"])
@pytest.mark.parametrize("deletion", range(1, 9))
@pytest.mark.parametrize("store", ["files", "duck"])
def test_a_removal_that_is_cut_short_is_taken_for_what_it_is(
    tmp_path: Path, store: str, deletion: int, moment: str
) -> None:
    """Whatever of a job is deleted already: no row of it is lost, and none is there twice."""
    stores = {
        "files": {"type": "local", "path": str(tmp_path / "files")},
        "duck": {"type": "duckdb", "path": str(tmp_path / "duck.duckdb")},
    }
    with Workspace.from_mapping({"datastores": stores}) as workspace:
        rows = pa.table({"id": range(400), "word": ["x" * 200] * 400})
        workspace["files"].write_table("in/", rows, rows_per_file=100)
        table = "main.orders" if store == "duck" else "orders/"
        workspace[store].write_table(table, rows.slice(0, 1))

        copy = copier(
            workspace["files"] / "in/",
            workspace[store] / table.replace(".", "/"),
            mode="append",
            types={"id": "int64"},
            workers=PARTS,
        )
        if moment == "published":
            with DELETIONS.struck(deletion):
                copy()
        else:
            interrupted(copy)
            [job] = workspace[store].jobs()
            with DELETIONS.struck(deletion):
                workspace[store].clean(job.job)
        if workspace[store].jobs() or workspace[store].scan(table).count() == 1:
            copy()
        assert workspace[store].scan(table).count() == 401
        assert list(workspace[store].jobs()) == []


@pytest.mark.parametrize(
    ("statement", "kept"),
    [
        ("SELECT 1", 4),
        ("INSERT INTO orders SELECT 0, 'new', 'infinity'", 3),
        ("DELETE FROM orders WHERE id = 10", 3),
    ],
)
def test_a_part_whose_rejected_rows_changed_is_read_again(
    workspace: Workspace, database: Database, statement: str, kept: int
) -> None:
    database.run(
        f"CREATE TABLE orders AS SELECT *, CASE id % 1000 WHEN 10 THEN 'infinity' ELSE '2020-01-01' END::date "
        f"AS day FROM ({FILLED}) AS filled"
    )
    warehouse, files = workspace["warehouse"], workspace["files"]
    copy = copier(
        *(warehouse / "public/orders", files / "orders/"),
        workers=PARTS,
        rejects=files / "rejects/",
    )
    interrupted(copy)
    assert not files.exists("rejects")
    database.run(statement)
    report = copy()
    assert report.parts_kept == kept
    [(expected,)] = database.run("SELECT array_agg(word) FROM orders WHERE day = 'infinity'")
    found = files.scan("rejects/").to_arrow()["row_values"].to_pylist()
    assert sorted(json.loads(row)["word"] for row in found) == sorted(expected)
    assert report.rows is not None
    assert report.rows + len(found) == database.run("SELECT count(*) FROM orders")[0][0]


def test_a_part_whose_rejected_rows_are_gone_is_read_again(
    workspace: Workspace, database: Database
) -> None:
    database.run(
        f"CREATE TABLE orders AS SELECT *, CASE WHEN id % 1000 = 10 THEN 'infinity'::date END AS day "
        f"FROM ({FILLED}) AS filled"
    )
    warehouse, files = workspace["warehouse"], workspace["files"]
    copy = copier(
        *(warehouse / "public/orders", files / "orders/"),
        workers=PARTS,
        rejects=warehouse / "public/rejects",
        job="orders",
    )
    interrupted(copy)
    assert [job.job for job in warehouse.jobs()] == ["orders-rej"]
    warehouse.clean("orders-rej")
    report = copy()
    assert report.parts_kept == 0
    assert database.run("SELECT count(*) FROM rejects") == [(20,)]
