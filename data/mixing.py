"""Mixup and CutMix: an image and its label become those of two images.

Mixup (Zhang et al. 2017, arXiv:1710.09412): x = s x_i + (1 - s) x_j and y = s y_i + (1 - s) y_j
with s from Beta(alpha, alpha). CutMix (Yun et al. 2019, arXiv:1905.04899): a box of x_i is x_j's,
of a share 1 - s of the area before the border of the image cuts it; y as above, with the share that
is left of x_i. As in the authors' codes there is one s, one box and one permutation j for a batch.
"""

from dataclasses import dataclass

import numpy as np

from data.augment import Augment, draw_squares, open_stream


@dataclass(frozen=True)
class Mix:
    """How the images of a batch are mixed.

    Attributes:
        partner: (n,) place of the other image in the batch.
        share: of the image itself.
        box: with CutMix the (top, bottom, left, right) that is the other image's.
    """

    partner: np.ndarray
    share: np.float32
    box: tuple[int, int, int, int] | None = None


def draw_mix(
    augment: Augment, shape: tuple[int, int, int], where: tuple[int, int, int]
) -> Mix | None:
    """Draw with what and how much each image of a batch is mixed, or None: this batch is not.

    With both kinds, `cutmix_prob` of the batches have CutMix and the others mixup. The arguments
    are those of `draw_augment`, with H = W.
    """
    n, height, width = shape
    rng = open_stream("mix", where)
    cuts = augment.cutmix is not None and rng.random() < (augment.cutmix_prob or 0.5)
    alpha = augment.cutmix if cuts else augment.mixup
    if alpha is None:
        return None
    share = rng.beta(alpha, alpha)
    partner = rng.permutation(n)
    if not cuts:
        return Mix(partner, np.float32(share))
    half = int(height * np.sqrt(1 - share)) // 2
    top, bottom, left, right = draw_squares(2 * half, 1, height, width, rng)[0].tolist()
    share = 1 - (bottom - top) * (right - left) / (height * width)
    return Mix(partner, np.float32(share), (top, bottom, left, right))


def mix_images(images: np.ndarray, others: np.ndarray, mix: Mix) -> np.ndarray:
    """Return the images (m, 3, H, W) float32 mixed with the others; both may be overwritten."""
    if mix.box is not None:
        top, bottom, left, right = mix.box
        images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
        return images
    images *= mix.share
    others *= np.float32(1) - mix.share
    images += others
    return images


def mix_labels(labels: np.ndarray, mix: Mix | None, classes: int) -> np.ndarray:
    """Return the labels (n,) of a whole batch as shares of the classes (n, classes), float32.

    Each row is 1 in sum; without a mix that is the 1 of a single class.

    >>> mix = Mix(partner=np.array([1, 0]), share=np.float32(0.75))
    >>> mix_labels(np.array([2, 0]), mix, classes=3)
    array([[0.25, 0.  , 0.75],
           [0.75, 0.  , 0.25]], dtype=float32)
    """
    targets, rows = np.zeros((len(labels), classes), np.float32), np.arange(len(labels))
    targets[rows, labels] = 1 if mix is None else mix.share
    if mix is not None:
        targets[rows, labels[mix.partner]] += np.float32(1) - mix.share
    return targets
