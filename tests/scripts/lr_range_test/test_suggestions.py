"""The four rules on curves whose answers a person can read off."""

import numpy as np
import pytest

from scripts.lr_range_test.suggestions import smooth, suggest

ALL = {"steepest", "minimum/10", "valley", "slide"}
RATES = [10 ** (-5 + k / 20) for k in range(101)]  # 1e-5 to 1, 20 steps to a decade


def curve(*knots):
    """The loss over RATES: straight lines through (logarithm of the rate, loss)."""
    return np.interp(np.log10(RATES), *zip(*knots, strict=True)).tolist()


# Flat, then down 1 a decade from 1e-3, down 2 a decade from 1e-2 to 1e-1, then up 4 a decade.
USUAL = curve((-5, 4.6), (-3, 4.6), (-2, 3.6), (-1, 1.6), (0, 5.6))
# The same later part, but it falls from the first step on.
FALLING = curve((-5, 4.6), (-2, 3.6), (-1, 1.6), (0, 5.6))
# Lowest at 1e-2, then a plateau, then up: two valleys, the longer one first.
PLATEAU = curve((-5, 4.6), (-4, 4.6), (-2, 2.6), (-1, 2.6), (0, 6.6))


@pytest.mark.parametrize(
    ("losses", "rule", "exponent"),
    [
        # Inside the piece from 1e-2 to 1e-1 every slope is -2; the first of equals counts.
        (USUAL, "steepest", (-1.95, -1.05)),
        (FALLING, "steepest", (-1.95, -1.05)),
        (PLATEAU, "steepest", (-3.95, -2.05)),
        (curve((-5, 4), (-2, 3.9), (-1.9, 3), (-1.8, 2.9), (0, 2.8)), "steepest", -1.95),
        (USUAL, "minimum/10", -2),  # lowest at 1e-1
        (PLATEAU, "minimum/10", -3),  # lowest at 1e-2 first
        # Steps 40 to 80 fall: 41 of them; two thirds of 40 are 27 (26.7); step 67 is at -1.65.
        (USUAL, "valley", -1.65),
        # Steps 0 to 80 fall: two thirds of 80 are 53; step 53 is at -2.35.
        (FALLING, "valley", -2.35),
        # Steps 20 to 60 fall: 20 + 27 = 47 is at -2.65.
        (PLATEAU, "valley", -2.65),
        # The interval is 1.2 decades. With its upper end at the bend (-1) the slope there is 1, and
        # -1 at its lower end (-2.2); at -2 it is -1.5 against 0 (-3.2 is flat). They agree once
        # the upper end is on the flat part (-3.05); the last that differ: -3 (-.5) and -4.2 (0).
        (USUAL, "slide", -4.2),
        # From 2 against -1 at -1 to -0.5 against -1 at -2 and -3.2. At -2.05 both are -1.
        (PLATEAU, "slide", -3.2),
    ],
)
def test_a_rule_reads_its_rate_off_the_curve(losses, rule, exponent):
    low, high = exponent if isinstance(exponent, tuple) else (exponent, exponent)
    answer = suggest(RATES, losses, losses)[rule]
    assert low - 1e-9 <= np.log10(answer) <= high + 1e-9


@pytest.mark.parametrize(
    ("losses", "without", "sentence"),
    [
        (curve((-5, 2), (0, 4)), ALL, "the loss did not fall clearly; try a lower"),
        (curve((-5, 2), (-2, 4), (0, 2)), ALL, "the loss did not fall clearly; try a lower"),
        (curve((-5, 2), (0, 2)), ALL, "the loss did not fall clearly; try a higher"),
        # One step differs by 0.1 from the next: a noise of 0.105, of which 0.3 is not 3 times.
        ([4.1, 4.0] * 50 + [3.8], ALL, "the loss did not fall clearly; try a higher"),
        ([4.1, 4.0] * 50 + [3.7], {"minimum/10"}, "the loss is lowest at the last step"),
        (curve((-5, 4), (0, 2)), {"minimum/10"}, "the loss is lowest at the last step"),
        (curve((-5, 4), (0, 2)), {"slide"}, "the slope is the same at the end"),
        ([(k / 10 - 5) ** 2 for k in range(101)], {"slide"}, "the slope changes all along"),
        ([4.0, 3.0, 2.0, 9.0], ALL, "it ended before the rules could begin"),
        ([], ALL, "it ended before the rules could begin"),
    ],
)
def test_a_rule_without_an_answer_says_why(losses, without, sentence):
    answers = suggest(RATES[: len(losses)], losses, losses)
    told = {name for name, answer in answers.items() if str(answer).startswith(sentence)}
    assert told == without


def test_skipped_steps_and_a_short_ramp():
    losses = [9.0, 0.1, 9.0, *USUAL[3:]]
    assert np.log10(suggest(RATES, losses, losses, skip=3)["minimum/10"]) == pytest.approx(-2)
    assert np.log10(suggest(RATES, losses, losses)["minimum/10"]) == pytest.approx(-5.95)
    rates = [10 ** (-2 + k / 40) for k in range(41)]  # one decade
    losses = [abs(k - 20) / 20 for k in range(41)]
    assert "the slope changes all along" in suggest(rates, losses, losses)["slide"]


def test_the_average_has_no_bias():
    assert smooth([4, 2, 3], 0.0) == pytest.approx([4, 2, 3])
    # (0.5 * 4 * 0.5 + 0.5 * 2) / 0.75 and so on
    assert smooth([4, 2, 2], 0.5) == pytest.approx([4, 8 / 3, 16 / 7])
    assert smooth([3, 3, 3], 0.9) == pytest.approx([3, 3, 3])  # none towards 0, where it starts
