"""Learning-rate schedules: built from a YAML node, stepped once per optimizer update."""

from schedulers.build import build_scheduler, trace_lr
from schedulers.durations import Horizon, to_steps

__all__ = ["Horizon", "build_scheduler", "to_steps", "trace_lr"]
