"""The pictures show the curves."""

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from plots.pictures import FRAME_MS, FRAMES, PAUSE_MS, write_animation, write_picture
from tests.plots.made_up import LINE, STAIRS, cosine, curve

BLUE = (0, 0x72, 0xB2)


def blue_rows(image):
    """How many pixels of each row have the color of the first curve."""
    pixels = np.asarray(image.convert("RGB")).astype(int)
    return (np.abs(pixels - BLUE).sum(axis=2) < 12).sum(axis=1)


def test_a_png_shows_the_curve_and_grows_by_the_lines_below_it(tmp_path):
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


def test_an_svg_is_a_drawing_and_the_same_file_each_time(tmp_path):
    for name in "ab":
        write_picture(tmp_path / f"{name}.svg", [curve(STAIRS), curve(LINE, "line")], "two")
    text = (tmp_path / "a.svg").read_text()
    assert all(part in text for part in ("<svg", "#0072b2", "#d55e00"))
    assert text == (tmp_path / "b.svg").read_text()


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
