"""The image operations against Pillow and plain ones, and what the three policies draw."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from data.policies import (
    AUTOAUGMENT,
    NAMES,
    OPERATIONS,
    draw_operations,
    measure_strength,
)
from data.synthetic import build_synthetic
from tests.data.plain import draw_split


@pytest.fixture(scope="module")
def images():
    """Noise, drawn shapes, one of them with a channel of one value."""
    shapes = build_synthetic(train_size=4, val_size=0, test_size=1).train.images
    shapes[0, 1] = 200
    return np.concatenate([draw_split(3).images, shapes])


def move(image, source):
    """Pixel (x, y) becomes that at `source(x, y)`, the nearest one; black from outside."""
    out = np.zeros_like(image)
    for y in range(32):
        for x in range(32):
            from_x, from_y = (int(np.floor(place)) for place in source(x + 0.5, y + 0.5))
            if 0 <= from_x < 32 and 0 <= from_y < 32:
                out[:, y, x] = image[:, from_y, from_x]
    return out


def rotate(x, y, degrees):
    """Counterclockwise about the middle."""
    cos, sin = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    x, y = x - 16, y - 16
    return 16 + cos * x - sin * y, 16 + sin * x + cos * y


MOVES = {  # where a pixel of the result comes from
    "shear_x": (lambda x, y, s: (x + s * y, y), (0.31, -0.3, 0.99)),
    "shear_y": (lambda x, y, s: (x, y + s * x), (0.31, -0.3, 0.99)),
    "translate_x": (lambda x, y, s: (x + s, y), (1.0, -14.0, 32.0)),
    "translate_y": (lambda x, y, s: (x, y + s), (1.0, -14.0, 31.0)),
    "rotate": (rotate, (12.0, -30.0, 90.0, 134.0)),
}


@pytest.mark.parametrize("name", MOVES)
def test_moves_equal_the_plain_ones(name, images):
    source, strengths = MOVES[name]
    found = OPERATIONS[name](images[: len(strengths)], np.array(strengths))
    for before, after, strength in zip(images, found, strengths, strict=False):
        expected = move(before, lambda x, y, s=strength: source(x, y, s))
        wrong = (after != expected).any(axis=0).sum()
        # Pillow rotates in fixed point: a place on the border of two pixels may go to either.
        assert wrong <= (2 if name == "rotate" else 0), strength


BLENDS = (0.31, -0.31, 0.9, -0.9, 0.99, -0.99, 0.0)
PILLOWS = {
    "identity": (lambda image, s: image, (0.0,)),
    "brightness": (lambda image, s: ImageEnhance.Brightness(image).enhance(1 + s), BLENDS),
    "color": (lambda image, s: ImageEnhance.Color(image).enhance(1 + s), BLENDS),
    "contrast": (lambda image, s: ImageEnhance.Contrast(image).enhance(1 + s), BLENDS),
    "sharpness": (lambda image, s: ImageEnhance.Sharpness(image).enhance(1 + s), BLENDS),
    "posterize": (lambda image, s: ImageOps.posterize(image, int(s)), (8.0, 7.0, 4.0, 2.0)),
    "solarize": (lambda image, s: ImageOps.solarize(image, s), (255.0, 170.5, 128.0, 1.0, 0.0)),
    "autocontrast": (lambda image, s: ImageOps.autocontrast(image), (0.0,)),
    "equalize": (lambda image, s: ImageOps.equalize(image), (0.0,)),
    "invert": (lambda image, s: ImageOps.invert(image), (0.0,)),
}


@pytest.mark.parametrize("name", [name for name in NAMES if name not in MOVES])
def test_operations_in_numpy_make_pillows_bytes(name, images):
    pillow, strengths = PILLOWS[name]
    for strength in strengths:
        found = OPERATIONS[name](images.copy(), np.full(len(images), strength))
        for before, after in zip(images, found, strict=True):
            image = Image.fromarray(np.ascontiguousarray(before.transpose(1, 2, 0)))
            expected = np.asarray(pillow(image, strength)).transpose(2, 0, 1)
            np.testing.assert_array_equal(after, expected)


ENDS = [
    # operation, magnitude of 30, with the sign -1: in the papers' range, in the wide one
    ("shear_x", 30, -0.3, -0.99),
    ("shear_y", 15, -0.15, -0.495),
    ("translate_x", 30, -14, -32),  # 150 pixels of 331 are 14.5 of 32
    ("translate_y", 1, 0, -1),
    ("rotate", 30, -30, -135),
    ("color", 10, -0.3, -0.33),
    ("posterize", 0, 8, 8),
    ("posterize", 14, 6, 5),
    ("posterize", 30, 4, 2),
    ("solarize", 14, 136, 136),
    ("solarize", 30, 0, 0),
]


@pytest.mark.parametrize(("name", "magnitude", "paper", "wide"), ENDS)
def test_strengths(name, magnitude, paper, wide):
    for is_wide, expected in ((False, paper), (True, wide)):
        operation = np.array(NAMES.index(name))
        found = measure_strength(operation, magnitude / 30, np.array(-1), is_wide)
        assert found == pytest.approx(expected)


def draw(policy):
    return draw_operations(policy, 100_000, np.random.default_rng(0), count=3, magnitude=14)


@pytest.mark.parametrize(("policy", "k"), [("randaugment", 3), ("trivialaugment", 1)])
def test_operations_are_drawn_from_fourteen_alike(policy, k):
    operations, strengths = draw(policy)
    assert operations.shape == strengths.shape == (100_000, k)
    counts = np.bincount(operations.ravel())
    assert len(counts) == 14  # no invert
    assert np.abs(counts / operations.size - 1 / 14).max() < 0.004  # deviation 0.0008


def test_the_strengths_that_are_drawn():
    operations, strengths = draw("randaugment")
    rotations = strengths[operations == NAMES.index("rotate")]
    assert set(np.round(rotations, 9)) == {-14.0, 14.0}
    assert abs((rotations > 0).mean() - 0.5) < 0.015
    assert set(strengths[operations == NAMES.index("solarize")]) == {136.0}

    operations, strengths = draw("trivialaugment")
    rotations = strengths[operations == NAMES.index("rotate")]
    assert len(set(np.round(rotations, 6))) == 61  # 31 magnitudes, 30 of them with two signs
    assert rotations.min() == -135 and rotations.max() == 135
    assert set(strengths[operations == NAMES.index("posterize")]) == set(range(2, 9))


def test_autoaugment_draws_its_pairs_with_their_probabilities():
    operations, strengths = draw("autoaugment")
    assert operations.shape == (100_000, 2)
    for place in (0, 1):
        expected = np.zeros(15)
        for pair in AUTOAUGMENT:
            name, odds, _ = pair[place]
            expected[NAMES.index(name)] += odds / 25
            expected[0] += (1 - odds) / 25
        found = np.bincount(operations[:, place], minlength=15) / 100_000
        assert np.abs(found - expected).max() < 0.008  # deviation 0.0016
    # translate_x at levels 8 and 9 of 9: 12 and 14 pixels
    assert set(strengths[operations == NAMES.index("translate_x")]) == {-14.0, -12.0, 12.0, 14.0}


def test_the_pairs_are_those_of_the_paper():
    halves = [half for pair in AUTOAUGMENT for half in pair]
    assert len(AUTOAUGMENT) == 25 and len(halves) == 50
    names = Counter(name for name, _, _ in halves)
    assert names == {
        "autocontrast": 7, "equalize": 9, "translate_y": 5, "sharpness": 5, "color": 5,
        "solarize": 4, "brightness": 4, "invert": 3, "contrast": 2, "translate_x": 2,
        "shear_y": 2, "rotate": 1, "posterize": 1,
    }  # fmt: skip
    assert sum(odds for _, odds, _ in halves) == pytest.approx(26.5)
    assert sum(level for _, _, level in halves if level is not None) == 187
