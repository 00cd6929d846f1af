"""Curves of several seeds as pictures and TensorBoard need them: mean, lowest, highest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plots.curves import corner_points
from runs.comparison.runs import Run
from runs.comparison.settings import Schedule

MOST_POINTS = 300


@dataclass(frozen=True)
class Band:
    """Mean, lowest and highest value over the seeds, at the steps that all of them have."""

    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]

    def means(self) -> list[tuple[int, float]]:
        """Step and mean of every point."""
        return list(zip(self.steps, self.mean, strict=True))

    def rows(self, floor: float) -> list[dict[str, object]]:
        """One row per step, nothing below the floor, with a text for the point."""
        columns = zip(self.steps, self.mean, self.low, self.high, strict=True)
        return [
            {
                "step": step,
                **{k: max(v, floor) for k, v in (("mean", mean), ("low", low), ("high", high))},
                "text": f"step {step}: {mean:.4g} ({low:.4g} to {high:.4g})",
            }
            for step, mean, low, high in columns
        ]


@dataclass(frozen=True)
class Panel:
    """What the picture of one schedule shows."""

    label: str
    note: str
    val: Band | None
    rates: Band | None

    @property
    def last_step(self) -> int:
        """The last step of either curve."""
        return max(band.steps[-1] if band else 1 for band in (self.val, self.rates))


def build_panel(schedule: Schedule, note: str) -> Panel:
    """A panel from the runs of a schedule."""
    runs = list(schedule.runs.values())
    return Panel(
        schedule.label,
        note,
        build_band([run.val for run in runs]),
        build_band([run.rates for run in runs]),
    )


def build_band(curves: Sequence[Mapping[int, float]]) -> Band | None:
    """The band of some curves by step; None where they have no step in common."""
    table = pd.DataFrame({i: pd.Series(curve, dtype=float) for i, curve in enumerate(curves)})
    table = table[np.isfinite(table).all(axis=1)].sort_index()
    if table.empty or not len(table.columns):
        return None
    steps = [int(step) for step in table.index]
    columns = (table.mean(axis=1), table.min(axis=1), table.max(axis=1))
    return thin(Band(steps, *(column.tolist() for column in columns)), MOST_POINTS)


def thin(band: Band, most: int) -> Band:
    """The band at few of its steps: those whose mean, joined by lines, is the whole curve."""
    if len(band.steps) <= 2:
        return band
    kept = corner_points(band.mean, limit=most)
    return Band(
        *([values[k] for k in kept] for values in (band.steps, band.mean, band.low, band.high))
    )


def rates_told(runs: Sequence[Run]) -> tuple[int, int, int]:
    """Steps whose rates were as previewed, steps compared, and complete runs that do not say."""
    checks = [run.summary["lr_check"] for run in runs if "lr_check" in run.summary]
    steps = sum(check["steps"] for check in checks)
    silent = sum("lr_check" not in run.summary and not run.problem for run in runs)
    return steps - sum(check["mismatches"] for check in checks), steps, silent
