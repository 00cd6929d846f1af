"""Batches as pictures that people can look at."""

import numpy as np

from data.pixels import Normalizer


def restore_pixels(images: np.ndarray, normalizer: Normalizer) -> np.ndarray:
    """Return normalized images (n, 3, H, W) as uint8, as they were before `normalizer`."""
    scale, shift = (
        values.astype(float).reshape(-1, 1, 1) for values in (normalizer.scale, normalizer.shift)
    )
    return np.round((images - shift) / scale).clip(0, 255).astype(np.uint8)


def tile_images(images: np.ndarray, columns: int) -> np.ndarray:
    """Return the images (n, 3, H, W) uint8 in rows of `columns`, one picture (3, h, w).

    >>> tile_images(np.ones((5, 3, 32, 32), np.uint8), columns=4).shape
    (3, 64, 128)
    """
    n, channels, height, width = images.shape
    lines = -(-n // columns)
    tiles = np.zeros((lines * columns, channels, height, width), np.uint8)
    tiles[:n] = images
    tiles = tiles.reshape(lines, columns, channels, height, width).transpose(2, 0, 3, 1, 4)
    return tiles.reshape(channels, lines * height, columns * width)
