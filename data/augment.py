"""The `dataset.augment` node, and the random numbers of a batch's augmentation.

What is drawn is kept apart from what is done with it: `draw_augment` draws for a whole batch, in
numpy and from (seed, epoch, step) alone; `data.pixels` and `data.device` apply rows of it to the
images, in numpy and in OneFlow. So a rank that trains on a part of a batch, and a GPU that augments
by itself, see the images that one process on a CPU would see.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from data.boxes import draw_cutout, draw_erasing
from data.mixing import draw_mix
from data.policies import MAGNITUDES, POLICIES, draw_operations

# Keeps the random numbers of the augmentation apart from those of the order: (seed, epoch) and
# (seed, epoch, step) would otherwise agree at step 0, for trailing zeros seed the same generator.
# One stream for each kind, so that crops and flips are the same with cutout and without.
_CROP_AND_FLIP = 0x617567
_POLICY = 0x706F6C
_CUTOUT = 0x637574
_ERASING = 0x657261
_MIX = 0x6D6978

Draws = dict[str, np.ndarray]  # by kind; the first axis of each array is the images of the batch
MIXED = ("partner", "share", "box")  # the draws that are about two images


@dataclass(frozen=True)
class Augment:
    """The `dataset.augment` node; None leaves a kind out.

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


def _is_integer(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any, low: float, high: float) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return number and low < value <= high


# What a key accepts besides its default: null for all but the first two. A key that the config of
# an older run does not have is null too, which is why a kind is left out by null and not by 0.
_ACCEPTED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "crop_padding": (lambda v: _is_integer(v, 0, 32), "an integer from 0 to 32"),
    "flip": (lambda v: isinstance(v, bool), "true or false"),
    "policy": (lambda v: v in POLICIES, f"null, {', '.join(POLICIES[:-1])} or {POLICIES[-1]}"),
    "randaugment_n": (lambda v: _is_integer(v, 1, 14), "null or an integer from 1 to 14"),
    "randaugment_m": (
        lambda v: _is_integer(v, 0, MAGNITUDES),
        f"null or an integer from 0 to {MAGNITUDES}",
    ),
    "cutout": (lambda v: _is_integer(v, 1, 64), "null or an integer from 1 to 64"),
    "random_erasing": (lambda v: _is_number(v, 0, 1), "null or a number above 0, up to 1"),
    "mixup": (lambda v: _is_number(v, 0, 100), "null or a number above 0, up to 100"),
    "cutmix": (lambda v: _is_number(v, 0, 100), "null or a number above 0, up to 100"),
    "cutmix_prob": (lambda v: _is_number(v, 0, 1), "null or a number above 0, up to 1"),
}
# Keys that say nothing without another one.
_BELONGS = {
    "randaugment_n": ("policy", "randaugment"),
    "randaugment_m": ("policy", "randaugment"),
    "cutmix_prob": ("cutmix", None),
}


def read_augment(node: Mapping[str, Any] | None) -> Augment:
    """Check the `dataset.augment` node; None means that images stay as they are.

    Raises:
        ValueError: an unknown key or a value that is not accepted.

    >>> read_augment({"crop_padding": 4, "flip": True, "cutout": 16}).cutout
    16
    """
    values = dict(node or {})
    for key, value in values.items():
        if key not in _ACCEPTED:
            raise ValueError(f"dataset.augment.{key} is unknown: it has {', '.join(_ACCEPTED)}")
        accepts, accepted = _ACCEPTED[key]
        if not (accepts(value) or (value is None and accepted.startswith("null"))):
            raise ValueError(f"dataset.augment.{key}={value} is not accepted: give {accepted}")
    augment = Augment(**values)
    for key, (other, wanted) in _BELONGS.items():
        found = getattr(augment, other)
        if getattr(augment, key) is not None and (found is None or wanted not in (None, found)):
            needs = f"{other}={wanted}" if wanted else other
            raise ValueError(
                f"dataset.augment.{key}={values[key]} is of no use without dataset.augment.{needs}"
            )
    return augment


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
        `operations` and `strengths` (n, k) as `draw_operations` has them, `cutout` and `erasing`
        (n, 4) boxes, and MIXED as `draw_mix` has them.
    """

    def stream(number: int) -> np.random.Generator:
        return np.random.default_rng([seed, epoch, step, number])

    n = shape[0]
    draws: Draws = {}
    if augment.crop_padding or augment.flip:
        rng = stream(_CROP_AND_FLIP)
        if augment.crop_padding:
            draws["crop"] = rng.integers(0, 2 * augment.crop_padding + 1, size=(2, n)).T
        if augment.flip:
            draws["flip"] = rng.random(n) < 0.5
    if augment.policy:
        count = augment.randaugment_n or 2
        magnitude = 14 if augment.randaugment_m is None else augment.randaugment_m
        draws["operations"], draws["strengths"] = draw_operations(
            augment.policy, n, stream(_POLICY), count, magnitude
        )
    if augment.cutout:
        draws["cutout"] = draw_cutout(augment.cutout, *shape, stream(_CUTOUT))
    if augment.random_erasing:
        draws["erasing"] = draw_erasing(augment.random_erasing, *shape, stream(_ERASING))
    if augment.mixes:
        cutmix_prob = augment.cutmix_prob or 0.5
        draws |= draw_mix(augment.mixup, augment.cutmix, cutmix_prob, shape, stream(_MIX))
    return draws


def take_rows(draws: Draws, rows: slice | np.ndarray) -> Draws:
    """Return the draws of some images of the batch."""
    return {name: array[rows] for name, array in draws.items()}
