from typing import Any, TypeAlias

Shape: TypeAlias = tuple[str, int, int, int, int, int, int]

KINDS: tuple[str, ...]

def decode(
    data: Any, ends: Any, shapes: tuple[Shape, ...], /
) -> list[tuple[int, bytes | None, bytes | None, bytes | None, bool]] | None: ...
def encode(
    rows: int, shapes: tuple[Shape, ...], arrays: tuple[tuple[int, Any, Any, Any], ...], /
) -> bytearray | None: ...
def fetch(
    functions: tuple[int, int, int, int],
    connection: int,
    data: Any,
    used: int,
    ends: Any,
    row: int,
    /,
) -> tuple[int, int, int, bytes | None]: ...
