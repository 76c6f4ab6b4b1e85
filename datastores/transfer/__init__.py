"""Copies between any two datastores, planned and published once; and what differs between two."""

from datastores.transfer.compare import verify
from datastores.transfer.comparison import Comparison
from datastores.transfer.many import copy_all, plan_copy_all
from datastores.transfer.many_report import CopyAllPlan, CopyAllReport
from datastores.transfer.options import CopyAllOptions, CopyOptions
from datastores.transfer.plan import CopyPlan
from datastores.transfer.progress import PartProgress
from datastores.transfer.report import CopyReport
from datastores.transfer.run import copy, plan_copy
from datastores.transfer.timings import PartReport, Phase

__all__ = [
    "Comparison",
    "CopyAllOptions",
    "CopyAllPlan",
    "CopyAllReport",
    "CopyOptions",
    "CopyPlan",
    "CopyReport",
    "PartProgress",
    "PartReport",
    "Phase",
    "copy",
    "copy_all",
    "plan_copy",
    "plan_copy_all",
    "verify",
]
