"""The command `explain`: which credentials a store has, and what became of each."""

from __future__ import annotations

import click

from datastores.cli.failures import exit_code, report_error
from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.workspace import Workspace


@click.command(epilog=example("datastores explain warehouse", "datastores explain lake --json"))
@click.argument("name", metavar="NAME")
@common
@click.pass_context
def explain(context: click.Context, /, *, name: str, file: str | None, as_json: bool) -> None:
    """Say how the store NAME signs in: which credential is tried, in which order, and what came of it.

    For a reference where the secret is, which version and how old; below it the vault, and each
    credential that was asked for a token, with the reason of those that had none. Then the sign-in
    itself, as `check` tries it. No secret is shown. Exits with the code of the first failure.
    """
    from datastores.explanation import explain as explained

    with Workspace.load(file) as workspace:
        found = explained(workspace[name])
    if as_json:
        print_record(found.to_dict())
    else:
        for line in str(found).splitlines():
            click.echo(f" {line}".rstrip())
        for error in found.failures:
            report_error(error, as_json=False, color=context.color)
    if found.failures:
        context.exit(exit_code(found.failures[0]))
