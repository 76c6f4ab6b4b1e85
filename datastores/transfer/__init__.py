"""Copies between any two datastores: a plan of independent parts, and one publish."""

from datastores.transfer.options import CopyOptions
from datastores.transfer.plan import CopyPlan
from datastores.transfer.progress import PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.run import copy, plan_copy
from datastores.transfer.timings import PartReport, Phase

__all__ = [
    "CopyOptions",
    "CopyPlan",
    "CopyReport",
    "PartProgress",
    "PartReport",
    "Phase",
    "copy",
    "plan_copy",
]
