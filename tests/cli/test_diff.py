"""`diff`: what it prints, and the codes it exits with."""

from __future__ import annotations

from pathlib import Path

import pytest

from datastores import Workspace
from tests.cli.conftest import Run

COPY = "datastore://files/orders/"


@pytest.fixture
def copied(run: Run, table: str) -> str:
    """The thousand orders, and a copy of them as files; the table's URL."""
    assert run("cp", table, COPY).code == 0
    return table


def change(folder: Path) -> None:
    """Change one total of the warehouse, take a row away and put one in."""
    with Workspace.load(folder / "datastores.yaml") as workspace:
        store = workspace["warehouse"]
        rows = store.scan("main.orders").to_arrow().to_pylist()
        rows[742]["total"] += 1
        rows[500]["id"] = 5_000
        schema = store.scan("main.orders").schema
        store.write_table("main.orders", type_rows(rows, schema), mode="replace")


def type_rows(rows: list[dict[str, object]], schema: object) -> object:
    import pyarrow as pa

    return pa.Table.from_pylist(rows, schema=schema)


def test_equal_sides(run: Run, copied: str) -> None:
    found = run("diff", copied, COPY, "--workers", "2")
    assert (found.code, found.err) == (0, "")
    assert found.out.startswith(
        " warehouse/main.orders 1,000 rows · files/orders/ 1,000 rows: equal, digest "
    )
    assert len(found.out.splitlines()) == 1


def test_the_keys_that_differ(run: Run, copied: str, folder: Path) -> None:
    change(folder)
    found = run("diff", copied, COPY, "--keys", "id")
    assert (found.code, found.err) == (1, "")
    lines = found.out.splitlines()
    assert lines[0] == " warehouse/main.orders 1,000 rows · files/orders/ 1,000 rows: different"
    assert lines[1] == " 3 keys differ in id 500; id 742; and 1 range more:"
    assert lines[2:] == [
        "   id 500   only in files/orders/",
        "   id 742   total    warehouse 743.00    files 742.00",
        "   id 5000   only in warehouse/main.orders",
    ]
    assert max(map(len, lines)) <= 100


def test_json(run: Run, copied: str, folder: Path) -> None:
    [same] = run("diff", copied, COPY, "--json").records
    assert same["equal"] is True
    assert same["one_digest"] == same["other_digest"]
    change(folder)
    found = run("diff", copied, COPY, "--json", "--keys", "id")
    assert found.code == 1
    [record] = found.records
    assert [one["key"]["id"] for one in record["differences"]] == [500, 742, 5000]
    assert record["differences"][1]["values"] == [
        {"column": "total", "one": "743.00", "other": "742.00"}
    ]
    assert record["complete"] is True


def test_each_word_narrows_both_sides(run: Run, copied: str, folder: Path) -> None:
    change(folder)
    words = ("--filter", "id < 500", "--columns", "id,total,region")
    assert run("diff", copied, COPY, *words).code == 0
    assert run("diff", copied, COPY, "--columns", "region").code == 0
    assert run("diff", copied, COPY, "--columns", "total").code == 1

    renamed = ("--rename", "id=order", "--type", "total=string")
    assert run("cp", copied, "datastore://files/renamed.csv", *renamed).code == 0
    assert run("diff", copied, "datastore://files/renamed.csv", *renamed).code == 0
    found = run("diff", copied, "datastore://files/renamed.csv", *renamed, "--filter", "id <= 3")
    assert "4 rows" in found.out
    assert found.code == 0


def test_columns_that_differ(run: Run, copied: str) -> None:
    found = run("diff", copied, COPY, "--type", "id=string")
    assert found.code == 1
    assert found.out.splitlines() == [
        " warehouse/main.orders · files/orders/: different",
        " 1 column, and no row was read:",
        "   id   warehouse string    files int64",
    ]


def test_what_cannot_be_compared(run: Run, copied: str) -> None:
    for words, code in (
        ((copied,), 2),
        ((copied, COPY, "--keys", "nothing"), 2),
        ((copied, COPY, "--filter", "nothing"), 2),
        ((copied, "datastore://nowhere/orders"), 3),
        ((copied, "datastore://files/nowhere/"), 3),
    ):
        found = run("diff", *words)
        assert (found.code, found.out) == (code, ""), words
        assert found.err


def test_control_characters_are_written_out(run: Run, folder: Path) -> None:
    with Workspace.load(folder / "datastores.yaml") as workspace:
        for path, text in (("a.jsonl", "a\u001b[31m\n"), ("b.jsonl", "b\u001b[31m\n")):
            workspace["files"].write_table(path, type_rows([{"id": 1, "t": text}], None))
    found = run("diff", "datastore://files/a.jsonl", "datastore://files/b.jsonl", "--keys", "id")
    assert r"a\x1b[31m\n" in found.out
    assert "\x1b" not in found.out
