"""Pillow's image operations on batches: those that move pixels by Pillow, the others in numpy.

Each takes images (n, 3, H, W) uint8 and strengths (n,), and returns new images. Those in numpy make
the bytes that Pillow makes, several times as fast. What moves out of an image leaves black, as in a
random crop; a pixel moves as that which is nearest.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Operation = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _each(move: Callable[[Any, float], Any]) -> Operation:
    """Return the operation that gives one image after the other to Pillow."""

    def operation(images: np.ndarray, strengths: np.ndarray) -> np.ndarray:
        from PIL import Image  # which a run without a policy does not load

        moved = np.empty_like(images)
        lines = np.ascontiguousarray(images.transpose(0, 2, 3, 1))  # Pillow has the colors last
        for i, strength in enumerate(strengths.tolist()):
            moved[i] = np.asarray(move(Image.fromarray(lines[i]), strength)).transpose(2, 0, 1)
        return moved

    return operation


def _affine(matrix: Callable[[float], tuple[float, ...]]) -> Operation:
    """Return the operation whose pixel (x, y) comes from matrix(strength) times (x, y, 1)."""

    def move(image: Any, strength: float) -> Any:
        from PIL.Image import Transform

        return image.transform(image.size, Transform.AFFINE, matrix(strength))

    return _each(move)


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
    """Keep so many bits of each value, the highest."""
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
    functions = tuple(OPERATIONS.values())
    for numbers, amounts in zip(operations.T, strengths.T, strict=True):
        for number in np.unique(numbers[numbers > 0]):
            rows = np.flatnonzero(numbers == number)
            images[rows] = functions[number](images[rows], amounts[rows])
