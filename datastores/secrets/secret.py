"""A secret value that shows itself only when asked to."""

from __future__ import annotations

import hmac
from typing import NoReturn

from typing_extensions import override

from datastores.errors import ConfigurationError


class Secret:
    """A password, key or token; prints as `Secret(***)` and refuses to be pickled.

    Only a driver's `client.py` calls `reveal`, in the call that opens the connection.
    """

    __slots__ = ("_reveal",)

    def __init__(self, value: str) -> None:
        # A closure and not an attribute: `vars`, debuggers and locals-printing tracebacks show
        # attribute values, but not what a function has closed over.
        def reveal() -> str:
            return value

        self._reveal = reveal

    def reveal(self) -> str:
        """Return the value itself."""
        return self._reveal()

    @override
    def __repr__(self) -> str:
        return "Secret(***)"

    @override
    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # A variable of the environment may hold bytes that are not UTF-8, as surrogates.
        mine, theirs = (one.reveal().encode(errors="surrogatepass") for one in (self, other))
        return hmac.compare_digest(mine, theirs)

    __hash__ = None  # type: ignore[assignment]  # a hash would let a value be guessed offline

    @override
    def __reduce__(self) -> NoReturn:
        raise ConfigurationError(
            "a literal secret is not pickled",
            advice="Give the datastore a reference (env:NAME, file:PATH or a Key Vault reference)",
        )
