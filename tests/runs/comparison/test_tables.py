"""The figures of the report's tables, and how they are written."""

import pytest

from runs.comparison.settings import arrange
from runs.comparison.tables import (
    choose_accuracies,
    choose_reference,
    mean_steps,
    p_value,
    signed,
    span,
    with_interval,
)
from tests.helpers.studies import read_all, write_run


@pytest.mark.parametrize(
    ("runs", "wanted", "chosen"),
    [
        (["cosine", "none", "step"], None, "none"),
        (["cosine", "step"], None, "step"),
        (["rex", "cosine"], None, "cosine"),
        (["cosine", "none"], "cosine", "cosine"),
        (["step 0.1", "step 0.2"], "step (optimizer.lr=0.2)", "step (optimizer.lr=0.2)"),
        (["step 0.1", "step 0.2"], "rex", "no schedule with a complete run goes by"),
        (["step 0.1", "step 0.2"], "step", "several schedules go by that name; there are 'step (o"),
    ],
)
def test_the_reference_is_chosen_by_name(tmp_path, runs, wanted, chosen):
    for place, words in enumerate(runs):
        scheduler, _, lr = words.partition(" ")
        write_run(tmp_path / str(place), scheduler, test=20.0 + place, lr=float(lr or 0.1))
    (condition,) = arrange(read_all(tmp_path))
    try:
        assert choose_reference(condition, wanted) == chosen
    except ValueError as error:
        assert str(error).startswith(f"--reference {wanted}: {chosen}")


def test_the_accuracies_of_the_steps_table_are_round_parts_of_the_best_mean(tmp_path):
    for scheduler, last in (("step", 66.0), ("step", 68.0), ("none", 40.0)):
        write_run(tmp_path / f"{scheduler}{last}", scheduler, int(last), val={10: 80.0, 20: last})
    (condition,) = arrange(read_all(tmp_path))
    assert choose_accuracies(condition.schedules) == [30.0, 50.0, 60.0]  # of 67: 33.5, 50.25, 60.3
    assert choose_accuracies([]) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (mean_steps([100, 200]), "150"),
        (mean_steps([100, None]), "1 of 2 runs"),
        (mean_steps([None]), "–"),
        (with_interval([1.0, 2.0, 3.0]), "2.00 ± 2.48"),  # t(2) = 4.3027, s = 1
        (with_interval([2.0]), "2.00"),
        (with_interval([]), "–"),
        (signed(-0.5), "−0.50"),
        (signed(0.0004), "+0.0004"),  # not +0.00
        (span([1000, 900, 1000]), "900 to 1,000"),
        (span([20]), "20"),
        (p_value(0.0002), "< 0.001"),
        (p_value(0.0496), "0.04960"),  # not 0.050, which is the level
        (p_value(0.051), "0.051"),
        (p_value(1.0), "1.000"),
    ],
)
def test_figures_are_written_so_that_they_cannot_mislead(text, expected):
    assert text == expected
