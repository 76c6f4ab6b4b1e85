"""What proves that pages of a table still hold the rows that an earlier plan's reader found there.

A row that was visible then and is now was written by a transaction that had ended when the earlier
snapshot was taken. So the rows are the same if all that are there now are as old, and as many.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from datastores.drivers.azure_postgresql.connection import Connection, run
from datastores.drivers.azure_postgresql.heaps import Heap

COUNTED = "{counted}"
"""Stands in a SELECT for what is asked of its rows."""


def marks_of(connection: Connection, heaps: Sequence[Heap], pieces: Sequence[str]) -> list[str]:
    """Return the mark of each piece of a table, given by a text that tells it from others."""
    [(before, *state)] = connection.execute(
        """
        SELECT pg_catalog.txid_snapshot_xmin(pg_catalog.txid_current_snapshot()),
            (SELECT pg_catalog.array_agg(pg_catalog.pg_relation_filenode(one)::bigint)
                FROM pg_catalog.unnest(%(heaps)s::oid[]) AS one),
            (SELECT pg_catalog.array_agg(pg_catalog.concat_ws(' ', attrelid, attnum, attname,
                atttypid, atttypmod, attmissingval) ORDER BY attrelid, attnum)
                FROM pg_catalog.pg_attribute WHERE attrelid = ANY (%(heaps)s::oid[]) AND attnum > 0)
        """,
        {"heaps": [one.oid for one in heaps]},
    ).fetchall()
    return [json.dumps({"what": _hash(state, one), "before": before}) for one in pieces]


def is_as_old(
    connection: Connection, counted: str, mark: str | None, earlier: str, rows: int
) -> bool:
    """Return whether a piece has the rows that its earlier mark was made for.

    Args:
        connection: Under the snapshot of the mark.
        counted: The SELECT of its rows, of `COUNTED`.
        mark: The piece's own.
        earlier: The one that is compared.
        rows: How many there were.
    """
    if mark is None:
        return False
    now, then = json.loads(mark), json.loads(earlier)
    if now["what"] != then["what"]:
        return False
    # Of a row only the last 32 bits of its transaction are known, and `age` counts back from now.
    oldest = f"pg_catalog.age('{then['before'] % 2**32}'::pg_catalog.xid)"
    asked = f"pg_catalog.count(*), coalesce(bool_and(pg_catalog.age(xmin) > {oldest}), true)"
    [(count, old)] = run(connection, counted.replace(COUNTED, asked, 1)).fetchall()
    return bool(old) and count == rows


def _hash(*parts: Any) -> str:
    return hashlib.blake2b(repr(parts).encode(), digest_size=16).hexdigest()
