"""What the workspace file names."""

from __future__ import annotations

import click

from datastores.cli.options import common, example
from datastores.cli.records import print_record
from datastores.cli.text import print_table
from datastores.drivers.config import DriverConfig
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
                "place": _place(store.config),
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


def _place(config: DriverConfig) -> str:
    """Return what must be set for a store of this type: that says where it is.

    A driver says it better (`Driver.place`), and needs its service's package for it.
    """
    return "/".join(str(getattr(config, name)) for name in config.required_fields())
