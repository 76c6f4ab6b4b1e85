"""Whether what a tool gave means what PostgreSQL holds: the server itself is the oracle.

What the Arrow value says is written as text, the server reads that text as the column's type, and
compares: numbers as numbers, all else by the type's own text under fixed settings. So every way to
write the same value counts. Where the Arrow type says the same as PostgreSQL's, it is exact; where
the value is in a text, or in bytes whose type is named, it is tagged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import psycopg
from psycopg import sql

from benchmarks.postgresql.scorecard.sent import Sent
from benchmarks.postgresql.scorecard.stored import Family, Stored
from tests.services.postgresql import Login


class Outcome(StrEnum):
    """What became of a value."""

    EXACT = "exact"
    TAGGED = "tagged"
    REFUSED = "refused"
    PANIC = "panic"
    """A refusal too, by an exception that no user catches, or by the end of the process."""
    CHANGED = "changed"
    NONE = "-"
    """The tool has no way to try."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """An outcome, and in a few words what the value became or why it was refused."""

    outcome: Outcome
    words: str = ""

    @property
    def cell(self) -> str:
        """It in a table: the word, or what the value became."""
        if self.outcome is Outcome.CHANGED:
            return f"**{self.words}**"
        return str(self.outcome)


_WORDS_CHARACTERS = 40
# Types that hold what has no type of its own.
_CARRIERS = {"text", "character varying", "json", "jsonb", "bytea"}
# The kinds of Arrow types that say what PostgreSQL's do, without more.
_EXACT: Mapping[Family, set[str]] = {
    Family.BOOLEAN: {"boolean"},
    Family.INTEGER: {"integer"},
    Family.FLOAT: {"float"},
    Family.NUMBER: {"decimal"},
    Family.MONEY: {"decimal"},
    Family.TEXT: {"string"},
    Family.LABEL: {"dictionary"},
    Family.BYTES: {"binary"},
    Family.DATE: {"date"},
    Family.TIMESTAMP: {"timestamp"},
    Family.INSTANT: {"instant"},
    Family.TIME: {"time"},
    Family.TIME_WITH_ZONE: {"struct"},
    Family.INTERVAL: {"interval"},
    Family.JSON: {"json"},
    Family.UUID: {"uuid"},
    Family.ADDRESS: set(),
    Family.COMPOSITE: {"struct"},
    Family.RANGE: {"struct"},
    Family.OTHER: {"struct"},
}
# A local time is no instant, and an instant no local time, whatever their digits are.
_OTHERS: Mapping[Family, str] = {Family.INSTANT: "timestamp", Family.TIMESTAMP: "instant"}
# An hstore may come as an object.
_OBJECT = "(SELECT hstore(array_agg(key), array_agg(value)) FROM json_each_text(%s::json))::text = v::text"


class Judge:
    """Compares with what is in the server; its session has the settings of texts."""

    def __init__(self, login: Login) -> None:
        self._connection = login.connect()
        self._connection.execute(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "
            "SET extra_float_digits = 3"
        )

    def close(self) -> None:
        self._connection.close()

    def judge(self, stored: Stored, table: str, got: Mapping[str, Any]) -> Judgement:
        """Return what a tool made of the value in the first row of a table."""
        text, kind = got["text"], got["kind"]
        if not got["null_kept"]:
            return Judgement(Outcome.CHANGED, "NULL is a value")
        if text is None:
            return Judgement(Outcome.CHANGED, "NULL")
        if kind == _OTHERS.get(stored.family):
            return Judgement(Outcome.CHANGED, _short(f"{text} as {got['type']}"))
        if got["bytes"] is not None and stored.family is not Family.BYTES:
            return self._bytes(stored, table, got)
        if self._money(stored, table, got):
            return Judgement(Outcome.TAGGED, "cents")
        if got["type"].startswith(("list", "large_list")) and not stored.is_array:
            # Several numbers that are one value, such as a box.
            text = text.strip("{}")
        if not self._same(stored, table, text):
            return Judgement(Outcome.CHANGED, _short(text))
        exact = kind in _EXACT[stored.family] and not self._reworded(stored, table, text)
        return Judgement(Outcome.EXACT if exact else Outcome.TAGGED, got["type"])

    def judge_sent(self, sent: Sent, table: str) -> Judgement:
        """Return what a table holds of the value that was sent to it."""
        [(column, type_, bare)] = self._connection.execute(
            "SELECT attname::text, format_type(atttypid, atttypmod), format_type(atttypid, -1) "
            "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum = 1",
            (table,),
        ).fetchall()
        if column != sent.column:
            return Judgement(Outcome.CHANGED, f"a name of {len(column)} bytes")
        rows = sql.SQL("(SELECT tableoid, {} AS v FROM {}) AS rows").format(
            sql.Identifier(column), sql.Identifier(table)
        )
        for at, condition in enumerate(sent.means):
            if self._holds(rows, condition):
                tagged = bare in _CARRIERS and not sent.plain
                counted = at > 0 and "col_description" in condition
                return Judgement(Outcome.TAGGED if tagged or counted else Outcome.EXACT, type_)
        statement = sql.SQL("SELECT v::text FROM {} ORDER BY v IS NULL LIMIT 1").format(rows)
        [(text,)] = self._connection.execute(statement).fetchall()
        return Judgement(Outcome.CHANGED, _short(f"{type_} {text}"))

    def _holds(self, rows: sql.Composed, condition: str) -> bool:
        statement = sql.SQL(
            "SELECT count(*) FILTER (WHERE {}) > 0 AND count(*) = 2 AND count(v) < 2 FROM {}"
        ).format(sql.SQL(condition), rows)
        try:
            [(holds,)] = self._connection.execute(statement).fetchall()
        except psycopg.Error:
            return False
        return bool(holds)

    def _bytes(self, stored: Stored, table: str, got: Mapping[str, Any]) -> Judgement:
        """Bytes are the value if they are PostgreSQL's own and said to be, or a UUID's sixteen."""
        same = bytes.fromhex(got["bytes"]) == self._binary(table)
        known = got["named"] or stored.family is Family.UUID
        if same and known:
            return Judgement(Outcome.TAGGED, got["type"])
        return Judgement(Outcome.CHANGED, _short(f"bytes {got['bytes']}"))

    def _money(self, stored: Stored, table: str, got: Mapping[str, Any]) -> bool:
        """Cents are money where the field says so."""
        if stored.family is not Family.MONEY or got["kind"] != "integer" or not got["named"]:
            return False
        return int(got["text"]) == int.from_bytes(self._binary(table), "big", signed=True)

    def _same(self, stored: Stored, table: str, text: str) -> bool:
        if stored.family is Family.JSON:
            return bool(_parsed(text) == _parsed(self._text(table)))
        bare = self._bare(table)
        compare = "(%s::{type})::text = v::text"
        if stored.family is Family.NUMBER:
            compare = "%s::{type} = v"
        elif stored.family is Family.INTEGER and not stored.is_array:
            # Not as the type itself: an oid takes -1 for its greatest.
            compare = "%s::numeric = v::text::numeric"
        elif (bare, text[:1]) == ("hstore", "{"):
            compare = _OBJECT
        statement = f"SELECT {compare.format(type=bare)} FROM {table} LIMIT 1"
        try:
            [(same,)] = self._connection.execute(statement.encode(), (text,)).fetchall()
        except psycopg.Error:
            return False
        return bool(same)

    def _reworded(self, stored: Stored, table: str, text: str) -> bool:
        return stored.family is Family.JSON and text != self._text(table)

    def _text(self, table: str) -> str:
        statement = f"SELECT v::text FROM {table} LIMIT 1"
        [(text,)] = self._connection.execute(statement.encode()).fetchall()
        return str(text)

    def _binary(self, table: str) -> bytes:
        cursor = self._connection.cursor(binary=True)
        result = cursor.execute(f"SELECT v FROM {table} LIMIT 1".encode()).pgresult
        assert result is not None  # noqa: S101  # a SELECT has one
        return bytes(result.get_value(0, 0) or b"")

    def _bare(self, table: str) -> str:
        """Return the column's type without length or precision, which would round a text."""
        [(found,)] = self._connection.execute(
            "SELECT format_type(coalesce(nullif(t.typbasetype, 0), t.oid), -1) FROM pg_attribute a "
            "JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = %s::regclass AND attname = 'v'",
            (table,),
        ).fetchall()
        return str(found)


def _parsed(text: str) -> Any:
    """Return what a JSON text means: names in their order, repeated or not, and digits."""
    try:
        return json.loads(
            text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=lambda pairs: pairs
        )
    except ValueError:
        return None


def _short(text: str) -> str:
    return text if len(text) <= _WORDS_CHARACTERS else f"{text[: _WORDS_CHARACTERS - 3]}..."
