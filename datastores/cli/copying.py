"""The command `cp`: every word of `copy`, as an option."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from datastores.cli.cluster import on_dask
from datastores.cli.conditions import parse_conditions
from datastores.cli.display import copy_shown, print_plan
from datastores.cli.options import (
    columns_option,
    common,
    drift_option,
    example,
    filter_option,
    given,
    names,
    option_pairs,
    rejects_option,
    rename_option,
    report_file,
    types_option,
    unfit_option,
    value_pairs,
    workers_option,
)
from datastores.cli.records import print_record
from datastores.cli.signals import StopSignals
from datastores.cli.tables import scan_of
from datastores.datastore import Datastore, StorePath
from datastores.drivers.base import FileDriver
from datastores.errors import AlreadyExistsError, ConfigurationError
from datastores.scan import Scan
from datastores.values import WriteMode
from datastores.workspace import Workspace

# What narrows or describes the source, which the schema that filters are read by depends on.
_SOURCE_WORDS = ("source_format", "source_format_options")

_MODES_FOR_EXISTING = (WriteMode.APPEND, WriteMode.REPLACE, WriteMode.UPSERT)

_OPTIONS = (
    click.option(
        "--mode",
        type=click.Choice([str(one) for one in WriteMode]),
        default=None,
        help="What happens to a target that exists; create: an error.  [default: create]",
    ),
    click.option("--keys", metavar="A,B", callback=names, help="What identifies a row, to upsert."),
    columns_option,
    filter_option,
    click.option(
        "--cursor",
        metavar="COLUMN",
        help="Copy the rows above the greatest value of the last copy, which the target remembers.",
    ),
    click.option(
        "--new-files",
        is_flag=True,
        help="Copy the files of a folder or glob that the target was not given yet; it remembers them.",
    ),
    click.option(
        "--modified-since",
        metavar="TIME",
        help="Copy the files that were modified then or later, such as 2026-11-01T00:00:00Z.",
    ),
    click.option(
        "--path-column", metavar="NAME", help="Add a column that holds the file of each row."
    ),
    click.option(
        "--archive",
        metavar="FOLDER",
        help="Move the files there, in the source's store, once they were copied; with --new-files.",
    ),
    click.option(
        "--split-by",
        metavar="A,B",
        callback=names,
        help="Columns of the source whose ranges divide the rows between workers.",
    ),
    rename_option,
    types_option,
    click.option(
        "--partition-by", metavar="A,B", callback=names, help="Columns that become folders."
    ),
    click.option("--rows-per-file", type=click.IntRange(min=1), metavar="N", help="At most."),
    click.option("--format", help="Of the target's files, where their names do not tell."),
    click.option(
        "--format-option",
        "format_options",
        metavar="NAME=VALUE",
        multiple=True,
        callback=option_pairs,
    ),
    click.option("--source-format", help="Of the source's files, where their names do not tell."),
    click.option(
        "--source-format-option",
        "source_format_options",
        metavar="NAME=VALUE",
        multiple=True,
        callback=option_pairs,
        help="Such as infer=true or delimiter=; for CSV.",
    ),
    click.option(
        "--query",
        "sql",
        metavar="SQL",
        help="Copy its rows; SOURCE is then the store it runs on: NAME or datastore://NAME.",
    ),
    click.option(
        "--param",
        "parameters",
        metavar="NAME=VALUE",
        multiple=True,
        callback=value_pairs,
        help="The value of :NAME in the query.",
    ),
    workers_option,
    click.option(
        "--dask",
        metavar="tcp://HOST:PORT",
        help="Let the workers of this Dask scheduler copy; they find the secrets themselves.",
    ),
    click.option("--verify", is_flag=True, help="Read the target back, and compare."),
    click.option(
        "--job", metavar="ID", help="Names the job; else its id follows from what is copied where."
    ),
    click.option(
        "--report",
        "report_file",
        metavar="FILE",
        type=click.Path(dir_okay=False, writable=True, path_type=Path),
        callback=report_file,
        help="Write what was done there: a page for a browser (.html), or JSON (.json).",
    ),
    click.option("--dry-run", is_flag=True, help="Show the plan, and write nothing."),
)


def _options(command: Any) -> Any:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(
    epilog=example(
        "datastores cp datastore://warehouse/public/flights datastore://files/flights/ \\",
        "    --partition-by month --workers 2 --verify",
        "datastores cp datastore://files/a.csv datastore://warehouse/public/a \\",
        "    --source-format-option infer=true --mode replace",
        "datastores cp datastore://files/in/ datastore://warehouse/public/orders \\",
        "    --mode create_append --new-files --archive done",
        'datastores cp --query "from orders where day = :d" --param d=2026-05-01 \\',
        "    warehouse datastore://files/day.parquet",
    )
)
@click.argument("source")
@click.argument("target")
@_options
@unfit_option
@rejects_option
@drift_option
@common
@click.pass_obj
def cp(  # noqa: PLR0913  # one for each word that copy itself does not take
    signals: StopSignals,
    /,
    source: str,
    target: str,
    *,
    sql: str | None,
    parameters: Mapping[str, Any] | None,
    conditions: Sequence[str],
    report_file: Path | None,
    dask: str | None,
    dry_run: bool,
    file: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Copy a table, files or a query's rows, whole or not at all.

    SOURCE and TARGET are URLs. The plan is shown first. After an error or Ctrl-C the target
    is as it was; after Ctrl-C, or an error that may pass, the same command goes on from the parts
    that were finished, and `datastores jobs` shows and forgets them.
    """
    from datastores.transfer import copy, plan_copy

    if dry_run and report_file is not None:
        raise click.UsageError("--report goes without --dry-run, which copies nothing")
    with Workspace.load(file) as workspace, contextlib.ExitStack() as stack:
        # Where the name in --rejects is looked up.
        options = {"workspace": workspace, **given(words)}
        if dask is not None:
            options = {**stack.enter_context(on_dask(dask)), **options}
        start, end = _source(workspace, source, sql, parameters), workspace.locate(target)
        if conditions:
            options["filters"] = parse_conditions(conditions, _rows_of(start, options).schema)
        with _modes_advised(end.store):
            if dry_run:
                plan = plan_copy(start, end, **options)
                if as_json:
                    print_record(plan.to_dict())
                else:
                    print_plan(plan, details=True)
                return
            if as_json:
                report = copy(start, end, **options)
                print_record(report.to_dict())
            else:
                report = copy_shown(signals, start, end, **options)
    if report_file is not None:
        text = report.to_json() if report_file.suffix == ".json" else report.to_html()
        report_file.write_text(text, encoding="utf-8")


def _source(
    workspace: Workspace, source: str, sql: str | None, parameters: Mapping[str, Any] | None
) -> StorePath | Scan:
    if sql is None:
        if parameters:
            raise click.UsageError("--param goes with --query")
        return workspace.locate(source)
    place = workspace.locate(source) if "://" in source else StorePath(workspace[source], "")
    if place.path:
        raise ConfigurationError(
            f"with --query the source is a whole store, and {source} names a place in it",
            advice=f"Write {place.store.label}, and the place in the query",
        )
    return place.store.query(sql, parameters)


def _rows_of(start: StorePath | Scan, options: Mapping[str, Any]) -> Scan:
    if isinstance(start, Scan):
        return start
    return scan_of(start, {name: options[name] for name in _SOURCE_WORDS if name in options})


@contextlib.contextmanager
def _modes_advised(target: Datastore) -> Iterator[None]:
    """Say of an existing target which modes of its store would write to it, as options."""
    try:
        yield
    except AlreadyExistsError as error:
        modes = [one for one in _MODES_FOR_EXISTING if one in target.capabilities.write_modes]
        words = ["upsert --keys …" if one is WriteMode.UPSERT else str(one) for one in modes]
        if isinstance(target.driver, FileDriver):
            words = ["replace", "--mode append for a folder"]
        *others, last = words
        error.advice = f"Say --mode {', '.join(others)} or {last}; nothing was changed"
        raise
