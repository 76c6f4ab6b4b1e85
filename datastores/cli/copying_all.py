"""The command `cp-all`: the tables of a store, schema or folder, in the order of their foreign keys."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from datastores.cli.options import (
    common,
    drift_option,
    example,
    given,
    option_pairs,
    rejects_option,
    report_file,
    unfit_option,
    workers_option,
)
from datastores.cli.records import print_record
from datastores.cli.signals import StopSignals
from datastores.datastore import StorePath
from datastores.display import visible
from datastores.values import WriteMode
from datastores.workspace import Workspace

if TYPE_CHECKING:
    from datastores.transfer import CopyAllPlan, CopyReport

# Those that need no word for each table.
_MODES = (WriteMode.CREATE, WriteMode.APPEND, WriteMode.REPLACE, WriteMode.CREATE_APPEND)


@click.command(
    "cp-all",
    epilog=example(
        "datastores cp-all warehouse datastore://files/backup/ --exclude 'scratch.*'",
        "datastores cp-all datastore://files/backup/ warehouse --mode replace --verify",
        "datastores cp-all datastore://warehouse/shop datastore://other/copy --dry-run",
    ),
)
@click.argument("source")
@click.argument("target")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Of schema.table, such as 'shop.*'; again for more. A view by its whole name.",
)
@click.option("--exclude", metavar="GLOB", multiple=True, help="Not these; again for more.")
@click.option(
    "--mode",
    type=click.Choice([str(one) for one in _MODES]),
    default=None,
    help="What happens to each target that exists; create: an error.  [default: create]",
)
@click.option("--rows-per-file", type=click.IntRange(min=1), metavar="N", help="At most.")
@click.option("--format", help="Of the target's files; else Parquet.")
@click.option(
    "--format-option",
    "format_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=option_pairs,
)
@workers_option
@click.option("--verify", is_flag=True, help="Read each target back, and compare.")
@click.option("--job", metavar="ID", help="Names the call for one that goes on from it.")
@click.option(
    "--report",
    "report_file",
    metavar="FILE.json",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    callback=report_file,
    help="Write what was done there, as JSON.",
)
@click.option("--dry-run", is_flag=True, help="Show the tables in their order, and copy nothing.")
@unfit_option
@rejects_option
@drift_option
@common
@click.pass_obj
def cp_all(
    signals: StopSignals,
    /,
    source: str,
    target: str,
    *,
    report_file: Path | None,
    dry_run: bool,
    file: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Copy the tables of a store, schema or folder, each whole or not at all.

    SOURCE and TARGET are NAMEs of stores, or URLs of a schema or folder in one. What other tables
    refer to comes first. The first error stops: what is copied stays, and the same command goes on.
    """
    from datastores.transfer import copy_all, plan_copy_all

    if dry_run and report_file is not None:
        raise click.UsageError("--report goes without --dry-run, which copies nothing")
    if report_file is not None and report_file.suffix != ".json":
        raise click.UsageError("the report of many tables is JSON: name a file that ends in .json")
    with Workspace.load(file) as workspace:
        # Where the name in --rejects is looked up.
        options = {"workspace": workspace, **given(words)}
        ends = [_place(workspace, one) for one in (source, target)]
        if dry_run:
            plan = plan_copy_all(*ends, **options)
            if as_json:
                print_record(plan.to_dict())
            else:
                _print([*str(plan).splitlines(), "", "nothing was copied"])
            return
        if not as_json:
            options |= {"on_plan": _show_plan, "on_table": _show_table}
        try:
            report = copy_all(*ends, **options)
        except BaseException as error:
            if signals.stopped_by is not None:
                click.echo(f" stopped: {'; '.join(getattr(error, '__notes__', []))}", err=True)
            raise
    if as_json:
        print_record(report.to_dict())
    else:
        _print(["", *report.summary()])
    if report_file is not None:
        report_file.write_text(report.to_json(), encoding="utf-8")


def _place(workspace: Workspace, text: str) -> StorePath:
    return workspace.locate(text) if "://" in text else StorePath(workspace[text], "")


def _show_plan(plan: CopyAllPlan) -> None:
    _print([*plan.summary(), ""])


def _show_table(report: CopyReport) -> None:
    count = report.files if report.rows is None else report.rows
    amount = f"{count:,} {'files' if report.rows is None else 'rows'}"
    done = "by an earlier call" if report.plan.is_earlier else f"done in {report.seconds:.1f} s"
    _print([f"{report.target}  {amount}  {done}"])


def _print(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(f" {visible(line)}".rstrip())
