"""What a failed command prints, and the code it exits with."""

from __future__ import annotations

import json
import os
import textwrap
import traceback
from collections.abc import Mapping
from typing import Any

import click

from datastores.cli.text import WIDTH, one_line
from datastores.errors import (
    AlreadyExistsError,
    AuthenticationError,
    ConfigurationError,
    DataError,
    DatastoreError,
    NotFoundError,
    PermissionDeniedError,
    SchemaMismatchError,
    UnsupportedOperationError,
)

MAX_LINES = 3
CLOSED_PIPE = 141
_TRANSIENT = 6
_OTHER = 1

# The first that fits decides.
_CODES: Mapping[type[BaseException], int] = {
    click.UsageError: 2,
    click.Abort: 2,
    ConfigurationError: 2,
    UnsupportedOperationError: 2,
    NotFoundError: 3,
    AlreadyExistsError: 4,
    PermissionDeniedError: 5,
    AuthenticationError: 5,
    DataError: 7,
    SchemaMismatchError: 7,
}

EXIT_CODES_HELP = """\
Exit codes:
    0  done
    1  another error; of diff: the two differ
    2  the command, the workspace file or a setting is wrong
    3  not found
    4  the target exists already
    5  no permission, or the sign-in failed
    6  may pass: a connection, a deadline or a rate limit; the same command may succeed later
    7  a value or column that cannot be held exactly, or a copy that is not what was sent
  130  stopped by Ctrl-C          143  stopped by SIGTERM
  141  the reader of the output went away, as `head` does"""


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error, as `EXIT_CODES_HELP` has it."""
    if isinstance(error, DatastoreError) and error.transient:
        return _TRANSIENT
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), _OTHER)


def report_error(
    error: BaseException, *, as_json: bool, color: bool | None, label: str = "error"
) -> None:
    """Print an error on stderr: at most three lines after its label, or one JSON object."""
    if os.environ.get("DATASTORES_DEBUG"):
        click.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    plain = _plain(error)
    notes = getattr(error, "__notes__", [])
    if as_json:
        click.echo(json.dumps({**plain, "notes": notes}, ensure_ascii=False), err=True)
        return
    _echo(label, "red", [plain["message"], plain["advice"], *notes], color=color)


def report_warning(message: Warning | str, *, as_json: bool, color: bool | None) -> None:
    """Print a warning on stderr, without the source line that Python would show."""
    if as_json:
        plain = {"type": type(message).__name__, "message": str(message)}
        click.echo(json.dumps(plain, ensure_ascii=False), err=True)
        return
    _echo("warning", "yellow", [str(message)], color=color)


def _plain(error: BaseException) -> dict[str, Any]:
    """Return the error's type, message, advice and context."""
    plain: dict[str, Any] = {"type": type(error).__name__, "message": str(error), "advice": None}
    plain |= {"store": None, "operation": None, "target": None, "transient": False}
    match error:
        case DatastoreError():
            context = error.context()
            del context["driver"]
            plain |= {"message": error.message, "transient": error.transient, **context}
        case click.Abort():
            plain |= {"message": "not confirmed", "advice": "Nothing was changed"}
        case click.ClickException():
            message = error.format_message()
            plain["message"] = f"{message[:1].lower()}{message[1:]}"
            if isinstance(error, click.UsageError) and error.ctx is not None:
                plain["advice"] = f"Try: {error.ctx.command_path} --help"
        case _:
            plain["message"] = f"unexpected {type(error).__name__}: {error}"
            plain["advice"] = "DATASTORES_DEBUG=1 shows where it came from"
    return plain


def _echo(label: str, colour: str, sentences: list[str | None], *, color: bool | None) -> None:
    head = f" {label}: "
    ended = [_sentence(one_line(one)) for one in sentences if one]
    shown = click.style(head, fg=colour, bold=True) + _layout(ended, len(head))
    click.echo(shown, err=True, color=color)


def _layout(sentences: list[str], indent: int) -> str:
    """Return the sentences on one line if they fit, else each on its own, wrapped if that fits."""
    together = " ".join(sentences)
    if len(together) + indent <= WIDTH:
        return together
    # Paths and URLs stay in one piece, so that they can be copied from the screen.
    wrap = textwrap.TextWrapper(WIDTH - indent, break_on_hyphens=False, break_long_words=False)
    wrapped = [line for one in sentences for line in wrap.wrap(one)]
    # A path or statement that is longer than this is left to the terminal to break.
    lines = wrapped if len(wrapped) <= MAX_LINES else sentences
    return f"\n{' ' * indent}".join(lines)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."
