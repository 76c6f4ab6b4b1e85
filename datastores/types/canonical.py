"""What a value is, whatever Arrow type and layout hold it, as 128 bits; column by column.

Equal values hash equal, and different ones differ but for a chance of about 2**-128:

- integers and decimals by their number: int32 5, uint64 5 and decimal 5.00 are one value
- floats of all widths by their number; every NaN is one value, -0.0 and 0.0 are two
- timestamps with a zone by the instant, those without by what the clock shows, both in any unit;
  times, durations and dates in any unit
- text and binary by their bytes; a dictionary by what it stands for, an extension by its storage
- lists and maps by their elements in order, structs by the names and values of their fields
- NULL is a value of its own, and so is every kind above: 5, 5.0, true and "5" differ

The hash finds accidents, not forgeries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from datastores.errors import SchemaMismatchError

Words = npt.NDArray[np.uint64]
Lanes = npt.NDArray[np.uint64]
"""Two rows of one word for each value: two independent 64-bit hashes."""

# Residues by four primes below 2**32 tell numbers apart, and are the same at every scale: the
# number m / 10**s is m times the inverse of 10**s. Their product is about 2**128.
_PRIMES = (4294967291, 4294967279, 4294967231, 4294967197)
_LIMB_BITS = 32
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}
_MILLISECONDS_PER_DAY = 86_400_000
# Longer values are worth a call of their own; shorter ones go word by word, all rows at once.
_LONG_BYTES = 192
_WORD_BYTES = 8
_TAIL_MASKS = np.array([(1 << 8 * kept) - 1 for kept in range(_WORD_BYTES + 1)], dtype=np.uint64)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def hash_values(array: pa.Array) -> Lanes:
    """Return the hash of each value, two words each.

    Raises:
        SchemaMismatchError: The type is a union, or another that has no canonical value.
    """
    if isinstance(array.type, pa.BaseExtensionType):
        return hash_values(array.storage)
    for is_kind, hash_kind in _KINDS:
        if is_kind(array.type):
            lanes = hash_kind(array)
            break
    else:
        raise SchemaMismatchError(f"values of the Arrow type {array.type} cannot be compared")
    if array.null_count:
        invalid = array.is_null().to_numpy(zero_copy_only=False)
        lanes[:, invalid] = _seed("null")
    return lanes


def hash_rows(names: Sequence[str], columns: Iterable[pa.Array], rows: int) -> Lanes:
    """Return the hash of each row: of its names and values, in whatever order they stand."""
    lanes = np.repeat(_seed("row"), rows, axis=1)
    seen: Counter[str] = Counter()
    for name, column in zip(names, columns, strict=True):
        try:
            values = hash_values(column)
        except SchemaMismatchError as error:
            raise SchemaMismatchError(f"column {name!r}: {error.message}") from error
        # A name that stands twice is told apart by its turn.
        lanes += _mix(values ^ _seed(f"field {seen[name]} {name}"))
        seen[name] += 1
    return _mix(lanes)


def _mix(words: Words) -> Words:
    """Scramble each word in place, one to one (the finaliser of SplitMix64)."""
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


@cache
def _seed(text: str) -> Words:
    """Return one word for each lane, as a column that broadcasts over values."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.frombuffer(digest, dtype="<u8").astype(np.uint64).reshape(2, 1)


def _fixed_width(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """View an array's values, and whatever lies under its NULLs."""
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.empty(0, dtype)
    values = np.frombuffer(buffer, dtype, count=array.offset + len(array))
    return values[array.offset :]


def _hash_limbs(limbs: Sequence[Words], *, signed: bool, scale: int, kind: str) -> Lanes:
    """Hash numbers of several 32-bit limbs, lowest first, divided by 10**scale."""
    residues = []
    for prime in _PRIMES:
        factor = pow(10, -scale, prime)
        # Two's complement with its sign bit flipped is the number plus this bias.
        bias = 1 << (_LIMB_BITS * len(limbs) - 1) if signed else 0
        residue: Words = np.full(len(limbs[0]), -bias * factor % prime, dtype=np.uint64)
        for index, limb in enumerate(limbs):
            flipped = limb ^ np.uint64(1 << 31) if signed and limb is limbs[-1] else limb
            weight = pow(2, _LIMB_BITS * index, prime) * factor % prime
            # At most prime - 1 + (2**32 - 1) * (prime - 1), which is below 2**64.
            residue += flipped * np.uint64(weight)
            residue -= residue // np.uint64(prime) * np.uint64(prime)
        residues.append(residue)
    packed = [
        residues[0] | residues[1] << np.uint64(_LIMB_BITS),
        residues[2] | residues[3] << np.uint64(_LIMB_BITS),
    ]
    return _mix(np.stack(packed) ^ _seed(kind))


def _hash_int64(values: npt.NDArray[Any], *, scale: int = 0, kind: str) -> Lanes:
    signed = values.dtype.kind == "i"
    words = values.astype(np.int64 if signed else np.uint64).view(np.uint64)
    limbs = (words & np.uint64(0xFFFFFFFF), words >> np.uint64(_LIMB_BITS))
    return _hash_limbs(limbs, signed=signed, scale=scale, kind=kind)


def _hash_integers(array: pa.Array) -> Lanes:
    sign = "i" if pa.types.is_signed_integer(array.type) else "u"
    values = _fixed_width(array, f"{sign}{array.type.bit_width // 8}")
    return _hash_int64(values, kind="number")


def _hash_decimals(array: pa.Array) -> Lanes:
    width = array.type.bit_width // _LIMB_BITS
    table = _fixed_width(array, np.dtype((np.uint32, (width,))))
    limbs = [table[:, index].astype(np.uint64) for index in range(width)]
    return _hash_limbs(limbs, signed=True, scale=array.type.scale, kind="number")


def _hash_floats(array: pa.Array) -> Lanes:
    values = _fixed_width(array, f"f{array.type.bit_width // 8}").astype(np.float64)
    values[np.isnan(values)] = np.nan
    return _mix(values.view(np.uint64) ^ _seed("float"))


def _hash_booleans(array: pa.Array) -> Lanes:
    return _mix(_fixed_width(array.cast(pa.uint8()), "u1").astype(np.uint64) ^ _seed("bool"))


def _hash_temporal(array: pa.Array, *, kind: str) -> Lanes:
    if kind == "timestamp" and array.type.tz is not None:
        kind = "instant"
    values = _fixed_width(array, f"i{array.type.bit_width // 8}")
    return _hash_int64(values, scale=_DIGITS[array.type.unit], kind=kind)


def _hash_dates(array: pa.Array) -> Lanes:
    if pa.types.is_date64(array.type):
        return _hash_int64(_fixed_width(array, "i8"), kind="date")
    days = _fixed_width(array, "i4").astype(np.int64)
    return _hash_int64(days * _MILLISECONDS_PER_DAY, kind="date")


def _hash_intervals(array: pa.Array) -> Lanes:
    parts = np.dtype([("months", "i4"), ("days", "i4"), ("nanoseconds", "i8")])
    values = _fixed_width(array, parts)
    lanes = np.repeat(_seed("interval"), len(array), axis=1)
    for name in ("months", "days", "nanoseconds"):
        lanes = _mix(lanes ^ values[name].astype(np.int64).view(np.uint64))
    return lanes


def _hash_strings(array: pa.Array, *, kind: str) -> Lanes:
    if len(array) == 0:
        return np.empty((2, 0), np.uint64)
    if pa.types.is_fixed_size_binary(array.type):
        width = array.type.byte_width
        bounds = (np.arange(len(array) + 1, dtype=np.int64) + array.offset) * width
        data = array.buffers()[1]
    else:
        if array.type in {pa.string_view(), pa.binary_view()}:
            array = array.cast(pa.large_binary())
        wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
        _, offsets, data = array.buffers()
        dtype = np.int64 if wide else np.int32
        bounds = np.frombuffer(offsets, dtype, count=array.offset + len(array) + 1)
        bounds = bounds[array.offset :].astype(np.int64)
    # One window of the data, with room to read a whole word at its last byte.
    first, last = int(bounds[0]), int(bounds[-1])
    window = np.zeros(last - first + _WORD_BYTES, np.uint8)
    if last > first:
        window[:-_WORD_BYTES] = np.frombuffer(data, np.uint8, count=last)[first:]
    return _hash_bytes(window, bounds[:-1] - first, np.diff(bounds), kind)


def _hash_bytes(
    window: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    kind: str,
) -> Lanes:
    lanes = _mix(lengths.view(np.uint64) ^ _seed(kind))
    for row in np.flatnonzero(lengths > _LONG_BYTES):
        content = window[starts[row] : starts[row] + lengths[row]]
        digest = blake2b(content.data, digest_size=16).digest()
        lanes[:, row] ^= np.frombuffer(digest, "<u8")
    words: Words = np.ndarray((len(window) - _WORD_BYTES + 1,), "<u8", window, strides=(1,))
    rows = np.flatnonzero(lengths <= _LONG_BYTES)
    for at in range(0, _LONG_BYTES, _WORD_BYTES):
        rows = rows[lengths[rows] > at]
        if len(rows) == 0:
            break
        left = np.minimum(lengths[rows] - at, _WORD_BYTES)
        word = words[starts[rows] + at] & _TAIL_MASKS[left]
        lanes[:, rows] = _mix(lanes[:, rows] ^ word)
    return lanes


def _hash_sequences(elements: Lanes, bounds: npt.NDArray[np.int64], kind: str) -> Lanes:
    """Hash runs of elements; the run i lies between bounds[i] and bounds[i + 1]."""
    lengths = np.diff(bounds)
    positions = np.arange(elements.shape[1]) - np.repeat(bounds[:-1], lengths)
    keyed = _mix(elements ^ (positions.astype(np.uint64) * _GOLDEN))
    sums = np.zeros((2, elements.shape[1] + 1), np.uint64)
    np.cumsum(keyed, axis=1, out=sums[:, 1:])
    totals = sums[:, bounds[1:]] - sums[:, bounds[:-1]]
    return _mix(totals + _mix(lengths.view(np.uint64) ^ _seed(kind)))


def _hash_lists(array: pa.Array) -> Lanes:
    if pa.types.is_fixed_size_list(array.type):
        size = array.type.list_size
        elements = array.values.slice(array.offset * size, len(array) * size)
        bounds = np.arange(len(array) + 1, dtype=np.int64) * size
        return _hash_sequences(hash_values(elements), bounds, "list")
    bounds = array.offsets.to_numpy().astype(np.int64)
    elements = array.values.slice(bounds[0], bounds[-1] - bounds[0])
    return _hash_sequences(hash_values(elements), bounds - bounds[0], "list")


def _hash_list_views(array: pa.Array) -> Lanes:
    # Not by a cast to lists: Arrow's leaves offsets that run backwards where a NULL stands.
    starts = array.offsets.to_numpy().astype(np.int64)
    lengths = array.sizes.to_numpy().astype(np.int64)
    lengths[array.is_null().to_numpy(zero_copy_only=False)] = 0
    bounds = np.concatenate(([0], np.cumsum(lengths)))
    indices = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    return _hash_sequences(hash_values(array.values.take(pa.array(indices))), bounds, "list")


def _hash_maps(array: pa.Array) -> Lanes:
    bounds = array.offsets.to_numpy().astype(np.int64)
    count = bounds[-1] - bounds[0]
    # The names of a map's two fields differ between writers, and say nothing.
    pairs = [side.slice(bounds[0], count) for side in (array.keys, array.items)]
    entries = hash_rows(("key", "value"), pairs, count)
    return _hash_sequences(entries, bounds - bounds[0], "map")


def _hash_structs(array: pa.Array) -> Lanes:
    names = [field.name for field in array.type]
    columns = [array.field(index) for index in range(len(names))]
    return _mix(hash_rows(names, columns, len(array)) ^ _seed("struct"))


def _hash_dictionaries(array: pa.Array) -> Lanes:
    if not 0 < len(array.dictionary) < len(array):
        return hash_values(array.dictionary.take(array.indices))
    return hash_values(array.dictionary)[:, array.indices.fill_null(0).to_numpy()]


def _hash_run_ends(array: pa.Array) -> Lanes:
    return hash_values(pc.run_end_decode(array))


def _hash_nulls(array: pa.Array) -> Lanes:
    return np.repeat(_seed("null"), len(array), axis=1)


def is_text(type_: pa.DataType) -> bool:
    """Return whether values are Unicode text, in any of its three layouts."""
    return bool(
        pa.types.is_string(type_)
        or pa.types.is_large_string(type_)
        or pa.types.is_string_view(type_)
    )


def is_binary(type_: pa.DataType) -> bool:
    """Return whether values are bytes, in any of their four layouts."""
    return bool(
        pa.types.is_binary(type_)
        or pa.types.is_large_binary(type_)
        or pa.types.is_binary_view(type_)
        or pa.types.is_fixed_size_binary(type_)
    )


def _is_list(type_: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(type_)
        or pa.types.is_large_list(type_)
        or pa.types.is_fixed_size_list(type_)
    )


def _is_list_view(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(type_) or pa.types.is_large_list_view(type_))


def _is_interval(type_: pa.DataType) -> bool:
    return bool(type_ == pa.month_day_nano_interval())


_KINDS: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], Lanes]], ...] = (
    (pa.types.is_integer, _hash_integers),
    (pa.types.is_decimal, _hash_decimals),
    (pa.types.is_floating, _hash_floats),
    (pa.types.is_boolean, _hash_booleans),
    (pa.types.is_timestamp, partial(_hash_temporal, kind="timestamp")),
    (pa.types.is_time, partial(_hash_temporal, kind="time")),
    (pa.types.is_duration, partial(_hash_temporal, kind="duration")),
    (pa.types.is_date, _hash_dates),
    (_is_interval, _hash_intervals),
    (is_text, partial(_hash_strings, kind="text")),
    (is_binary, partial(_hash_strings, kind="binary")),
    (pa.types.is_map, _hash_maps),
    (_is_list, _hash_lists),
    (_is_list_view, _hash_list_views),
    (pa.types.is_struct, _hash_structs),
    (pa.types.is_dictionary, _hash_dictionaries),
    (pa.types.is_run_end_encoded, _hash_run_ends),
    (pa.types.is_null, _hash_nulls),
)
