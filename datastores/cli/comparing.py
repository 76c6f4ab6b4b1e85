"""The command `diff`: do two places hold the same rows, and if not, which differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from datastores.cli.conditions import parse_conditions
from datastores.cli.options import (
    columns_option,
    common,
    example,
    filter_option,
    given,
    names,
    rename_option,
    types_option,
    workers_option,
)
from datastores.cli.records import print_record
from datastores.cli.tables import scan_of
from datastores.display import visible
from datastores.workspace import Workspace

DIFFERENT = 1


@click.command(
    epilog=example(
        "datastores diff datastore://warehouse/public/orders datastore://files/orders/",
        "datastores diff datastore://files/a.csv datastore://warehouse/public/a \\",
        "    --type id=int64 --keys id --filter 'id < 1000'",
    )
)
@click.argument("one")
@click.argument("other")
@click.option(
    "--keys", metavar="A,B", callback=names, help="What tells rows apart; else a primary key."
)
@columns_option
@filter_option
@rename_option
@types_option
@workers_option
@common
@click.pass_context
def diff(
    context: click.Context,
    /,
    one: str,
    other: str,
    *,
    conditions: Sequence[str],
    file: str | None,
    as_json: bool,
    **words: Any,
) -> None:
    """Compare the rows of two places, and show the first keys that differ.

    ONE and OTHER are URLs. Columns, filters, new names and types are those of a copy from ONE to
    OTHER. Exits with 0 where the rows are equal and with 1 where they differ; only an error
    prints on stderr.
    """
    from datastores.transfer import verify

    with Workspace.load(file) as workspace:
        options = given(words)
        start, end = workspace.locate(one), workspace.locate(other)
        if conditions:
            options["filters"] = parse_conditions(conditions, scan_of(start, {}).schema)
        found = verify(start, end, **options)
    if as_json:
        print_record(found.to_dict())
    else:
        for line in str(found).splitlines():
            click.echo(f" {visible(line)}")
    if not found:
        context.exit(DIFFERENT)
