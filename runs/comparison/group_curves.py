"""Mean, lowest and highest curve of each schedule as runs that TensorBoard shows."""

import re
from collections.abc import Sequence
from pathlib import Path

from tensorboardX import SummaryWriter

from runs.comparison.curves import Band, build_band
from runs.comparison.tables import Comparison

CURVES = ("mean", "low", "high")


def write_groups(out: Path, comparisons: Sequence[Comparison]) -> Path:
    """Write `out/groups/SCHEDULE/{mean,low,high}` with val/top1 and lr/group0; older ones go.

    A rate is written at the steps that draw its curve, not at every step.

    Raises:
        ValueError: `groups` is a link to somewhere else.
    """
    folder = out / "groups"
    if folder.is_symlink():
        raise ValueError(f"{folder} is a link; expected a folder that this command may clear.")
    _clear(folder)
    for comparison in comparisons:
        for schedule in comparison.condition.schedules:
            runs = list(schedule.runs.values())
            bands = {
                "val/top1": build_band([run.val for run in runs]),
                "lr/group0": build_band([run.rates for run in runs]),
            }
            name = f"{comparison.condition.title} {schedule.label}"
            _write(folder / _file_name(name), {tag: b for tag, b in bands.items() if b})
    return folder


def _clear(folder: Path) -> None:
    """Take away the curves that were written before, and nothing else."""
    for curve in CURVES:
        for path in folder.glob(f"*/{curve}/events.out.tfevents.*"):
            if not path.parent.is_symlink() and not path.parent.parent.is_symlink():
                path.unlink()


def _write(folder: Path, bands: dict[str, Band]) -> None:
    for curve in CURVES if bands else ():
        with SummaryWriter(str(folder / curve)) as writer:
            for tag, band in bands.items():
                for step, value in zip(band.steps, getattr(band, curve), strict=True):
                    writer.add_scalar(tag, value, step)


def _file_name(label: str) -> str:
    """A label as the name of a folder.

    >>> _file_name("epochs=10 step (gamma=0.1)")
    'epochs=10_step_gamma=0.1'
    """
    return re.sub(r"[^\w=.+-]+", "_", label).strip("._")[:120] or "_"
