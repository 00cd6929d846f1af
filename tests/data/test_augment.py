"""What the keys of the augment node accept, and the random numbers of each kind."""

import numpy as np
import pytest

from data.augment import Augment, cut_boxes, draw_augment, draw_erasing, read_augment

SHAPE = (64, 32, 32)


@pytest.mark.parametrize("side", [1, 2, 3, 16, 63, 64])
def test_cutout_is_a_square_cut_to_the_image(side):
    middles = np.array([(y, x) for y in (0, 1, 15, 30, 31) for x in (0, 1, 15, 30, 31)])
    found = cut_boxes(middles, side // 2, side - side // 2, 32, 32)
    tops, lefts = (middles - side // 2).T
    squares = np.stack([tops, tops + side, lefts, lefts + side], axis=1)
    assert found.tolist() == np.clip(squares, 0, 32).tolist()


def test_erased_rectangles_are_those_of_the_paper():
    n = 50_000
    boxes = draw_erasing(0.5, n, 32, 32, np.random.default_rng(0))
    top, bottom, left, right = boxes[boxes.any(axis=1)].T
    assert abs(len(top) / n - 0.5) < 0.01
    assert top.min() == left.min() == 0 and bottom.max() == right.max() == 32
    high, wide = bottom - top, right - left
    assert (high < 32).all() and (wide < 32).all() and (high > 0).all() and (wide > 0).all()
    area, aspect = high * wide / 1024, high / wide
    assert 0.012 < area.min() < 0.02 and 0.4 < area.max() < 0.43  # sides are rounded to pixels
    assert abs(area.mean() - 0.2) < 0.01  # large and narrow ones do not fit: a little below 0.21
    assert 0.24 < aspect.min() < 0.3 and 3.33 < aspect.max() < 4.5
    assert abs((top / (32 - high)).mean() - 0.5) < 0.01  # anywhere


@pytest.mark.parametrize(("probability", "erased"), [(1.0, 100), (1e-9, 0)])
def test_random_erasing_at_the_ends_of_its_probability(probability, erased):
    boxes = draw_erasing(probability, 100, 32, 32, np.random.default_rng(0))
    assert boxes.any(axis=1).sum() == erased


def test_an_image_into_which_no_rectangle_fits_stays_whole():
    drawn = draw_erasing(1.0, 5_000, 2, 32, np.random.default_rng(0))
    top, bottom, left, right = drawn.T
    assert (bottom - top < 2).all() and (right - left < 32).all() and drawn.max() <= 32
    assert 0 < (~drawn.any(axis=1)).sum() < 5_000


def test_draws_reach_every_value_and_no_other():
    augment = Augment(crop_padding=4, flip=True, cutout=16)
    draws = draw_augment(augment, (20_000, 32, 32), (0, 0, 0))
    places, counts = np.unique(draws["crop"] @ [9, 1], return_counts=True)
    assert draws["crop"].min() == 0 and draws["crop"].max() == 8 and len(places) == 81
    assert counts.min() > 180 and counts.max() < 320  # 20,000 / 81 = 247, deviation 16
    assert 9_700 < draws["flip"].sum() < 10_300
    top, bottom, left, right = draws["cutout"].T
    # 17 of 32 middles leave a side of 16 whole, each of the others cuts one pixel more off it
    assert set(bottom - top) == set(right - left) == set(range(8, 17))
    assert abs((bottom - top == 16).mean() - 17 / 32) < 0.02
    assert abs((right - left == 16).mean() - 17 / 32) < 0.02


EVERYTHING = {
    "crop_padding": 4,
    "flip": True,
    "policy": "randaugment",
    "cutout": 7,
    "random_erasing": 0.5,
}


def test_draws_are_a_function_of_seed_epoch_and_step():
    wheres = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    drawn = [draw_augment(read_augment(EVERYTHING), SHAPE, where) for where in wheres]
    again = draw_augment(read_augment(EVERYTHING), SHAPE, wheres[0])
    for kind in ("crop", "flip", "operations", "cutout", "erasing"):
        assert np.array_equal(drawn[0][kind], again[kind])
        assert all(not np.array_equal(drawn[0][kind], other[kind]) for other in drawn[1:])
    # default_rng([seed, epoch]) and default_rng([seed, epoch, 0]) are the same generator
    order = np.random.default_rng([0, 0]).integers(0, 9, (2, 64)).T
    assert not np.array_equal(drawn[0]["crop"], order)


# Of seed 1, epoch 2, step 3: a run that was begun with an earlier version goes on as it began.
DRAWN = {
    "crop": [[0, 5], [0, 1], [2, 8]],
    "flip": [True, True, False],
    "operations": [[6, 12], [10, 5], [5, 11]],
    "cutout": [[24, 31, 9, 16], [0, 5, 0, 6], [0, 5, 11, 18]],
    "erasing": [[6, 24, 25, 31], [0, 0, 0, 0], [19, 26, 28, 32]],
}


def test_the_numbers_are_those_of_earlier_versions():
    draws = draw_augment(read_augment(EVERYTHING), SHAPE, (1, 2, 3))
    assert {kind: draws[kind][10:13].tolist() for kind in DRAWN} == DRAWN


@pytest.mark.parametrize("left_out", EVERYTHING)
def test_each_kind_has_random_numbers_of_its_own(left_out):
    drawn = draw_augment(read_augment(EVERYTHING), SHAPE, (0, 0, 0))
    fewer = {key: value for key, value in EVERYTHING.items() if key != left_out}
    without = draw_augment(read_augment(fewer), SHAPE, (0, 0, 0))
    kinds = set(without) - ({"flip"} if left_out == "crop_padding" else set())  # of one stream
    assert len(kinds) >= 4
    assert all(np.array_equal(drawn[kind], without[kind]) for kind in kinds)


RANDAUGMENT = {"policy": "randaugment"}
NOT_ACCEPTED = [
    ({"crop_padding": -1}, "crop_padding=-1: expected an integer from 0 to 32."),
    ({"crop_padding": 33}, "crop_padding=33: expected"),
    ({"crop_padding": True}, "crop_padding=true: expected"),
    ({"crop_padding": None}, "crop_padding=null: expected an integer from 0 to 32."),
    ({"flip": 0.5}, "flip=0.5: expected true or false."),
    ({"flip": None}, "flip=null: expected true or false."),
    ({"cutout": 0}, "cutout=0: expected null or an integer from 1 to 64."),
    ({"cutout": 65}, "cutout=65: expected"),
    ({"cutout": 8.0}, "cutout=8.0: expected"),
    ({"policy": "auto"}, "policy='auto': expected null or autoaugment, randaugment or trivialaug"),
    ({"policy": ["randaugment"]}, "policy=['randaugment']: expected"),
    (
        RANDAUGMENT | {"randaugment_n": 0},
        "randaugment_n=0: expected null or an integer from 1 to 1",
    ),
    (
        RANDAUGMENT | {"randaugment_m": 31},
        "randaugment_m=31: expected null or an integer from 0 to",
    ),
    (
        {"randaugment_m": 0},
        "randaugment_m=0: expected null, for it has no effect without augment.p",
    ),
    (
        {"policy": "autoaugment", "randaugment_n": 1},
        "randaugment_n=1: expected null, for it has no effect without augment.policy=randaugment.",
    ),
    ({"random_erasing": 0}, "random_erasing=0: expected null or a number above 0, up to 1."),
    ({"random_erasing": 1.01}, "random_erasing=1.01: expected"),
    ({"random_erasing": float("nan")}, "random_erasing=nan: expected"),
    ({"mixup": 0.0}, "mixup=0.0: expected null or a number above 0, up to 100."),
    ({"mixup": 100.5}, "mixup=100.5: expected"),
    ({"mixup": True}, "mixup=true: expected"),
    ({"cutmix": "1"}, "cutmix='1': expected"),
    ({"cutmix": 1, "cutmix_prob": 1.5}, "cutmix_prob=1.5: expected null or a number above 0, up t"),
    (
        {"mixup": 1, "cutmix_prob": 0.5},
        "cutmix_prob=0.5: expected null, for it has no effect without augment.",
    ),
    ({"cutot": 1}, "cutot=1: expected one of the keys crop_padding, flip, policy"),
]


@pytest.mark.parametrize(("node", "message"), NOT_ACCEPTED)
def test_wrong_values(node, message):
    with pytest.raises(ValueError) as caught:
        read_augment(node)
    assert str(caught.value).startswith(f"augment.{message}")
    assert str(caught.value).endswith(". Did you mean cutout?" if "cutot" in node else ".")


@pytest.mark.parametrize(
    "node",
    [None, {}, dict.fromkeys(Augment.__dataclass_fields__) | {"crop_padding": 0, "flip": False}],
)
def test_nothing_wanted_draws_nothing(node):
    assert draw_augment(read_augment(node), SHAPE, (0, 0, 0)) == {}
    assert not read_augment(node).mixes


def test_the_largest_values_are_accepted():
    node = {"crop_padding": 32, "cutout": 64, "random_erasing": 1, "mixup": 100, "cutmix": 0.01}
    node |= RANDAUGMENT | {"randaugment_n": 14, "randaugment_m": 30, "cutmix_prob": 1}
    assert read_augment(node) == Augment(**node) and read_augment(node).mixes
