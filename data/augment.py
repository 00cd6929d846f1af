"""Random crops and flips of a whole batch at once, on bytes.

The augmentation that He et al. (2016, arXiv:1512.03385, section 4.2) use for CIFAR: 4 pixels of
zeros on each side, a random 32 x 32 crop of that, and a mirror image half of the time. As is
customary the zeros are put in before the normalisation, so the border is black, not the mean color.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Augment:
    """The `dataset.augment` node.

    Attributes:
        crop_padding: pixels of zeros on each side before the random crop; 0: no crop.
        flip: whether half of the images are mirrored, left to right.
    """

    crop_padding: int
    flip: bool


def read_augment(node: Mapping[str, Any] | None) -> Augment:
    """Check the `dataset.augment` node; None means that images stay as they are.

    Raises:
        ValueError: an unknown key or a value that is not accepted.

    >>> read_augment({"crop_padding": 4, "flip": True})
    Augment(crop_padding=4, flip=True)
    """
    values = {"crop_padding": 0, "flip": False} | dict(node or {})
    padding, flip = values.pop("crop_padding"), values.pop("flip")
    if values:
        raise ValueError(
            f"dataset.augment.{next(iter(values))} is unknown: it has crop_padding and flip"
        )
    if isinstance(padding, bool) or not isinstance(padding, int) or not 0 <= padding <= 32:
        raise ValueError(
            f"dataset.augment.crop_padding={padding} is not accepted: give an integer from 0 to 32"
        )
    if not isinstance(flip, bool):
        raise ValueError(f"dataset.augment.flip={flip} is not accepted: give true or false")
    return Augment(padding, flip)


def crop_randomly(images: np.ndarray, padding: int, rng: np.random.Generator) -> np.ndarray:
    """Return each image moved by up to `padding` pixels each way; zeros come in at the border.

    Args:
        images: (n, 3, H, W) uint8, contiguous.
        padding: p; image i becomes the crop of its padded self at (down[i], right[i]), each drawn
            from 0 to 2p, so that p is "not moved".
        rng: draws `down` and `right`, (2, n) integers.
    """
    n, channels, height, width = images.shape
    down, right = rng.integers(0, 2 * padding + 1, size=(2, n))
    padded = np.zeros((n, channels, height + 2 * padding, width + 2 * padding), np.uint8)
    image, channel, line, pixel = padded.strides
    # windows[i, dy, dx] is a view: the crop of image i at (dy, dx), each of its lines one item of
    # W bytes, so that whole lines are copied and not single pixels (three times as fast).
    lines = np.dtype((np.void, width))
    windows: np.ndarray = np.ndarray(
        shape=(n, 2 * padding + 1, 2 * padding + 1, channels, height),
        dtype=lines,
        buffer=padded.data,
        strides=(image, line, pixel, channel, line),
    )
    windows[:, padding, padding] = images.view(lines)[..., 0]
    return windows[np.arange(n), down, right].view(np.uint8).reshape(images.shape)


def flip_randomly(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the images, each mirrored left to right with probability 1/2.

    Args:
        images: (n, 3, H, W) uint8, contiguous; W is a multiple of 8.
        rng: draws n numbers from [0, 1); image i is mirrored where the number is below 0.5.
    """
    flipped = images.copy()
    # Eight pixels at a time: a mirrored line is its 8-byte words in reverse, each byte-swapped.
    words = flipped.view(np.uint64)
    chosen = np.flatnonzero(rng.random(len(images)) < 0.5)
    words[chosen] = words[chosen].byteswap()[..., ::-1]
    return flipped


def augment_images(images: np.ndarray, augment: Augment, rng: np.random.Generator) -> np.ndarray:
    """Return the batch cropped, then flipped, as `augment` says."""
    if augment.crop_padding:
        images = crop_randomly(images, augment.crop_padding, rng)
    return flip_randomly(images, rng) if augment.flip else images
