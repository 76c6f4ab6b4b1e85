"""Commands on files and folders of any store."""

from __future__ import annotations

import base64
import dataclasses
import shutil
import sys
from typing import Any

import click

from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.datastore import StorePath
from datastores.display import format_bytes
from datastores.errors import ConfigurationError
from datastores.values import FileInfo
from datastores.workspace import Workspace

_CHUNK_BYTES = 1 << 20


@click.command(
    epilog=example(
        "datastores ls datastore://files/raw/",
        "datastores ls -r datastore://files --json",
        "datastores ls datastore://warehouse/public    tables, as files",
    )
)
@click.argument("url")
@click.option("-r", "--recursive", is_flag=True, help="All files below the folder.")
@common
def ls(url: str, *, recursive: bool, file: str | None, as_json: bool) -> None:
    """List a folder: size, time of the last change in UTC, and path.

    With --json, one line for each file or folder.
    """
    with Workspace.load(file) as workspace:
        place = workspace.locate(url)
        found = place.store.list(place.path, recursive=recursive)
    if as_json:
        for one in found:
            print_record(_plain(place, one))
        return
    print_table(("size", "modified", "path"), map(_row, found))


@click.command(epilog=example("datastores cat datastore://files/raw/a.csv | head -3"))
@click.argument("url")
@common
def cat(url: str, *, file: str | None, as_json: bool) -> None:
    """Print a file's bytes as they are.

    With --json they stand in one object: as text if they are UTF-8, else as base64.
    """
    with Workspace.load(file) as workspace:
        place = workspace.locate(url)
        if as_json:
            print_record({"url": str(place), **_content(place.store.read(place.path))})
            return
        with place.store.open(place.path) as reader:
            shutil.copyfileobj(reader, sys.stdout.buffer, _CHUNK_BYTES)


@click.command(epilog=example("datastores stat datastore://files/raw/a.csv"))
@click.argument("url")
@common
def stat(url: str, *, file: str | None, as_json: bool) -> None:
    """Show what is known of one file or folder."""
    with Workspace.load(file) as workspace:
        place = workspace.locate(url)
        plain = _plain(place, place.store.stat(place.path))
    if as_json:
        print_record(plain)
        return
    print_table(("", ""), [(name, one) for name, one in plain.items() if one is not None])


@click.command(
    epilog=example(
        "datastores rm datastore://files/raw/a.csv",
        "datastores rm -r --yes datastore://files/raw/",
    )
)
@click.argument("url")
@click.option("-r", "--recursive", is_flag=True, help="A folder, with all that is in it.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before a folder is deleted.")
@common
def rm(url: str, *, recursive: bool, yes: bool, file: str | None, as_json: bool) -> None:
    """Delete a file, or with -r a folder, after asking.

    Where nobody can be asked, as in a script, a folder is deleted only with --yes.
    """
    with Workspace.load(file) as workspace:
        place = workspace.locate(url)
        is_folder = not place.path or place.store.stat(place.path).is_folder
        if is_folder and not recursive:
            raise ConfigurationError(
                f"{url} is a folder", advice="Say -r to delete it with all that is in it"
            )
        if is_folder and not yes:
            _confirm(place)
        place.store.delete(place.path, recursive=recursive)
    if as_json:
        print_record({"deleted": str(place)})
    else:
        click.echo(f" deleted {place}")


def _confirm(place: StorePath) -> None:
    count = len(place.store.list(place.path, recursive=True))
    what = f"{place} and the {count:,} {'file' if count == 1 else 'files'} in it"
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"{what} are deleted only on a yes, and nobody can be asked here",
            advice="Say --yes if you mean it; nothing was deleted",
        )
    click.confirm(f" delete {what}?", abort=True, err=True)


def _plain(place: StorePath, info: FileInfo) -> dict[str, Any]:
    plain = dataclasses.asdict(info)
    plain["modified"] = info.modified.isoformat() if info.modified else None
    path = f"{info.path}/" if info.is_folder else info.path
    return {"url": str(StorePath(place.store, path)), **plain}


def _row(info: FileInfo) -> tuple[str, str, str]:
    modified = info.modified.strftime("%Y-%m-%d %H:%M:%S") if info.modified else ""
    size = format_bytes(info.size)
    return (size.rjust(6), modified, f"{info.path}/" if info.is_folder else info.path)


def _content(data: bytes) -> dict[str, str]:
    try:
        return {"encoding": "utf-8", "content": data.decode()}
    except UnicodeDecodeError:
        return {"encoding": "base64", "content": base64.b64encode(data).decode()}
