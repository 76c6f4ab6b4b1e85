"""Copies between any two datastores, planned and published once; and what differs between two."""

from datastores.transfer.compare import verify
from datastores.transfer.comparison import Comparison
from datastores.transfer.options import CopyOptions
from datastores.transfer.plan import CopyPlan
from datastores.transfer.progress import PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.run import copy, plan_copy
from datastores.transfer.timings import PartReport, Phase

__all__ = [
    "Comparison",
    "CopyOptions",
    "CopyPlan",
    "CopyReport",
    "PartProgress",
    "PartReport",
    "Phase",
    "copy",
    "plan_copy",
    "verify",
]
