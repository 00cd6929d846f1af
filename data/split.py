"""Which images train and which are held out: fixed by a seed, even over the classes."""

from typing import Any

import numpy as np


def check_count(key: str, value: Any, low: int, high: int | None) -> int:
    """Return `value` if it is an integer from `low` to `high` (None: no upper end).

    Raises:
        ValueError: it is not; the sentence names the key, the value and what is accepted.

    >>> check_count("dataset.val_size", 0.1, 1, 49_999)
    Traceback (most recent call last):
    ValueError: dataset.val_size=0.1 is not accepted: give an integer from 1 to 49999
    """
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if not is_integer or value < low or (high is not None and value > high):
        accepted = f"from {low} to {high}" if high is not None else f"of at least {low}"
        shown = "null" if value is None else value
        raise ValueError(f"{key}={shown} is not accepted: give an integer {accepted}")
    return value


def check_sizes(train_size: Any, val_size: Any, available: int | None) -> tuple[int, int]:
    """Return (train images, validation images).

    Args:
        train_size: how many images train; None: all that the validation split leaves.
        val_size: how many are held out; 0: none, and nothing is validated.
        available: images that there are to divide; None: as many as asked for.

    Raises:
        ValueError: a size is no count, or the two together are more than there are.

    >>> check_sizes(None, 5_000, available=50_000)
    (45000, 5000)
    """
    if available is None:
        sizes = check_count("dataset.train_size", train_size, 1, None), val_size
        return sizes[0], check_count("dataset.val_size", val_size, 0, None)
    val_size = check_count("dataset.val_size", val_size, 0, available - 1)
    if train_size is None:
        return available - val_size, val_size
    if isinstance(train_size, int) and train_size > available - val_size:
        raise ValueError(
            f"dataset.train_size={train_size} is not accepted: dataset.val_size={val_size} leaves "
            f"{available - val_size} of {available} images to train on"
        )
    return check_count("dataset.train_size", train_size, 1, available - val_size), val_size


def order_stratified(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return all row numbers in an order whose every stretch is even over the classes.

    Each class is shuffled, then the classes take turns: first one image of every class, then a
    second of every class, and so on, in a fixed random order of the classes. In any stretch of L
    rows each of C equally large classes therefore has floor(L / C) or one more. The first
    `val_size` rows are the validation split and the next `train_size` train; so the validation
    images do not depend on `train_size`, and a small training set is a part of every larger one.

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


def draw_stratified(labels: np.ndarray, start: int, size: int, seed: int) -> np.ndarray:
    """Return rows `start` to `start + size` of `order_stratified`, in rising order.

    Rising, because that reads the images from front to back; the loader shuffles them anyway.
    """
    return np.sort(order_stratified(labels, seed)[start : start + size])
