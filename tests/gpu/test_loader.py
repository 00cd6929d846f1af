"""The loader on a GPU: bytes go there, and the device makes numpy's bits of them."""

import numpy as np
import pytest

from data import BatchLoader
from engine.process.runtime import cuda_problem
from tests.data import plain
from tests.data.plain import MEAN, STD, assert_same_bits, draw_split

PROBLEM = cuda_problem()
pytestmark = pytest.mark.skipif(PROBLEM is not None, reason=str(PROBLEM))


@pytest.mark.parametrize(
    "augment",
    [
        {},
        {"flip": True},
        {"crop_padding": 4},
        {"crop_padding": 32, "flip": True, "cutout": 63},
        {"crop_padding": 4, "flip": True, "cutout": 16},
        {"random_erasing": 0.5, "mixup": 1.0},
        {"crop_padding": 4, "flip": True, "cutmix": 1.0, "cutmix_prob": 1.0},
        {"crop_padding": 4, "flip": True, "policy": "randaugment", "cutout": 8},
    ],
)
def test_batches_are_those_of_the_plain_version(augment):
    split = draw_split(300)
    options = {"augment": augment, "shuffle": True, "classes": 100}
    loader = BatchLoader(split, 128, MEAN, STD, seed=3, device="cuda", **options)
    expected = plain.batches(split, 128, loader.augment, seed=3, epoch=2, shuffle=True)
    for (images, labels), (its_images, its_labels) in zip(loader.epoch(2), expected, strict=True):
        assert images.device.type == labels.device.type == "cuda"
        assert_same_bits(images.numpy(), its_images)
        assert_same_bits(labels.numpy(), its_labels)


def test_an_epoch_of_cifars_size_is_that_of_the_cpu():
    split = draw_split(5_000)
    options = {"augment": {"crop_padding": 4, "flip": True, "cutout": 8}}
    options |= {"shuffle": True, "classes": 100}
    pairs = zip(
        BatchLoader(split, 512, MEAN, STD, device="cuda", **options).epoch(),
        BatchLoader(split, 512, MEAN, STD, device="cpu", **options).epoch(),
        strict=True,
    )
    assert all(np.array_equal(there[0].numpy(), here[0].numpy()) for there, here in pairs)
