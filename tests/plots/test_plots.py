"""Few points draw the whole curve, and the pictures show it."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from plots.curves import (
    Curve,
    corner_points,
    find_corners,
    line_points,
    log_floor,
    write_csv,
    write_json,
)
from plots.pictures import FRAME_MS, FRAMES, PAUSE_MS, write_animation, write_picture
from schedulers import Horizon

BLUE = (0, 0x72, 0xB2)


def cosine(steps, cycle):
    return [0.05 * (1 + math.cos(math.pi * (t % cycle) / cycle)) for t in range(steps)]


LINE = [1 - t / 100 for t in range(100)]
STAIRS = [1.0] * 40 + [0.1] * 40 + [0.01] * 20
TRAPEZOID = [min(1.0, t / 20, (100 - t) / 40) for t in range(100)]
TINY_STAIR = [1.0] * 40 + [1e-3] * 40 + [1e-4] * 20


def curve(rates, name="x", **settings):
    return Curve(name, [rates], [0.1], Horizon(len(rates), 10), **settings)


@pytest.mark.parametrize(
    ("rates", "corners"),
    [
        ([0.1], {}),
        (LINE, {}),
        (cosine(1000, 1000), {}),
        (cosine(20, 20), {}),
        (STAIRS, {40: "down", 80: "down"}),
        (TINY_STAIR, {40: "down", 80: "down"}),
        (cosine(1000, 250), {250: "up", 500: "up", 750: "up"}),
        (TRAPEZOID, {20: "bend", 60: "bend"}),
        ([0.01] * 10 + [0.1] * 90, {10: "up"}),
    ],
)
def test_corners_are_where_a_curve_changes_its_course(rates, corners):
    assert find_corners(rates) == corners


@pytest.mark.parametrize(
    ("rates", "points"),
    [
        ([0.1], [0]),
        ([0.1, 0.2], [0, 1]),
        (LINE, [0, 99]),
        (STAIRS, [0, 39, 40, 79, 80, 99]),
        (TRAPEZOID, [0, 20, 60, 99]),
    ],
)
@pytest.mark.parametrize("limit", [2, 500])
def test_exactly_the_corners_are_kept_where_lines_join_them(rates, points, limit):
    assert corner_points(rates, limit) == points


def test_a_smooth_curve_of_78200_steps_is_drawn_by_few_points_to_less_than_a_pixel():
    rates = cosine(78200, 78200)
    points = corner_points(rates)
    drawn = np.interp(np.arange(78200), points, np.asarray(rates)[points])
    assert len(points) < 60
    assert np.abs(drawn - rates).max() <= 5e-4 * 0.1
    assert len(corner_points(rates, limit=10)) == 10


def test_rates_below_a_logarithmic_axis_are_drawn_at_its_floor():
    assert line_points([0.1, 0.01, 0.0], floor=0.001) == ([0, 2], [0.1, 0.001])
    assert line_points([0.1, math.nan, 0.1])[1] == [0.1, 0.0, 0.1]


def test_rates_without_end_come_to_an_end():
    growing = [10.0**step for step in range(9)] + [math.inf] * 9
    assert log_floor([curve(growing)]) == pytest.approx(1e3)
    assert line_points(growing, floor=1e3)[1][-1] == 1e3
    with np.errstate(invalid="ignore"):
        assert len(corner_points(growing)) <= len(growing)


@pytest.mark.parametrize(
    ("rates", "floor"),
    [([0.1, 0.01], 0.01), ([0.1, 1e-9], 1e-6), ([0.1, 0.1], 0.01), ([0.0, 0.0], 1e-5)],
)
def test_a_logarithmic_axis_has_one_to_five_decades(rates, floor):
    assert log_floor([curve(rates)]) == pytest.approx(floor, rel=1e-12)


def test_groups_with_equal_rates_share_a_line():
    rates = [[0.1, 0.2], [0.3, 0.4], [0.1, 0.2]]
    three = Curve("x", rates, [0.1] * 3, Horizon(2, 1))
    assert list(three.groups()) == ["x, group 0 and 2", "x, group 1"]
    assert list(curve([0.1, 0.2]).groups()) == ["x"]


def test_the_figures_of_a_curve():
    text = "base 0.1 | min 0 | max 0.1 | last 0 | area 50% of base"
    assert curve([0.1, 0.1, 0.0, 0.0]).summary() == text


def test_json_is_one_object_for_one_curve_and_a_list_for_several(tmp_path):
    path, one = tmp_path / "c.json", curve([0.1, 1 / 30])
    expected = {
        "scheduler": "x",
        "total_steps": 2,
        "steps_per_epoch": 10,
        "base_lrs": [0.1],
        "lr": [[0.1, 1 / 30]],
    }
    write_json(path, [one])
    assert json.loads(path.read_text()) == expected
    write_json(path, [one, one])
    assert json.loads(path.read_text()) == [expected, expected]


def test_csv_has_a_row_per_step_and_every_digit(tmp_path):
    path = tmp_path / "c.csv"
    write_csv(path, [Curve("x", [[0.1, 1 / 30], [1.0, 0.5]], [0.1, 1.0], Horizon(2, 10))])
    rows = "step,epoch,group0,group1\n0,0.0,0.1,1.0\n1,0.1,0.03333333333333333,0.5\n"
    assert path.read_text() == rows
    write_csv(path, [curve([0.1, 0.2]), curve([0.3], "y")])
    assert path.read_text() == "step,epoch,x/group0,y/group0\n0,0.0,0.1,0.3\n1,0.1,0.2,\n"


def blue_rows(image):
    """How many pixels of each row have the color of the first curve."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return (np.abs(pixels - BLUE).sum(axis=2) < 12).sum(axis=1)


def test_a_picture_is_the_same_file_each_time(tmp_path):
    for suffix in ("png", "svg"):
        paths = [tmp_path / f"{k}.{suffix}" for k in (1, 2)]
        for path in paths:
            write_picture(path, [curve(STAIRS)], "stairs")
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_a_png_shows_the_curve_and_grows_by_what_is_said_below_it(tmp_path):
    path = tmp_path / "c.png"
    write_picture(path, [curve(STAIRS)], "stairs")
    plain = Image.open(path)
    assert plain.width == 960
    assert blue_rows(plain).sum() > 1500
    write_picture(path, [curve(STAIRS, note="why", findings=["step 3: what"])], "stairs")
    assert Image.open(path).height - plain.height in (64, 65)  # two rows of 0.27 inches at 120 dpi


def test_a_logarithmic_axis_puts_the_middle_stair_half_way_down(tmp_path):
    middle = []
    for log in (False, True):
        write_picture(tmp_path / "c.png", [curve(STAIRS)], "stairs", log)
        stairs = np.flatnonzero(blue_rows(Image.open(tmp_path / "c.png")) > 100)
        top, bottom = stairs.min(), stairs.max()
        inner = [row for row in stairs if top + 10 < row < bottom - 10]
        middle.append((np.mean(inner) - top) / (bottom - top))
    assert middle[0] == pytest.approx(0.9 / 0.99, abs=0.02)
    assert middle[1] == pytest.approx(0.5, abs=0.02)


def test_an_svg_is_a_drawing(tmp_path):
    write_picture(tmp_path / "c.svg", [curve(STAIRS), curve(LINE, "line")], "two")
    text = (tmp_path / "c.svg").read_text()
    assert "<svg" in text
    assert "#0072b2" in text
    assert "#d55e00" in text


def test_an_animation_draws_the_curve_step_by_step(tmp_path):
    path = tmp_path / "c.gif"
    write_animation(path, [curve(cosine(1000, 1000))], "cosine")
    image = Image.open(path)
    assert (image.n_frames, image.width, image.info["loop"]) == (FRAMES, 576, 0)
    seen, durations = [], []
    for index in range(image.n_frames):
        image.seek(index)
        seen.append(int(blue_rows(image).sum()))
        durations.append(image.info["duration"])
    assert durations == [FRAME_MS] * (FRAMES - 1) + [PAUSE_MS]
    assert seen[0] < 0.2 * seen[-1]
    assert all(later > earlier - 15 for earlier, later in pairwise(seen))


def test_a_run_of_three_steps_has_an_animation_of_three_frames(tmp_path):
    path = tmp_path / "c.gif"
    write_animation(path, [curve([0.1, 0.05, 0.02]), curve([0.1, 0.1, 0.1], "y")], "short")
    assert Image.open(path).n_frames == 3
