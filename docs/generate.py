"""Writes the parts of docs/ that the code knows best: `python docs/generate.py`, or `nox -s docs`."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from datastores import errors
from datastores.drivers.azure_postgresql.stored import to_postgresql
from datastores.drivers.azure_postgresql.type_table import type_table
from datastores.drivers.base import FileDriver
from datastores.drivers.config import DriverConfig
from datastores.drivers.registry import built_in_types, driver_class
from datastores.errors import DatastoreError
from datastores.types.text import describe_type
from datastores.values import WriteMode

DOCS = Path(__file__).parent
_EXTRA = re.compile(r"extra == ['\"](.+?)['\"]")
_NOTE = "<!-- Written by docs/generate.py; change the code, then run: nox -s docs -->"


def drivers() -> str:
    """Return the page of what each driver takes and can do."""
    types = built_in_types()
    needs = importlib.metadata.requires("datastores") or []
    extras = {match[1] for one in needs if (match := _EXTRA.search(one))}
    rows = []
    for name in types:
        driver = driver_class(name)
        able = driver.capabilities
        rows.append(
            [
                f"`{name}`",
                "files" if issubclass(driver, FileDriver) else "tables",
                *(str(able.write_modes.get(mode, "no")) for mode in WriteMode),
                str(able.snapshot),
                _yes(able.query),
                _yes(able.split_by),
                _yes(able.writable_files),
                _yes(able.processes),
                _yes(able.on_unfit),
            ]
        )
    able_to = ("snapshot", "query", "split_by", "writable", "processes", "on_unfit")
    heads = ["type", "kind", *map(str, WriteMode), *able_to]
    lines = [
        "# Drivers",
        "",
        _NOTE,
        "",
        "What each can do, from its `capabilities`, which every call is checked against before any",
        "I/O. A write mode is `atomic` where readers see all of the old content or all of the new.",
        "`snapshot` is what parallel readers of one table share, `split_by` whether the caller may name",
        "the columns that divide rows between them, `writable` whether files can be written,",
        "`processes` whether other processes may read and write parts, `on_unfit` whether a user may",
        "choose what becomes of values that cannot be held.",
        "",
        *_table(heads, rows),
        "",
        "## Settings",
        "",
        "As they stand in a workspace file, below `type`.",
    ]
    for name in types:
        config = driver_class(name).config_type
        lines += ["", f"### {name}", "", f"{inspect.getdoc(config)}", ""]
        lines += _table(["setting", "default"], _settings(config))
        if name in extras:
            lines += ["", f"Install it with `pip install 'datastores[{name}]'`."]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Return the page of every error."""
    rows = [
        [
            f"`{kind.__name__}`",
            ", ".join(f"`{base.__name__}`" for base in _builtin_bases(kind)),
            _yes(kind.transient),
            (inspect.getdoc(kind) or "").partition("\n")[0],
        ]
        for kind in _error_classes()
    ]
    lines = [
        "# Errors",
        "",
        _NOTE,
        "",
        "Every error is a `datastores.DatastoreError`, and most are a built-in error too. Its text says",
        "what happened and what to do; its attributes are `store`, `driver`, `operation`, `target` and",
        "`advice`. Where `transient` is true, the same call may succeed when it is made again.",
        "",
        *_table(["error", "also a", "transient", "meaning"], rows),
    ]
    return "\n".join(lines) + "\n"


def azure_postgresql() -> str:
    """Return the page of PostgreSQL, whose prose stands in it and whose tables are made anew."""
    text = DOCS.joinpath("drivers/azure_postgresql.md").read_text(encoding="utf-8")
    driver = driver_class("azure_postgresql")
    able = driver.capabilities
    abilities = [
        *([f"`{mode}`", str(able.write_modes.get(mode, "no"))] for mode in WriteMode),
        ["snapshot that parallel readers share", str(able.snapshot)],
        ["queries", _yes(able.query)],
        ["readers divided by columns that the caller names (`split_by`)", _yes(able.split_by)],
        ["parts read and written by other processes", _yes(able.processes)],
        ["a choice for values that cannot be held (`on_unfit`)", _yes(able.on_unfit)],
        ["jobs that nobody works at are told from living ones (`clean`)", _yes(able.clean)],
    ]
    parts = {
        "settings": _table(["setting", "default"], _settings(driver.config_type)),
        "capabilities": _table(["what", "how"], abilities),
        "types": _table(
            ["PostgreSQL", "Arrow", "", "note"],
            [
                [f"`{one.postgresql}`", f"`{one.arrow}`", str(one.verdict), one.note]
                for one in type_table()
            ],
        ),
        "arrow types": _table(
            ["Arrow", "PostgreSQL"],
            [[f"`{describe_type(one)}`", f"`{to_postgresql(one, '').type}`"] for one in _ARROW],
        ),
    }
    for name, lines in parts.items():
        mark = f"<!-- {name}, from docs/generate.py -->"
        before, _, rest = text.partition(mark)
        _, end, after = rest.partition("<!-- end -->")
        text = "\n".join([f"{before}{mark}", "", *lines, "", f"{end}{after}"])
    return text


# What users bring, one of each kind.
_ARROW = (
    *(pa.bool_(), pa.int8(), pa.int64(), pa.uint8(), pa.uint32(), pa.uint64(), pa.float16()),
    *(pa.float64(), pa.decimal128(18, 2), pa.string(), pa.string_view(), pa.binary()),
    *(pa.dictionary(pa.int32(), pa.string()), pa.uuid(), pa.json_(), pa.date32(), pa.date64()),
    *(pa.time64("us"), pa.time64("ns"), pa.timestamp("us"), pa.timestamp("ns", "UTC")),
    *(pa.duration("us"), pa.month_day_nano_interval(), pa.list_(pa.int32())),
    pa.list_(pa.list_(pa.int32())),
)

PAGES: Mapping[str, Callable[[], str]] = {
    "drivers.md": drivers,
    "errors.md": errors_page,
    "drivers/azure_postgresql.md": azure_postgresql,
}


def _settings(config: type[DriverConfig]) -> Iterator[list[str]]:
    for one in config.settings():
        nested = "credentials." if one.metadata.get("nested") else ""
        default = "required" if one.default is dataclasses.MISSING else f"`{one.default!r}`"
        yield [f"`{nested}{one.name}`", default]


def _error_classes() -> list[type[DatastoreError]]:
    found = [one for one in vars(errors).values() if inspect.isclass(one)]
    return [one for one in found if issubclass(one, DatastoreError) and one is not DatastoreError]


def _builtin_bases(kind: type[DatastoreError]) -> list[type]:
    plain = [one for one in kind.__mro__ if one.__module__ == "builtins"]
    own = [one for one in plain if one not in DatastoreError.__mro__]
    # OSError below FileNotFoundError goes without saying.
    return [one for one in own if not any(issubclass(two, one) for two in own if two is not one)]


def _yes(answer: bool) -> str:  # noqa: FBT001  # a cell
    return "yes" if answer else "no"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]] | Iterator[list[str]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


if __name__ == "__main__":
    for place, page in PAGES.items():
        DOCS.joinpath(place).write_text(page(), encoding="utf-8")
