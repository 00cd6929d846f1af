"""A schedule's curve: its figures, the few points that draw it, round axis ticks, data files."""

import csv
import heapq
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from schedulers import Horizon

# Okabe and Ito 2008, "Color Universal Design": told apart by color-blind readers as well.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")


@dataclass(frozen=True)
class Curve:
    """The learning rates of one schedule over a run, with the lines that stand below its picture.

    Attributes:
        name: what the legend calls it.
        rates: one list per parameter group, one rate per step.
        base_lrs: the optimizer's rate of each group.
        horizon: the run.
        findings: lines of the lint.
        note: a remark for the reader, e.g. that the metric behind the curve is made up.
        dashed: drawn as a dashed line over the others, for rates that were only planned.
    """

    name: str
    rates: Sequence[Sequence[float]]
    base_lrs: Sequence[float]
    horizon: "Horizon"
    findings: Sequence[str] = ()
    note: str = ""
    dashed: bool = False

    def groups(self) -> dict[str, Sequence[float]]:
        """Return the distinct curves by label; groups with equal rates share one."""
        members: dict[tuple[float, ...], list[int]] = {}
        for index, rates in enumerate(self.rates):
            members.setdefault(tuple(rates), []).append(index)
        if len(members) == 1:
            return {self.name: self.rates[0]}
        named = {rates: " and ".join(map(str, indices)) for rates, indices in members.items()}
        return {f"{self.name}, group {indices}": rates for rates, indices in named.items()}

    def summary(self) -> str:
        """Return the figures of the first group; the area is the mean rate by the base rate."""
        rates, base = np.asarray(self.rates[0]), self.base_lrs[0]
        share = f"{rates.mean() / base:.0%} of base" if base else "none"
        return (
            f"base {base:.3g} | min {rates.min():.3g} | max {rates.max():.3g} | "
            f"last {rates[-1]:.3g} | area {share}"
        )


def thin_points(values: Sequence[float], most: int = 2000, precision: float = 5e-4) -> list[int]:
    """Return the places of the few values that, joined by lines, draw the whole curve.

    The value furthest from the lines so far is added, until none is further than `precision` of
    the curve's height, or there are `most` (Douglas and Peucker 1973).

    >>> thin_points([1.0] * 500 + [0.1] * 500)
    [0, 499, 500, 999]
    """
    heights = np.asarray(values, dtype=float)

    def furthest(start: int, stop: int) -> tuple[float, int, int, int]:
        line = np.linspace(heights[start], heights[stop], stop - start + 1)
        distances = np.abs(heights[start : stop + 1] - line)
        place = int(distances.argmax())
        return -float(distances[place]), start + place, start, stop

    last = len(heights) - 1
    kept, gaps = {0, last}, [furthest(0, last)]
    while len(kept) < most and -gaps[0][0] > precision * np.ptp(heights):
        _, place, start, stop = heapq.heappop(gaps)
        kept.add(place)
        heapq.heappush(gaps, furthest(start, place))
        heapq.heappush(gaps, furthest(place, stop))
    return sorted(kept)


def log_floor(traces: Iterable[Sequence[float]]) -> float:
    """Return the lowest rate on a logarithmic axis: one to five decades below the highest."""
    positive = [rate for trace in traces for rate in trace if 0 < rate < math.inf] or [1e-4]
    return min(max(min(positive), 1e-5 * max(positive)), 0.1 * max(positive))


def line_points(
    rates: Sequence[float], floor: float | None = None
) -> tuple[list[int], list[float]]:
    """Return the steps and rates of the few points that draw a curve; nan and inf are drawn as 0.

    On a logarithmic axis, rates below `floor` are drawn at it.
    """
    values = np.nan_to_num(np.asarray(rates, dtype=float), posinf=0.0, neginf=0.0)
    if floor is not None:
        values = np.maximum(values, floor)
    steps = thin_points(values if floor is None else np.log10(values))
    return steps, values[steps].tolist()


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Return about `count` round numbers from low to high: 1, 2 or 5 times a power of ten apart.

    >>> nice_ticks(0, 10560), nice_ticks(0, 2)
    ([0.0, 2000.0, 4000.0, 6000.0, 8000.0, 10000.0], [0.0, 0.5, 1.0, 1.5, 2.0])
    """
    rough = (high - low) / (count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.8 * rough)
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return [round(k * size, 12) for k in range(first, last + 1)]


def write_json(path: Path, curves: Sequence[Curve]) -> None:
    """Write the curves with every step: one object, or a list of them where there are several."""
    objects = [
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
    # A run that was stopped applied fewer rates than were planned.
    steps = enumerate(zip_longest(*columns.values(), fillvalue=""))
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["step", "epoch", *columns])
        rows.writerows([step, step / per_epoch, *values] for step, values in steps)
