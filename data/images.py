"""What is done to the images of a batch, in numpy, all of them at once.

Images are (n, 3, H, W), contiguous, with W a multiple of 8.

Crop and flip are those that He et al. (2016, arXiv:1512.03385, section 4.2) use for CIFAR; the
zeros are put in before the normalization, so the border is black. Cutout and random erasing set
their boxes to zero after it: the mean color.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from data.policies import apply_operations


def change_bytes(
    images: np.ndarray, rows: np.ndarray, draws: Mapping[str, np.ndarray], padding: int
) -> np.ndarray:
    """Return the images at `rows`, cropped, mirrored and under a policy's operations, still uint8.

    Args:
        images: (N, 3, H, W) uint8, the whole split.
        rows: (n,) which images.
        draws: of these images, as `draw_augment` has them.
        padding: `crop_padding`.
    """
    crop = draws.get("crop")
    changed = images[rows] if crop is None else crop_images(images, rows, crop, padding)
    if "flip" in draws:  # a mirrored line is its 8-byte words in reverse, each byte-swapped
        words, mirrored = changed.view(np.uint64), np.flatnonzero(draws["flip"])
        words[mirrored] = words[mirrored][..., ::-1].byteswap()
    if "operations" in draws:
        apply_operations(changed, draws["operations"], draws["strengths"])
    return changed


def crop_images(
    images: np.ndarray, rows: np.ndarray, offsets: np.ndarray, padding: int
) -> np.ndarray:
    """Return the images at `rows`, each moved by up to `padding` pixels each way; zeros come in.

    In memory the lines of an image follow each other, so a moved image is the 3 H W bytes from
    another place on: a single copy. What that brings in from the neighboring line, channel or image
    lies where the zeros belong, and is masked. The arguments are those of `change_bytes`, with the
    `offsets` (n, 2) down and right.
    """
    _, channels, height, width = images.shape
    size = channels * height * width
    down, right = offsets.T
    starts = rows * size + (down - padding) * width + (right - padding)
    inside = np.clip(starts, 0, images.size - size)
    everywhere: np.ndarray = np.ndarray(
        images.size - size + 1, np.dtype((np.void, size)), images.data, strides=(1,)
    )
    cropped = everywhere[inside].view(np.uint8).reshape(len(rows), channels, height, width)
    words = cropped.view(np.uint64)
    words &= _masks(padding, height, width)[down, right, None]
    for i in np.flatnonzero(starts != inside):  # begins before the first image or ends after all
        padded = np.pad(images[rows[i]], ((0, 0), (padding, padding), (padding, padding)))
        cropped[i] = padded[:, down[i] : down[i] + height, right[i] : right[i] + width]
    return cropped


@lru_cache(maxsize=4)
def _masks(padding: int, height: int, width: int) -> np.ndarray:
    """Return, per offset, all bits of the bytes from inside the image: (2p+1, 2p+1, H, W / 8)."""
    padded = np.pad(np.full((height, width), 255, np.uint8), padding)
    return np.ascontiguousarray(sliding_window_view(padded, (height, width))).view(np.uint64)


class Normalizer:
    """Function from pixels v in 0..255 to (v / 255 - mean) / std, channel by channel, in float32.

    Args:
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.

    Attributes:
        scale: (3, 1, 1) float32, the factor of each channel.
        shift: (3, 1, 1) float32, what is added then.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.scale = (1 / (255 * np.asarray(std))).astype(np.float32).reshape(-1, 1, 1)
        self.shift = (-np.divide(mean, std)).astype(np.float32).reshape(-1, 1, 1)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 images as float32."""
        # numpy is faster with one factor for each value of an image than with one for a channel.
        floats = images.astype(np.float32)
        floats *= np.broadcast_to(self.scale, images.shape[1:]).copy()
        floats += np.broadcast_to(self.shift, images.shape[1:]).copy()
        return floats


def find_erased(draws: Mapping[str, np.ndarray], height: int, width: int) -> np.ndarray | None:
    """Return the pixels in the boxes of cutout and random erasing, (n, 1, H, W) bool, if any."""
    boxes = [draws[kind].T[:, :, None, None] for kind in ("cutout", "erasing") if kind in draws]
    y, x = np.arange(height)[:, None], np.arange(width)
    masks = [(y >= t) & (y < b) & (x >= le) & (x < r) for t, b, le, r in boxes]
    return np.logical_or.reduce(masks)[:, None] if masks else None


def restore_pixels(images: np.ndarray, normalizer: Normalizer) -> np.ndarray:
    """Return normalized images (n, 3, H, W) as uint8, as they were before `normalizer`."""
    pixels = (images - normalizer.shift.astype(float)) / normalizer.scale.astype(float)
    return np.round(pixels).clip(0, 255).astype(np.uint8)


def tile_images(images: np.ndarray, columns: int) -> np.ndarray:
    """Return the images (n, 3, H, W) uint8 in rows of `columns`, one picture (3, h, w).

    >>> tile_images(np.ones((5, 3, 32, 32), np.uint8), columns=4).shape
    (3, 64, 128)
    """
    n, channels, height, width = images.shape
    tiles = np.pad(images, ((0, -n % columns), (0, 0), (0, 0), (0, 0)))
    tiles = tiles.reshape(-1, columns, channels, height, width).transpose(2, 0, 3, 1, 4)
    return tiles.reshape(channels, -1, columns * width)
