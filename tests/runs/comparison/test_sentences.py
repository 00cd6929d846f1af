"""The report's sentences."""

from types import SimpleNamespace

import numpy as np
import pytest

from runs.comparison.sentences import check_rates, compare_in_words, conclude
from runs.comparison.statistics import Difference, compare, correct
from tests.helpers.studies import read_all, write_run

THREE = np.array([1.0, 2.0, 3.0])


def conclude_of(results, reference="none", **differences):
    return conclude(SimpleNamespace(results=results, reference=reference, differences=differences))


@pytest.mark.parametrize(
    ("results", "sentence"),
    [
        ({}, "No run of these is complete."),
        ({"step": {0: 1.0, 1: 2.0}}, "Only one schedule has finished runs, so there is nothing"),
        ({"b": {0: 2.0}, "a": {0: 1.0}}, "One run each: chance cannot be ruled out. The highest t"),
        (
            {label: {0: 1.0, 1: 1.0} for label in ("b", "a", "none")},
            "The highest mean is that of b, before a. Each was compared with none only: whether b "
            "is better than a was not tested.",
        ),
    ],
)
def test_without_a_comparison_one_sentence_gives_the_reason(results, sentence):
    (found,) = conclude_of(results)
    assert found.startswith(sentence)
    if len(results) == 3:
        assert conclude_of(results, "a") == conclude_of(results, "b") == []


@pytest.mark.parametrize("alike", [6, 7])
def test_many_that_show_nothing_get_one_sentence(alike):
    found = {f"s{i}": Difference([0, 1, 2], THREE, i / 10, -1, 2, 0.5) for i in range(alike)}
    found["best"] = Difference([0, 1, 2], THREE, 2.0, 1.5, 2.5, 0.01)
    found["apart"] = Difference([], np.array([]))
    sentences = conclude_of(
        {label: {0: 1.0, 1: 1.0} for label in ["best", "none", *found]}, **found
    )
    if alike == 6:
        assert len(sentences) == 8
        return
    assert sentences == [
        "best is better than none (+2.00 points, 95 % interval 1.50 to 2.50, n = 3).",
        "apart and none have no seed in common: they are not compared.",
        "no difference shown between none and any of 7 others, from s6 (+0.60 points, 95 % "
        "interval −1.00 to 2.00, n = 3) to s0 (+0.00 points, 95 % interval −1.00 to 2.00, n = 3). "
        "Each has its row in the table.",
    ]


@pytest.mark.parametrize(
    ("none", "step", "words"),
    [
        ([30.0], [31.0], "+1.00 points with the one seed that both have: chance cannot be ruled"),
        ([30.0, 31.0], [30.0, 31.0], "reached the same in each of 2 seeds"),
        ([30.0, 31.0], [30.5, 31.5], "differences without any spread cannot be tested"),
        ([30.0, 31.0], [30.5, 32.0], "no difference shown between step and none (+0.75 points"),
        ([30.0, 31.0, 30.0], [29.0, 30.1, 28.9], "step is worse than none (−1.00 points, 95 %"),
    ],
)
def test_a_comparison_in_words(none, step, words):
    differences = compare({"none": dict(enumerate(none)), "step": dict(enumerate(step))}, "none")
    correct([*differences.values()])
    assert words in compare_in_words("step", "none", differences["step"])


def test_rates_are_summed_over_runs_of_the_same_name(tmp_path):
    for place, check in (("a", {"steps": 5, "mismatches": 2}), ("b", None), ("c", {"steps": 7})):
        write_run(tmp_path / place / "run", seed=ord(place), summary={"lr_check": check})
    write_run(tmp_path / "d" / "run")  # 20 of 20
    line, alarms = check_rates(read_all(tmp_path))
    assert line == (
        "Learning rates as previewed: 23 of 25 steps. 2 complete runs have no such check."
    )
    assert [alarm[:10] for alarm in alarms] == ["run: 2 of "]
