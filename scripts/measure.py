"""Figures of a benchmark: timing two actions in turns, and what is told of many values."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import runtime  # before anything that imports OneFlow


@dataclass(frozen=True)
class Figure:
    """One measured figure: the median of `n` turns, with the lowest and the highest."""

    section: str
    name: str
    unit: str
    median: float
    low: float
    high: float
    n: int


def figure(section: str, name: str, unit: str, values: list[float]) -> Figure:
    """The figure of a list of measured values."""
    median, low, high = statistics.median(values), min(values), max(values)
    return Figure(section, name, unit, median, low, high, len(values))


def seconds(action: Callable[[], Any]) -> float:
    """Wall time of an action, with OneFlow's queue empty before and after."""
    synchronize = runtime.flow._oneflow_internal.eager.Sync
    synchronize()
    start = time.perf_counter()
    action()
    synchronize()
    return time.perf_counter() - start


def in_turns(first: Callable[[], Any], second: Callable[[], Any], turns: int) -> list[float]:
    """Ratio of the times of two actions, `turns` times; each has had one turn for warming up."""
    seconds(first), seconds(second)
    return [seconds(first) / seconds(second) for _ in range(turns)]


def hardware() -> str:
    """Processor and cores of this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"
