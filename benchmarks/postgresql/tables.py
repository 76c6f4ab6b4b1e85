"""The tables that are read and written: one like TPC-H's lineitem, and a wide one of many types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_ADVERBS = "furiously,carefully,slyly,quickly,blithely,ironically,daringly,silently"
_KINDS = "regular,special,final,express,pending,unusual,bold,even"
_THINGS = "deposits,accounts,packages,theodolites,instructions,foxes,requests,pinto beans"
_ACTS = "sleep,nag,haggle,wake,cajole,detect,integrate,boost"


def _word(words: str, shift: int) -> str:
    return f"(string_to_array('{words}', ','))[1 + (h >> {shift} & 7)]"


# Values are the same in every run: they come of each row's number, and of its hash where they
# are to look like chance.
_LINEITEM = f"""
    SELECT (n / 4)::int8 AS l_orderkey, (h % 200000)::int4 AS l_partkey,
      (h % 10007)::int4 AS l_suppkey, (n % 7 + 1)::int4 AS l_linenumber,
      (h % 50 + 1)::numeric(15,2) AS l_quantity,
      (900 + h % 10000000 / 100.0)::numeric(15,2) AS l_extendedprice,
      (h % 11 / 100.0)::numeric(15,2) AS l_discount, (h % 9 / 100.0)::numeric(15,2) AS l_tax,
      substr('ANR', 1 + h % 3, 1) AS l_returnflag, substr('OF', 1 + n % 2, 1) AS l_linestatus,
      date '1992-01-02' + h % 2500 AS l_shipdate, date '1992-01-31' + h % 2470 AS l_commitdate,
      date '1992-01-03' + h % 2520 AS l_receiptdate,
      (array['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'])[1 + (h & 3)]
        AS l_shipinstruct,
      (array['TRUCK', 'MAIL', 'REG AIR', 'AIR', 'FOB', 'RAIL', 'SHIP'])[1 + h % 7] AS l_shipmode,
      substr({_word(_ADVERBS, 3)} || ' ' || {_word(_KINDS, 6)} || ' ' || {_word(_THINGS, 9)} || ' '
        || {_word(_ACTS, 12)} || ' ' || {_word(_ADVERBS, 15)}, 1 + (h >> 18 & 7), 10 + h % 34)
        AS l_comment
    FROM generate_series(1, {{rows}}) AS n, LATERAL (SELECT hashint4(n) & 2147483647 AS h) AS hash"""
_WIDE = """
    SELECT n::int4 AS id, md5(n::text)::uuid AS key,
      CASE WHEN n % 10 > 0 THEN jsonb_build_object('n', n, 'tags', array['a', 'b']) END AS doc,
      timestamptz '2020-01-01 00:00Z' + n * interval '1.000001 s' AS at,
      CASE WHEN n % 9 > 0 THEN timestamp '1970-01-01' + n * interval '1 min' END AS local,
      CASE WHEN n % 11 > 0 THEN decode(md5(n::text), 'hex') END AS raw, n % 3 = 0 AS flag,
      sqrt(n) AS ratio, (n / 7.0)::real AS part,
      CASE WHEN n % 10 > 0 THEN (n % 30000)::int2 END AS small,
      (CASE WHEN n % 8 > 0 THEN n * 1234567.0123456789 END)::numeric(38,10) AS amount,
      CASE WHEN n % 10 > 0 THEN 'straße ' || n || E' \\\\ "zitat" naïve' END AS text,
      date '2000-02-29' + n % 9000 AS day
    FROM generate_series(1, {rows}) AS n"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """How a table is filled."""

    query: str
    share: float
    """Of the rows that are asked for."""
    key: str
    """A column of different integers, by which a peer divides it."""


TABLES: Mapping[str, Table] = {
    "lineitem": Table(query=_LINEITEM, share=1, key="l_orderkey"),
    "wide": Table(query=_WIDE, share=0.5, key="id"),
}
