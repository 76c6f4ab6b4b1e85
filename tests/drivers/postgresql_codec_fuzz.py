"""Damaged input for the compiled codec, many times over; run it under AddressSanitizer: `nox -s fuzz`.

Usage: postgresql_codec_fuzz.py EXTENSION COUNT [SEED]. Every buffer ends exactly where its memory
does, so that a byte read or written beyond is seen.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import importlib.util
import random
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_NAME = "datastores.drivers.azure_postgresql.codec._compiled"
_COMPARED_EACH = 20
_LENGTHS = (b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x08")


def main(extension: Path, count: int, seed: int) -> None:
    native = load(extension)
    chance = random.Random(seed)  # noqa: S311  # nothing here is secret
    seeds = [Seed(chance) for _ in range(20)]
    done: Counter[str] = Counter()
    begin = time.monotonic()
    for at in range(count):
        one = chance.choice(seeds)
        match at % 10:
            case 8:
                done[f"encode: {one.encode_damaged(native, chance)}"] += 1
            case 9:
                done[f"fetch: {fetch(native, chance)}"] += 1
            case _:
                done[f"decode: {one.decode_damaged(native, chance)}"] += 1
        if at % _COMPARED_EACH == 0:
            done[f"both codecs: {one.compare(chance)}"] += 1
    print(f"{count:,} damaged inputs in {time.monotonic() - begin:.0f} s, seed {seed}")  # noqa: T201
    for what, times in sorted(done.items()):
        print(f"{times:>12,}  {what}")  # noqa: T201


def load(extension: Path) -> ModuleType:
    """Load the instrumented extension in place of the one that is installed."""
    loader = importlib.machinery.ExtensionFileLoader(_NAME, str(extension))
    spec = importlib.util.spec_from_file_location(_NAME, extension, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[_NAME] = module
    return module


def exact(data: bytes | bytearray) -> npt.NDArray[np.uint8]:
    """Return the bytes in memory of their own."""
    return np.frombuffer(data, np.uint8).copy()


class Seed:
    """Columns of many kinds, a batch of values, and the messages that it makes."""

    def __init__(self, chance: random.Random) -> None:
        from datastores.drivers.azure_postgresql.codec import compiled, encode
        from tests.drivers.postgresql_codec import rows_of

        layouts = _layouts(chance)
        self.columns = [(f"c{at}", one) for at, one in enumerate(layouts)]
        rows = chance.randint(1, 12)
        arrays = [_array(chance, one.arrow, rows) for one in layouts]
        self.batch = pa.RecordBatch.from_arrays(arrays, names=[name for name, _ in self.columns])
        made = b"".join(map(bytes, encode.Encoder(self.columns).messages([self.batch])))
        self.messages = rows_of(made, len(self.columns))
        self.shapes = compiled.Decoder(self.columns, 1)._shapes

    def decode_damaged(self, native: ModuleType, chance: random.Random) -> str:
        rows = [damaged(one, chance) for one in self.messages[1:-1]]
        data = exact(b"".join(rows))
        ends = np.cumsum([len(one) for one in rows])
        if chance.random() < 0.1:
            ends[chance.randrange(len(ends))] += chance.randint(-9, 9)
        found = native.decode(data, ends.astype(np.int64), self.shapes)
        return "refused" if found is None else "taken"

    def encode_damaged(self, native: ModuleType, chance: random.Random) -> str:
        arrays: list[tuple[Any, ...]] = []
        for (_, layout), array in zip(self.columns, self.batch.columns, strict=True):
            if layout.kind not in native.KINDS:
                sizes = np.array([chance.randint(-2, 9) for _ in range(len(array))], np.int64)
                arrays.append((0, None, sizes, np.zeros(len(array), np.int64)))
                continue
            stored = array.storage if isinstance(array, pa.ExtensionArray) else array
            validity, *rest = (
                None if one is None else one.to_pybytes() for one in stored.buffers()
            )
            offsets, values = rest if len(rest) > 1 else (None, rest[0])
            first = chance.choice([0] * 9 + [1, -1, 2**40])
            parts = [
                None
                if one is None
                else exact(damaged(one, chance) if chance.random() < 0.2 else one)
                for one in (validity, values, offsets)
            ]
            arrays.append((first, *parts))
        found = native.encode(self.batch.num_rows, self.shapes, tuple(arrays))
        return "refused" if found is None else "taken"

    def compare(self, chance: random.Random) -> str:
        from tests.drivers.postgresql_codec import TWINS, decoded

        sent = [damaged(one, chance) for one in self.messages]
        first, second = (decoded(twin, self.columns, sent, 5) for twin in TWINS)
        assert first.error == second.error, (sent, first.error, second.error)
        assert repr(first.values) == repr(second.values), sent
        return "the same values" if first.error is None else "the same error"


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Return bytes with a little wrong, or now and then as they were."""
    changed = bytearray(data)
    for _ in range(chance.choice([0, 0, 0, 0, 0, 0, 1, 1, 2])):
        at = chance.randrange(len(changed) + 1)
        match chance.randrange(6):
            case 0:
                del changed[at:]
            case 1:
                changed[at:at] = chance.randbytes(chance.randint(1, 9))
            case 2:
                changed[at : at + 4] = chance.choice(_LENGTHS)
            case 3:
                changed[:] = chance.randbytes(chance.randint(0, 99))
            case 4:
                changed *= 2
            case _ if at < len(changed):
                changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _layouts(chance: random.Random) -> list[Any]:
    from datastores.drivers.azure_postgresql.codec import Layout
    from datastores.drivers.azure_postgresql.types import LEAVES

    known = [Layout(kind=kind, arrow=arrow) for kind, arrow in LEAVES.values()]
    for precision, scale in [(3, 3), (9, 0), (15, 2), (38, 10), (50, 50), (76, 3)]:
        make = pa.decimal128 if precision <= 38 else pa.decimal256
        known.append(Layout(kind="numeric", arrow=make(precision, scale)))
    of_integers = Layout(
        kind="array",
        arrow=pa.list_(pa.int32()),
        element=Layout(kind="int4", arrow=pa.int32()),
        element_oid=23,
        dimensions=1,
    )
    kinds = {one.kind: one for one in known}
    of_fields = Layout(
        kind="record",
        arrow=pa.struct([(kind, kinds[kind].arrow) for kind in ("int4", "text", "timetz")]),
        fields=tuple((at, kinds[kind]) for at, kind in enumerate(("int4", "text", "timetz"))),
    )
    money = Layout(kind="money", arrow=pa.decimal128(19, 2))
    return chance.sample([*known, of_integers, of_fields, money], chance.randint(1, 8))


def _array(chance: random.Random, type_: pa.DataType, rows: int) -> pa.Array:
    if isinstance(type_, pa.BaseExtensionType):
        return type_.wrap_array(_array(chance, type_.storage_type, rows))
    nulls = [chance.random() < 0.2 for _ in range(rows)]
    if pa.types.is_list(type_):
        return pa.array(
            [None if no else [1, None, 3][: chance.randint(0, 3)] for no in nulls], type_
        )
    if pa.types.is_struct(type_):
        children = [_array(chance, field.type, rows) for field in type_]
        if type_.get_field_index("offset") >= 0:
            offsets = [chance.randint(-57_599, 57_599) for _ in nulls]
            children = [children[0].fill_null(0), pa.array(offsets, pa.int32())]
        return pa.StructArray.from_arrays(children, fields=list(type_), mask=pa.array(nulls))
    if pa.types.is_string(type_) or pa.types.is_binary(type_):
        texts = ["", "a", "{}", "déjà vu", "x" * 100]
        return pa.array([None if no else chance.choice(texts) for no in nulls], pa.string()).cast(
            type_
        )
    if pa.types.is_boolean(type_):
        return pa.array([None if no else chance.random() < 0.5 for no in nulls], type_)
    width = type_.bit_width // 8
    data = b"".join(
        (chance.randint(0, 900) * 1000).to_bytes(width, "little") if width > 2 else b"\1\0"
        for _ in range(rows)
    )
    if pa.types.is_interval(type_):
        data = b"".join(
            struct.pack("<iiq", 1, -2, chance.randint(-9, 9) * 1000) for _ in range(rows)
        )
    if pa.types.is_decimal(type_):
        # No more than money has.
        limit = 2**63 if type_.precision == 19 else 10**type_.precision
        numbers = (
            chance.randrange(limit) // 10 ** chance.randrange(type_.precision) for _ in range(rows)
        )
        data = b"".join(one.to_bytes(width, "little", signed=True) for one in numbers)
    bits = pa.array([not no for no in nulls]).buffers()[1] if any(nulls) else None
    return pa.Array.from_buffers(type_, rows, [bits, pa.py_buffer(data)])


def fetch(native: ModuleType, chance: random.Random) -> str:
    """Let `fetch` read rows of any size out of a libpq that is not one."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    rows = [
        chance.randbytes(chance.choice([0, 1, 2, 3, 9, 70])) for _ in range(chance.randint(0, 9))
    ]
    if chance.random() < 0.5:
        rows.append(b"\xff\xff")
    ended = chance.choice([-1, -2])

    def get_copy_data(_: int, row: Any, __: int) -> int:
        while rows and not rows[0]:
            rows.pop(0)
        if not rows:
            return ended
        data = rows.pop(0)
        place = libc.malloc(len(data))
        ctypes.memmove(place, data, len(data))
        row[0] = place
        return len(data)

    get = ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int
    )(get_copy_data)
    # There is no socket: its options are not to be had.
    socket = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: -1)
    addresses = [ctypes.cast(one, ctypes.c_void_p).value for one in (get, socket, libc.free)]
    state, used, row, left = native.fetch(
        (addresses[0], 0, *addresses[1:]),
        0,
        np.empty(chance.randint(0, 99), np.uint8),
        0,
        np.empty(chance.randint(0, 5), np.int64),
        0,
    )
    assert used >= 0
    assert row >= 0
    return f"state {state}{', one row left' if left is not None else ''}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1)
