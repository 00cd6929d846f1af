"""Paired timing: alternate two functions, report median and range."""

import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ENVIRONMENT = dict(os.environ)  # as the user has it: importing OneFlow adds to os.environ

from engine.process import runtime  # noqa: E402  (before anything that imports OneFlow)

ROOT = Path(__file__).resolve().parents[2]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Attributes:
        cifar100: a folder with CIFAR-100; None: use built-in images instead.
        torch_python: a Python that can import torch, for the section `peers`.
        quick: measure one turn only.
    """

    cifar100: Path | None = None
    torch_python: Path | None = None
    quick: bool = False

    def turns(self, count: int) -> int:
        """Return `count`, or 1 if `quick`."""
        return 1 if self.quick else count


@dataclass(frozen=True)
class Figure:
    """A measured figure: the median of `n` turns, with the lowest and the highest."""

    section: str
    name: str
    unit: str
    median: float
    low: float
    high: float
    n: int


def figure(section: str, name: str, unit: str, values: Sequence[float]) -> Figure:
    """Return the figure of measured values.

    >>> figure("blas", "a / b", "ratio", [3.0, 1.0, 2.0, 10.0])
    Figure(section='blas', name='a / b', unit='ratio', median=2.5, low=1.0, high=10.0, n=4)
    """
    median, low, high = statistics.median(values), min(values), max(values)
    return Figure(section, name, unit, median, low, high, len(values))


def format_row(found: Figure) -> str:
    """Return a figure's row of the table.

    >>> format_row(Figure("blas", "default / AVX2", "ratio", 2.36, 1.884, 3.09, 5))
    '| default / AVX2 | 2.36 | 1.884 - 3.09 | 5 |'
    >>> format_row(Figure("startup", "first step", "s", 2.523456, 2, 3, 7))
    '| first step | 2.523 s | 2 - 3 | 7 |'
    """
    median, low, high = (f"{value:.4g}" for value in (found.median, found.low, found.high))
    unit = "" if found.unit == "ratio" else f" {found.unit}"
    return f"| {found.name} | {median}{unit} | {low} - {high} | {found.n} |"


def seconds(action: Callable[[], Any], clock: Clock = time.perf_counter) -> float:
    """Return the time of an action, with OneFlow's queue empty before and after."""
    return times_of(action, (clock,))[0]


def times_of(action: Callable[[], Any], clocks: Sequence[Clock]) -> list[float]:
    """Return the time of an action on each clock, as `seconds`."""
    synchronize = runtime.flow._oneflow_internal.eager.Sync
    synchronize()
    starts = [clock() for clock in clocks]
    action()
    synchronize()
    return [clock() - start for clock, start in zip(clocks, starts, strict=True)]


def in_turns(
    first: Callable[[], Any],
    second: Callable[[], Any],
    turns: int,
    clocks: Sequence[Clock] = (time.perf_counter, time.process_time),
) -> list[list[float]]:
    """Return the ratios first / second of `turns` turns, after one turn to warm up.

    The second action begins in every other turn, so that a drift of the machine's speed favors
    neither.

    Returns:
        For each clock a list of ratios. The default clocks are wall time and this process's
        processor time, which does not count other processes.
    """
    times = np.empty((1 + turns, 2, len(clocks)))
    for turn in range(1 + turns):
        for which in (1, 0) if turn % 2 else (0, 1):
            times[turn, which] = times_of((first, second)[which], clocks)
    ratios: list[list[float]] = (times[1:, 0] / times[1:, 1]).T.tolist()
    return ratios


def run_child(command: list[str], **environment: str) -> dict[str, Any]:
    """Run a command in the repository's root, in the user's environment; return its last line.

    Raises:
        RuntimeError: it failed; has the end of its stderr.
    """
    result = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT | environment, capture_output=True, text=True
    )
    if result.returncode:
        raise RuntimeError(f"{command[:4]} ended with {result.returncode}: {result.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found
