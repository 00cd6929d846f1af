"""A schedule's curve as the pictures need it: few points, its corners, its figures, its files."""

import csv
import heapq
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from schedulers import Horizon

# Okabe and Ito 2008, "Color Universal Design": told apart by color-blind readers as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MOST_MARKS = 30  # more of them would hide the curve


@dataclass(frozen=True)
class Curve:
    """The rates of one schedule over a run, and what is to be said about them.

    Attributes:
        name: what the legend calls it.
        rates: one list per parameter group, one rate per step.
        base_lrs: the optimizer's rate of each group.
        horizon: the run.
        findings: lines of the lint.
        note: what a reader must know, e.g. that the metric behind it is made up.
        dashed: drawn over the others, for what was only planned.
    """

    name: str
    rates: Sequence[Sequence[float]]
    base_lrs: Sequence[float]
    horizon: "Horizon"
    findings: Sequence[str] = ()
    note: str = ""
    dashed: bool = False

    def groups(self) -> dict[str, Sequence[float]]:
        """The distinct curves by label; groups with equal rates share one."""
        members: dict[tuple[float, ...], list[int]] = {}
        for index, rates in enumerate(self.rates):
            members.setdefault(tuple(rates), []).append(index)
        if len(members) == 1:
            return {self.name: self.rates[0]}
        return {
            f"{self.name}, group {' and '.join(map(str, indices))}": rates
            for rates, indices in members.items()
        }

    def summary(self) -> str:
        """The figures of the first group in one line.

        The area is the mean rate as a share of the base rate: what the run moves, all in all,
        compared with the fixed rate.
        """
        rates, base = np.asarray(self.rates[0]), self.base_lrs[0]
        share = f"{rates.mean() / base:.0%} of base" if base else "none"
        return (
            f"base {base:.3g} | min {rates.min():.3g} | max {rates.max():.3g} | "
            f"last {rates[-1]:.3g} | area {share}"
        )


def find_corners(rates: Sequence[float]) -> dict[int, str]:
    """The steps at which a curve changes its course, each with what it is.

    `up` is the first step after an upward jump (a restart), `down` the first after a downward one
    (a milestone), `bend` a step where only the slope changes. A jump or a bend is some times larger
    than what is beside it, so a smooth curve has none, however few its steps.

    >>> find_corners([1.0] * 5 + [0.1] * 5)
    {5: 'down'}
    >>> find_corners([0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0])
    {4: 'bend'}
    """
    values = np.asarray(rates, dtype=float)
    if len(values) < 3:
        return {}
    scale = float(np.ptp(values)) or 1.0
    changes = np.diff(values)
    sizes, heights = np.abs(changes), np.maximum(np.abs(values[1:]), np.abs(values[:-1]))
    large = (sizes > 0.01 * scale) | ((sizes > 0.3 * heights) & (sizes > 1e-4 * scale))
    jumps = np.flatnonzero((sizes > 4 * _largest_beside(sizes, (-1, 1), 0.0)) & large)
    corners = {int(k) + 1: "up" if changes[k] > 0 else "down" for k in jumps}
    slopes = changes.copy()
    for k in jumps:  # a jump is no slope: the curve goes on as it was before, or after
        slopes[k] = slopes[k - 1] if k else slopes[min(k + 1, len(slopes) - 1)]
    bends = np.abs(np.diff(slopes))
    before = bends > 4 * _largest_beside(bends, (-2, -1), np.inf)
    after = bends > 4 * _largest_beside(bends, (1, 2), np.inf)
    steep = bends > 0.05 * np.abs(slopes).max()
    for k in np.flatnonzero((before | after) & steep):
        if not {int(k), int(k) + 1, int(k) + 2} & corners.keys():
            corners[int(k) + 1] = "bend"
    return dict(sorted(corners.items()))


def _largest_beside(sizes: np.ndarray, places: tuple[int, int], outside: float) -> np.ndarray:
    """Of each entry the larger of the two at these places from it; `outside` beyond the ends."""
    padded = np.concatenate(([outside] * 2, sizes, [outside] * 2))
    first, second = (padded[2 + place : 2 + place + len(sizes)] for place in places)
    return np.maximum(first, second)


def corner_points(
    rates: Sequence[float],
    limit: int = 500,
    precision: float = 5e-4,
    corners: Mapping[int, str] | None = None,
) -> list[int]:
    """The steps whose points, joined by lines, draw the whole curve.

    The first and the last step and both sides of every corner are kept, even beyond `limit`.
    Between them, the step that lies furthest from the lines so far is added, again and again, until
    nothing is further than `precision` of the curve's height.

    Args:
        rates: one per step; their logarithms where the axis is logarithmic.
        limit: most points that smooth parts may bring the total to.
        precision: as a share of the curve's height; the default is a fifth of a pixel in 400.
        corners: what `find_corners` returned for these rates, if that was called already.

    >>> corner_points([1.0] * 500 + [0.1] * 500)
    [0, 499, 500, 999]
    """
    values = np.asarray(rates, dtype=float)
    last = len(values) - 1
    kept = {0, last}
    for step, kind in (find_corners(rates) if corners is None else corners).items():
        kept |= {step} if kind == "bend" else {step - 1, step}
    tolerance = precision * float(np.ptp(values))
    ordered = sorted(kept)
    heap = [_furthest(values, *ends) for ends in pairwise(ordered)]
    heapq.heapify(heap)
    while heap and len(kept) < limit:
        distance, step, start, stop = heapq.heappop(heap)
        if not -distance > tolerance:  # also where one is no number, as beside an infinite rate
            break
        kept.add(step)
        heapq.heappush(heap, _furthest(values, start, step))
        heapq.heappush(heap, _furthest(values, step, stop))
    return sorted(kept)


def _furthest(values: np.ndarray, start: int, stop: int) -> tuple[float, int, int, int]:
    """(minus the distance, step, start, stop) of the step furthest from the line start to stop."""
    if stop - start < 2:
        return 0.0, start, start, stop
    line = np.linspace(values[start], values[stop], stop - start + 1)
    distances = np.abs(values[start : stop + 1] - line)
    step = int(distances.argmax())
    return -float(distances[step]), start + step, start, stop


def log_floor(curves: Sequence[Curve]) -> float:
    """The lowest rate on a logarithmic axis: one to five decades below the highest.

    Deeper, the axis would show little else than where the last step of a cosine ends.
    """
    rates = np.concatenate([np.asarray(rates) for curve in curves for rates in curve.rates])
    positive = rates[(rates > 0) & np.isfinite(rates)]
    if not positive.size:
        return 1e-5
    top = float(positive.max())
    return min(max(float(positive.min()), 1e-5 * top), 0.1 * top)


def line_points(
    rates: Sequence[float], floor: float | None = None
) -> tuple[list[int], list[float]]:
    """Steps and rates of the few points that draw a curve.

    Args:
        rates: one per step; what is not a number is drawn as 0.
        floor: for a logarithmic axis, where rates below it are drawn.
    """
    values = np.nan_to_num(np.asarray(rates, dtype=float), posinf=0.0, neginf=0.0)
    if floor is not None:
        values = np.maximum(values, floor)
    steps = corner_points(np.log10(values) if floor is not None else values, limit=2000)
    return steps, values[steps].tolist()


def write_json(path: Path, curves: Sequence[Curve]) -> None:
    """Write the curves with every step: one object, or a list of them where there are several."""
    objects: list[dict[str, Any]] = [
        {
            "scheduler": curve.name,
            "total_steps": curve.horizon.total_steps,
            "steps_per_epoch": curve.horizon.steps_per_epoch,
            "base_lrs": list(curve.base_lrs),
            "lr": [list(rates) for rates in curve.rates],
        }
        for curve in curves
    ]
    path.write_text(json.dumps(objects[0] if len(objects) == 1 else objects) + "\n")


def write_csv(path: Path, curves: Sequence[Curve]) -> None:
    """Write one row per step: step, epoch, group0, ...; of several curves `NAME/group0`, ..."""
    columns = {
        f"group{index}" if len(curves) == 1 else f"{curve.name}/group{index}": rates
        for curve in curves
        for index, rates in enumerate(curve.rates)
    }
    per_epoch = curves[0].horizon.steps_per_epoch
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["step", "epoch", *columns])
        # A run that was stopped applied fewer rates than were planned.
        for step, values in enumerate(zip_longest(*columns.values(), fillvalue="")):
            rows.writerow([step, step / per_epoch, *values])
