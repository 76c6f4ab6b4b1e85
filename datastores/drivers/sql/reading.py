"""What every SQL driver checks of a read before it asks the server."""

from __future__ import annotations

from datastores.drivers.reading import ScanRequest
from datastores.drivers.sql.dialect import Dialect
from datastores.errors import ConfigurationError


def check_read(request: ScanRequest, dialect: Dialect) -> None:
    """Refuse a request that no engine could answer.

    Raises:
        ConfigurationError: Table and query at once or neither, impossible bounds, options of file
            stores, or a column named twice.
    """
    if (request.table is None) == (request.query is None):
        raise ConfigurationError("give a table or a query, and not both")
    if request.batch_rows < 1 or (request.limit is not None and request.limit < 0):
        raise ConfigurationError("batch_rows is at least 1, and limit at least 0")
    if request.format is not None or request.format_options:
        raise ConfigurationError(
            f"a table in {dialect.engine} has no file format",
            advice="Leave format and format_options out",
        )
    if request.columns is not None and (
        not request.columns or len(set(request.columns)) < len(request.columns)
    ):
        raise ConfigurationError("columns: name at least one, and each once")
    if len(set(request.split_by)) < len(request.split_by):
        raise ConfigurationError("split_by: name each column once")
