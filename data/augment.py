"""The `augment` node, and the random numbers of a batch's augmentation.

`draw_augment` draws for a whole batch, from (seed, epoch, step) alone, and `data.images` applies
rows of that to some of its images. So a rank that trains on a part of a batch sees the images that
one process would see.

A box is (top, bottom, left, right): lines top to bottom - 1, columns left to right - 1. Cutout
(DeVries & Taylor 2017, arXiv:1708.04552): a square whose middle is any pixel, so that a part of it
may lie outside. Random Erasing (Zhong et al. 2017, arXiv:1708.04896): with a probability, a
rectangle of 2 to 40 % of the area and of an aspect from 0.3 to 1 / 0.3, all of it inside.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from common.checks import is_integer, is_number, refusal, suggest
from data.policies import MAGNITUDES, POLICIES, draw_operations

# Keeps the random numbers of the augmentation apart from those of the order: (seed, epoch) and
# (seed, epoch, step) would otherwise agree at step 0, for trailing zeros seed the same generator.
# One stream for each kind, so that crops and flips are the same with cutout and without.
STREAMS = {
    "crop and flip": 0x617567,
    "policy": 0x706F6C,
    "cutout": 0x637574,
    "erasing": 0x657261,
    "mix": 0x6D6978,
}
Draws = dict[str, np.ndarray]  # by kind; the first axis is the images of the batch


@dataclass(frozen=True)
class Augment:
    """The `augment` node; None leaves a kind out.

    Attributes:
        crop_padding: pixels of zeros on each side before the random crop; 0: no crop.
        flip: whether half of the images are mirrored, left to right.
        policy: `autoaugment`, `randaugment` or `trivialaugment`.
        randaugment_n: operations per image; None: 2.
        randaugment_m: their magnitude, 0 to 30; None: 14.
        cutout: side in pixels of the square that is cut out of each image.
        random_erasing: probability of an image to have a rectangle erased.
        mixup: alpha of mixup's shares.
        cutmix: alpha of CutMix's shares.
        cutmix_prob: probability of a batch to have CutMix; None: 0.5.
    """

    crop_padding: int = 0
    flip: bool = False
    policy: str | None = None
    randaugment_n: int | None = None
    randaugment_m: int | None = None
    cutout: int | None = None
    random_erasing: float | None = None
    mixup: float | None = None
    cutmix: float | None = None
    cutmix_prob: float | None = None

    @property
    def mixes(self) -> bool:
        """Whether labels are shares of the classes, (n, classes), and no longer (n,)."""
        return self.mixup is not None or self.cutmix is not None


def _integer(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: is_integer(value, low, high), f"an integer from {low} to {high}"


def _number(high: int) -> tuple[Callable[[Any], bool], str]:
    return lambda value: is_number(value) and 0 < value <= high, f"a number above 0, up to {high}"


# What a key accepts; all but the first two accept null too, which leaves a kind out.
_ACCEPTED = {
    "crop_padding": _integer(0, 32),
    "flip": (lambda value: isinstance(value, bool), "true or false"),
    "policy": (lambda value: value in POLICIES, f"{', '.join(POLICIES[:-1])} or {POLICIES[-1]}"),
    "randaugment_n": _integer(1, 14),
    "randaugment_m": _integer(0, MAGNITUDES),
    "cutout": _integer(1, 64),
    "random_erasing": _number(1),
    "mixup": _number(100),
    "cutmix": _number(100),
    "cutmix_prob": _number(1),
}


def read_augment(node: Mapping[str, Any] | None) -> Augment:
    """Check the `augment` node; None means that images stay as they are.

    Raises:
        ValueError: an unknown key or a value that is not accepted.

    >>> read_augment({"crop_padding": 4, "flip": True, "cutout": 16}).cutout
    16
    """
    values = dict(node or {})
    for key, value in values.items():
        if key not in _ACCEPTED:
            known = f"one of the keys {', '.join(_ACCEPTED)}"
            raise ValueError(f"{refusal(f'augment.{key}', value, known)}{suggest(key, _ACCEPTED)}")
        accepts, accepted = _ACCEPTED[key]
        optional = key not in ("crop_padding", "flip")
        if not (accepts(value) or (optional and value is None)):
            raise refusal(f"augment.{key}", value, "null or " * optional + accepted)
    augment = Augment(**values)
    policy = augment.policy == "randaugment", "policy=randaugment"
    needs = {"cutmix_prob": (augment.cutmix is not None, "cutmix")}
    for key, (given, other) in (needs | {"randaugment_n": policy, "randaugment_m": policy}).items():
        if values.get(key) is not None and not given:
            expected = f"null, for it has no effect without augment.{other}"
            raise refusal(f"augment.{key}", values[key], expected)
    return augment


def open_stream(kind: str, where: tuple[int, int, int]) -> np.random.Generator:
    """Return the random numbers of one of STREAMS at (seed, epoch, step)."""
    return np.random.default_rng([*where, STREAMS[kind]])


def draw_augment(
    augment: Augment, shape: tuple[int, int, int], where: tuple[int, int, int]
) -> Draws:
    """Draw the numbers for all images of a batch; mixup and CutMix are drawn by `data.mixing`.

    Args:
        augment: what is wanted; nothing else is in the result.
        shape: (n, H, W): images in the batch, and their size.
        where: seed of the run, epoch, step of the epoch; the last two counted from 0.

    Returns:
        `crop` (n, 2): image i becomes the crop of its padded self at (down, right), each from 0 to
        2 crop_padding, so that crop_padding is "not moved". `flip` (n,): whether it is mirrored.
        `operations` and `strengths` (n, k) as `draw_operations` has them, `cutout` and `erasing`
        (n, 4) boxes.
    """
    n = shape[0]
    draws: Draws = {}
    rng = open_stream("crop and flip", where)
    if augment.crop_padding:
        draws["crop"] = rng.integers(0, 2 * augment.crop_padding + 1, size=(2, n)).T
    if augment.flip:
        draws["flip"] = rng.random(n) < 0.5
    if augment.policy:
        magnitude = 14 if augment.randaugment_m is None else augment.randaugment_m
        options = (open_stream("policy", where), augment.randaugment_n or 2, magnitude)
        draws["operations"], draws["strengths"] = draw_operations(augment.policy, n, *options)
    if side := augment.cutout:
        draws["cutout"] = draw_squares(side, *shape, open_stream("cutout", where))
    if probability := augment.random_erasing:
        draws["erasing"] = draw_erasing(probability, *shape, open_stream("erasing", where))
    return draws


def draw_squares(
    side: int, n: int, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw n squares, each about any pixel of the image and cut to it: boxes (n, 4)."""
    first = rng.integers(0, (height, width), size=(n, 2)) - side // 2
    boxes = np.stack([first, first + side], axis=2)
    return boxes.clip(0, np.array([[height], [width]])).reshape(-1, 4)


def draw_erasing(
    probability: float, n: int, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a rectangle in each of n images, with a probability: boxes (n, 4), else all zeros."""
    tries = 10  # the authors draw up to 100 times until a rectangle fits; one in 20 does not
    chosen = rng.random(n) < probability
    area = rng.uniform(0.02, 0.4, size=(n, tries)) * (height * width)
    aspect = rng.uniform(0.3, 1 / 0.3, size=(n, tries))
    heights = np.round(np.sqrt(area * aspect)).astype(int)
    widths = np.round(np.sqrt(area / aspect)).astype(int)
    fits = (heights < height) & (widths < width)
    first = (np.arange(n), fits.argmax(axis=1))
    chosen &= fits[first]
    high, wide = heights[first], widths[first]
    room = np.stack([height - high, width - wide]) + 1
    top, left = (rng.random((2, n)) * room).astype(int)
    return np.where(chosen[:, None], np.stack([top, top + high, left, left + wide], axis=1), 0)
