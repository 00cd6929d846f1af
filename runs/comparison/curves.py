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
class Panel:
    """One schedule's validation top-1 and learning rates as bands, and a note under its name."""

    label: str
    note: str
    val: pd.DataFrame | None
    rates: pd.DataFrame | None


def build_panel(schedule: Schedule, note: str) -> Panel:
    """Return the panel of a schedule's runs."""
    runs = schedule.runs.values()
    val, rates = build_band([run.val for run in runs]), build_band([run.rates for run in runs])
    return Panel(schedule.label, note, val, rates)


def build_band(curves: Sequence[Mapping[int, float]]) -> pd.DataFrame | None:
    """Return the columns step, mean, low and high over the seeds, at the steps that all have.

    Only the few steps that draw the mean are kept; None where there is no common step.
    """
    table = pd.DataFrame({i: pd.Series(curve, dtype=float) for i, curve in enumerate(curves)})
    table = table[np.isfinite(table).all(axis=1)].sort_index()
    if table.empty or not len(table.columns):
        return None
    columns = {"mean": table.mean(axis=1), "low": table.min(axis=1), "high": table.max(axis=1)}
    return thin(pd.DataFrame({"step": table.index, **columns}), MOST_POINTS)


def thin(band: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the band at the few steps that draw its mean."""
    return band.iloc[thin_points(band["mean"], most)]


def write_groups(out: Path, comparisons: Sequence[Comparison]) -> None:
    """Write `out/groups/SCHEDULE/{mean,low,high}` with val/top1 and lr/group0; older ones go.

    A rate is written at the steps that draw its curve, not at every step. `groups` may be no link.
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
            bands = [("val/top1", panel.val), ("lr/group0", panel.rates)]
            bands = [(tag, band) for tag, band in bands if band is not None]
            name = re.sub(r"[^\w=.+-]+", "_", f"{comparison.condition.title} {schedule.label}")
            for curve in CURVES if bands else ():
                place = folder / (name.strip("._")[:120] or "_") / curve
                with SummaryWriter(str(place)) as writer:
                    for tag, band in bands:
                        for step, value in band[["step", curve]].itertuples(index=False):
                            writer.add_scalar(tag, value, int(step))
