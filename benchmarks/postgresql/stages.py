"""What a run is given and what it leaves: reading, to Parquet, and into a table from one or from Parquet."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from typing_extensions import override

from benchmarks.harness import Contender, Figures, Scenario, Stage
from benchmarks.postgresql.contenders import ours
from benchmarks.postgresql.server import BenchmarkServer

ROW_GROUP_ROWS = 131_072
"""Of the Parquet files that anybody writes: our own default."""


class Reading(Stage):
    """Rows are read and dropped; the contender counts them."""

    def __init__(self, server: BenchmarkServer) -> None:
        self.server = server

    @override
    def before(self, scenario: Scenario, contender: Contender) -> Mapping[str, Any]:
        url = self.server.url
        return {
            "warm_up": {"url": url, "table": self.server.warm_up_table(scenario.table)},
            "measured": {
                "url": url,
                "table": self.server.table(scenario.table, contender.fraction),
            },
        }

    @override
    def after(self, scenario: Scenario, contender: Contender) -> Figures:
        return {}

    @override
    def server_cpu_seconds(self) -> float:
        return self.server.cpu_seconds()


class ToParquet(Reading):
    """Rows become files in a folder of the run's own; they are counted and weighed afterwards."""

    def __init__(self, server: BenchmarkServer, folder: Path) -> None:
        super().__init__(server)
        self._folder = folder / "written"

    @override
    def before(self, scenario: Scenario, contender: Contender) -> Mapping[str, Any]:
        given = super().before(scenario, contender)
        for name, one in given.items():
            place = self._folder / name
            place.mkdir(parents=True)
            one["folder"] = str(place)
        return given

    @override
    def after(self, scenario: Scenario, contender: Contender) -> Figures:
        files = list((self._folder / "measured").rglob("*.parquet"))
        figures = {
            "rows": float(sum(pq.read_metadata(one).num_rows for one in files)),
            "file_bytes": float(sum(one.stat().st_size for one in files)),
        }
        shutil.rmtree(self._folder)
        return figures


class IntoTable(Reading):
    """Rows become a table, which are counted afterwards; then it is dropped."""

    @override
    def before(self, scenario: Scenario, contender: Contender) -> Mapping[str, Any]:
        given = super().before(scenario, contender)
        for name, one in given.items():
            one["target"] = f"result_{name}"
        self.server.settle()
        return given

    @override
    def after(self, scenario: Scenario, contender: Contender) -> Figures:
        found = self.server.run("SELECT to_regclass('result_measured') IS NOT NULL")
        rows = 0
        if found == [(True,)]:
            [(count,)] = self.server.run("SELECT count(*) FROM result_measured")
            rows = int(str(count))
        self.server.run("DROP TABLE IF EXISTS result_measured, result_warm_up")
        self.server.settle()
        return {"rows": float(rows)}


class FromParquet(IntoTable):
    """The rows are those of one file."""

    def __init__(self, server: BenchmarkServer, folder: Path, *, make_table: bool) -> None:
        super().__init__(server)
        self._folder = folder
        self._make_table = make_table

    @override
    def before(self, scenario: Scenario, contender: Contender) -> Mapping[str, Any]:
        given = super().before(scenario, contender)
        # Who sends ready bytes needs a table that is there.
        make = self._make_table or contender.call.endswith("raw:write")
        for one in given.values():
            source = one["table"]
            one["file"] = str(self._file(source))
            one["table"] = one.pop("target")
            if make:
                self.server.run(f"CREATE TABLE {one['table']} (LIKE {source})")
        self.server.settle()
        return given

    def _file(self, table: str) -> Path:
        path = self._folder / f"{table}.parquet"
        if not path.exists():
            self._folder.joinpath("result.parquet").unlink(missing_ok=True)
            ours.to_parquet(self.server.url, table, str(self._folder), workers=1)
            self._folder.joinpath("result.parquet").rename(path)
            self.server.save_copy(table, path.with_suffix(".parquet.copy"))
        return path
