"""Commands on tables of any store: of a database, or of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from datastores.cli.conditions import parse_conditions
from datastores.cli.options import (
    columns_option,
    common,
    example,
    filter_option,
    format_of_source,
    given,
    unfit_option,
    value_pairs,
)
from datastores.cli.records import print_record, print_rows
from datastores.cli.text import print_table
from datastores.datastore import Datastore, StorePath
from datastores.drivers.base import FileDriver, require
from datastores.location import SCHEME
from datastores.scan import Scan, schema_rows
from datastores.values import OnUnfit, TableName
from datastores.workspace import Workspace


@click.command(
    epilog=example(
        "datastores tables warehouse",
        "datastores tables datastore://warehouse/public",
        "datastores tables datastore://files/orders/ --json",
    )
)
@click.argument("store", metavar="NAME|URL")
@common
def tables(store: str, *, file: str | None, as_json: bool) -> None:
    """List the tables of a store, a schema or a folder.

    With --json, one line for each.
    """
    with Workspace.load(file) as workspace:
        place = workspace.locate(store) if "://" in store else StorePath(workspace[store], "")
        found = place.store.tables(place.path.strip("/") or None)
        rows = [(one, _url(place.store, one)) for one in found]
    if as_json:
        for name, url in rows:
            print_record({"name": name.name, "schema": name.schema, "url": url})
        return
    # A path is not written with the escapes that keep a table's name apart from its schema's.
    is_path = isinstance(place.store.driver, FileDriver)
    print_table(
        ("table", "URL"), [(name.name if is_path else str(name), url) for name, url in rows]
    )


@click.command(
    epilog=example(
        "datastores schema datastore://warehouse/public/orders",
        "datastores schema datastore://files/orders.csv --format-option infer=true",
    )
)
@click.argument("url")
@format_of_source
@common
def schema(url: str, *, file: str | None, as_json: bool, **options: Any) -> None:
    """Show a table's columns: the exact Arrow type, and the type at the source."""
    with Workspace.load(file) as workspace:
        rows = schema_rows(scan_of(workspace.locate(url), given(options)).schema)
    if as_json:
        keys = ("name", "type", "source_type", "null")
        columns = [dict(zip(keys, row, strict=True)) for row in rows]
        print_record({"url": url, "columns": [_column(one) for one in columns]})
        return
    print_table(("column", "type", "source type", "null"), rows)


@click.command(
    epilog=example(
        "datastores head datastore://warehouse/public/orders",
        'datastores head -n 3 datastore://files/orders/ --columns id,total --filter "total > 100"',
    )
)
@click.argument("url")
@click.option("-n", "rows", type=click.IntRange(min=0), default=10, show_default=True)
@columns_option
@filter_option
@unfit_option
@format_of_source
@common
def head(  # one for each option
    url: str,
    *,
    rows: int,
    conditions: Sequence[str],
    columns: Sequence[str] | None,
    on_unfit: OnUnfit | None,
    file: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Print a table's first rows.

    With --json, one line for each row; decimals, dates, times and bytes are text there.
    """
    with Workspace.load(file) as workspace:
        place = workspace.locate(url)
        narrowed = given({**options, "columns": columns, "on_unfit": on_unfit})
        if conditions:
            narrowed["filters"] = parse_conditions(
                conditions, scan_of(place, given(options)).schema
            )
        print_rows(scan_of(place, narrowed).head(rows).to_reader(), as_json=as_json)


@click.command(
    epilog=example(
        'datastores query warehouse "select count(*) from public.orders"',
        'datastores query warehouse "from orders where day = :d" --param d=2026-05-01 --json',
        "datastores query files \"select * from 'raw/orders.parquet' limit 3\"",
    )
)
@click.argument("name")
@click.argument("sql")
@click.option(
    "--param",
    "parameters",
    metavar="NAME=VALUE",
    multiple=True,
    callback=value_pairs,
    help="The value of :NAME in the query: a number, true, null, an ISO date, else text; "
    "'in quotes' always text.",
)
@unfit_option
@common
def query(
    name: str,
    sql: str,
    *,
    parameters: Mapping[str, Any] | None,
    on_unfit: OnUnfit | None,
    file: str | None,
    as_json: bool,
) -> None:
    """Print the rows of a query on the store NAME, as they come.

    Values are bound, never pasted into the SQL. With --json, one line for each row.
    """
    with Workspace.load(file) as workspace:
        rows = workspace[name].query(sql, parameters, on_unfit=on_unfit)
        print_rows(rows.reader(), as_json=as_json)


def scan_of(place: StorePath, options: Mapping[str, Any]) -> Scan:
    """Return the rows at a place, narrowed by the words that `copy` has for its source."""
    from datastores.transfer.endpoints import row_source

    source = row_source(place, dict(options))  # type: ignore[arg-type]  # its words by name
    if options.get("on_unfit"):
        declared = source.driver.capabilities.on_unfit
        require(source.driver, "scan with on_unfit", declared=declared, target=source.label)
    return Scan(source.driver, source.request, store=source.store, label=source.label)


def _url(store: Datastore, table: TableName) -> str:
    if isinstance(store.driver, FileDriver):
        return str(StorePath(store, table.name))
    return f"{SCHEME}://{store.label}/{table.path}"


def _column(row: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": row["name"],
        "type": row["type"],
        "source_type": row["source_type"] or None,
        "nullable": not row["null"],
    }
