"""Sizes and stratified splits, as tables, and data sets built from their nodes."""

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from data import build_dataset, split_sizes
from data.dataset import order_stratified
from tests.conftest import compose_config
from tests.data.fakes import place

LABELS = np.random.default_rng(3).permutation(np.arange(50_000) % 100)
CIFAR = "data.cifar.build_cifar100"
SYNTHETIC = "data.synthetic.build_synthetic"
LEFT = "expected null or an integer from 1 to 45000, of 50000 images without the dataset.val_size="

SIZES = [  # target, train_size, val_size, the answer or the error
    (CIFAR, None, 5_000, (45_000, 5_000)),
    (CIFAR, 1, 0, (1, 0)),
    (CIFAR, None, 49_999, (1, 49_999)),
    ("data.cifar.build_cifar10", None, 10_000, (40_000, 10_000)),
    (SYNTHETIC, 1_000_000, 1, (1_000_000, 1)),
    (CIFAR, 45_001, 5_000, f"dataset.train_size=45001: {LEFT}5000."),
    (CIFAR, 0, 5_000, f"dataset.train_size=0: {LEFT}5000."),
    (CIFAR, None, 50_000, "dataset.val_size=50000: expected an integer from 0 to 49999."),
    (CIFAR, None, 0.1, "dataset.val_size=0.1: expected an integer from 0 to 49999."),
    (SYNTHETIC, None, 5, "dataset.train_size=null: expected an integer of at least 1."),
    (SYNTHETIC, 5, -1, "dataset.val_size=-1: expected an integer of at least 0."),
]


@pytest.mark.parametrize(("target", "train_size", "val_size", "answer"), SIZES)
def test_split_sizes(target, train_size, val_size, answer):
    node = {"_target_": target, "train_size": train_size, "val_size": val_size, "root": "/nowhere"}
    if isinstance(answer, str):
        with pytest.raises(ValueError) as caught:
            split_sizes(node)
        assert str(caught.value) == answer
    else:
        assert split_sizes(OmegaConf.create(node)) == answer


STRETCHES = [  # val_size, train_size, images of a class in val and in train: fewest, most
    (5_000, 45_000, (50, 50), (450, 450)),
    (99, 101, (0, 1), (1, 2)),
    (5_000, 1_234, (50, 50), (12, 13)),
]


def test_order_is_even_over_the_classes_holds_every_image_once_and_is_random():
    first, again, other = (order_stratified(LABELS, seed) for seed in (0, 0, 1))
    for val_size, train_size, *extremes in STRETCHES:
        parts = (first[:val_size], first[val_size:][:train_size])
        counts = [np.bincount(LABELS[rows], minlength=100) for rows in parts]
        assert [(count.min(), count.max()) for count in counts] == extremes
    assert np.array_equal(np.sort(first), np.arange(50_000))
    assert np.array_equal(first, again)
    assert set(LABELS[first[:50]]) != set(range(50))  # half a turn has any of the classes
    # 5,000 of 50,000 by chance: about a tenth of one validation split is in the other.
    assert 400 < len(set(first[:5_000]) & set(other[:5_000])) < 600
    assert abs(first[:5_000].mean() - 25_000) < 1_000  # not the first of each class, nor the last
    unequal = np.array([0] * 10 + [1] * 3 + [3])
    turns = np.bincount(unequal[order_stratified(unequal, 0)[:6]]).tolist()
    assert turns in ([3, 2, 0, 1], [2, 3, 0, 1])  # two turns, and one more


REFUSED = [  # data set, words, and the beginning of the error
    ("synthetic", ["dataset.num_classes=10"], "dataset.num_classes=10: expected 100."),
    ("cifar10", ["dataset.num_classes=100"], "dataset.num_classes=100: expected 10."),
    ("cifar100", ["dataset.root=/nowhere"], "dataset.root='/nowhere': expected an existing folder"),
    ("synthetic", ["+dataset.frob=1"], "a key of dataset is not one of its keys: "),
]


def test_the_nodes_of_the_config_and_the_builders_errors(tmp_path):
    words = ("dataset.train_size=200", "dataset.val_size=100", "dataset.test_size=100")
    node = compose_config("dataset=synthetic", *words, folder=tmp_path).dataset
    assert len(instantiate(node).val.labels) == len(build_dataset(node).val.labels) == 100
    for key in ("cifar100", "cifar10"):
        place(tmp_path, key)  # a small one: the node gets as far as its contents
        node = compose_config(f"dataset={key}", f"dataset.root={tmp_path}", folder=tmp_path).dataset
        with pytest.raises(Exception, match=r"its train part has .* not 50000"):
            instantiate(node)
    for name, words, message in REFUSED:
        node = compose_config(f"dataset={name}", *words, folder=tmp_path).dataset
        with pytest.raises((ValueError, FileNotFoundError)) as caught:
            build_dataset(node)
        assert str(caught.value).startswith(message)
