"""What a datastore is, below its calls: a config, its driver on first use, and both faces of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from datastores.display import html_table
from datastores.drivers.base import Driver, FileDriver, TableDriver, require
from datastores.drivers.registry import driver_class
from datastores.drivers.writing import JobEntry, rejects_job
from datastores.errors import ConfigurationError, DataError, NotFoundError, did_you_mean, located
from datastores.values import Capabilities

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from datastores.drivers.config import DriverConfig

Origin = tuple[Callable[..., "Store"], tuple[Any, ...]]


class Store:
    """One data service, opened on first use; safe to use from several threads."""

    @classmethod
    def from_config(
        cls,
        config: DriverConfig,
        *,
        name: str | None = None,
        origin: Origin | None = None,
        description: str = "",
        source: str | None = None,
    ) -> Self:
        """Return a datastore of a config that was read already.

        Args:
            config: Its paths are absolute.
            name: The name in its workspace.
            origin: How another process gets the same store: a function and its arguments.
            description: For people.
            source: The workspace file that names it.
        """
        self = cls.__new__(cls)
        self._set(config, name=name, origin=origin, description=description, source=source)
        return self

    def _set(
        self,
        config: DriverConfig,
        *,
        name: str | None,
        origin: Origin | None,
        description: str,
        source: str | None = None,
    ) -> None:
        self.config = config
        self.name = name
        self.description = description
        self.source = source
        """The workspace file that names it; None if it was made in code."""
        self._origin = origin
        self._driver: Driver | None = None
        self._opening = threading.Lock()

    @property
    def type(self) -> str:
        """The driver's type, such as `azure_blob`."""
        return self.config.type_name

    @property
    def label(self) -> str:
        """The name, or the type in angle brackets for a store that has none."""
        return self.name or f"<{self.type}>"

    @property
    def driver(self) -> Driver:
        """The driver, built on first use."""
        if self._driver is None:
            # Two drivers of one memory store would be two stores.
            with self._opening, self._located("open"):
                if self._driver is None:
                    self._driver = driver_class(self.type)(self.config)
        return self._driver

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do; calls that it cannot do fail before any I/O."""
        return self.driver.capabilities

    @property
    def filesystem(self) -> AbstractFileSystem:
        """The store as an fsspec filesystem: its own, or its tables shown as files."""
        driver = self.driver
        if isinstance(driver, FileDriver):
            return driver.filesystem
        from datastores.bridges.tables_as_files import TablesAsFiles

        return TablesAsFiles(self.tabular)

    @property
    def tabular(self) -> TableDriver:
        """The store as a table driver: its own, or its files read as tables."""
        driver = self.driver
        if isinstance(driver, TableDriver):
            return driver
        if isinstance(driver, FileDriver):
            from datastores.bridges.files_as_tables import FilesAsTables

            return FilesAsTables(driver)
        raise ConfigurationError(f"the driver {driver!r} is neither of files nor of tables")

    def refresh(self) -> None:
        """Forget what is kept of tables shown as files; writes through this library do so."""
        if isinstance(self._driver, TableDriver):
            from datastores.bridges.renderings import forget_renderings

            forget_renderings(self._driver)

    def jobs(self) -> Sequence[JobEntry]:
        """Return the writes and copies into this store that were begun and are not finished.

        Those that are being made now are among them. The same call of `copy` goes on from one.
        """
        with self._located("jobs"):
            return self.tabular.jobs()

    def clean(self, *jobs: str) -> Sequence[JobEntry]:
        """Forget jobs, and remove what they staged; what they published stays. Return what they were.

        At a file store a publish that was interrupted is finished first: some of it may show already.

        Args:
            *jobs: Their ids, whether they live or not; rejected rows that they staged here go too.
                Without any, all at which no process works, this one or another.

        Raises:
            NotFoundError: There is no such job.
            UnsupportedOperationError: None is named, and the store cannot tell which live.
        """
        with self._located("clean"):
            driver = self.tabular
            if not jobs:
                require(driver, "clean without a job's id", declared=self.capabilities.clean)
                return driver.clean()
            known = {one.job: one for one in driver.jobs()}
            for job in jobs:
                # A damaged journal tells nothing, and is forgotten all the same.
                if job not in known and not _is_damaged(driver, job):
                    raise NotFoundError(
                        f"no job {job!r}", advice=did_you_mean(job, known, "The jobs are")
                    )
            rejects = [one for one in map(rejects_job, jobs) if one in known]
            for job in (*jobs, *rejects):
                driver.forget_job(job)
            return [known[job] for job in (*jobs, *rejects) if job in known]

    def close(self) -> None:
        """Close what the store opened; using it again opens it again."""
        if self._driver is not None:
            self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @override
    def __repr__(self) -> str:
        return f"<Datastore {self.label} {self.type} {self.driver.place}>"

    def _repr_html_(self) -> str:
        rows = [
            ("name", self.label),
            ("type", self.type),
            ("place", self.driver.place),
            ("description", self.description),
        ]
        return html_table(("datastore", ""), [row for row in rows if row[1]])

    def _located(self, operation: str, target: str | None = None) -> AbstractContextManager[None]:
        return located(store=self.name, driver=self.type, operation=operation, target=target)


def _is_damaged(driver: TableDriver, job: str) -> bool:
    try:
        driver.find_job(job)
    except DataError:
        return True
    return False
