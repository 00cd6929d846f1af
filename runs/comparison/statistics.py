"""The statistics of a comparison; `docs/compare.md` has the reasons for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special, stats

LEVEL = 0.95


@dataclass
class Difference:
    """A schedule minus the reference, paired by seed.

    Attributes:
        seeds: those that both have.
        values: the differences, in points, one per seed.
        mean: of the differences, in points.
        low, high: the interval, at least 95 %, as wide as the correction asks for; nan where there
            is none. It leaves 0 out exactly where `p` is at most 0.05.
        p: of the paired t test, corrected by Holm's method over all comparisons.
        p_uncorrected: of the same test alone.
        effect: the mean in units of the differences' standard deviation, Hedges' correction.
    """

    seeds: list[int]
    values: np.ndarray
    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    p_uncorrected: float = np.nan
    effect: float = np.nan

    @property
    def n(self) -> int:
        """The number of pairs."""
        return len(self.seeds)

    @property
    def shown(self) -> bool:
        """Whether the test shows a difference that chance does not explain."""
        return bool(self.p <= 1 - LEVEL)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """Return the mean and the ends of its t interval (nan for a single value).

    mean +- t(n - 1) * s / sqrt(n)

    >>> [round(x, 3) for x in mean_interval([1.0, 2.0, 3.0])]  # t = 4.303, s = 1
    [2.0, -0.484, 4.484]
    """
    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan, np.nan
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return mean, mean - half, mean + half


def compare(results: Mapping[str, Mapping[int, float]], reference: str) -> dict[str, Difference]:
    """Return each schedule's difference to the reference, from accuracies by seed.

    `correct` completes them.
    """
    base = results[reference]
    found = {}
    for name, accuracies in results.items():
        if name != reference:
            seeds = sorted(accuracies.keys() & base.keys())
            values = np.array([accuracies[seed] - base[seed] for seed in seeds])
            found[name] = difference = Difference(seeds, values, mean_interval(values)[0])
            # Accuracies come in steps of one image, so equal differences are no proof of no spread.
            if len(values) > 1 and np.ptp(values) > 1e-9:
                difference.p_uncorrected = float(stats.ttest_1samp(values, 0.0).pvalue)
                difference.effect = effect_size(values)
    return found


def effect_size(values: np.ndarray) -> float:
    """Return Cohen's d_z of paired differences with Hedges' correction J; nan below 3 of them.

    J(v) = Gamma(v / 2) / (sqrt(v / 2) Gamma((v - 1) / 2)) with v = n - 1; J(4) = 0.798.
    """
    free = len(values) - 1
    if free < 2:
        return float("nan")
    log_j = special.gammaln(free / 2) - special.gammaln((free - 1) / 2) - np.log(free / 2) / 2
    return float(values.mean() / values.std(ddof=1) * np.exp(log_j))


def correct(differences: Sequence[Difference]) -> None:
    """Apply Holm's step-down correction over all comparisons, with intervals that agree with it.

    The comparison with the k-th smallest p of m is tested at 0.05 / (m - k + 1), as long as all
    before it were shown. Its interval has the same level, so the two never disagree.
    """
    tested = [difference for difference in differences if np.isfinite(difference.p_uncorrected)]
    largest, level, going = 0.0, LEVEL, True
    for place, difference in enumerate(sorted(tested, key=lambda found: found.p_uncorrected)):
        factor = len(tested) - place
        largest = max(largest, min(1.0, factor * difference.p_uncorrected))
        difference.p = largest
        if going:  # after the first that is not shown, the others have its level
            level, going = 1 - (1 - LEVEL) / factor, difference.shown
        _, difference.low, difference.high = mean_interval(difference.values, level)


def area(curve: Mapping[int, float]) -> float:
    """Return the mean height of a curve between its first and last step: its area over its width.

    >>> area({0: 0.0, 10: 20.0, 20: 20.0})
    15.0
    """
    steps, values = list(curve), list(curve.values())
    if len(steps) < 2:
        return values[0] if values else float("nan")
    return float(integrate.trapezoid(values, steps) / (steps[-1] - steps[0]))


def steps_to(curve: Mapping[int, float], accuracy: float) -> int | None:
    """Return the step of the first evaluation with at least this accuracy, or None."""
    return next((step for step, value in curve.items() if value >= accuracy), None)
