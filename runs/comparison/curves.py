"""Curves over seeds, for the report's pictures and for TensorBoard: mean, lowest, highest."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from tensorboardX import SummaryWriter

from plots.curves import thin_points
from runs.comparison.settings import Schedule
from runs.comparison.tables import Comparison

MOST_POINTS = 300
CURVES = ("mean", "low", "high")


@dataclass(frozen=True)
class Band:
    """Mean, lowest and highest value over the seeds, at the steps that all of them have."""

    steps: list[int]
    mean: list[float]
    low: list[float]
    high: list[float]

    def rows(self, floor: float) -> list[dict[str, object]]:
        """Return one row per step, nothing below the floor, with a text for the point."""
        columns = zip(self.steps, self.mean, self.low, self.high, strict=True)
        return [
            {
                "step": step,
                **{k: max(v, floor) for k, v in zip(CURVES, values, strict=True)},
                "text": "step {}: {:.4g} ({:.4g} to {:.4g})".format(step, *values),
            }
            for step, *values in columns
        ]


@dataclass(frozen=True)
class Panel:
    """One schedule's validation top-1 and learning rates, and a note under its name."""

    label: str
    note: str
    val: Band | None
    rates: Band | None

    @property
    def last_step(self) -> int:
        """The last step of either curve."""
        return max(band.steps[-1] if band else 1 for band in (self.val, self.rates))


def build_panel(schedule: Schedule, note: str) -> Panel:
    """Return the panel of a schedule's runs."""
    runs = list(schedule.runs.values())
    val, rates = ([run.val for run in runs], [run.rates for run in runs])
    return Panel(schedule.label, note, build_band(val), build_band(rates))


def build_band(curves: Sequence[Mapping[int, float]]) -> Band | None:
    """Return the band of some curves by step; None where they have no step in common."""
    table = pd.DataFrame({i: pd.Series(curve, dtype=float) for i, curve in enumerate(curves)})
    table = table[np.isfinite(table).all(axis=1)].sort_index()
    if table.empty or not len(table.columns):
        return None
    steps = [int(step) for step in table.index]
    columns = (table.mean(axis=1), table.min(axis=1), table.max(axis=1))
    return thin(Band(steps, *(column.tolist() for column in columns)), MOST_POINTS)


def thin(band: Band, most: int) -> Band:
    """Return the band at the few steps that draw its mean."""
    kept = thin_points(band.mean, most)
    return Band(
        *([values[k] for k in kept] for values in (band.steps, band.mean, band.low, band.high))
    )


def write_groups(out: Path, comparisons: Sequence[Comparison]) -> None:
    """Write `out/groups/SCHEDULE/{mean,low,high}` with val/top1 and lr/group0; older ones go.

    A rate is written at the steps that draw its curve, not at every step.

    Raises:
        ValueError: `groups` is a link to somewhere else.
    """
    folder = out / "groups"
    if folder.is_symlink():
        raise ValueError(f"{folder} is a link; expected a folder that this command may clear.")
    for curve in CURVES:  # nothing else is removed
        for path in folder.glob(f"*/{curve}/events.out.tfevents.*"):
            if not path.parent.is_symlink() and not path.parent.parent.is_symlink():
                path.unlink()
    for comparison in comparisons:
        for schedule in comparison.condition.schedules:
            panel = build_panel(schedule, "")
            name = re.sub(r"[^\w=.+-]+", "_", f"{comparison.condition.title} {schedule.label}")
            _write_bands(
                folder / (name.strip("._")[:120] or "_"),
                {"val/top1": panel.val, "lr/group0": panel.rates},
            )


def _write_bands(folder: Path, bands: Mapping[str, Band | None]) -> None:
    for curve in CURVES if any(bands.values()) else ():
        with SummaryWriter(str(folder / curve)) as writer:
            for tag, band in bands.items():
                if band:
                    for step, value in zip(band.steps, getattr(band, curve), strict=True):
                        writer.add_scalar(tag, value, step)
