"""The statistics of a comparison; `docs/compare.md` says why these."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special, stats

LEVEL = 0.95
FEWEST_FOR_BOOTSTRAP = 3
# With fewer differences a bootstrap interval covers far less than it says (docs/compare.md), so it
# is shown and contradicts nothing.
FEWEST_TO_OBJECT = 10


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
        p_alone: not corrected.
        effect: the mean in units of the differences' standard deviation, Hedges' correction.
        bootstrap: BCa interval at the level of `low` and `high`, from 3 seeds on.
    """

    seeds: list[int]
    values: np.ndarray
    mean: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    p_alone: float = np.nan
    effect: float = np.nan
    bootstrap: tuple[float, float] | None = None
    same: bool = False  # no difference in any seed

    @property
    def n(self) -> int:
        """How many pairs."""
        return len(self.seeds)

    @property
    def shown(self) -> bool:
        """Whether there is a difference that luck does not explain, by this test."""
        return bool(self.p <= 1 - LEVEL)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> tuple[float, float, float]:
    """The mean, and the ends of its t interval (nan for a single value).

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
    """Each schedule's difference to the reference; `correct` completes them.

    Args:
        results: accuracy by seed, of each schedule.
        reference: the schedule that is subtracted.
    """
    base = results[reference]
    found = {}
    for name, accuracies in results.items():
        if name == reference:
            continue
        seeds = sorted(accuracies.keys() & base.keys())
        values = np.array([accuracies[seed] - base[seed] for seed in seeds])
        found[name] = _difference(seeds, values)
    return found


def _difference(seeds: list[int], values: np.ndarray) -> Difference:
    difference = Difference(seeds, values)
    if not len(values):
        return difference
    difference.mean = float(values.mean())
    if len(values) < 2:
        return difference
    # Accuracies come in steps of one image, so equal differences are no proof of no spread.
    if np.ptp(values) <= 1e-9:
        difference.same = abs(difference.mean) <= 1e-9
        return difference
    difference.p_alone = float(stats.ttest_1samp(values, 0.0).pvalue)
    difference.effect = effect_size(values)
    return difference


def effect_size(values: np.ndarray) -> float:
    """Cohen's d_z of paired differences with Hedges' correction J for few of them; nan below 3.

    J(v) = Gamma(v / 2) / (sqrt(v / 2) Gamma((v - 1) / 2)) with v = n - 1; J(4) = 0.798.
    """
    free = len(values) - 1
    if free < 2:
        return float("nan")
    log_j = special.gammaln(free / 2) - special.gammaln((free - 1) / 2) - np.log(free / 2) / 2
    return float(values.mean() / values.std(ddof=1) * np.exp(log_j))


def correct(differences: Sequence[Difference]) -> None:
    """Holm's step-down correction over all comparisons, and intervals that agree with it.

    The comparison with the k-th smallest p of m is tested at 0.05 / (m - k + 1), as long as all
    before it were shown. Its interval has the same level, so both always say the same.
    """
    tested = [difference for difference in differences if np.isfinite(difference.p_alone)]
    largest, level, going = 0.0, LEVEL, True
    for place, difference in enumerate(sorted(tested, key=lambda found: found.p_alone)):
        factor = len(tested) - place
        largest = max(largest, min(1.0, factor * difference.p_alone))
        difference.p = largest
        if going:  # after the first that is not shown, the others have its level
            level, going = 1 - (1 - LEVEL) / factor, difference.shown
        _, difference.low, difference.high = mean_interval(difference.values, level)
        if difference.n >= FEWEST_FOR_BOOTSTRAP:
            difference.bootstrap = bootstrap_interval(difference.values, level)


def bootstrap_interval(
    values: np.ndarray, level: float, resamples: int = 9999
) -> tuple[float, float] | None:
    """BCa bootstrap interval of the mean; None where it cannot be computed.

    The same values have the same interval, for the resamples are always the same ones.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # degenerate: told by returning None
        interval = stats.bootstrap(
            (values,),
            np.mean,
            n_resamples=resamples,
            confidence_level=level,
            random_state=np.random.default_rng(0),
        ).confidence_interval
    low, high = float(interval.low), float(interval.high)
    return (low, high) if np.isfinite([low, high]).all() else None


def mean_ranks(results: Mapping[str, Mapping[int, float]]) -> tuple[dict[str, float], list[int]]:
    """The mean rank of each schedule over the seeds that all have, 1 the best; ties share theirs.

    Returns:
        the ranks, and those seeds.
    """
    seeds = sorted(set.intersection(*(set(values) for values in results.values())))
    if not seeds:
        return {}, []
    table = [[-values[seed] for seed in seeds] for values in results.values()]
    ranks = stats.rankdata(table, axis=0).mean(axis=1)
    return dict(zip(results, ranks.tolist(), strict=True)), seeds


def area(curve: Mapping[int, float]) -> float:
    """The mean height of a curve between its first and its last step: its area over its width.

    >>> area({0: 0.0, 10: 20.0, 20: 20.0})
    15.0
    """
    steps, values = list(curve), list(curve.values())
    if len(steps) < 2:
        return values[0] if values else float("nan")
    return float(integrate.trapezoid(values, steps) / (steps[-1] - steps[0]))


def steps_to(curve: Mapping[int, float], accuracy: float) -> int | None:
    """The step of the first evaluation with at least this accuracy; None if there is none."""
    return next((step for step, value in curve.items() if value >= accuracy), None)
