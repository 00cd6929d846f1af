"""Paired timing: alternate two functions, report the ratios of their times."""

import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ENVIRONMENT = dict(os.environ)  # as the user has it: importing OneFlow adds to os.environ

from engine.process import runtime  # noqa: E402  (before anything that imports OneFlow)

ROOT = Path(__file__).resolve().parents[2]
Clock = Callable[[], float]
Values = list[float]
Figure = tuple[str, str, Values]  # name, unit, a value for each turn


def seconds(action: Callable[[], Any], *clocks: Clock) -> Values:
    """Return the time of an action on each clock, with OneFlow's queue empty before and after."""
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
    *clocks: Clock,
) -> list[Values]:
    """Return for each clock the ratios first / second of `turns` turns, after one to warm up.

    The second action begins in every other turn, so that a drift of the machine's speed favors
    neither. The default clocks are wall time and this process's processor time, which does not
    count other processes.
    """
    clocks = clocks or (time.perf_counter, time.process_time)
    times = np.empty((1 + turns, 2, len(clocks)))
    for turn in range(1 + turns):
        for which in (1, 0) if turn % 2 else (0, 1):
            times[turn, which] = seconds((first, second)[which], *clocks)
    ratios: list[Values] = (times[1:, 0] / times[1:, 1]).T.tolist()
    return ratios


def format_row(name: str, unit: str, median: float, low: float, high: float, n: int) -> str:
    """Return a figure's row of the table.

    >>> format_row("eager / compiled", "ratio", 2.36, 1.884, 3.09, 5)
    '| eager / compiled | 2.36 | 1.884 - 3.09 | 5 |'
    >>> format_row("first step", "s", 2.523456, 2, 3, 7)
    '| first step | 2.523 s | 2 - 3 | 7 |'
    """
    unit = "" if unit == "ratio" else f" {unit}"
    return f"| {name} | {median:.4g}{unit} | {low:.4g} - {high:.4g} | {n} |"


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
