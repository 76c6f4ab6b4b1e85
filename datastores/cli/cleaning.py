"""The command `clean`: what killed copies left staged in a store is removed, and shown."""

from __future__ import annotations

import click

from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.display import format_bytes
from datastores.workspace import Workspace


@click.command(epilog=example("datastores clean warehouse", "datastores clean warehouse --json"))
@click.argument("name", metavar="NAME")
@common
def clean(name: str, file: str | None, *, as_json: bool) -> None:
    """Remove what killed copies left staged in a store.

    Copies that still run are left alone, wherever they do. With --json, one line for each that
    was removed.
    """
    with Workspace.load(file) as workspace:
        removed = workspace[name].clean()
    if as_json:
        for one in removed:
            print_record(
                {
                    "store": name,
                    "job": one.job,
                    "target": one.target,
                    "began": one.began.isoformat(),
                    "bytes": one.bytes,
                }
            )
    elif removed:
        rows = [
            (one.job, one.target, f"{one.began:%Y-%m-%d %H:%M}", format_bytes(one.bytes))
            for one in removed
        ]
        print_table(("job", "target", "since (UTC)", "size"), rows)
    else:
        click.echo(f" nothing was left in {name}")
