"""The report's tables, as rows of texts, and results.csv."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from runs.comparison.runs import AVERAGED, Run
from runs.comparison.settings import Condition, Schedule, write_settings
from runs.comparison.statistics import Difference, area, compare, mean_interval, steps_to

REFERENCES = ("none", "step")  # the fixed rate; else what most papers compare with
CSV_FIGURES = ("test_top1", "test_top5", "val_top1_last", "val_top1_best", "best_step", "steps")


@dataclass
class Comparison:
    """A condition with its figures.

    Attributes:
        results: test top-1 by seed, of each schedule that has a complete run; best mean first.
        reference: the schedule that the others are compared with.
        differences: to the reference, by schedule.
        accuracies: in percent, for the columns "steps to".
    """

    condition: Condition
    results: dict[str, dict[int, float]]
    reference: str
    differences: dict[str, Difference]
    accuracies: list[float]

    @property
    def schedules(self) -> list[Schedule]:
        """The schedules from the best mean to the worst; those without a complete run last."""
        order = {label: place for place, label in enumerate(self.results)}
        return sorted(self.condition.schedules, key=lambda s: order.get(s.label, len(order)))


def compare_condition(
    condition: Condition, reference: str | None, accuracies: Sequence[float]
) -> Comparison:
    """Return the figures of a condition; `statistics.correct` completes the differences."""
    unsorted = {
        schedule.label: {seed: run.summary["test_top1"] for seed, run in schedule.runs.items()}
        for schedule in condition.schedules
        if schedule.runs
    }
    results = dict(sorted(unsorted.items(), key=lambda x: (-np.mean([*x[1].values()]), x[0])))
    name = choose_reference(condition, reference)
    differences = compare(results, name) if name in results else {}
    chosen = list(accuracies) or choose_accuracies(condition.schedules)
    return Comparison(condition, results, name, differences, chosen)


def choose_reference(condition: Condition, wanted: str | None) -> str:
    """Return the label of the schedule that the others are compared with; "" without any run.

    It is chosen by its name, never by its result. A wanted name of none or several is refused.
    """
    schedules = [schedule for schedule in condition.schedules if schedule.runs]
    for name in (wanted,) if wanted else REFERENCES:
        exact = [s.label for s in schedules if s.label == name]
        named = exact or [s.label for s in schedules if s.scheduler == name]
        if len(named) == 1 or (named and not wanted):
            return named[0]
        if wanted and schedules:
            known = ", ".join(repr(schedule.label) for schedule in schedules)
            found = "several schedules go" if named else "no schedule with a complete run goes"
            raise ValueError(f"--reference {name}: {found} by that name; there are {known}.")
    return schedules[0].label if schedules else ""


def choose_accuracies(schedules: Sequence[Schedule]) -> list[float]:
    """Return 1/2, 3/4 and 9/10 of the best mean validation top-1, rounded down."""
    lasts = [[r.val[max(r.val)] for r in s.runs.values() if r.val] for s in schedules]
    top = max((sum(values) / len(values) for values in lasts if values), default=0.0)
    unit = 5.0 if top >= 50 else 1.0 if top >= 5 else 0.1
    rounded = [round(math.floor(share * top / unit) * unit, 1) for share in (0.5, 0.75, 0.9)]
    return [accuracy for accuracy in dict.fromkeys(rounded) if accuracy > 0]


def results_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return the main table, without columns that are empty."""
    rows = []
    for schedule in comparison.schedules:
        runs = list(schedule.runs.values())
        every = f" of {len(runs) + len(schedule.excluded)}" if schedule.excluded else ""
        rows.append(
            {
                "schedule": schedule.label,
                "n": f"{len(runs)}{every}",
                "test top-1, %": with_interval([run.summary["test_top1"] for run in runs]),
                "last val": with_interval(figures(runs, "val_top1_last")),
                "best val": with_interval(figures(runs, "val_top1_best")),
                "steps": span(figures(runs, "steps")),
                "time, s": number(mean_interval(figures(runs, "seconds"))[0], 0),
                "differs in": write_settings(schedule.differs),
            }
        )
    unused = [name for name in rows[0] if all(row[name] in ("", "–") for row in rows)]
    return [{k: v for k, v in row.items() if k not in unused} for row in rows]


def speed_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return how fast the schedules learn: area under the curve, steps to some accuracies."""
    rows = []
    for schedule in comparison.schedules:
        if curves := [run.val for run in schedule.runs.values() if run.val]:
            row = {"schedule": schedule.label, "area, %": with_interval([*map(area, curves)])}
            for accuracy in comparison.accuracies:
                reached = [steps_to(curve, accuracy) for curve in curves]
                row[f"steps to {accuracy:g} %"] = mean_steps(reached)
            rows.append(row)
    return rows


def mean_steps(reached: Sequence[int | None]) -> str:
    """Return the mean number of steps if all runs got there; otherwise how many did."""
    steps = [step for step in reached if step is not None]
    if len(steps) == len(reached):
        return number(float(np.mean(steps)), 0)
    return f"{len(steps)} of {len(reached)} runs" if steps else "–"


def difference_rows(comparison: Comparison) -> list[dict[str, str]]:
    """Return the paired comparisons, from the best to the worst."""
    ordered = sorted(comparison.differences.items(), key=lambda item: (-item[1].n, -item[1].mean))
    return [
        {
            "schedule": label,
            "difference": signed(d.mean),
            "interval": interval(d.low, d.high),
            "p (Holm)": p_value(d.p),
            "effect g": number(d.effect, 1),
            "n": str(d.n),
            "better seeds": f"{int((d.values > 0).sum())} of {d.n}" if d.n else "–",
        }
        for label, d in ordered
    ]


def budget_rows(comparisons: Sequence[Comparison]) -> list[dict[str, str]]:
    """Return the test top-1 and the place of each schedule at every budget."""
    longest_first = [label for part in reversed(comparisons) for label in part.results]
    rows = []
    for label in dict.fromkeys(longest_first):
        row = {"schedule": label}
        for comparison in comparisons:
            runs, order = comparison.results.get(label), list(comparison.results)
            place = f" (#{order.index(label) + 1})" if runs and len(order) > 1 else ""
            cell = with_interval(list(runs.values())) if runs else "–"
            row[comparison.condition.title] = cell + place
        rows.append(row)
    return rows


def run_rows(comparisons: Sequence[Comparison], runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return results.csv: one row per run, also of those that are excluded."""
    places = {
        id(run): (schedule.label, comparison.condition.title)
        for comparison in comparisons
        for schedule in comparison.condition.schedules
        for run in (*schedule.runs.values(), *schedule.excluded)
    }
    accuracies = dict.fromkeys(a for comparison in comparisons for a in comparison.accuracies)
    rows = []
    for run in runs:
        label, title = places.get(id(run), ("", ""))
        check = run.summary.get("lr_check", {})
        row = {
            "folder": run.folder.name,
            "schedule": label,
            "scheduler": run.scheduler,
            "condition": title,
            "seed": run.seed,
            "status": run.status,
            "counts": not run.problem,
            "problem": run.problem,
            **{name: run.summary.get(name) for name in CSV_FIGURES},
            **{name: run.summary[name] for name in AVERAGED if name in run.summary},
            "area": area(run.val) if run.val else None,
            **{f"steps_to_{accuracy:g}": steps_to(run.val, accuracy) for accuracy in accuracies},
            **{name: run.summary.get(name) for name in ("seconds", "images_per_second")},
            "lr_steps": check.get("steps"),
            "lr_mismatches": check.get("mismatches"),
            "overrides": " ".join(run.command),
        }
        # A spreadsheet must not take a text for a formula.
        texts = {k: re.sub(r"^(?=[=+@-])", "'", v) for k, v in row.items() if isinstance(v, str)}
        rows.append(row | texts)
    return rows


def figures(runs: Sequence[Run], name: str) -> list[float]:
    """Return a figure of those runs that have it."""
    return [run.summary[name] for run in runs if name in run.summary]


def number(value: float, digits: int) -> str:
    """Return a figure as the tables show it; a dash where there is none."""
    return f"{value:,.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def signed(value: float, sign: str = "+") -> str:
    """Return a difference in points; one that is not zero is not shown as zero."""
    if not math.isfinite(value):
        return "–"
    digits = 2
    while value and round(value, digits) == 0 and digits < 6:
        digits += 1
    return f"{value:{sign}.{digits}f}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval by its two ends."""
    return f"{signed(low, '')} to {signed(high, '')}" if math.isfinite(low) else "–"


def with_interval(values: Sequence[float]) -> str:
    """Return the mean ± half the width of its 95 % t interval."""
    center, low, high = mean_interval(values)
    half = f" ± {(high - low) / 2:.2f}" if math.isfinite(low) else ""
    return number(center, 2) + half


def span(values: Sequence[float]) -> str:
    """Return one number, or the lowest and the highest."""
    ends = [min(values), max(values)] if values else [math.nan]
    return " to ".join(dict.fromkeys(number(value, 0) for value in ends))


def p_value(p: float) -> str:
    """Return a p-value; one that is not the level itself is not shown as the level."""
    if p < 0.001:
        return "< 0.001"
    return number(p, 5 if round(p, 3) == 0.05 != p else 3)
