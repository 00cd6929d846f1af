"""AutoAugment, RandAugment and TrivialAugment: image operations drawn at random.

All three draw up to n operations per image, each with a strength; they differ in how.

- AutoAugment (Cubuk et al. 2018, arXiv:1805.09501): one of the 25 pairs that the authors' search
  found for CIFAR-10 (their table 7); each half of a pair has its own probability and level.
- RandAugment (Cubuk et al. 2019, arXiv:1909.13719): n of 14 operations, all at magnitude m of 30.
- TrivialAugment (Müller & Hutter 2021, arXiv:2103.10158): one of the same 14, at a magnitude drawn
  from 0 to 30, over wider ranges ("wide").

An operation takes images (n, 3, H, W) uint8 and strengths (n,), and returns new images. Pillow does
those that move pixels; the others make Pillow's bytes in numpy, several times as fast. What moves
out of an image leaves black, as in a random crop; a pixel moves as that which is nearest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _each(move: Callable[[Any, float], Any]) -> Operation:
    """Return the operation that Pillow does to one image after the other."""

    def operation(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
        from PIL import Image  # which a run without a policy does not load

        lines = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # Pillow has the colors last
        pairs = zip(map(Image.fromarray, lines), strengths.tolist(), strict=True)
        return np.stack([np.asarray(move(*pair)) for pair in pairs]).transpose(0, 3, 1, 2)

    return operation


def _affine(matrix: Callable[[float], tuple[float, ...]]) -> Operation:
    """Return the operation whose pixel (x, y) comes from matrix(strength) times (x, y, 1)."""
    affine = 0  # PIL.Image.Transform.AFFINE
    return _each(lambda image, strength: image.transform(image.size, affine, matrix(strength)))


def _blend(dull: np.ndarray, images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Return images at 1 + strength of the way from `dull` to what they are."""
    share = (1 + strengths).astype(np.float32).reshape(-1, 1, 1, 1)
    dull = dull.astype(np.float32)
    return np.clip(dull + share * (images.astype(np.float32) - dull), 0, 255).astype(np.uint8)


def _gray(images: np.ndarray) -> np.ndarray:
    """Return the luma of ITU-R 601 in 16-bit fixed point: (n, 1, H, W)."""
    red, green, blue = images.astype(np.int32).transpose(1, 0, 2, 3)
    return ((19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16)[:, None]


def change_contrast(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Blend with one gray, the mean of the image's."""
    means = _gray(images).mean(axis=(1, 2, 3), keepdims=True)
    return _blend(np.floor(means + 0.5), images, strengths)


def sharpen(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Blend with a smooth image: the mean of 3 x 3 pixels with the middle five times."""
    smooth = images.copy()
    height, width = images.shape[2:]
    total = 4 * images[:, :, 1:-1, 1:-1].astype(np.int32)
    for y in range(3):
        for x in range(3):
            total += images[:, :, y : height - 2 + y, x : width - 2 + x]
    smooth[:, :, 1:-1, 1:-1] = total / 13 + 0.5
    return _blend(smooth, images, strengths)


def posterize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Keep so many of the highest bits of each value."""
    masks = 256 - 2 ** (8 - strengths.astype(int))
    return images & masks.astype(np.uint8).reshape(-1, 1, 1, 1)


def solarize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Invert the values from a threshold on."""
    return np.where(images < strengths.reshape(-1, 1, 1, 1), images, 255 - images)


def autocontrast(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Stretch each channel so that it goes from 0 to 255."""
    low, high = (find(axis=(2, 3), keepdims=True) for find in (images.min, images.max))
    spread = high.astype(float) - low
    scale = 255 / np.maximum(spread, 1)
    stretched = (images * scale - low * scale).clip(0, 255).astype(np.uint8)
    return np.where(spread == 0, images, stretched)


def equalize(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
    """Spread each channel's values so that all are about equally frequent."""
    channels = images.reshape(-1, images[0, 0].size)
    rows = np.arange(len(channels))
    places = channels + 256 * rows[:, None]
    counts = np.bincount(places.ravel(), minlength=256 * len(channels)).reshape(-1, 256)
    step = (channels.shape[1] - counts[rows, channels.max(axis=1)]) // 255
    darker = counts.cumsum(axis=1) - counts
    table = (step[:, None] // 2 + darker) // np.maximum(step, 1)[:, None]
    table = np.where(step[:, None] == 0, np.arange(256), table).clip(0, 255).astype(np.uint8)
    return table.ravel()[places].reshape(images.shape)


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, strengths: images,
    "shear_x": _affine(lambda s: (1, s, 0, 0, 1, 0)),  # tangent of the angle
    "shear_y": _affine(lambda s: (1, 0, 0, s, 1, 0)),
    "translate_x": _affine(lambda s: (1, 0, s, 0, 1, 0)),  # pixels
    "translate_y": _affine(lambda s: (1, 0, 0, 0, 1, s)),
    "rotate": _each(lambda image, s: image.rotate(s)),  # degrees, counterclockwise
    "brightness": lambda images, strengths: _blend(np.zeros(1), images, strengths),  # with black
    "color": lambda images, strengths: _blend(_gray(images), images, strengths),
    "contrast": change_contrast,
    "sharpness": sharpen,
    "posterize": posterize,
    "solarize": solarize,
    "autocontrast": autocontrast,
    "equalize": equalize,
    "invert": lambda images, strengths: 255 - images,
}
NAMES = tuple(OPERATIONS)  # the place of a name is the operation's number


def apply_operations(images: np.ndarray, operations: np.ndarray, strengths: np.ndarray) -> None:
    """Do the operations (n, k), one column after the other, to the images, in place."""
    for numbers, amounts in zip(operations.T, strengths.T, strict=True):
        for number in np.unique(numbers[numbers > 0]):
            rows = np.flatnonzero(numbers == number)
            images[rows] = OPERATIONS[NAMES[number]](images[rows], amounts[rows])


POLICIES = ("autoaugment", "randaugment", "trivialaugment")
MAGNITUDES = 30  # magnitude m is m / 30 of an operation's range

# (operation, probability, level of 0 to 9) twice; None: the operation has no strength.
AUTOAUGMENT: tuple[tuple[tuple[str, float, int | None], ...], ...] = (
    (("invert", 0.1, None), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, None), ("equalize", 0.9, None)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, None), ("equalize", 0.5, None)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, None), ("autocontrast", 0.4, None)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, None)),
    (("equalize", 0.2, None), ("autocontrast", 0.6, None)),
    (("equalize", 0.2, None), ("equalize", 0.6, None)),
    (("color", 0.9, 9), ("equalize", 0.6, None)),
    (("autocontrast", 0.8, None), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, None)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, None), ("solarize", 0.8, 3)),
    (("equalize", 0.8, None), ("invert", 0.1, None)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, None)),
)
_NUMBERS = np.array([[NAMES.index(half[0]) for half in pair] for pair in AUTOAUGMENT])  # (25, 2)
_ODDS = np.array([[half[1] for half in pair] for pair in AUTOAUGMENT])
_LEVELS = np.array([[half[2] or 0 for half in pair] for pair in AUTOAUGMENT])
DRAWN = len(NAMES) - 1  # the first 14: AutoAugment alone inverts

# Strength at magnitude 0, at 30, and at 30 of TrivialAugment. The papers' 150 pixels are of 331.
# Where it begins at 0, half of the strengths are negative.
_RANGES = dict.fromkeys(("shear_x", "shear_y"), (0, 0.3, 0.99))
_RANGES |= dict.fromkeys(("translate_x", "translate_y"), (0, 150 / 331 * 32, 32))
_RANGES |= dict.fromkeys(("brightness", "color", "contrast", "sharpness"), (0, 0.9, 0.99))
_RANGES |= {"rotate": (0, 30, 135), "posterize": (8, 4, 2), "solarize": (255, 0, 0)}
_STRENGTHS = np.array([_RANGES.get(name, (0, 0, 0)) for name in NAMES], float)  # (15, 3)


def measure_strength(
    operations: np.ndarray, share: np.ndarray | float, signs: np.ndarray, wide: bool = False
) -> np.ndarray:
    """Return the strength of each operation, in its own unit.

    Args:
        operations: numbers of operations, of any shape.
        share: of the range, from 0 to 1.
        signs: -1 or 1; for the operations whose strength may be negative.
        wide: over TrivialAugment's ranges.

    >>> rotate, posterize = NAMES.index("rotate"), NAMES.index("posterize")
    >>> measure_strength(np.array([rotate, posterize]), 0.4, np.array([-1, -1]))
    array([-12.,   6.])
    """
    start, paper, widest = np.moveaxis(_STRENGTHS[operations], -1, 0)
    strength = start + share * ((widest if wide else paper) - start)
    is_move = np.isin(operations, [NAMES.index("translate_x"), NAMES.index("translate_y")])
    strength = np.where(is_move, np.floor(strength), strength)  # to whole pixels
    strength = np.where(operations == NAMES.index("posterize"), np.round(strength), strength)
    return strength * np.where(start == 0, signs, 1)


def draw_operations(
    policy: str, n: int, rng: np.random.Generator, count: int, magnitude: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers of OPERATIONS (n, k) for n images, and their strengths (n, k), float64.

    Args:
        policy: one of POLICIES.
        n: images.
        rng: where the random numbers come from.
        count: operations per image, of RandAugment.
        magnitude: of RandAugment, from 0 to 30.
    """
    count = {"autoaugment": 2, "randaugment": count, "trivialaugment": 1}[policy]
    signs = 2 * rng.integers(0, 2, size=(n, count)) - 1
    if policy == "autoaugment":
        pairs = rng.integers(0, len(AUTOAUGMENT), size=n)
        operations = np.where(rng.random((n, 2)) < _ODDS[pairs], _NUMBERS[pairs], 0)
        return operations, measure_strength(operations, _LEVELS[pairs] / 9, signs)
    operations = rng.integers(0, DRAWN, size=(n, count))
    if policy == "randaugment":
        return operations, measure_strength(operations, magnitude / MAGNITUDES, signs)
    share = rng.integers(0, MAGNITUDES + 1, size=(n, count)) / MAGNITUDES
    return operations, measure_strength(operations, share, signs, wide=True)
