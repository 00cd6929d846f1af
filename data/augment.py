"""The `dataset.augment` node, and the random numbers of a batch's augmentation.

What is drawn is kept apart from what is done with it: `draw_augment` draws for a whole batch, in
numpy and from (seed, epoch, step) alone; `data.pixels` and `data.device` apply rows of it to the
images, in numpy and in OneFlow. So a rank that trains on a part of a batch, and a GPU that augments
by itself, see the images that one process on a CPU would see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Keeps the random numbers of the augmentation apart from those of the order: (seed, epoch) and
# (seed, epoch, step) would otherwise agree at step 0, for trailing zeros seed the same generator.
# One stream for each kind, so that crops and flips are the same with cutout and without.
_CROP_AND_FLIP = 0x617567
_CUTOUT = 0x637574

Draws = dict[str, np.ndarray]  # by kind; the first axis of each array is the images of the batch


@dataclass(frozen=True)
class Augment:
    """The `dataset.augment` node.

    Attributes:
        crop_padding: pixels of zeros on each side before the random crop; 0: no crop.
        flip: whether half of the images are mirrored, left to right.
        cutout: side in pixels of the square that is cut out of each image; None: none.
    """

    crop_padding: int = 0
    flip: bool = False
    cutout: int | None = None


def read_augment(node: Mapping[str, Any] | None) -> Augment:
    """Check the `dataset.augment` node; None means that images stay as they are.

    Raises:
        ValueError: an unknown key or a value that is not accepted.

    >>> read_augment({"crop_padding": 4, "flip": True})
    Augment(crop_padding=4, flip=True, cutout=None)
    """
    values = dict(node or {})
    known = Augment.__dataclass_fields__
    for key, value in values.items():
        if key not in known:
            raise ValueError(f"dataset.augment.{key} is unknown: it has {', '.join(known)}")
        accepts, accepted = _ACCEPTED[key]
        if not accepts(value):
            raise ValueError(f"dataset.augment.{key}={value} is not accepted: give {accepted}")
    return Augment(**values)


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


# What a key accepts besides its default; null leaves a kind out, and so does its absence in the
# config of an older run.
_ACCEPTED = {
    "crop_padding": (lambda v: _is_integer(v, 0, 32), "an integer from 0 to 32"),
    "flip": (lambda v: isinstance(v, bool), "true or false"),
    "cutout": (lambda v: v is None or _is_integer(v, 1, 64), "null or an integer from 1 to 64"),
}


def draw_augment(
    augment: Augment, shape: tuple[int, int, int], seed: int, epoch: int, step: int
) -> Draws:
    """Draw the numbers for all images of a batch; what is not wanted is not in the result.

    Args:
        augment: what is wanted.
        shape: (n, H, W): images in the batch, and their size.
        seed: of the run.
        epoch: counted from 0.
        step: of the epoch, counted from 0.

    Returns:
        `crop` (n, 2): image i becomes the crop of its padded self at (down, right), each from 0 to
        2 crop_padding, so that crop_padding is "not moved". `flip` (n,): whether it is mirrored.
        `cutout` (n, 2): row and column of the pixel that the square's middle is at.
    """
    n, height, width = shape
    draws: Draws = {}
    if augment.crop_padding or augment.flip:
        rng = np.random.default_rng([seed, epoch, step, _CROP_AND_FLIP])
        if augment.crop_padding:
            draws["crop"] = rng.integers(0, 2 * augment.crop_padding + 1, size=(2, n)).T
        if augment.flip:
            draws["flip"] = rng.random(n) < 0.5
    if augment.cutout:
        rng = np.random.default_rng([seed, epoch, step, _CUTOUT])
        draws["cutout"] = rng.integers(0, (height, width), size=(n, 2))
    return draws


def take_rows(draws: Draws, rows: slice | np.ndarray) -> Draws:
    """Return the draws of some images of the batch."""
    return {name: array[rows] for name, array in draws.items()}
