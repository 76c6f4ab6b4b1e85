"""What every command takes, and how the words of a command line become values."""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import click

from datastores.values import Drift, OnUnfit

Command = TypeVar("Command", bound=Callable[..., Any])
_REPORTS = (".html", ".json")


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def common(command: Command) -> Command:
    """Add `--file` and `--json` to a command."""
    file_option = click.option(
        "-f",
        "--file",
        metavar="PATH",
        help="The workspace file, or `embedded`; else $DATASTORES_FILE and the usual places.",
    )
    return file_option(json_option(command))


def format_of_source(command: Command) -> Command:
    """Add `--format` and `--format-option`, for commands that read one table."""
    for option in (
        click.option(
            "--format-option",
            "source_format_options",
            metavar="NAME=VALUE",
            multiple=True,
            callback=option_pairs,
            help="Such as delimiter=; (again for more).",
        ),
        click.option("--format", "source_format", help="Of files whose name does not tell it."),
    ):
        command = option(command)
    return command


def policies(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> OnUnfit | None:
    """Return what repeated `column=policy`, or one `policy` for all other columns, say."""
    if not texts:
        return None
    # No policy has an equals sign, and a name may.
    split = [text.rpartition("=") for text in texts]
    everywhere = [policy for name, _, policy in split if not name]
    if len(everywhere) > 1:
        raise click.BadParameter("more than one policy for all columns")
    named = _pairs([text for text in texts if "=" in text], str, last=True)
    columns = OnUnfit.parse(named).columns
    return dataclasses.replace(OnUnfit.parse("".join(everywhere) or None), columns=columns)


def unfit_option(command: Command) -> Command:
    """Add `--on-unfit`, for commands that read or write tables."""
    return click.option(
        "--on-unfit",
        metavar="[COLUMN=]POLICY",
        multiple=True,
        callback=policies,
        help="What becomes of values that the other side cannot hold: raise, null, text or reject; "
        "again for other columns.",
    )(command)


rejects_option = click.option(
    "--rejects",
    metavar="URL",
    help="Where rejected rows go, with the reasons: a table or a folder to add to, or a new file. "
    "Alone it says --on-unfit reject.",
)


def drift_option(command: Command) -> Command:
    """Add `--drift`, for commands that write to tables that may exist."""
    return click.option(
        "--drift",
        type=click.Choice([str(one) for one in Drift]),
        default=None,
        help="What becomes of columns that are not those of a target that exists; evolve adds and widens "
        "them there.  [default: an error for other names, and each value is tried]",
    )(command)


def example(*lines: str) -> str:
    """Return the epilog of a command's help: commands that work as they stand."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def names(_: click.Context, __: click.Parameter, text: str | None) -> list[str] | None:
    """Return the names in `a,b,c`; a name with a comma stands in double quotes."""
    if text is None:
        return None
    found = [one.strip() for one in next(csv.reader([text], skipinitialspace=True), [])]
    if not all(found) or not found:
        raise click.BadParameter(f"{text!r} is not a list of names such as a,b")
    return found


def pairs(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> dict[str, str] | None:
    """Return what repeated `name=text` say, or None if there is none."""
    return _pairs(texts, str) if texts else None


def value_pairs(
    _: click.Context, __: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any] | None:
    """Return what repeated `name=value` say; values as `value_of` reads them."""
    return _pairs(texts, value_of) if texts else None


def option_pairs(
    _: click.Context, __: click.Parameter, texts: tuple[str, ...]
) -> dict[str, Any] | None:
    r"""Return the format options in repeated `name=value`; values are JSON, else text.

    The word `\t`, which a shell does not turn into a tab, is one.
    """
    read = functools.partial(_json_or_text, parse_float=float)
    return _pairs([one.replace(r"\t", "\t") for one in texts], read) if texts else None


def report_file(_: click.Context, __: click.Parameter, file: Path | None) -> Path | None:
    """Return where a report goes, if its name says as what and its folder is there."""
    if file is not None and file.suffix not in _REPORTS:
        raise click.BadParameter(f"{str(file)!r} ends in none of {', '.join(_REPORTS)}")
    if file is not None and not file.parent.is_dir():
        raise click.BadParameter(f"there is no folder {str(file.parent)!r}")
    return file


def value_of(text: str) -> Any:
    """Return a number, `true`, `false`, `null` or ISO date or time as such, all else as text.

    Numbers with a fraction are decimals, which hold what was written. `'...'` and `"..."` are
    text whatever they hold.
    """
    if len(text) > 1 and text[0] == text[-1] == "'":
        return text[1:-1]
    value = _json_or_text(text, parse_float=Decimal)
    if value != text:
        return value
    for parse in (date.fromisoformat, datetime.fromisoformat):
        with contextlib.suppress(ValueError):
            return parse(text)
    return text


def _json_or_text(text: str, *, parse_float: Callable[[str], Any]) -> Any:
    try:
        return json.loads(text, parse_float=parse_float, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def _pairs(
    texts: tuple[str, ...] | list[str], read: Callable[[str], Any], *, last: bool = False
) -> dict[str, Any]:
    """Return what `name=value` say; with `last` it is the last equals sign that counts."""
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.rpartition("=") if last else text.partition("=")
        if not separator or not name.strip():
            raise click.BadParameter(f"{text!r} is not name=value")
        if name.strip() in found:
            raise click.BadParameter(f"{name.strip()!r} is given twice")
        found[name.strip()] = read(value)
    return found


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the user gave: a copy treats one that is absent differently."""
    return {name: value for name, value in options.items() if value not in (None, (), False)}


columns_option = click.option(
    "--columns", metavar="A,B", callback=names, help="Which, in this order."
)
filter_option = click.option(
    "--filter",
    "conditions",
    metavar="TEXT",
    multiple=True,
    help='Which rows: "total > 100", "carrier in UA,AA", "day is not null"; again for AND.',
)
rename_option = click.option("--rename", metavar="OLD=NEW", multiple=True, callback=pairs)
types_option = click.option(
    "--type",
    "types",
    metavar="NAME=TYPE",
    multiple=True,
    callback=pairs,
    help='By new name, such as "total=decimal(18,2)"; a value that does not fit is an error.',
)
workers_option = click.option(
    "--workers", type=click.IntRange(min=1), metavar="N", help="How many at once."
)
