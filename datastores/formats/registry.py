"""From a format's name, or a file name's ending, to the format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datastores.errors import ConfigurationError, did_you_mean
from datastores.formats.arrow_ipc import ArrowFormat
from datastores.formats.base import Format
from datastores.formats.csv import CsvFormat
from datastores.formats.json_lines import JsonLinesFormat
from datastores.formats.packing import SUFFIXES
from datastores.formats.parquet import ParquetFormat

FORMATS: Mapping[str, type[Format]] = {
    one.name: one for one in (ParquetFormat, CsvFormat, JsonLinesFormat, ArrowFormat)
}
_PACKED: Mapping[str, str] = {suffix: name for name, suffix in SUFFIXES.items() if suffix}
_BY_SUFFIX: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    **{suffix: (name, {}) for name, one in FORMATS.items() for suffix in one.suffixes},
    ".tsv": ("csv", {"delimiter": "\t"}),
}


def format_of_path(path: str) -> str | None:
    """Return the name of the format that a file name's ending says, or None."""
    found = _BY_SUFFIX.get(_endings(path)[0])
    if found is None or (_endings(path)[1] and not FORMATS[found[0]].needs_sidecar):
        return None
    return found[0]


def known_ending(path: str) -> str:
    """Return the end of a name that says its format and packing, such as `.csv.gz`, or nothing."""
    if format_of_path(path) is None:
        return ""
    suffix, packed = _endings(path)
    return suffix + SUFFIXES.get(packed, "")


def open_format(name: str | None, path: str, options: Mapping[str, Any]) -> Format:
    """Return a format with its options.

    Args:
        name: As `format=` has it; None for what the path says.
        path: Of a file or a folder; an ending such as `.tsv` or `.csv.gz` implies options.
        options: `format_options`, which go before what the ending implies.

    Raises:
        ConfigurationError: An unknown name, ending or option; the message lists the known ones.
    """
    chosen = name or format_of_path(path)
    if chosen is None:
        known = ", ".join([*_BY_SUFFIX, *(f".csv{one}" for one in _PACKED)])
        raise ConfigurationError(
            f"the name {path!r} does not say a file format",
            advice=f"Give format=, or use one of the endings {known}",
        )
    if chosen not in FORMATS:
        raise ConfigurationError(
            f"no file format {chosen!r}", advice=did_you_mean(chosen, FORMATS, "Known are")
        )
    suffix, packed = _endings(path)
    suffix_name, implied = _BY_SUFFIX.get(suffix, (None, {}))
    defaults = dict(implied) if suffix_name == chosen else {}
    if packed and FORMATS[chosen].needs_sidecar:
        defaults["compression"] = packed
    return FORMATS[chosen].from_options({**defaults, **options})


def _endings(path: str) -> tuple[str, str]:
    """Return `.csv` and `gzip` for `a/b.csv.gz`, `.csv` and nothing for `a/b.csv`."""
    name = path.rstrip("/").rpartition("/")[2].lower()
    stem, dot, last = name.rpartition(".")
    if packed := _PACKED.get(dot + last):
        return f".{stem.rpartition('.')[2]}" if "." in stem else "", packed
    return dot + last, ""
