"""Boxes in images: what Cutout, Random Erasing and CutMix take out.

A box is (top, bottom, left, right): lines top to bottom - 1, columns left to right - 1.

Cutout (DeVries & Taylor 2017, arXiv:1708.04552): a square whose middle is any pixel, so that a part
of it may lie outside. Random Erasing (Zhong et al. 2017, arXiv:1708.04896): with a probability, a
rectangle of 2 to 40 % of the area and of an aspect from 0.3 to 1 / 0.3, all of it inside.

Both are set to zero after the normalization: the mean color. So does the code of Cutout's authors.
Random Erasing's authors fill with random pixels or with the mean, which were equally good.
"""

import numpy as np

# Of Random Erasing. Its authors draw up to 100 times until a rectangle fits; one in 20 does not.
_AREA = (0.02, 0.4)
_ASPECT = (0.3, 1 / 0.3)
_ATTEMPTS = 10


def cut_boxes(middles: np.ndarray, before: int, after: int, height: int, width: int) -> np.ndarray:
    """Return boxes (n, 4) from `before` pixels ahead of the middles to `after` behind, cut to fit.

    >>> cut_boxes(np.array([[0, 31], [9, 9]]), 2, 2, height=32, width=32)
    array([[ 0,  2, 29, 32],
           [ 7, 11,  7, 11]])
    """
    first = np.maximum(middles - before, 0)
    last = np.minimum(middles + after, (height, width))
    return np.stack([first, last], axis=2).reshape(-1, 4)


def draw_middles(n: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw n pixels: (n, 2), row and column."""
    return rng.integers(0, (height, width), size=(n, 2))


def draw_cutout(side: int, n: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Draw a square of `side` pixels in each of n images: boxes (n, 4)."""
    middles = draw_middles(n, height, width, rng)
    return cut_boxes(middles, side // 2, side - side // 2, height, width)


def draw_erasing(
    probability: float, n: int, height: int, width: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw a rectangle in each of n images, with a probability: boxes (n, 4), else all zeros."""
    chosen = rng.random(n) < probability
    area = rng.uniform(*_AREA, size=(n, _ATTEMPTS)) * (height * width)
    aspect = rng.uniform(*_ASPECT, size=(n, _ATTEMPTS))
    heights = np.round(np.sqrt(area * aspect)).astype(int)
    widths = np.round(np.sqrt(area / aspect)).astype(int)
    fits = (heights < height) & (widths < width)
    first = (np.arange(n), fits.argmax(axis=1))
    chosen &= fits[first]
    high, wide = heights[first], widths[first]
    top, left = rng.random((2, n))
    top = (top * (height - high + 1)).astype(int)
    left = (left * (width - wide + 1)).astype(int)
    return np.where(chosen[:, None], np.stack([top, top + high, left, left + wide], axis=1), 0)
