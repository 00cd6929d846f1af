"""What the keys of the augment node accept, and the random numbers of each kind."""

import numpy as np
import pytest

from data.augment import Augment, draw_augment, draw_erasing, read_augment

SHAPE = (64, 32, 32)


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
    boxes = draw_erasing(1.0, 5_000, 2, 32, np.random.default_rng(0))  # few fit into two lines
    assert 0 < boxes.any(axis=1).sum() < 5_000 and (boxes[:, 1] - boxes[:, 0] < 2).all()


EVERYTHING = {"crop_padding": 4, "flip": True, "policy": "randaugment", "cutout": 7}
EVERYTHING |= {"random_erasing": 0.5}
# Of seed 1, epoch 2, step 3: a run that was begun with an earlier version goes on as it began.
DRAWN = {
    "crop": [[0, 5], [0, 1], [2, 8]],
    "flip": [True, True, False],
    "operations": [[6, 12], [10, 5], [5, 11]],
    "cutout": [[24, 31, 9, 16], [0, 5, 0, 6], [0, 5, 11, 18]],
    "erasing": [[6, 24, 25, 31], [0, 0, 0, 0], [19, 26, 28, 32]],
}


@pytest.mark.parametrize("left_out", [None, *EVERYTHING])
def test_draws_are_a_function_of_kind_seed_epoch_and_step(left_out):
    augment = read_augment({key: EVERYTHING[key] for key in EVERYTHING if key != left_out})
    wheres = [(1, 2, 3), (0, 2, 3), (1, 0, 3), (1, 2, 0)]
    first, *others = [draw_augment(augment, SHAPE, where) for where in wheres]
    kinds = set(first) - {"strengths"}
    assert len(kinds) == (5 if left_out is None else 4)
    for kind in kinds - ({"flip"} if left_out == "crop_padding" else set()):  # of one stream
        assert first[kind][10:13].tolist() == DRAWN[kind]
        assert all(not np.array_equal(first[kind], other[kind]) for other in others)


RANDAUGMENT = {"policy": "randaugment"}
UP_TO = "expected null or a number above 0, up to"
NO_EFFECT = "expected null, for it has no effect without augment."
NOT_ACCEPTED = [
    ({"crop_padding": -1}, "crop_padding=-1: expected an integer from 0 to 32."),
    ({"crop_padding": 33}, "crop_padding=33: expected"),
    ({"crop_padding": None}, "crop_padding=null: expected an integer from 0 to 32."),
    ({"flip": 0.5}, "flip=0.5: expected true or false."),
    ({"cutout": 0}, "cutout=0: expected null or an integer from 1 to 64."),
    ({"cutout": 65}, "cutout=65: expected"),
    ({"policy": "auto"}, "policy='auto': expected null or autoaugment, randaugment or trivialaug"),
    (RANDAUGMENT | {"randaugment_n": 0}, "randaugment_n=0: expected null or an integer from 1 to"),
    (RANDAUGMENT | {"randaugment_m": 31}, "randaugment_m=31: expected null or an integer from 0"),
    ({"randaugment_m": 0}, f"randaugment_m=0: {NO_EFFECT}policy=randaugment."),
    ({"policy": "autoaugment", "randaugment_n": 1}, f"randaugment_n=1: {NO_EFFECT}policy=rand"),
    ({"random_erasing": 1.01}, f"random_erasing=1.01: {UP_TO} 1."),
    ({"mixup": 0.0}, f"mixup=0.0: {UP_TO} 100."),
    ({"mixup": 100.5}, f"mixup=100.5: {UP_TO} 100."),
    ({"cutmix": 1, "cutmix_prob": 1.5}, f"cutmix_prob=1.5: {UP_TO} 1."),
    ({"mixup": 1, "cutmix_prob": 0.5}, f"cutmix_prob=0.5: {NO_EFFECT}cutmix."),
    ({"cutot": 1}, "cutot=1: expected one of the keys crop_padding, flip, policy"),
]


@pytest.mark.parametrize(("node", "message"), NOT_ACCEPTED)
def test_wrong_values(node, message):
    with pytest.raises(ValueError) as caught:
        read_augment(node)
    assert str(caught.value).startswith(f"augment.{message}")
    assert str(caught.value).endswith(". Did you mean cutout?" if "cutot" in node else ".")


OFF = dict.fromkeys(Augment.__dataclass_fields__) | {"crop_padding": 0, "flip": False}


def test_the_ends_of_what_is_accepted():
    for node in (None, {}, OFF):
        assert draw_augment(read_augment(node), SHAPE, (0, 0, 0)) == {}
        assert not read_augment(node).mixes
    node = {"crop_padding": 32, "cutout": 64, "random_erasing": 1, "mixup": 100, "cutmix": 0.01}
    node |= RANDAUGMENT | {"randaugment_n": 14, "randaugment_m": 30, "cutmix_prob": 1}
    assert read_augment(node) == Augment(**node) and read_augment(node).mixes
