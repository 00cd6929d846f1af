"""Mixup and CutMix: an image and its label become those of two images.

Mixup (Zhang et al. 2017, arXiv:1710.09412): x = s x_i + (1 - s) x_j and y = s y_i + (1 - s) y_j
with s from Beta(alpha, alpha). CutMix (Yun et al. 2019, arXiv:1905.04899): a box of x_i is x_j's,
of a share 1 - s of the area before the border of the image cuts it; y as above, with the share that
is left of x_i. As in the authors' codes there is one s, one box and one permutation j for a batch.
"""

import numpy as np

from data.boxes import cut_boxes, draw_middles


def draw_mix(
    mixup: float | None,
    cutmix: float | None,
    cutmix_prob: float,
    shape: tuple[int, int, int],
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Draw with what and how much each image of a batch is mixed.

    Args:
        mixup: alpha, or None: no mixup.
        cutmix: alpha, or None: no CutMix.
        cutmix_prob: of a batch to have CutMix; the others have mixup, if that is wanted.
        shape: (n, H, W) of the batch.
        rng: where the numbers come from.

    Returns:
        `partner` (n,): place of the other image in the batch; `share` (n,) float32: of the image
        itself; with CutMix `box` (n, 4). Nothing, if this batch is not mixed.
    """
    n, height, width = shape
    cuts = cutmix is not None and rng.random() < cutmix_prob
    alpha = cutmix if cuts else mixup
    if alpha is None:
        return {}
    share = rng.beta(alpha, alpha)
    draws = {"partner": rng.permutation(n)}
    if cuts:
        assert height == width
        half = int(height * np.sqrt(1 - share)) // 2
        box = cut_boxes(draw_middles(1, height, width, rng), half, half, height, width)
        top, bottom, left, right = box[0].tolist()
        share = 1 - (bottom - top) * (right - left) / (height * width)
        draws["box"] = np.repeat(box, n, axis=0)
    return draws | {"share": np.full(n, share, np.float32)}


def pair_up(wanted: np.ndarray, partner: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the places in the batch that are needed, and where in them each pair lies.

    Args:
        wanted: (m,) places of the images to be mixed, rising.
        partner: (m,) places of the images that they are mixed with.

    >>> pair_up(np.array([4, 5]), np.array([1, 4]))
    (array([1, 4, 5]), array([1, 2]), array([0, 1]))
    """
    needed, both = np.unique(np.concatenate([wanted, partner]), return_inverse=True)
    own, other = np.split(both, 2)
    return needed, own, other


def mix_images(images: np.ndarray, mixed: dict[str, np.ndarray]) -> np.ndarray:
    """Return m mixed images of k (k, 3, H, W) float32, which may be overwritten.

    Args:
        images: single ones.
        mixed: `own` and `other` (m,), which of them; `share` and `box` as `draw_mix` has them.
    """
    others = images[mixed["other"]]
    own = images if len(mixed["own"]) == len(images) else images[mixed["own"]]
    if "box" not in mixed:
        share = mixed["share"].reshape(-1, 1, 1, 1)
        own *= share
        others *= 1 - share
        own += others
        return own
    for image, other, (top, bottom, left, right) in zip(
        own, others, mixed["box"].tolist(), strict=True
    ):
        image[:, top:bottom, left:right] = other[:, top:bottom, left:right]
    return own


def mix_labels(labels: np.ndarray, draws: dict[str, np.ndarray], classes: int) -> np.ndarray:
    """Return the labels (n,) of a whole batch as shares of the classes (n, classes), float32.

    Each row is 1 in sum; without draws that is the 1 of a single class.

    >>> draws = {"partner": np.array([1, 0]), "share": np.full(2, 0.75, np.float32)}
    >>> mix_labels(np.array([2, 0]), draws, classes=3)
    array([[0.25, 0.  , 0.75],
           [0.75, 0.  , 0.25]], dtype=float32)
    """
    targets, rows = np.zeros((len(labels), classes), np.float32), np.arange(len(labels))
    share = draws.get("share", np.ones(len(labels), np.float32))
    targets[rows, labels] = share
    if "partner" in draws:
        targets[rows, labels[draws["partner"]]] += 1 - share
    return targets
