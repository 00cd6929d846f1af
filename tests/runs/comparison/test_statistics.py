"""The statistics of a comparison, against scipy, tables and worked examples."""

import numpy as np
import pytest
from scipy import stats

from runs.comparison.sentences import compare_in_words
from runs.comparison.statistics import area, compare, correct, effect_size, steps_to


def corrected(results, reference="none"):
    differences = compare({name: dict(enumerate(v)) for name, v in results.items()}, reference)
    correct(list(differences.values()))
    return differences


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
    assert found["a"].mean == pytest.approx(1.0)


def test_a_corrected_p_value_is_never_below_that_of_a_smaller_one():
    """0.03 and 0.04 become 0.06 and 0.06, not 0.06 and 0.04: the second may not pass the first."""
    results = {"none": [0, 0], "a": [1, 2], "b": [1, 3]}
    differences = compare({name: dict(enumerate(v)) for name, v in results.items()}, "none")
    differences["a"].p_uncorrected, differences["b"].p_uncorrected = 0.04, 0.03
    correct(list(differences.values()))
    assert [differences[name].p for name in "ab"] == pytest.approx([0.06, 0.06])


def make_studies(studies, schedules=6, seeds=4, planted=0.0):
    """Made-up studies: some seeds are luckier than others, and each run by itself."""
    random = np.random.default_rng(7)
    for _ in range(studies):
        shared = random.normal(0, 0.6, seeds)
        results = {"none": 30 + shared + random.normal(0, 0.3, seeds)}
        for k in range(schedules):
            alone = random.normal(planted if k == 0 else 0.0, 0.3, seeds)
            results[f"schedule {k}"] = 30 + shared + alone
        yield corrected(results)


def test_false_positives_over_null_studies_stay_within_the_level():
    """200 studies, no difference in any: at 5 % each, 18 or more have a probability of 1 %."""
    wrong = sum(any(d.shown for d in study.values()) for study in make_studies(200, schedules=3))
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
    assert count["better"] > 40 and all(count.values()), count


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


def test_area_and_steps_of_a_curve():
    curve = {100: 0.0, 200: 10.0, 400: 10.0}  # triangle 500, rectangle 2000, over 300
    assert area(curve) == pytest.approx(2500 / 300)
    assert area({7: 5.0}) == 5.0
    assert [steps_to(curve, x) for x in (0.0, 0.1, 10.0, 10.1)] == [100, 200, 200, None]


@pytest.mark.full
@pytest.mark.parametrize("seeds", [3, 4, 5, 8])
def test_some_seeds_show_large_differences_only(seeds):
    """The table of docs/compare.md: found differences of 1, 2, 4 spreads in 200 studies."""
    spread = 0.3 * 2**0.5  # of the differences of `make_studies`
    for schedules in (1, 11):
        studies = [make_studies(200, schedules, seeds, size * spread) for size in (1, 2, 4)]
        found = [sum(study["schedule 0"].shown for study in some) for some in studies]
        print(f"\n{seeds} seeds, {schedules} comparisons: {found} of 200", end="")
        assert found == sorted(found)
