"""The command `datastores`. Commands are thin: each is a few calls of the library, and their output."""

from __future__ import annotations

import gc
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any, cast

import click
from typing_extensions import override

import datastores
from datastores.cli.check import check
from datastores.cli.comparing import diff
from datastores.cli.copying import cp
from datastores.cli.copying_all import cp_all
from datastores.cli.demo import demo
from datastores.cli.explain import explain
from datastores.cli.failures import (
    CLOSED_PIPE,
    EXIT_CODES_HELP,
    exit_code,
    report_error,
    report_warning,
)
from datastores.cli.files import cat, ls, rm, stat
from datastores.cli.jobs import jobs
from datastores.cli.secrets import secrets
from datastores.cli.signals import StopSignals
from datastores.cli.stores import stores
from datastores.cli.tables import head, query, schema, tables
from datastores.errors import DatastoreWarning


class _Program(click.Group):
    @override
    def invoke(self, ctx: click.Context) -> Any:
        # Here and not in `main`, since click would turn a closed pipe into exit code 1.
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # Python flushes once more when it exits, and would complain then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(CLOSED_PIPE)
        return result


_SILENT = logging.NullHandler()
_EPILOG = f"""\b
Where stores are named:
  --file PATH of a command, else $DATASTORES_FILE, ./datastores.yaml, the user's
  config directory. The word `embedded` is a workspace that needs no server.

\b
{EXIT_CODES_HELP}

\b
Environment:
  DATASTORES_FILE     the workspace file, or `embedded`
  DATASTORES_DEBUG=1  adds the traceback to an error
  NO_COLOR=1          no colours

\b
Completion of commands and options, for bash (or zsh, fish):
  eval "$(_DATASTORES_COMPLETE=bash_source datastores)"
"""


@click.group(
    cls=_Program,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    commands=[
        *(stores, check, explain, ls, cat, stat, rm, head, schema, tables, query),
        *(cp, cp_all, diff, jobs, secrets, demo),
    ],
)
@click.version_option(datastores.__version__, prog_name="datastores")
def program() -> None:
    """Files and tables of every datastore, and exact copies between them.

    A store is written by its NAME in the workspace file, and a place in it as
    datastore://NAME/PATH.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are printed, not raised.

    Args:
        arguments: The words after `datastores`; those of this process if None.
    """
    # What the packages warn of is in our errors.
    logging.getLogger("azure").addHandler(_SILENT)
    words = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in words
    color = False if os.environ.get("NO_COLOR") else None
    with StopSignals() as signals, warnings.catch_warnings():
        warnings.simplefilter("always", DatastoreWarning)
        warnings.showwarning = lambda message, *_, **__: report_warning(
            message, as_json=as_json, color=color
        )
        try:
            code = program.main(
                words, prog_name="datastores", standalone_mode=False, obj=signals, color=color
            )
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            return exit_code(error)
        except BaseException as error:  # noqa: BLE001  # whatever it is, a user sees a sentence
            code = signals.exit_code
            if signals.stopped_by is None:
                report_error(error, as_json=as_json, color=color)
                code = exit_code(error)
        # An error's frames hold connections in a circle, of which DuckDB complains at exit.
        gc.collect()
    return cast("int | None", code) or 0
