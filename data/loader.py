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


class BatchLoader:
    """Shuffles, augments and normalizes a split that lies in memory.

    Because nothing is remembered from one batch to the next, a run that was stopped after step k
    continues with `epoch(e, start_step=k)` and sees, bit for bit, the batches it would have seen.

    The order is: crop, flip, the policy's operations; pixels v in 0..255 become (v / 255 - mean) /
    std, channel by channel; cutout, random erasing; mixup or CutMix.

    Args:
        split: images and labels.
        batch_size: images of a batch; the last one of an epoch holds what is left.
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.
        seed: of the run; at least 0.
        augment: the `augment` node; None: images as they are.
        shuffle: a new order in each epoch; otherwise the order of the split.
        device: where the batches go.
        classes: of the data set; mixup and CutMix need to know.
        part: which images of a batch of n are wanted here, as part(n); None: all.

    Attributes:
        sends_bytes: whether images leave numpy as bytes, a quarter of the floats, which the device
            normalizes to the same bits. Not on a CPU, nor where images are mixed.

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

    def epoch(
        self, epoch: int = 0, start_step: int = 0
    ) -> Iterator[tuple[flow.Tensor, flow.Tensor]]:
        """Yield (images, labels) of the steps `start_step`, `start_step` + 1, ... of an epoch.

        Images are (m, 3, 32, 32) float32: all n of a batch, or the `part` that is wanted. Labels
        are those of the whole batch: (n,) int64, or with mixup or CutMix (n, classes) float32, the
        share of each class. Both are on the device.
        """
        order = np.arange(len(self.split.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)
        for step in range(start_step, len(self)):
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            yield self._make_batch(rows, (self.seed, epoch, step))

    def _make_batch(
        self, rows: np.ndarray, where: tuple[int, int, int]
    ) -> tuple[flow.Tensor, flow.Tensor]:
        """Draw for a whole batch of rows of the split, and make the part that is wanted."""
        shape = (len(rows), *self.split.images.shape[2:])
        draws = draw_augment(self.augment, shape, where)
        mix = draw_mix(self.augment, shape, where)
        labels = self.split.labels[rows]
        if self.augment.mixes:
            assert self.classes is not None
            labels = mix_labels(labels, mix, self.classes)
        wanted = np.arange(len(rows))[self.part(len(rows))]  # places in the batch
        if mix is not None:
            pairs = np.concatenate([wanted, mix.partner[wanted]])
            wanted, pairs = np.unique(pairs, return_inverse=True)
        draws = {kind: drawn[wanted] for kind, drawn in draws.items()}
        pixels = change_bytes(self.split.images, rows[wanted], draws, self.augment.crop_padding)
        erased = find_erased(draws, *shape[1:])
        if self.sends_bytes:
            return self._normalize_there(pixels, erased), self._send(labels)
        images = self.normalizer(pixels)
        if erased is not None:
            np.copyto(images, 0, where=erased)
        if mix is not None:
            images = mix_images(*np.split(images[pairs], 2), mix)
        return self._send(images), self._send(labels)

    def _normalize_there(self, pixels: np.ndarray, erased: np.ndarray | None) -> flow.Tensor:
        """Return bytes as floats of the device, which does the rest in three or four operations."""
        scale, shift = self._send(self.normalizer.scale), self._send(self.normalizer.shift)
        floats = self._send(pixels).to(flow.float32) * scale + shift
        return floats if erased is None else floats.masked_fill(self._send(erased), 0.0)

    def _send(self, array: np.ndarray) -> flow.Tensor:
        """Return an array as a tensor on the device.

        from_numpy shares memory and OneFlow computes later: no array that comes here is written to
        again.
        """
        return flow.from_numpy(array).to(self.device)
