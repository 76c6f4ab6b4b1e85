"""Between PostgreSQL's binary COPY and Arrow, in Python and NumPy: the definition of right.

`Decoder` and `Encoder` are the whole interface; a column is a name and a `Layout`. Values are
gathered and scattered a column at a time, over all rows of a batch at once.

Source: https://www.postgresql.org/docs/current/sql-copy.html (binary format)
"""

from datastores.drivers.azure_postgresql.codec.decode import Decoder
from datastores.drivers.azure_postgresql.codec.encode import Encoder
from datastores.drivers.azure_postgresql.codec.layout import Layout

__all__ = ["Decoder", "Encoder", "Layout"]
