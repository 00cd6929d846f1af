"""The statistics of a comparison, against scipy, tables and worked examples."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from runs.comparison.sentences import compare_in_words, conclude
from runs.comparison.statistics import (
    FEWEST_FOR_BOOTSTRAP,
    FEWEST_TO_OBJECT,
    Difference,
    area,
    bootstrap_interval,
    compare,
    correct,
    effect_size,
    mean_interval,
    mean_ranks,
    steps_to,
)
from runs.comparison.tables import choose_accuracies, tell_p, tell_steps, with_interval


def by_seed(values):
    return dict(enumerate(values))


def corrected(results, reference="none"):
    differences = compare({name: by_seed(v) for name, v in results.items()}, reference)
    correct(list(differences.values()))
    return differences


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # t(2) = 4.3027, s = 1, s / sqrt(3) = 0.57735
        ([1.0, 2.0, 3.0], (2.0, 2 - 2.48414, 2 + 2.48414)),
        # t(1) = 12.7062, s = sqrt(2) / 2, s / sqrt(2) = 0.5
        ([1.0, 2.0], (1.5, 1.5 - 6.3531, 1.5 + 6.3531)),
        ([5.0], (5.0, np.nan, np.nan)),
        ([], (np.nan, np.nan, np.nan)),
    ],
)
def test_the_mean_and_its_t_interval(values, expected):
    assert mean_interval(values) == pytest.approx(expected, abs=1e-4, nan_ok=True)


def test_one_comparison_is_scipys_paired_t_test():
    none, step = [30.1, 30.9, 29.8, 30.3, 30.6], [31.0, 31.5, 31.1, 31.0, 31.9]
    found = corrected({"none": none, "step": step})["step"]
    expected = stats.ttest_rel(step, none)
    interval = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.mean == pytest.approx(0.96)
    assert found.shown


def test_holms_correction_and_the_levels_of_its_intervals():
    """Three p-values: the smallest is multiplied by 3, the next by 2; it stops at the second."""
    none = [30.0, 31.0, 32.0, 33.0, 34.0]
    results = {
        "none": none,
        "a": np.add(none, [1.0, 1.1, 0.9, 1.05, 0.95]),
        "b": np.add(none, [1.0, 0.2, 0.8, 0.1, 0.6]),
        "c": np.add(none, [1.0, -1.0, 0.5, -0.4, 0.1]),
    }
    found = corrected(results)
    alone = {name: stats.ttest_rel(results[name], none).pvalue for name in "abc"}
    assert alone["a"] < 0.001 and 0.025 < alone["b"] < 0.05 < alone["c"]
    assert found["a"].p == pytest.approx(3 * alone["a"])
    assert found["b"].p == pytest.approx(2 * alone["b"])
    assert found["c"].p == pytest.approx(alone["c"])
    for name, level in (("a", 1 - 0.05 / 3), ("b", 1 - 0.05 / 2), ("c", 1 - 0.05 / 2)):
        interval = stats.ttest_rel(results[name], none).confidence_interval(level)
        assert (found[name].low, found[name].high) == pytest.approx((interval.low, interval.high))
    assert [found[name].shown for name in "abc"] == [True, False, False]


def test_a_corrected_p_value_is_never_below_that_of_a_smaller_one():
    """0.03 and 0.04 become 0.06 and 0.06, not 0.06 and 0.04: the second may not pass the first."""
    results = {"none": [0, 0], "a": [1, 2], "b": [1, 3]}
    differences = compare({name: by_seed(v) for name, v in results.items()}, "none")
    differences["a"].p_alone, differences["b"].p_alone = 0.04, 0.03
    correct(list(differences.values()))
    assert [differences[name].p for name in "ab"] == pytest.approx([0.06, 0.06])


def make_studies(studies, schedules=6, seeds=4, planted=0.0):
    """Results of made-up studies: seeds are luckier than others for all, and each run by itself."""
    random = np.random.default_rng(7)
    for _ in range(studies):
        shared = random.normal(0, 0.6, seeds)
        results = {"none": 30 + shared + random.normal(0, 0.3, seeds)}
        for k in range(schedules):
            own = random.normal(planted if k == 0 else 0.0, 0.3, seeds)
            results[f"schedule {k}"] = 30 + shared + own
        yield corrected(results)


def test_a_planted_difference_is_found():
    found = [study["schedule 0"].shown for study in make_studies(50, seeds=5, planted=3.0)]
    assert sum(found) >= 48


def test_false_positives_over_null_studies_stay_within_the_level():
    """200 studies, no difference in any: at 5 % each, 18 or more have a probability of 1 %."""
    wrong = sum(any(d.shown for d in study.values()) for study in make_studies(200))
    assert stats.binom.sf(17, 200, 0.05) < 0.02
    assert wrong <= 17


def test_sentence_interval_and_p_value_never_contradict_each_other():
    count = {"better": 0, "no difference": 0, "worse": 0}
    for planted in (-1.2, 0.0, 0.8, 1.5):
        for study in make_studies(30, schedules=4, seeds=5, planted=planted):
            for label, difference in study.items():
                sentence = compare_in_words(label, "none", difference)
                shown = "is better than" in sentence or "is worse than" in sentence
                assert shown == (difference.p <= 0.05)
                assert shown == (not difference.low <= 0 <= difference.high)
                assert ("better" in sentence) == (difference.low > 0)
                assert ("worse" in sentence) == (difference.high < 0)
                assert ("no difference shown" in sentence) != shown
                for word in count:
                    count[word] += word in sentence
    assert all(count.values())


def conclude_of(alike: int) -> list[str]:
    """What is said where one schedule is better, one has no seed, and so many show nothing."""
    values = np.array([1.0, 2.0, 3.0])
    differences = {f"s{i}": Difference([0, 1, 2], values, i / 10, -1, 2, 0.5) for i in range(alike)}
    differences["best"] = Difference([0, 1, 2], values, 2.0, 1.5, 2.5, 0.01)
    differences["apart"] = Difference([], values[:0])
    results = {label: {0: 1.0, 1: 1.0} for label in ["best", "none", *differences]}
    return conclude(SimpleNamespace(results=results, reference="none", differences=differences))


def test_many_that_show_nothing_get_one_sentence():
    few, many = conclude_of(6), conclude_of(7)
    assert len(few) == 8
    assert len(many) == 3
    assert set(many) - set(few) == {
        "no difference shown between none and any of 7 others, from s6 (+0.60 points, 95 % "
        "interval −1.00 to 2.00, n = 3) to s0 (+0.00 points, 95 % interval −1.00 to 2.00, n = 3). "
        "Each has its row in the table."
    }
    assert set(many) & set(few) == {
        "best is better than none (+2.00 points, 95 % interval 1.50 to 2.50, n = 3).",
        "apart and none have no seed in common: they are not compared.",
    }


@pytest.mark.parametrize(
    ("none", "step", "words"),
    [
        ([30.0], [31.0], "one seed that both have: no statement about luck is possible"),
        ([30.0, 31.0], [30.0, 31.0], "reached the same in each of 2 seeds"),
        ([30.0, 31.0], [30.5, 31.5], "differences without any spread cannot be tested"),
        ([30.0, 31.0], [30.5, 32.0], "no difference shown"),
    ],
)
def test_what_cannot_be_tested_is_called_that(none, step, words):
    found = corrected({"none": none, "step": step})["step"]
    assert words in compare_in_words("step", "none", found)
    assert not found.shown


def test_only_seeds_that_both_have_are_paired():
    results = {"none": {0: 30.0, 1: 31.0, 2: 30.0}, "step": {1: 32.0, 2: 31.5, 7: 90.0}}
    found = compare(results, "none")["step"]
    assert found.seeds == [1, 2]
    assert found.values.tolist() == [1.0, 1.5]
    apart = compare({"none": {0: 30.0}, "step": {1: 31.0}}, "none")["step"]
    assert "no seed in common" in compare_in_words("step", "none", apart)


@pytest.mark.parametrize(
    ("n", "factor"),  # Hedges and Olkin 1985, table 2: J of n - 1 degrees of freedom
    [(3, 0.5642), (4, 0.7236), (5, 0.7979), (11, 0.9228)],
)
def test_the_effect_size_has_hedges_correction(n, factor):
    values = np.arange(n) + 1.0
    assert effect_size(values) == pytest.approx(
        factor * values.mean() / values.std(ddof=1), rel=1e-3
    )
    assert np.isnan(effect_size(np.array([1.0, 2.0])))


def test_a_bootstrap_interval_appears_from_three_seeds_on():
    random = np.random.default_rng(0)
    none = random.normal(30, 1, FEWEST_FOR_BOOTSTRAP)
    step = none + random.normal(1, 0.3, FEWEST_FOR_BOOTSTRAP)
    found = corrected({"none": none, "step": step})["step"]
    assert found.bootstrap == bootstrap_interval(found.values, 0.95)
    assert found.low < found.bootstrap[0] < found.bootstrap[1] < found.high  # too narrow, as known
    assert corrected({"none": none[:-1], "step": step[:-1]})["step"].bootstrap is None


def test_mean_ranks_count_from_the_best_within_a_seed():
    results = {"a": {0: 3.0, 1: 1.0, 5: 0.0}, "b": {0: 2.0, 1: 1.0}, "c": {0: 1.0, 1: 2.0}}
    ranks, seeds = mean_ranks(results)  # seed 0: 1 2 3; seed 1: 2.5 2.5 1
    assert (ranks, seeds) == ({"a": 1.75, "b": 2.25, "c": 2.0}, [0, 1])
    assert mean_ranks({"a": {0: 1.0}, "b": {1: 1.0}}) == ({}, [])


def test_area_and_steps_of_a_curve():
    curve = {100: 0.0, 200: 10.0, 400: 10.0}  # triangle 500, rectangle 2000, over 300
    assert area(curve) == pytest.approx(2500 / 300)
    assert [steps_to(curve, x) for x in (0.0, 0.1, 10.0, 10.1)] == [100, 200, 200, None]
    assert [tell_steps(x) for x in ([100, 200], [100, None], [None])] == ["150", "1 of 2 runs", "–"]
    assert choose_accuracies([]) == []


@pytest.mark.parametrize(
    ("p", "told"),
    [
        (0.0002, "< 0.001"),
        (0.0496, "0.04960"),
        (0.0503, "0.05030"),
        (0.051, "0.051"),
        (1.0, "1.000"),
    ],
)
def test_a_p_value_near_the_level_is_not_rounded_to_it(p, told):
    assert tell_p(p) == told


def test_a_mean_is_told_with_its_interval():
    assert with_interval([1.0, 2.0, 3.0]) == "2.00 ± 2.48"
    assert with_interval([2.0]) == "2.00"
    assert with_interval([]) == "–"


def cover(values, intervals, mean):
    return np.mean([low <= mean <= high for low, high in intervals(values)])


def t_intervals(values):
    return [mean_interval(row)[1:] for row in values]


def bca_intervals(values):
    return [bootstrap_interval(row, 0.95, resamples=999) or (0, 0) for row in values]


@pytest.mark.full
@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_how_often_the_intervals_cover_the_truth(n):
    """The table of docs/compare.md; with -s it is printed."""
    random = np.random.default_rng(n)
    for name, values, mean in (
        ("normal", random.normal(size=(2000, n)), 0.0),
        ("heavy tails", random.standard_t(3, size=(2000, n)), 0.0),
        ("skewed", random.exponential(size=(2000, n)), 1.0),
    ):
        t, bca = cover(values, t_intervals, mean), cover(values[:600], bca_intervals, mean)
        print(f"\nn = {n}, {name}: t {t:.1%}, BCa {bca:.1%}", end="")
        assert t > (0.85 if name == "skewed" else 0.935)
        assert bca < 0.94
        assert bca < 0.9 or n >= FEWEST_TO_OBJECT


@pytest.mark.full
@pytest.mark.parametrize("seeds", [3, 4, 5, 8])
def test_what_some_seeds_can_show(seeds):
    """The other table of docs/compare.md: found differences of 1, 2, 4 spreads in 200 studies."""
    spread = 0.3 * 2**0.5  # of the differences of `make_studies`
    for schedules in (1, 11):
        found = [
            sum(
                study["schedule 0"].shown
                for study in make_studies(200, schedules, seeds, size * spread)
            )
            for size in (1, 2, 4)
        ]
        print(f"\n{seeds} seeds, {schedules} comparisons: {found} of 200", end="")
        assert found == sorted(found)
