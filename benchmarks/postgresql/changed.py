"""How many values each tool changes silently, as the page of the scorecard has it."""

from __future__ import annotations

from benchmarks.harness import ROOT

_PAGE = ROOT / "docs" / "drivers" / "azure_postgresql_scorecard.md"


def changed_silently() -> dict[str, dict[str, int]]:
    """Return the last column of the page's table of counts, by tool and direction."""
    _, _, counts = _PAGE.read_text(encoding="utf-8").partition("## Counts\n")
    table, _, _ = counts.partition("\n## ")
    found: dict[str, dict[str, int]] = {}
    for line in table.strip().splitlines()[2:]:
        tool, direction, *_, changed = (cell.strip() for cell in line.strip("|").split("|"))
        found.setdefault(tool, {})[direction] = int(changed)
    return found
