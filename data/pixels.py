"""What augmentation does to the images of a batch, in numpy, all of them at once.

Crop and flip are those that He et al. (2016, arXiv:1512.03385, section 4.2) use for CIFAR: 4 pixels
of zeros on each side, a random 32 x 32 crop of that, and a mirror image half of the time. As is
customary the zeros are put in before the normalization, so the border is black, not the mean color.

Images are (n, 3, H, W), contiguous, with W a multiple of 8.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np


def crop_images(
    images: np.ndarray, rows: np.ndarray, offsets: np.ndarray, padding: int
) -> np.ndarray:
    """Return the images at `rows`, each moved by up to `padding` pixels each way; zeros come in.

    In memory the lines of an image follow each other, so a moved image is the 3 H W bytes from
    another place on: a single copy. What that brings in from the neighboring line, channel or image
    lies where the zeros belong, and is masked.

    Args:
        images: (N, 3, H, W) uint8, the whole split.
        rows: (n,) which images.
        offsets: (n, 2) down and right, each from 0 to 2 `padding`; `padding` is "not moved".
        padding: pixels of zeros on each side.
    """
    _, channels, height, width = images.shape
    size = channels * height * width
    down, right = offsets[:, 0], offsets[:, 1]
    starts = rows * size + (down - padding) * width + (right - padding)
    inside = np.clip(starts, 0, images.size - size)
    everywhere: np.ndarray = np.ndarray(
        images.size - size + 1, np.dtype((np.void, size)), images.data, strides=(1,)
    )
    cropped = everywhere[inside].view(np.uint8).reshape(len(rows), channels, height, width)
    words = cropped.reshape(len(rows), channels, height * width).view(np.uint64)
    words &= _masks(padding, height, width)[down * (2 * padding + 1) + right, None]
    for i in np.flatnonzero(starts != inside):  # begins before the first image or ends after all
        border = ((0, 0), (padding, padding), (padding, padding))
        lines = slice(down[i], down[i] + height), slice(right[i], right[i] + width)
        cropped[i] = np.pad(images[rows[i]], border)[(slice(None), *lines)]
    return cropped


@lru_cache(maxsize=4)
def _masks(padding: int, height: int, width: int) -> np.ndarray:
    """Per offset, all bits of the bytes that come from inside the image: ((2p+1)^2, H W / 8)."""
    moves = np.arange(2 * padding + 1)[:, None] - padding
    lines, columns = (
        (moves + np.arange(side) >= 0) & (moves + np.arange(side) < side)
        for side in (height, width)
    )
    inside = lines[:, None, :, None] & columns[None, :, None, :]  # (down, right, H, W)
    return (inside * np.uint8(255)).reshape(len(moves) ** 2, -1).view(np.uint64)


def flip_images(images: np.ndarray, chosen: np.ndarray) -> None:
    """Mirror the chosen images (n,) left to right, in place; images are uint8.

    Eight pixels at a time: a mirrored line is its 8-byte words in reverse, each byte-swapped.
    """
    words = images.view(np.uint64)  # (n, 3, H, W / 8)
    mirrored = np.flatnonzero(chosen)
    swapped = words[mirrored].byteswap(inplace=True)
    reverse = np.empty_like(swapped)
    for word in range(words.shape[-1]):  # four long copies: [..., ::-1] costs a third more
        reverse[..., word] = swapped[..., -1 - word]
    words[mirrored] = reverse


class Normalizer:
    """Makes pixels v in 0..255 to (v / 255 - mean) / std, channel by channel, as float32.

    Args:
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.
        pixels: H W, of one channel of an image.

    Attributes:
        scale: (3,) float32, the factor of each channel.
        shift: (3,) float32, what is added then.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], pixels: int) -> None:
        self.scale = (1 / (255 * np.asarray(std))).astype(np.float32)
        self.shift = (-np.divide(mean, std)).astype(np.float32)
        # One factor and one summand for every value of four images: numpy is fast where it need not
        # begin anew with every channel (3, 1, 1), and a third faster still than with every image.
        self._factors, self._summands = (
            np.tile(np.repeat(values, pixels), 4) for values in (self.scale, self.shift)
        )

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return uint8 images as float32."""
        flat = images.reshape(-1).astype(np.float32)
        even = len(flat) // len(self._factors) * len(self._factors)
        for part in (flat[:even].reshape(-1, len(self._factors)), flat[even:]):
            part *= self._factors[: part.shape[-1]]
            part += self._summands[: part.shape[-1]]
        return flat.reshape(images.shape)


def erase_boxes(images: np.ndarray, boxes: np.ndarray) -> None:
    """Set the boxes (n, 4) of the images to zero, in place.

    Args:
        images: (n, 3, H, W) float32, normalized: zero is the mean color.
        boxes: top, bottom, left, right of each image; as many lines as bottom - top.
    """
    for image, (top, bottom, left, right) in zip(images, boxes.tolist(), strict=True):
        image[:, top:bottom, left:right].fill(0)
