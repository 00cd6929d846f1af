"""A data set that needs no files: 100 classes of shapes, drawn by code from a seed.

20 superclasses (ten outlines, each solid or hollow) of 5 textures make 100 classes, and every class
has its own color, which it shares with four others. Place, size, angle, shade, background, a bar
that hides something and noise differ from image to image and say nothing about the class. It has
CIFAR's sizes and splits, and a small net learns it a little faster than CIFAR-100: good for trying
things out, not for results.
"""

from collections.abc import Callable

import numpy as np

from common.checks import check_integer, refusal
from data.dataset import Dataset, Split

_SIDE = 32
# Images are drawn by the chunk, each from its own random stream, so that image i of a split is the
# same whatever the size asked for. A multiple of the 100 classes.
_CHUNK = 500
# Of the 45,000 training images of data_seed 0; another seed differs in the third decimal.
_MEAN = (0.4864, 0.4866, 0.4876)
_STD = (0.1986, 0.1987, 0.1992)

# x to the right and y downwards, both from -1 to 1.
_X = np.linspace(-1, 1, _SIDE, dtype=np.float32)[None, None, :]
_Y = _X.reshape(1, _SIDE, 1)


def _bar(u: np.ndarray, v: np.ndarray, width: float) -> np.ndarray:
    return np.maximum(np.abs(u), np.abs(v) / width)


def _lobes(u: np.ndarray, v: np.ndarray, count: int, depth: float) -> np.ndarray:
    return np.hypot(u, v) / (1 - depth + depth * np.cos(count * np.arctan2(v, u)))


# A gauge is below 1 inside its outline, 1 on it, and grows outwards; u points right and v down, and
# the outline fills about -1..1.
_OUTLINES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "disc": lambda u, v: np.hypot(u, v),
    "bar": lambda u, v: _bar(u, v, 0.42),
    "square": lambda u, v: np.maximum(np.abs(u), np.abs(v)) / 0.85,
    "triangle": lambda u, v: np.maximum(v, np.abs(u) * 0.87 - v * 0.5) / 0.55,
    "half_disc": lambda u, v: np.maximum(np.hypot(u, v + 0.45), 0.1 - 2 * v),
    "crescent": lambda u, v: np.maximum(np.hypot(u, v), 1.75 - np.hypot(u - 0.55, v)),
    "cross": lambda u, v: np.minimum(_bar(u, v, 0.36), _bar(v, u, 0.36)),
    "chevron": lambda u, v: _bar(u, v - 0.8 * np.abs(u) + 0.4, 0.42),
    "trefoil": lambda u, v: _lobes(u, v, 3, 0.33),
    "star": lambda u, v: _lobes(u, v, 5, 0.28),
}
# Brightness from 0 to 1 at (a, b), a wave being 2 pi long, from a shift s on.
_TEXTURES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "plain": lambda a, b, s: np.ones_like(a),
    "striped": lambda a, b, s: 0.5 + 0.5 * np.sin(a + b + s),
    "checked": lambda a, b, s: 0.5 + 0.5 * np.sign(np.sin(a + s) * np.sin(b - s)),
    "dotted": lambda a, b, s: np.clip(np.sin(a + s) + np.sin(b - s), 0, 1),
    "ringed": lambda a, b, s: 0.5 + 0.5 * np.sin(np.hypot(a, b) + s),
}
_CLASS_NAMES = tuple(
    f"{fill}_{outline}_{texture}"
    for outline in _OUTLINES
    for fill in ("solid", "hollow")
    for texture in _TEXTURES
)


def build_synthetic(
    train_size: int = 45_000,
    val_size: int = 5_000,
    test_size: int = 10_000,
    data_seed: int = 0,
    num_classes: int = 100,
) -> Dataset:
    """Draw the built-in data set.

    Labels go 0, 1, ..., 99, 0, 1, ..., so any size is as even over the classes as it can be.

    Args:
        train_size: images to train on.
        val_size: images to validate on.
        test_size: images to test on.
        data_seed: another one gives other images of the same classes.
        num_classes: 100; the model has as many outputs.

    Raises:
        ValueError: a size that is no count, or a negative seed.
    """
    if num_classes != len(_CLASS_NAMES):
        raise refusal("dataset.num_classes", num_classes, str(len(_CLASS_NAMES)))
    sizes = {"train_size": train_size, "val_size": val_size, "test_size": test_size}
    for key, size in sizes.items():
        check_integer(f"dataset.{key}", size, 0 if key == "val_size" else 1)
    check_integer("dataset.data_seed", data_seed, 0)
    splits = [_draw_split(data_seed, stream, size) for stream, size in enumerate(sizes.values())]
    return Dataset(*splits, class_names=_CLASS_NAMES, mean=_MEAN, std=_STD)


def _draw_split(data_seed: int, stream: int, size: int) -> Split:
    images = np.empty((size, 3, _SIDE, _SIDE), np.uint8)
    for start in range(0, size, _CHUNK):
        part = images[start : start + _CHUNK]
        rng = np.random.default_rng([data_seed, stream, start // _CHUNK])
        part[:] = _draw_chunk(rng)[: len(part)]
    return Split(images, np.arange(size) % len(_CLASS_NAMES))


def _draw_chunk(rng: np.random.Generator) -> np.ndarray:
    """Return (_CHUNK, 3, 32, 32) uint8; image i is of class i % 100."""
    n = _CHUNK
    classes = np.arange(n) % len(_CLASS_NAMES)
    inside, pattern = _draw_shapes(classes, rng)
    hue = ((classes // 5 * 3 + classes % 5 * 4) % 20) / 20 + rng.normal(0, 0.05, n)
    light = _column(rng.uniform(0.55, 1.0, n)) * (0.45 + 0.55 * pattern)
    # Hues 0, 1/3, 2/3 are red, green, blue.
    wheel = 0.5 + 0.5 * np.cos(2 * np.pi * (hue[:, None] - np.array([0, 1 / 3, 2 / 3])))
    color = 1 - rng.uniform(0.35, 0.9, n)[:, None] * (1 - wheel)
    # The background of each channel slopes between four random corners.
    a, b, c = rng.uniform(-0.3, 0.3, (3, n, 3, 1, 1)).astype(np.float32)
    middle = rng.uniform(0.2, 0.8, (n, 3, 1, 1)).astype(np.float32)
    images = np.clip(middle + a * _X + b * _Y + c * (_X * _Y), 0, 1)
    images += inside[:, None] * (_column(color) * light[:, None] - images)
    # A bar of one gray, 3 to 6 pixels wide, upright or level, lies over it.
    across = np.where(_column(rng.random(n)) < 0.5, _X, _Y)
    bar = np.abs(across - _column(rng.uniform(-1, 1, n))) < _column(rng.uniform(3, 6, n) / _SIDE)
    np.copyto(images, _column(rng.random(n))[:, None], where=bar[:, None])
    images *= 200
    images += rng.integers(0, 56, images.shape, dtype=np.uint8)  # noise of standard deviation 16
    return images.astype(np.uint8)


def _column(values: np.ndarray) -> np.ndarray:
    """Return values (...) as (..., 1, 1) float32, so that each is for a whole image."""
    return values.astype(np.float32)[..., None, None]


def _draw_shapes(classes: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return how much of each pixel the shape covers and its brightness, 0..1, (n, 32, 32)."""
    n = len(classes)
    size = _column(rng.uniform(0.5, 0.8, n))
    angle = _column(rng.uniform(-0.4, 0.4, n))
    x = (_X - _column(rng.uniform(-0.35, 0.35, n))) / size
    y = (_Y - _column(rng.uniform(-0.35, 0.35, n))) / size
    cos, sin = np.cos(angle), np.sin(angle)
    u, v, pixels = cos * x + sin * y, cos * y - sin * x, size * (_SIDE / 2)
    turn = pixels * _column(2 * np.pi / rng.uniform(4.5, 6.5, n))  # a wave is 4.5 to 6.5 pixels
    phase = _column(rng.uniform(0, 2 * np.pi, n))
    inside, pattern = np.empty_like(u), np.empty_like(u)
    for number, gauge in enumerate(_OUTLINES.values()):
        rows = np.flatnonzero(classes // 10 == number)
        level = gauge(u[rows], v[rows])
        # A hollow shape is the outer 45 % of a solid one; its edges are one pixel soft.
        level = np.maximum(level, _column(classes[rows] // 5 % 2) * (1.55 - level))
        inside[rows] = np.clip((1 - level) * pixels[rows] + 0.5, 0, 1)
    for number, texture in enumerate(_TEXTURES.values()):
        rows = np.flatnonzero(classes % 5 == number)
        pattern[rows] = texture(u[rows] * turn[rows], v[rows] * turn[rows], phase[rows])
    return inside, pattern
