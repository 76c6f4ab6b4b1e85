"""The commands `jobs list`, `resume` and `clean`: copies that were begun and did not end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import click

from datastores.cli.display import copy_shown
from datastores.cli.failures import report_warning
from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.signals import StopSignals
from datastores.cli.text import print_table
from datastores.datastore import Datastore
from datastores.display import format_bytes
from datastores.drivers.writing import JobEntry, rejects_job
from datastores.errors import ConfigurationError, DatastoreError, NotFoundError
from datastores.workspace import Workspace

Found = tuple[Datastore, JobEntry]


@click.group()
def jobs() -> None:
    """Copies that were begun and did not end: list them, go on from one, or forget it."""


@jobs.command("list", epilog=example("datastores jobs list", "datastores jobs list warehouse"))
@click.argument("names", metavar="[NAME]...", nargs=-1)
@common
def list_(names: tuple[str, ...], file: str | None, *, as_json: bool) -> None:
    """Show the unfinished jobs of stores; of all stores if none is named.

    Those that are being made just now are among them.
    """
    with Workspace.load(file) as workspace:
        _show(list(_jobs(workspace, names, as_json=as_json)), as_json=as_json)


@jobs.command(epilog=example("datastores jobs resume 7c3e41ab90d2"))
@click.argument("job", metavar="ID")
@common
@click.pass_obj
def resume(signals: StopSignals, /, job: str, *, file: str | None, as_json: bool) -> None:
    """Go on from a job, as the same `cp` would."""
    from datastores.transfer import copy
    from datastores.transfer.journal import call_of

    with Workspace.load(file) as workspace:
        _, entry = _find(workspace, job, as_json=as_json)
        source, target, options = call_of(entry)
        ends = workspace.locate(source), workspace.locate(target)
        # Its id follows from the arguments, unless the user chose it.
        words: Any = {**options, "job": job, "workspace": workspace}
        if as_json:
            print_record(copy(*ends, **words).to_dict())
        else:
            copy_shown(signals, *ends, **words)


@jobs.command(
    epilog=example("datastores jobs clean 7c3e41ab90d2", "datastores jobs clean --store warehouse")
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--store", metavar="NAME", help="Where; else the ids are looked for in all stores.")
@common
def clean(ids: tuple[str, ...], *, store: str | None, file: str | None, as_json: bool) -> None:
    """Forget jobs, and remove what they staged; what they published stays.

    A publish into files that was interrupted is finished first: some of it may show already.

    Without an ID all jobs of --store at which no process works, where the store can tell.
    """
    if not ids and store is None:
        raise click.UsageError("name a job's ID, or a --store")
    with Workspace.load(file) as workspace:
        if store is not None:
            there = workspace[store]
            removed = [(there, one) for one in there.clean(*ids)]
        else:
            found = [_find(workspace, one, as_json=as_json) for one in ids]
            removed = [(there, one) for there, job in found for one in there.clean(job.job)]
            # Rejected rows may wait in another store.
            rejects = {rejects_job(one) for one in ids}
            for there, job in list(_jobs(workspace, (), as_json=as_json)):
                if job.job in rejects:
                    removed += [(there, one) for one in there.clean(job.job)]
        _show(removed, as_json=as_json)


def _jobs(workspace: Workspace, names: Sequence[str], *, as_json: bool) -> Iterator[Found]:
    for name in names or workspace:
        store = workspace[name]
        try:
            yield from ((store, one) for one in store.jobs())
        except DatastoreError as error:
            if names:
                raise
            # The others may be reached all the same.
            report_warning(f"{name}: {error}", as_json=as_json, color=None)


def _find(workspace: Workspace, job: str, *, as_json: bool) -> Found:
    found = [one for one in _jobs(workspace, (), as_json=as_json) if one[1].job == job]
    if not found:
        raise NotFoundError(
            f"no job {job!r} in any store", advice="datastores jobs list shows what there is"
        )
    if len(found) > 1:
        stores = ", ".join(store.label for store, _ in found)
        raise ConfigurationError(
            f"job {job!r} is in several stores: {stores}", advice="Name one with --store"
        )
    return found[0]


def _show(found: Sequence[Found], *, as_json: bool) -> None:
    if as_json:
        for store, one in found:
            print_record(
                {
                    "store": store.label,
                    "job": one.job,
                    "target": one.target,
                    "state": str(one.state),
                    "began": one.began.isoformat(),
                    "parts": len(one.receipts),
                    "bytes": one.bytes,
                }
            )
    elif found:
        rows = [
            (
                store.label,
                one.job,
                one.target,
                str(one.state),
                f"{one.began:%Y-%m-%d %H:%M}",
                f"{len(one.receipts):,}",
                format_bytes(one.bytes),
            )
            for store, one in found
        ]
        print_table(("store", "job", "target", "state", "since (UTC)", "parts", "size"), rows)
    else:
        click.echo(" no job")
