"""Batches from memory: each one is a function of (seed, epoch, step) and of nothing else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import oneflow as flow

from data import device as on_device
from data.augment import Draws, draw_augment, read_augment, take_rows
from data.dataset import Split
from data.pixels import Normalizer, crop_images, cut_out, flip_images
from data.prefetch import prefetch
from data.split import check_count

Arrays = tuple[np.ndarray, np.ndarray, Draws]  # images, labels, and the draws still to be applied


class BatchLoader:
    """Shuffles, augments and normalizes a split that lies in memory.

    Because nothing is remembered from one batch to the next, a run that was stopped after step k
    continues with `epoch(e, start_step=k)` and sees, bit for bit, the batches it would have seen.

    Pixels v in 0..255 become (v / 255 - mean) / std, channel by channel, after crop and flip and
    before cutout.

    Args:
        split: images and labels.
        batch_size: images of a batch; the last one of an epoch holds what is left.
        mean: of each channel, for pixels scaled to [0, 1].
        std: as `mean`.
        seed: of the run; at least 0.
        augment: the `dataset.augment` node; None: images as they are.
        shuffle: a new order in each epoch; otherwise the order of the split.
        device: where the batches go. On "cpu" numpy augments them; any other gets the bytes and
            augments them itself, to the same bits.
        ahead: batches that a thread prepares in advance; 0: no thread. OneFlow computes later than
            it is told to, so that a batch is prepared during the step before it in either case.
        part: which images of a batch of n are wanted here, as part(n); None: all.

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
        ahead: int = 0,
        part: Callable[[int], slice] | None = None,
    ) -> None:
        self.split = split
        self.batch_size = check_count("batch_size", batch_size, 1, None)
        self.seed = check_count("seed", seed, 0, None)
        self.augment = read_augment(augment)
        self.shuffle = shuffle
        self.device = device
        self.in_numpy = device == "cpu"  # where the images are augmented
        self.ahead = ahead
        self.part = part or slice
        self.normalizer = Normalizer(mean, std, int(np.prod(split.images.shape[2:])))

    def __len__(self) -> int:
        """Return the steps of an epoch."""
        return -(-len(self.split.labels) // self.batch_size)

    def epoch(
        self, epoch: int = 0, start_step: int = 0
    ) -> Iterator[tuple[flow.Tensor, flow.Tensor]]:
        """Yield (images, labels) of the steps `start_step`, `start_step` + 1, ... of an epoch.

        Images are (m, 3, 32, 32) float32: all n of a batch, or the `part` that is wanted. Labels
        are those of the whole batch, (n,) int64. Both are on the device.
        """
        order = np.arange(len(self.split.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)

        def prepare(step: int) -> Arrays:
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            mine = self.part(len(rows))
            draws = take_rows(self._draw(len(rows), epoch, step), mine)
            images, _, left = self._prepare(rows[mine], draws)
            return images, self.split.labels[rows], left

        for arrays in prefetch(prepare, range(start_step, len(self)), self.ahead):
            yield self._hand_over(*arrays)

    def _draw(self, n: int, epoch: int, step: int) -> Draws:
        """Draw the random numbers of a whole batch of n images."""
        shape = (n, *self.split.images.shape[2:])
        return draw_augment(self.augment, shape, self.seed, epoch, step)

    def _prepare(self, rows: np.ndarray, draws: Draws) -> Arrays:
        """Take the images `rows` of the split and do what numpy does: the work of the thread.

        `draws` are those of these rows. OneFlow is not called, so that it sees one thread only.
        """
        labels = self.split.labels[rows]
        if not self.in_numpy:
            return self.split.images[rows], labels, draws
        if "crop" in draws:
            images = crop_images(self.split.images, rows, draws["crop"], self.augment.crop_padding)
        else:
            images = self.split.images[rows]
        if "flip" in draws:
            flip_images(images, draws["flip"])
        floats = self.normalizer(images)
        if "cutout" in draws:
            cut_out(floats, draws["cutout"], self.augment.cutout)
        return floats, labels, {}

    def _hand_over(
        self, images: np.ndarray, labels: np.ndarray, draws: Draws
    ) -> tuple[flow.Tensor, flow.Tensor]:
        """Make tensors on the device, and augment there what is bytes still.

        from_numpy shares memory and OneFlow computes later: the arrays are made anew for every
        batch and never written to again.
        """
        here, classes = (flow.from_numpy(array).to(self.device) for array in (images, labels))
        if self.in_numpy:
            return here, classes
        drawn = {
            name: flow.tensor(array.astype(np.int64), device=self.device)
            for name, array in draws.items()
        }
        return on_device.augment_images(here, drawn, self.augment, self.normalizer), classes
