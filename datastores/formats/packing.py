"""Whole-file compression of text formats: `.csv.gz`, `.jsonl.bz2`."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Mapping
from typing import IO, Any, cast

SUFFIXES: Mapping[str, str] = {"none": "", "gzip": ".gz", "bzip2": ".bz2"}
"""File name ending of each choice of the option `compression`."""

_OPENERS: Mapping[str, Any] = {"gzip": gzip.open, "bzip2": bz2.open}
# What the two raise for damaged or truncated data.
DAMAGED = (EOFError, OSError)


def unpacked(file: IO[bytes], compression: str) -> IO[bytes]:
    """Return the decompressed contents; both can be read from the start again."""
    opener = _OPENERS.get(compression)
    return cast("IO[bytes]", opener(file, "rb")) if opener else file


def packer(file: IO[bytes], compression: str) -> IO[bytes] | None:
    """Return what compresses into `file` and is to be closed before it; None for `none`."""
    if compression == "gzip":
        # No name and no time: the same rows give the same bytes.
        return cast("IO[bytes]", gzip.GzipFile("", fileobj=file, mode="wb", mtime=0))
    return bz2.BZ2File(file, mode="wb") if compression == "bzip2" else None
