"""A curve's figures, the few points that draw it, its axes' ends and its data files."""

import math

import numpy as np
import pytest

from plots.curves import Curve, line_points, log_floor, nice_ticks, thin_points, write_csv
from schedulers import Horizon
from tests.plots.made_up import LINE, STAIRS, TRAPEZOID, cosine, curve


@pytest.mark.parametrize(
    ("rates", "points"),
    [
        ([0.1], [0]),
        ([0.1, 0.2], [0, 1]),
        ([0.1] * 9, [0, 8]),
        (LINE, [0, 99]),
        (STAIRS, [0, 39, 40, 79, 80, 99]),
        (TRAPEZOID, [0, 20, 60, 99]),
        ([0.0, 0.0, 5.0, 0.0, 0.0], [0, 1, 2, 3, 4]),  # a peak of one step
    ],
)
def test_straight_lines_are_drawn_by_their_ends(rates, points):
    assert thin_points(rates) == points


@pytest.mark.parametrize("cycle", [78_200, 19_550])  # without and with restarts
def test_a_long_curve_is_drawn_by_few_points_to_less_than_a_pixel(cycle):
    rates = cosine(78_200, cycle)
    points = thin_points(rates)
    drawn = np.interp(np.arange(78_200), points, np.asarray(rates)[points])
    assert len(points) < 200
    assert np.abs(drawn - rates).max() <= 5e-4 * 0.1
    assert len(thin_points(rates, most=10)) == 10


def test_rates_below_a_logarithmic_axis_are_drawn_at_its_floor():
    assert line_points([0.1, 0.01, 0.0], floor=0.001) == ([0, 2], [0.1, 0.001])
    assert line_points([1.0, math.inf], floor=0.1)[1] == [1.0, 0.1]
    assert line_points([0.1, math.nan, 0.1])[1] == [0.1, 0.0, 0.1]


@pytest.mark.parametrize(
    ("rates", "floor"),
    [
        ([0.1, 0.01], 0.01),
        ([0.1, 1e-9], 1e-6),  # five decades at most
        ([0.1, 0.1], 0.01),  # one at least
        ([0.0, 0.0], 1e-5),
        ([10.0**step for step in range(9)] + [math.inf], 1e3),
    ],
)
def test_a_logarithmic_axis_has_one_to_five_decades(rates, floor):
    assert log_floor([rates]) == pytest.approx(floor, rel=1e-12)


@pytest.mark.parametrize(
    ("ends", "ticks"),
    [
        ((0, 30), [0, 5, 10, 15, 20, 25, 30]),
        ((0, 9), [0, 2, 4, 6, 8]),
        ((-0.3, 0.7), [-0.2, 0, 0.2, 0.4, 0.6]),
    ],
)
def test_ticks_are_round_numbers(ends, ticks):
    assert nice_ticks(*ends) == ticks


def test_a_curve_has_groups_and_figures():
    rates = [[0.1, 0.2], [0.3, 0.4], [0.1, 0.2]]  # the first and the last share a line
    three = Curve("x", rates, [0.1] * 3, Horizon(2, 1))
    assert list(three.groups()) == ["x, group 0 and 2", "x, group 1"]
    one = curve([0.1, 0.1, 0.0, 0.0])
    assert list(one.groups()) == ["x"]
    assert one.summary() == "base 0.1 | min 0 | max 0.1 | last 0 | area 50% of base"


def test_csv_has_a_row_per_step_and_every_digit(tmp_path):
    path = tmp_path / "c.csv"
    write_csv(path, [Curve("x", [[0.1, 1 / 30], [1.0, 0.5]], [0.1, 1.0], Horizon(2, 10))])
    rows = "step,epoch,group0,group1\n0,0.0,0.1,1.0\n1,0.1,0.03333333333333333,0.5\n"
    assert path.read_text() == rows
    write_csv(path, [curve([0.1, 0.2]), curve([0.3], "y")])
    assert path.read_text() == "step,epoch,x/group0,y/group0\n0,0.0,0.1,0.3\n1,0.1,0.2,\n"
