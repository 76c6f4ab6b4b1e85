"""Whether the stores of the workspace can be used, and why not."""

from __future__ import annotations

import click

from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import one_line, print_table
from datastores.workspace import Workspace

_FAILED = 1


@click.command(epilog=example("datastores check", "datastores check warehouse --json"))
@click.argument("name", required=False)
@common
@click.pass_context
def check(context: click.Context, name: str | None, file: str | None, *, as_json: bool) -> None:
    """Try each store, or the one of that NAME: reach it, sign in, read, and write.

    What is written is never published, and removed again. Ends with code 1 if a store fails.
    """
    from datastores import check as checks
    from datastores.drivers.network import Stage

    with Workspace.load(file) as workspace:
        chosen = {name: workspace[name]} if name else dict(workspace.items())
        found = {one: (store, checks.check(store)) for one, store in chosen.items()}
    if as_json:
        for one, (store, result) in found.items():
            words = {str(stage): result.word(stage) for stage in Stage}
            error = None if result.error is None else str(result.error)
            print_record(
                {"store": one, "type": store.type, "ok": result.ok, **words, "error": error}
            )
    else:
        rows = [
            (one, store.type, store.config.where, *(result.word(stage) for stage in Stage))
            for one, (store, result) in found.items()
        ]
        print_table(("store", "type", "where", *Stage), rows)
        for one, (_, result) in found.items():
            if result.error is not None:
                click.echo(f"\n {one}: {one_line(str(result.error))}.")
    if not all(result.ok for _, result in found.values()):
        context.exit(_FAILED)
