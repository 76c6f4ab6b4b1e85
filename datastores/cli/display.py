"""What a copy shows while it runs: the plan, a bar or a line for each part, and the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, Unpack

import click

from datastores.cli.signals import StopSignals
from datastores.cli.text import WIDTH, amounts, terminal_width
from datastores.display import visible

if TYPE_CHECKING:
    from datastores.cli.bars import Bars
    from datastores.transfer import CopyOptions, CopyPlan, CopyReport, PartProgress

_LABEL = " plan   "


def print_plan(plan: CopyPlan, *, details: bool = False) -> None:
    """Print the plan's lines; with `details` also its columns, and that nothing was written."""
    lines = [one for line in plan.summary() for one in _folded(line, WIDTH - len(_LABEL))]
    for number, line in enumerate(lines):
        click.echo(f"{' ' * len(_LABEL) if number else _LABEL}{visible(line)}")
    if not details:
        return
    click.echo()
    for line in plan.details().splitlines():
        click.echo(f" {visible(line)}")
    click.echo("\n nothing was written")


def copy_shown(
    signals: StopSignals, source: Any, target: Any, **options: Unpack[CopyOptions]
) -> CopyReport:
    """Copy, and show the plan, the parts as they run and the report."""
    from datastores.transfer import copy

    with CopyDisplay(signals) as display:
        shown: CopyOptions = {
            **options,
            "on_plan": display.begin,
            "progress": display.advance,
        }
        report = copy(source, target, **shown)
    display.finish(report)
    return report


class CopyDisplay:
    """Shows one copy: `begin` is its `on_plan`, `advance` its `progress`, `finish` takes the report.

    On a terminal parts have live bars; elsewhere each finished part is one line. If its `with`
    block ends by a signal, it says what became of the target.
    """

    def __init__(self, signals: StopSignals) -> None:
        self._signals = signals
        self._plan: CopyPlan | None = None
        self._bars: Bars | None = None
        self._done: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if self._bars is not None:
            self._bars.stop()
        if error is not None and self._signals.stopped_by is not None:
            click.echo(f" stopped: {self._outcome(error)}", err=True)

    def begin(self, plan: CopyPlan) -> None:
        """Show the plan, and the parts to come."""
        self._plan = plan
        print_plan(plan)
        click.echo()
        if terminal_width() is None:
            return
        from datastores.cli.bars import Bars

        self._bars = Bars(plan)
        self._bars.start()

    def advance(self, part: PartProgress) -> None:
        """Show how far a part is; called from the workers' threads, by one at a time."""
        if part.done:
            self._done.add(part.part)
        if self._bars is not None:
            self._bars.advance(part)
        elif part.done:
            name, label = f"part {int(part.part) + 1}", visible(part.label)
            words = (name, label, *amounts(part.rows, part.bytes), f"done in {part.seconds:.1f} s")
            click.echo(f" {'  '.join(one for one in words if one)}")

    def finish(self, report: CopyReport) -> None:
        """Show what was copied, and what it cost."""
        click.echo()
        for line in str(report).splitlines():
            click.echo(f" {visible(line)}")

    def _outcome(self, error: BaseException) -> str:
        if self._plan is None:
            return "nothing was begun"
        target, job = visible(self._plan.target), self._plan.job
        if len(self._done) == len(self._plan.parts):
            # The publish is one step of the target's service, and only the target knows.
            return (
                f"every part was read; {target} is as it was, or has all of them: "
                "the same command finds out, and goes on"
            )
        notes = getattr(error, "__notes__", [])
        if notes:
            return f"{target} is as it was; {'; '.join(notes)}"
        return f"{target} is as it was; nothing is left of job {job}"


def _folded(line: str, width: int) -> list[str]:
    """Return a line that is too long as two: the target of a plan goes below its source."""
    before, arrow, after = line.partition("  ->  ")
    return [line] if len(line) <= width or not arrow else [before, f"->  {after}"]
