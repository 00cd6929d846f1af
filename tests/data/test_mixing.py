"""Mixup and CutMix: what is drawn; the loader's tests see it applied."""

import numpy as np
import pytest

from data.augment import Augment
from data.mixing import draw_mix


def draw(mixup=None, cutmix=None, prob=None, n=8, where=(0, 0, 0)):
    return draw_mix(Augment(mixup=mixup, cutmix=cutmix, cutmix_prob=prob), (n, 32, 32), where)


def test_the_numbers_are_those_of_earlier_versions():
    mix = draw(mixup=0.2, n=64, where=(1, 2, 3))
    assert mix.partner[:2].tolist() == [34, 47] and mix.share == np.float32(0.090017967)
    mix = draw(cutmix=1.0, prob=1.0, n=64, where=(1, 2, 3))
    assert mix.partner[:2].tolist() == [31, 53] and mix.box == (15, 29, 0, 11)
    assert mix.share == 1 - 14 * 11 / 1024


KINDS = [  # mixup, cutmix, cutmix_prob, share of the batches with CutMix and with mixup
    (0.2, None, None, 0, 1),
    (None, 1.0, None, 0.5, 0),
    (0.2, 1.0, 0.5, 0.5, 0.5),
    (0.2, 1.0, 1.0, 1, 0),
    (None, None, None, 0, 0),
]


@pytest.mark.parametrize(("mixup", "cutmix", "prob", "with_box", "without_box"), KINDS)
def test_how_many_batches_have_which(mixup, cutmix, prob, with_box, without_box):
    drawn = [draw(mixup, cutmix, prob, where=(0, 0, step)) for step in range(1000)]
    boxes = [mix.box is not None for mix in drawn if mix]
    assert abs(sum(boxes) / 1000 - with_box) < 0.05
    assert abs((len(boxes) - sum(boxes)) / 1000 - without_box) < 0.05


@pytest.mark.parametrize("alpha", [0.2, 8.0])
def test_shares_are_of_a_beta_distribution(alpha):
    shares = np.array([draw(alpha, n=1, where=(0, 0, step)).share for step in range(4000)])
    assert abs(shares.mean() - 0.5) < 0.03
    assert abs(shares.var() * 4 * (2 * alpha + 1) - 1) < 0.12
