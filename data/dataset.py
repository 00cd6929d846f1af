"""What a data set is: three splits of images in memory, and how a config node becomes one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from data.split import check_sizes


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
    """Build the data set that a `dataset` node describes.

    The node's `augment` belongs to the loader and its `num_classes` to the model; everything else
    is an argument of the `_target_`.

    Raises:
        ValueError: a value that does not fit, or a file that is not what it should be.
        FileNotFoundError: `dataset.root` does not exist, or the data is not in it.
        OSError: the download failed.
    """
    options = {key: value for key, value in node.items() if key not in ("augment", "num_classes")}
    try:
        dataset: Dataset = instantiate(options)
    except InstantiationException as error:
        # Hydra wraps what went wrong in lines about itself; our sentences say it alone.
        cause = error.__cause__
        if isinstance(cause, ValueError | OSError):
            raise cause from None
        if isinstance(cause, TypeError) and "keyword argument" in str(cause):
            raise ValueError(f"a key of dataset is not one of its keys: {cause}") from error
        raise
    classes = len(dataset.class_names)
    # A model with another number of outputs would train on garbage: OneFlow checks no label.
    if node.get("num_classes", classes) != classes:
        raise ValueError(
            f"dataset.num_classes={node['num_classes']} does not fit this data set, "
            f"which has {classes} classes"
        )
    return dataset
