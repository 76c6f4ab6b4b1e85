"""One tool, value by value, in a process of its own, since some end it.

Reads a JSON list of steps from standard input, and prints a line of JSON for each: what a value
came as, or how it was refused.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib import import_module
from typing import Any

from benchmarks.postgresql.scorecard.render import render
from benchmarks.postgresql.scorecard.sent import SENT

_MESSAGE_CHARACTERS = 200


def main(call: str, url: str) -> None:
    warnings.simplefilter("ignore")
    module, _, name = call.partition(":")
    function = getattr(import_module(module), name)
    for step in json.load(sys.stdin):
        try:
            answer = _answer(function, url, step)
        except Exception as error:  # noqa: BLE001  # whatever it raises is its refusal
            answer = {"refused": _message(error)}
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            # What a panic in Rust becomes in Python.
            answer = {"panic": _message(error)}
        print(json.dumps(answer), flush=True)


def _answer(function: Any, url: str, step: dict[str, Any]) -> dict[str, Any]:
    if "sent" in step:
        function(url, step["table"], SENT[step["sent"]].table())
        return {"written": True}
    return render(function(url, step["table"])).to_dict()


def _message(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:_MESSAGE_CHARACTERS]


if __name__ == "__main__":
    main(*sys.argv[1:])
