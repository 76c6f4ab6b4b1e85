"""Between PostgreSQL's binary COPY and Arrow.

`Decoder` and `Encoder` are the whole interface; a column is a name and a `Layout`. There are two of
each: in Python and NumPy (`decode`, `encode`), the definition of right, which gathers and scatters
values a column at a time; and in C (`compiled`), used where it was built.

Source: https://www.postgresql.org/docs/current/sql-copy.html (binary format)
"""

import logging
import os

from datastores.drivers.azure_postgresql.codec.decode import Decoder
from datastores.drivers.azure_postgresql.codec.encode import Encoder
from datastores.drivers.azure_postgresql.codec.layout import Layout

__all__ = ["Decoder", "Encoder", "Layout"]

# For tests: `python` or `compiled`, and an ImportError where that one is missing.
_forced = os.environ.get("DATASTORES_POSTGRESQL_CODEC")
if _forced != "python":
    try:
        from datastores.drivers.azure_postgresql.codec.compiled import (
            Decoder,
            Encoder,
        )
    except ImportError as error:
        if _forced == "compiled":
            raise
        logging.getLogger(__name__).warning(
            "the compiled PostgreSQL codec is missing, so the slower one in Python is used: %s",
            error,
        )
