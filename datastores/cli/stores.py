"""What the workspace file names."""

from __future__ import annotations

import click

from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.workspace import Workspace


@click.command(epilog=example("datastores stores", "datastores stores --file embedded --json"))
@common
def stores(file: str | None, *, as_json: bool) -> None:
    """List the datastores of the workspace: name, type, place and description.

    Nothing is connected to. With --json, one line for each.
    """
    with Workspace.load(file) as workspace:
        found = [
            {
                "name": name,
                "default": name == workspace.default_name,
                "type": store.type,
                "place": store.config.where,
                "description": store.description,
            }
            for name, store in workspace.items()
        ]
    if as_json:
        for one in found:
            print_record(one)
        return
    rows = [
        (
            one["name"],
            "default" if one["default"] else "",
            one["type"],
            one["place"],
            one["description"],
        )
        for one in found
    ]
    print_table(("name", "", "type", "place", "description"), rows)
