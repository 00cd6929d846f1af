"""Batches from memory: each one is a function of (seed, epoch, step) and of nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import oneflow as flow

from data.augment import augment_images, read_augment
from data.dataset import Split
from data.split import check_count

# Keeps the random numbers of the augmentation apart from those of the order: (seed, epoch) and
# (seed, epoch, step) would otherwise agree at step 0, for trailing zeros seed the same generator.
_AUGMENT_STREAM = 0x617567


class BatchLoader:
    """Shuffles, augments and normalizes a split that lies in memory.

    Because nothing is remembered from one batch to the next, a run that was stopped after step k
    continues with `epoch(e, start_step=k)` and sees, bit for bit, the batches it would have seen.

    Pixels v in 0..255 become (v / 255 - mean) / std, channel by channel, after the augmentation.

    Args:
        split: images and labels.
        batch_size: images of a batch; the last one of an epoch holds what is left.
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.
        seed: of the run; at least 0.
        augment: the `dataset.augment` node; None: images as they are.
        shuffle: a new order in each epoch; otherwise the order of the split.
        device: where the batches go.

    Raises:
        ValueError: `batch_size`, `seed` or a value of `augment` is not accepted.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        seed: int = 0,
        augment: Mapping[str, Any] | None = None,
        shuffle: bool = False,
        device: str = "cpu",
    ) -> None:
        self.split = split
        self.batch_size = check_count("batch_size", batch_size, 1, None)
        self.seed = check_count("seed", seed, 0, None)
        self.augment = read_augment(augment)
        self.shuffle = shuffle
        self.device = device
        # One factor and one summand per value of an image (3072): broadcasting over the batch only
        # keeps numpy in its vector instructions, which channel-wise (3, 1, 1) does not.
        pixels = int(np.prod(split.images.shape[2:]))
        self._scale = np.repeat(1 / (255 * np.asarray(std)), pixels).astype(np.float32)
        self._shift = np.repeat(-np.divide(mean, std), pixels).astype(np.float32)

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        return -(-len(self.split.labels) // self.batch_size)

    def epoch(
        self, epoch: int = 0, start_step: int = 0
    ) -> Iterator[tuple[flow.Tensor, flow.Tensor]]:
        """Yield (images, labels) of the steps `start_step`, `start_step` + 1, ... of an epoch.

        Images are (n, 3, 32, 32) float32, labels (n,) int64, on the device.
        """
        order = np.arange(len(self.split.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        for step in range(start_step, len(self)):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            rng = np.random.default_rng([self.seed, epoch, step, _AUGMENT_STREAM])
            images = augment_images(self.split.images[rows], self.augment, rng)
            # from_numpy shares memory and OneFlow computes later: these arrays are made anew for
            # every batch and never written to again.
            yield (
                flow.from_numpy(self._normalize(images)).to(self.device),
                flow.from_numpy(self.split.labels[rows]).to(self.device),
            )

    def _normalize(self, images: np.ndarray) -> np.ndarray:
        flat = images.reshape(len(images), -1).astype(np.float32)
        flat *= self._scale
        flat += self._shift
        return flat.reshape(images.shape)
