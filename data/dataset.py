"""What a data set is: three splits of images in memory, and how a config node becomes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from common.checks import check_integer, is_integer, refusal


@dataclass(frozen=True)
class Split:
    """One part of a data set.

    Attributes:
        images: (N, 3, 32, 32) uint8, channels red, green, blue.
        labels: (N,) int64, the class of each image.
    """

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        train: what the optimizer sees.
        val: held out of the official training set; selection and the plateau scheduler look at it.
        test: read once, at the end of a run.
        class_names: name of class 0, of class 1, ...
        mean: mean of each channel over the training set, for pixels scaled to [0, 1].
        std: the standard deviations that belong to `mean`.
    """

    train: Split
    val: Split
    test: Split
    class_names: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# Images that an official training set has to divide; the built-in data draws as many as asked.
_TRAIN_IMAGES = {"data.cifar.build_cifar100": 50_000, "data.cifar.build_cifar10": 50_000}


def split_sizes(node: Mapping[str, Any]) -> tuple[int, int]:
    """Return how many images train and how many validate, from the `dataset` node alone.

    No file is touched, so a preview knows its steps per epoch without any data.

    Raises:
        ValueError: `train_size` or `val_size` is no count, or there are not that many images.

    >>> split_sizes({"_target_": "data.cifar.build_cifar100", "train_size": None, "val_size": 5000})
    (45000, 5000)
    """
    available = _TRAIN_IMAGES.get(node["_target_"])
    return check_sizes(node.get("train_size"), node.get("val_size"), available)


def build_dataset(node: Mapping[str, Any]) -> Dataset:
    """Instantiate a `dataset` node, with the builder's error instead of Hydra's around it.

    Raises:
        ValueError: a value that does not fit, or a file that is not what it should be.
        FileNotFoundError: `dataset.root` does not exist, or the data is not in it.
        OSError: the download failed.
    """
    try:
        return instantiate(node)
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | OSError):
            raise cause from None
        if isinstance(cause, TypeError) and "keyword argument" in str(cause):
            raise ValueError(f"a key of dataset is not one of its keys: {cause}") from error
        raise


def check_sizes(train_size: Any, val_size: Any, available: int | None) -> tuple[int, int]:
    """Return (train images, validation images), or raise the ValueError of `split_sizes`.

    Args:
        train_size: how many images train; None: all that the validation split leaves.
        val_size: how many are held out; 0: none, and nothing is validated.
        available: images that there are to divide; None: as many as asked for.
    """
    if available is None:
        train_size = check_integer("dataset.train_size", train_size, 1)
        return train_size, check_integer("dataset.val_size", val_size, 0)
    left = available - check_integer("dataset.val_size", val_size, 0, available - 1)
    if train_size is not None and not is_integer(train_size, 1, left):
        expected = f"null or an integer from 1 to {left}, of {available} images without the "
        raise refusal("dataset.train_size", train_size, f"{expected}dataset.val_size={val_size}")
    return left if train_size is None else train_size, val_size


def order_stratified(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return all row numbers in an order whose every stretch is even over the classes.

    Each class is shuffled, then the classes take turns, in a fixed random order: one image of every
    class, a second of every class, and so on. Any stretch of L rows has floor(L / C) images, or one
    more, of each of C equally large classes. The first `val_size` rows validate and the next
    `train_size` train, so the validation images do not depend on `train_size`, and a small training
    set is a part of every larger one.

    Args:
        labels: (N,) classes.
        seed: fixes the order; independent of the seed of a run.

    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> [np.bincount(labels[order_stratified(labels, 0)[:k]], minlength=2).max() for k in (2, 3, 4)]
    [1, 2, 2]
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    # turn: 0 for the first image of its class, 1 for the second, ...
    turn = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    place = rng.permutation(len(counts))[labels[by_class]]
    return by_class[np.lexsort((place, turn))]
