"""The commands `secrets check` and `secrets set`: references that resolve, and a new value for one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from datastores.cli.failures import exit_code, report_error
from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.errors import DatastoreError
from datastores.secrets import Resolver, Secret, SecretFacts, SecretRef
from datastores.workspace import Workspace

_HEADS = ("store", "field", "reference", "version", "since", "expires", "")


@click.group()
def secrets() -> None:
    """Secrets that stores refer to: which references resolve, and a new value in a vault."""


@secrets.command(
    epilog=example("datastores secrets check", "datastores secrets check warehouse --json")
)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@common
@click.pass_context
def check(
    context: click.Context, /, *, names: tuple[str, ...], file: str | None, as_json: bool
) -> None:
    """Resolve the references of all stores, or of those named; no value is shown.

    Says which version of a vault's secret that is, since when it is there, and when it expires.
    Exits with the code of the first failure. With --json, one line for each reference.
    """
    with Workspace.load(file) as workspace:
        found = [
            (store, field, ref, _facts(ref))
            for store in names or workspace
            for field, ref in workspace[store].config.secret_refs().items()
        ]
    if as_json:
        for store, field, ref, facts in found:
            print_record({"store": store, "field": field, "reference": str(ref), **_plain(facts)})
    else:
        rows = [(store, field, str(ref), *_cells(facts)) for store, field, ref, facts in found]
        print_table(_HEADS, rows)
    failures = [(store, facts) for store, *_, facts in found if isinstance(facts, DatastoreError)]
    if not as_json:
        for store, error in failures:
            report_error(error, as_json=False, color=context.color, label=store)
    if failures:
        context.exit(exit_code(failures[0][1]))


@secrets.command("set", epilog=example("datastores secrets set acme-kv pg-loader < password.txt"))
@click.argument("vault", metavar="VAULT")
@click.argument("name", metavar="NAME")
@common
def set_(vault: str, name: str, file: str | None, *, as_json: bool) -> None:
    """Set the secret NAME in VAULT, one of the workspace file's vaults.

    The value is asked for, or read from standard input, without the line end it closes with. It is
    no argument, since those are seen by everybody on the machine and kept by the shell.
    """
    with Workspace.load(file) as workspace:
        key_vault, value = workspace.vault(vault), _value()
        if not value.reveal():
            raise click.UsageError("the value is empty: nothing was set")
        ref = key_vault.set(name, value)
    if as_json:
        print_record({"reference": str(ref), "version": ref.version})
    else:
        click.echo(f" {ref}")


def _value() -> Secret:
    if sys.stdin.isatty():
        return Secret(click.prompt("Value", hide_input=True, confirmation_prompt=True))
    return Secret(sys.stdin.read().removesuffix("\n").removesuffix("\r"))


def _facts(ref: SecretRef) -> SecretFacts | DatastoreError:
    try:
        return Resolver().describe(ref)
    except DatastoreError as error:
        return error


def _cells(facts: SecretFacts | DatastoreError) -> Iterator[str]:
    if isinstance(facts, DatastoreError):
        yield from ("", "", "", "no")
        return
    yield facts.version or ""
    for moment in (facts.created, facts.expires):
        yield f"{moment:%Y-%m-%d}" if moment else ""
    yield "ok"


def _plain(facts: SecretFacts | DatastoreError) -> dict[str, Any]:
    if isinstance(facts, DatastoreError):
        failure = {"type": type(facts).__name__, "message": facts.message, "advice": facts.advice}
        return {"failure": failure}
    return {
        "place": facts.place,
        "version": facts.version,
        "created": facts.created and facts.created.isoformat(),
        "expires": facts.expires and facts.expires.isoformat(),
    }
