"""All that a report of an error may show of it."""

from __future__ import annotations

import traceback


def shown(error: BaseException) -> str:
    """Return all that a report with locals shows, causes and contexts included."""
    found = ""
    one: BaseException | None = error
    while one is not None:
        found += repr(one) + repr(vars(one)) + repr(one.args) + repr(getattr(one, "doc", ""))
        found += "".join(
            traceback.TracebackException.from_exception(one, capture_locals=True).format()
        )
        one = one.__cause__ or one.__context__
    return found
