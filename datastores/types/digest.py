"""An order-independent digest of rows, to tell whether two stores hold the same ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

import pyarrow as pa

from datastores.types.canonical import Lanes, hash_rows

# Few enough that what is computed from a column stays in the processor's cache.
_SLICE_ROWS = 8_192
_LANE = 1 << 64


def slices(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield a batch in pieces of a size that is hashed quickly."""
    for start in range(0, batch.num_rows, _SLICE_ROWS):
        yield batch.slice(start, _SLICE_ROWS)


def hash_batch(batch: pa.RecordBatch) -> Lanes:
    """Return the hash of each row of a batch, of which a digest is the sum."""
    return hash_rows(batch.schema.names, batch.columns, batch.num_rows)


@dataclass(slots=True)
class Digest:
    """128 bits of a multiset of rows: the same however they are ordered, batched and laid out.

    Each row counts by its column names and canonical values (`types/canonical.py`), and as often
    as it stands there. Digests of parts `merge` into the digest of the whole; they pickle.
    """

    rows: int = 0
    first_lane: int = 0
    second_lane: int = 0

    @classmethod
    def of(cls, batches: Iterable[pa.RecordBatch]) -> Self:
        """Return the digest of all batches."""
        digest = cls()
        for batch in batches:
            digest.update(batch)
        return digest

    def update(self, batch: pa.RecordBatch) -> None:
        """Add a batch's rows.

        Raises:
            SchemaMismatchError: A column's type has no canonical values; named.
        """
        for part in slices(batch):
            lanes = hash_batch(part).sum(axis=1)
            self._add(part.num_rows, int(lanes[0]), int(lanes[1]))

    def merge(self, other: Digest) -> None:
        """Add the rows of another digest."""
        self._add(other.rows, other.first_lane, other.second_lane)

    def hexdigest(self) -> str:
        """Return 32 hexadecimal digits; all zero for no rows."""
        return f"{self.first_lane:016x}{self.second_lane:016x}"

    def _add(self, rows: int, first_lane: int, second_lane: int) -> None:
        # Sums and not XOR, in which a row that stands twice would vanish.
        self.rows += rows
        self.first_lane = (self.first_lane + first_lane) % _LANE
        self.second_lane = (self.second_lane + second_lane) % _LANE
