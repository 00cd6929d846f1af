"""Batches from memory: each one is a function of (seed, epoch, step) and of nothing else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import oneflow as flow

from common.checks import check_integer
from data.augment import draw_augment, read_augment
from data.dataset import Split
from data.images import Normalizer, change_bytes, find_erased
from data.mixing import draw_mix, mix_images, mix_labels

Batch = tuple[flow.Tensor, flow.Tensor]  # images and labels


class BatchLoader:
    """A split that lies in memory, shuffled, augmented and normalized.

    Nothing is remembered from one batch to the next: a run that was stopped after step k goes on
    with `epoch(e, start_step=k)` and sees, bit for bit, the batches it would have seen.

    The order is: crop, flip, policy; normalization; cutout, random erasing; mixup or CutMix.

    Args:
        split: images and labels.
        batch_size: images of a batch; the last one of an epoch holds what is left.
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.
        seed: of the run; at least 0.
        augment: the `augment` node; None: images as they are.
        shuffle: a new order in each epoch; otherwise the order of the split.
        device: where the batches go.
        classes: of the data set, for mixup and CutMix.
        part: which images of a batch of n are wanted here, as part(n); the default: all.

    Attributes:
        sends_bytes: whether images go to the device as bytes and are normalized there, to the same
            bits: not on a CPU, nor where they are mixed.

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
        classes: int | None = None,
        part: Callable[[int], slice] = slice,
    ) -> None:
        self.split = split
        self.batch_size = check_integer("batch_size", batch_size, 1)
        self.seed = check_integer("seed", seed, 0)
        self.augment = read_augment(augment)
        self.shuffle = shuffle
        self.device = device
        self.classes = classes
        self.part = part
        self.normalizer = Normalizer(mean, std)
        self.sends_bytes = device != "cpu" and not self.augment.mixes

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        return -(-len(self.split.labels) // self.batch_size)

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Batch]:
        """Yield (images, labels) on the device, of the steps of an epoch from `start_step` on.

        Images are (m, 3, 32, 32) float32: all n of a batch, or the `part` that is wanted. Labels
        are those of the whole batch: (n,) int64, or with mixup or CutMix (n, classes) float32, the
        share of each class.
        """
        order = np.arange(len(self.split.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        for step in range(start_step, len(self)):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self._make_batch(rows, (self.seed, epoch, step))

    def _make_batch(self, rows: np.ndarray, where: tuple[int, int, int]) -> Batch:
        """Draw for a whole batch of rows of the split, and make the part that is wanted."""
        shape = (len(rows), *self.split.images.shape[2:])
        draws = draw_augment(self.augment, shape, where)
        mix = draw_mix(self.augment, shape, where)
        labels = self.split.labels[rows]
        if self.augment.mixes:
            labels = mix_labels(labels, mix, self.classes)
        wanted = np.arange(len(rows))[self.part(len(rows))]  # places in the batch
        if mix is not None:
            pairs = np.concatenate([wanted, mix.partner[wanted]])
            wanted, pairs = np.unique(pairs, return_inverse=True)
        draws = {kind: drawn[wanted] for kind, drawn in draws.items()}
        pixels = change_bytes(self.split.images, rows[wanted], draws, self.augment.crop_padding)
        erased = find_erased(draws, *shape[1:])
        if self.sends_bytes:
            scale, shift = self._send(self.normalizer.scale), self._send(self.normalizer.shift)
            floats = self._send(pixels).to(flow.float32) * scale + shift
            if erased is not None:
                floats = floats.masked_fill(self._send(erased), 0.0)
            return floats, self._send(labels)
        images = self.normalizer(pixels)
        if erased is not None:
            np.copyto(images, 0, where=erased)
        if mix is not None:
            images = mix_images(*np.split(images[pairs], 2), mix)
        return self._send(images), self._send(labels)

    def _send(self, array: np.ndarray) -> flow.Tensor:
        """Return an array as a tensor on the device.

        Never write to the array again: from_numpy shares its memory, and OneFlow computes later.
        """
        return flow.from_numpy(array).to(self.device)
