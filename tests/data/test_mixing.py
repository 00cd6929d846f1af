"""Mixup and CutMix: what is drawn, and labels that go with the images."""

import numpy as np
import oneflow as flow
import pytest

from data import BatchLoader, device, mixing
from data.mixing import draw_mix, mix_images, mix_labels, pair_up
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split


def draw(mixup=None, cutmix=None, prob=0.5, n=8, seed=0):
    return draw_mix(mixup, cutmix, prob, (n, 32, 32), np.random.default_rng(seed))


def test_a_batch_has_one_share_one_box_and_one_permutation():
    for seed in range(50):
        mixed = draw(mixup=0.2, cutmix=1.0, n=20, seed=seed)
        assert sorted(mixed["partner"]) == list(range(20))
        assert mixed["share"].dtype == np.float32 and len(set(mixed["share"])) == 1
        if "box" in mixed:
            assert (mixed["box"] == mixed["box"][0]).all() and mixed["box"].shape == (20, 4)
            top, bottom, left, right = mixed["box"][0]
            assert 0 <= top <= bottom <= 32 and 0 <= left <= right <= 32
            assert mixed["share"][0] == np.float32(1 - (bottom - top) * (right - left) / 1024)


@pytest.mark.parametrize(
    ("mixup", "cutmix", "prob", "with_box", "without_box"),
    [
        (0.2, None, 0.5, 0, 1),
        (None, 1.0, 1.0, 1, 0),
        (None, 1.0, 0.3, 0.3, 0),
        (0.2, 1.0, 0.5, 0.5, 0.5),
        (0.2, 1.0, 1.0, 1, 0),
    ],
)
def test_how_many_batches_have_which(mixup, cutmix, prob, with_box, without_box):
    draws = [draw(mixup, cutmix, prob, seed=seed) for seed in range(2000)]
    assert abs(sum("box" in mixed for mixed in draws) / 2000 - with_box) < 0.04
    plain_ones = sum("share" in mixed and "box" not in mixed for mixed in draws)
    assert abs(plain_ones / 2000 - without_box) < 0.04


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_of_a_beta_distribution(alpha):
    shares = np.array([draw(mixup=alpha, n=1, seed=seed)["share"][0] for seed in range(4000)])
    assert abs(shares.mean() - 0.5) < 0.03
    assert abs(shares.var() / (1 / (4 * (2 * alpha + 1))) - 1) < 0.12
    assert shares.min() >= 0 and shares.max() <= 1


@pytest.mark.parametrize(
    ("share", "own", "labels"),
    [(1.0, 1.0, [0, 0, 1.0]), (0.0, 0.0, [1.0, 0, 0]), (0.25, 0.25, [0.75, 0, 0.25])],
)
def test_labels_have_the_shares_of_the_images(share, own, labels):
    images = np.zeros((2, 3, 32, 32), np.float32)
    images[0] = 1
    partner, shares = np.array([1, 0]), np.full(2, share, np.float32)
    mixed = {"own": np.arange(2), "other": partner, "share": shares}
    assert (mix_images(images, mixed)[0] == own).all()
    targets = mix_labels(np.array([2, 0]), {"partner": partner, "share": shares}, 3)
    assert targets.dtype == np.float32 and targets[0].tolist() == labels
    assert targets.sum(axis=1).tolist() == [1.0, 1.0]


def test_labels_of_one_class_stay_and_unmixed_ones_are_ones():
    twice = {"partner": np.array([1, 0]), "share": np.full(2, 0.7, np.float32)}
    assert np.allclose(mix_labels(np.array([1, 1]), twice, 3), [[0, 1, 0], [0, 1, 0]])
    assert mix_labels(np.array([2, 0]), {}, 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_pairs_need_each_image_once():
    partner = np.array([3, 0, 1, 2])
    needed, own, other = pair_up(np.arange(4), partner)
    assert (needed.tolist(), own.tolist(), other.tolist()) == (
        [0, 1, 2, 3],
        [0, 1, 2, 3],
        [3, 0, 1, 2],
    )
    needed, own, other = pair_up(np.arange(4)[2:], partner[2:])
    assert (needed[own].tolist(), needed[other].tolist()) == ([2, 3], [1, 2])
    assert needed.tolist() == [1, 2, 3]


NODES = [
    {"mixup": 0.2},
    {"cutmix": 1.0, "cutmix_prob": 1.0},
    {"cutmix": 1.0},
    {"crop_padding": 4, "flip": True, "cutout": 8, "mixup": 1.0, "cutmix": 1.0},
    {"crop_padding": 4, "flip": True, "random_erasing": 0.5, "mixup": 1.0},
]


def build(node, split, in_numpy=True, **options):
    loader = BatchLoader(
        split, 16, MEAN, STD, seed=1, augment=node, shuffle=True, classes=100, **options
    )
    loader.in_numpy = in_numpy
    return loader


@pytest.mark.parametrize("in_numpy", [True, False])
@pytest.mark.parametrize("node", NODES)
def test_batches_are_those_of_the_plain_version(node, in_numpy):
    split = draw_split(70)
    found = list(build(node, split, in_numpy).epoch(2))
    expected = list(plain.batches(split, 16, node, seed=1, epoch=2, shuffle=True))
    assert len(found) == len(expected) == 5
    for (images, labels), (its_images, its_labels) in zip(found, expected, strict=True):
        assert_same_bits(images.numpy(), its_images)
        assert_same_bits(labels.numpy(), its_labels)


@pytest.mark.parametrize("in_numpy", [True, False])
@pytest.mark.parametrize("node", [*NODES, {"policy": "trivialaugment", "mixup": 1.0}])
def test_parts_of_a_batch_are_those_of_the_whole(node, in_numpy):
    split = draw_split(40)
    whole = list(build(node, split, in_numpy).epoch())
    for part in (slice(0, 6), slice(6, 16), slice(0, 0)):
        loader = build(node, split, in_numpy, part=lambda n, part=part: slice(*part.indices(n)))
        if part == slice(0, 0) and not in_numpy:
            continue  # OneFlow has no kernels for tensors without numbers
        for (images, labels), (all_images, all_labels) in zip(loader.epoch(), whole, strict=True):
            assert_same_bits(images.numpy(), all_images.numpy()[part])
            assert_same_bits(labels.numpy(), all_labels.numpy())


def test_on_the_device_as_in_numpy():
    images = np.stack([plain.normalize(image) for image in draw_split(9).images])
    for box in (None, (0, 32, 0, 32), (5, 6, 31, 32), (7, 7, 3, 9)):
        mixed = {"own": np.array([2, 5, 8]), "other": np.array([5, 0, 8])}
        mixed["share"] = np.full(3, 0.3, np.float32)
        if box:
            mixed["box"] = np.array([box] * 3)
        tensors = {kind: device.send(array, "cpu") for kind, array in mixed.items()}
        found = device.mix_images(flow.tensor(images), tensors).numpy()
        assert_same_bits(found, mixing.mix_images(images.copy(), mixed))
