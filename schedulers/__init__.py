"""Learning-rate schedules: built from a YAML node, stepped once per optimizer update.

In the docstrings of the classes B is the base rate: what the optimizer has for a parameter group
when the schedule is built. `verbose`, an argument of all, prints every change of the rate.
"""

from schedulers.build import build_scheduler, is_plateau, made_up_metrics, trace_lr
from schedulers.durations import Horizon, to_steps

__all__ = ["Horizon", "build_scheduler", "is_plateau", "made_up_metrics", "to_steps", "trace_lr"]
