"""The command `check`: can each store be used from here, and if not, what is missing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import click

from datastores.cli.failures import exit_code, report_error
from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.workspace import Workspace

if TYPE_CHECKING:
    from datastores.check import StoreCheck


@click.command(epilog=example("datastores check", "datastores check warehouse --json"))
@click.argument("names", metavar="[NAME]...", nargs=-1)
@common
@click.pass_context
def check(
    context: click.Context, /, *, names: tuple[str, ...], file: str | None, as_json: bool
) -> None:
    """Try each store, or those named: name, TCP, TLS, sign-in, read and write.

    A small file or table is staged and removed again. Exits with the code of the first failure.
    With --json, one line for each store.
    """
    from datastores.check import HEADS, check_store

    with Workspace.load(file) as workspace:
        stores = [workspace[name] for name in names or workspace]
        # Each may wait for a server that does not answer.
        with ThreadPoolExecutor(max(len(stores), 1)) as pool:
            found = list(pool.map(check_store, stores))
    if as_json:
        for one in found:
            print_record(_plain(one))
    else:
        print_table(HEADS, [one.row() for one in found])
    failures = [error for one in found for error in one.failures.values()]
    if not as_json:
        # Reading and writing may fail for one reason, which is said once.
        said = {(error.store, str(error)): error for error in failures}
        for error in said.values():
            report_error(error, as_json=False, color=context.color, label=error.store or "error")
    if failures:
        context.exit(exit_code(failures[0]))


def _plain(found: StoreCheck) -> dict[str, Any]:
    return {
        "store": found.store,
        "type": found.type,
        "place": found.place,
        "stages": {stage: str(outcome) for stage, outcome in found.outcomes.items()},
        "details": {stage: text for stage, text in found.details.items() if text},
        "failures": {
            stage: {"type": type(error).__name__, "message": error.message, "advice": error.advice}
            for stage, error in found.failures.items()
        },
    }
