"""Figures of a benchmark: two actions in turns, processes of their own, what is told of values."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

ENVIRONMENT = dict(os.environ)  # as the user has it: importing OneFlow adds to os.environ

from engine.process import runtime  # noqa: E402  (before anything that imports OneFlow)

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Options:
    """What the command line of the benchmark says.

    Attributes:
        cifar100: a `dataset.root` with CIFAR-100; None: built-in images in its place.
        torch_python: a Python that can import torch, for the section `peers`.
        quick: one turn of everything, to see that it works.
    """

    cifar100: Path | None = None
    torch_python: Path | None = None
    quick: bool = False

    def turns(self, count: int) -> int:
        """How many turns to take where `count` are wanted."""
        return 1 if self.quick else count


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


def seconds(action: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """Time of an action on a clock, with OneFlow's queue empty before and after."""
    return spend(action, (clock,))[0]


def spend(action: Callable[[], Any], clocks: Sequence[Callable[[], float]]) -> list[float]:
    """Time of an action on each of several clocks, as `seconds`."""
    synchronize = runtime.flow._oneflow_internal.eager.Sync
    synchronize()
    starts = [clock() for clock in clocks]
    action()
    synchronize()
    return [clock() - start for clock, start in zip(clocks, starts, strict=True)]


def in_turns(
    first: Callable[[], Any], second: Callable[[], Any], turns: int, parts: int = 1
) -> tuple[list[float], list[float]]:
    """Ratios of the times of two actions, `turns` times; each has had one turn for warming up.

    A turn is `parts` times each of them, one after the other, of which every other time begins with
    the second one: what drifts, or comes and goes, favors neither.

    Returns:
        By the clock on the wall, and by the processor's time in this process, which does not count
        what other processes do meanwhile.
    """
    clocks = (time.perf_counter, time.process_time)
    pair = (first, second)
    times = np.empty((1 + turns, parts, 2, len(clocks)))
    for part, (turn, place) in enumerate(np.ndindex(1 + turns, parts)):
        for which in (1, 0) if part % 2 else (0, 1):
            times[turn, place, which] = spend(pair[which], clocks)
    above, below = times[1:].sum(axis=1).swapaxes(0, 1)  # without the turn for warming up
    wall, processor = (above / below).T.tolist()
    return wall, processor


def run_child(command: list[str], **environment: str) -> dict[str, Any]:
    """What a process of its own prints: one JSON object, alone or as its last line.

    It starts as from the user's shell, in the repository's root.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    result = subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT | environment, capture_output=True, text=True
    )
    if result.returncode:
        raise RuntimeError(f"{command[:4]} ended with {result.returncode}: {result.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def run_module(name: str, *words: str, **environment: str) -> dict[str, Any]:
    """`run_child` of one of our own modules."""
    return run_child([sys.executable, "-m", name, *words], **environment)
