"""Every torture value through this library is exact, tagged or refused; its peers are not here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.postgresql.scorecard.__main__ import judged
from benchmarks.postgresql.scorecard.judge import Judge, Outcome
from benchmarks.postgresql.scorecard.page import count, page
from benchmarks.postgresql.scorecard.run import OURS
from benchmarks.postgresql.scorecard.stored import Family, Stored
from tests.services.postgresql import Database

NUMBER = Stored("numeric", "0.1", Family.NUMBER)
ID = Stored("oid", "4294967295", Family.INTEGER)


@pytest.fixture
def judge(database: Database) -> Iterator[Judge]:
    database.run("CREATE TABLE kept (v numeric)")
    database.run("INSERT INTO kept VALUES (0.1), (NULL)")
    judge = Judge(database.owner)
    yield judge
    judge.close()


def test_no_value_is_changed_silently(database: Database) -> None:
    parts = judged(database, (OURS,), None)
    for part in parts:
        column = part.columns[OURS.name]
        changed = [
            f"{name}: {one.words}"
            for name, one in zip(part.names, column, strict=True)
            if one.outcome in {Outcome.CHANGED, Outcome.PANIC}
        ]
        assert not changed, part.title
        assert count(column, Outcome.EXACT) > len(column) / 2
    assert "changed**" not in page(parts, {})


@pytest.mark.parametrize(
    ("kind", "text", "outcome"),
    [
        ("decimal", "0.1000", Outcome.EXACT),
        ("string", "0.10", Outcome.TAGGED),
        ("float", "0.1000000000000000055", Outcome.CHANGED),
        ("string", "nothing", Outcome.CHANGED),
        ("decimal", None, Outcome.CHANGED),
    ],
)
def test_the_judge_compares_by_meaning(
    judge: Judge, kind: str, text: str | None, outcome: Outcome
) -> None:
    got = {
        "kind": kind,
        "type": kind,
        "text": text,
        "bytes": None,
        "named": False,
        "null_kept": True,
    }
    assert judge.judge(NUMBER, "kept", got).outcome is outcome
    assert judge.judge(NUMBER, "kept", {**got, "null_kept": False}).outcome is Outcome.CHANGED


def test_an_arrow_integer_is_believed(database: Database, judge: Judge) -> None:
    database.run("CREATE TABLE ids (v oid)")
    database.run("INSERT INTO ids VALUES (4294967295), (NULL)")
    got = {"kind": "integer", "type": "int32", "bytes": None, "named": True, "null_kept": True}
    assert judge.judge(ID, "ids", {**got, "text": "4294967295"}).outcome is Outcome.EXACT
    assert judge.judge(ID, "ids", {**got, "text": "-1"}).outcome is Outcome.CHANGED


def test_bytes_are_a_value_only_beside_the_name_of_their_type(judge: Judge) -> None:
    # https://www.postgresql.org/docs/current/protocol-overview.html: digits in groups of four.
    got = {
        "kind": "binary",
        "type": "binary",
        "text": "",
        "bytes": "0001ffff0000000103e8",
        "named": True,
        "null_kept": True,
    }
    assert judge.judge(NUMBER, "kept", got).outcome is Outcome.TAGGED
    assert judge.judge(NUMBER, "kept", {**got, "named": False}).outcome is Outcome.CHANGED
