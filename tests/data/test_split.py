"""Sizes and stratified splits, as tables."""

import numpy as np
import pytest
from omegaconf import OmegaConf

from data import build_dataset, split_sizes
from data.split import draw_stratified, order_stratified

LABELS = np.random.default_rng(3).permutation(np.arange(50_000) % 100)
CIFAR = {"_target_": "data.cifar.build_cifar100"}
SYNTHETIC = {"_target_": "data.synthetic.build_synthetic"}

SIZES = [  # target, train_size, val_size, the answer
    (CIFAR, None, 5_000, (45_000, 5_000)),
    (CIFAR, 45_000, 5_000, (45_000, 5_000)),
    (CIFAR, None, 0, (50_000, 0)),
    (CIFAR, 1, 1, (1, 1)),
    (CIFAR, None, 49_999, (1, 49_999)),
    (CIFAR, 49_999, 1, (49_999, 1)),
    ({"_target_": "data.cifar.build_cifar10"}, None, 10_000, (40_000, 10_000)),
    (SYNTHETIC, 123, 45, (123, 45)),
    (SYNTHETIC, 1_000_000, 1, (1_000_000, 1)),
]


@pytest.mark.parametrize(("target", "train_size", "val_size", "sizes"), SIZES)
def test_split_sizes(target, train_size, val_size, sizes):
    node = target | {"train_size": train_size, "val_size": val_size, "root": "/nowhere"}
    assert split_sizes(node) == sizes
    assert split_sizes(OmegaConf.create(node)) == sizes


MISFITS = [
    (CIFAR, 45_001, 5_000, "dataset.train_size=45001 is not accepted: dataset.val_size=5000 leaves "
     "45000 of 50000 images to train on"),
    (CIFAR, 0, 5_000, "dataset.train_size=0 is not accepted: give an integer from 1 to 45000"),
    (CIFAR, None, 50_000, "dataset.val_size=50000 is not accepted: give an integer from 0 to"),
    (CIFAR, None, -1, "dataset.val_size=-1 is not accepted: give an integer from 0 to 49999"),
    (CIFAR, None, 0.1, "dataset.val_size=0.1 is not accepted: give an integer from 0 to 49999"),
    (CIFAR, True, 5_000, "dataset.train_size=True is not accepted"),
    (CIFAR, "all", 5_000, "dataset.train_size=all is not accepted"),
    (SYNTHETIC, None, 5, "dataset.train_size=null is not accepted: give an integer of at least 1"),
    (SYNTHETIC, 5, -1, "dataset.val_size=-1 is not accepted: give an integer of at least 0"),
]  # fmt: skip


@pytest.mark.parametrize(("target", "train_size", "val_size", "says"), MISFITS)
def test_sizes_that_do_not_fit(target, train_size, val_size, says):
    with pytest.raises(ValueError) as caught:
        split_sizes(target | {"train_size": train_size, "val_size": val_size})
    assert says in str(caught.value) and "\n" not in str(caught.value)


STRETCHES = [  # val_size, train_size, images of a class in val and in train: fewest, most
    (5_000, 45_000, (50, 50), (450, 450)),
    (5_050, 44_950, (50, 51), (449, 450)),
    (100, 1_000, (1, 1), (10, 10)),
    (150, 1_000, (1, 2), (10, 10)),
    (99, 101, (0, 1), (1, 2)),
    (1, 99, (0, 1), (0, 1)),
    (5_000, 1_234, (50, 50), (12, 13)),
]


@pytest.mark.parametrize(("val_size", "train_size", "in_val", "in_train"), STRETCHES)
def test_classes_are_even(val_size, train_size, in_val, in_train):
    val = draw_stratified(LABELS, 0, val_size, seed=0)
    train = draw_stratified(LABELS, val_size, train_size, seed=0)
    assert len(val) == val_size and len(train) == train_size
    assert not set(val) & set(train) and len(set(train)) == train_size
    for rows, extremes in ((val, in_val), (train, in_train)):
        counts = np.bincount(LABELS[rows], minlength=100)
        assert (counts.min(), counts.max()) == extremes


def test_order_holds_every_image_once_and_depends_on_the_seed():
    first, again, other = (order_stratified(LABELS, seed) for seed in (0, 0, 1))
    assert np.array_equal(np.sort(first), np.arange(50_000))
    assert np.array_equal(first, again)
    # 5,000 of 50,000 by chance: about a tenth of one validation split is in the other.
    shared = len(set(first[:5_000]) & set(other[:5_000]))
    assert 400 < shared < 600


def test_images_within_a_class_are_drawn_at_random():
    val = draw_stratified(LABELS, 0, 5_000, seed=0)
    assert abs(val.mean() - 25_000) < 1_000  # not the first of each class, nor the last


def test_unequal_classes_are_all_used():
    labels = np.array([0] * 10 + [1] * 3 + [3] * 1)
    assert sorted(order_stratified(labels, 0)) == list(range(14))
    first = np.bincount(labels[order_stratified(labels, 0)[:6]]).tolist()
    assert first in ([3, 2, 0, 1], [2, 3, 0, 1])  # two turns, and one more


def test_build_dataset_says_what_is_wrong_alone(tmp_path):
    node = SYNTHETIC | {"train_size": 200, "val_size": 100, "test_size": 100, "augment": {"x": 1}}
    assert len(build_dataset(OmegaConf.create(node | {"num_classes": 100})).val.labels) == 100
    with pytest.raises(ValueError, match=r"^dataset\.num_classes=10 does not fit .* 100 classes$"):
        build_dataset(node | {"num_classes": 10})
    with pytest.raises(ValueError, match=r"^dataset\.train_size=0 is not accepted"):
        build_dataset(node | {"train_size": 0})
    with pytest.raises(FileNotFoundError, match=r"^dataset\.root=.*nowhere is not a folder"):
        build_dataset(CIFAR | {"root": str(tmp_path / "nowhere")})
    with pytest.raises(ValueError, match=r"^a key of dataset is not one of its keys: .*'frob'$"):
        build_dataset(SYNTHETIC | {"frob": 1})
