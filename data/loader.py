"""Batches from memory: each one is a function of (seed, epoch, step) and of nothing else."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import oneflow as flow

from data import device as on_device
from data.augment import MIXED, Draws, draw_augment, read_augment, take_rows
from data.dataset import Split
from data.mixing import mix_images, mix_labels, pair_up
from data.operations import apply_operations
from data.pixels import Normalizer, crop_images, erase_boxes, flip_images
from data.prefetch import prefetch
from data.split import check_count


@dataclass(frozen=True)
class Prepared:
    """A batch as far as numpy makes it.

    Attributes:
        images: float32 and done; or uint8, for a device that does the rest.
        labels: of the whole batch, (n,) int64 or (n, classes) float32.
        draws: what the device has still to do to these images.
        mixed: and then: `own` and `other` say which of the images are mixed, MIXED how.
    """

    images: np.ndarray
    labels: np.ndarray
    draws: Draws
    mixed: Draws


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
        augment: the `dataset.augment` node; None: images as they are.
        shuffle: a new order in each epoch; otherwise the order of the split.
        device: where the batches go. On "cpu" numpy augments them; any other gets the bytes and
            augments them itself, to the same bits, all but a policy's operations.
        classes: of the data set; mixup and CutMix need to know.
        ahead: batches that a thread prepares in advance; 0: no thread; None: 1 for a policy, which
            takes long, and else 0: OneFlow computes later than it is told to, so that a batch is
            prepared during the step before it in either case.
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
        classes: int | None = None,
        ahead: int | None = None,
        part: Callable[[int], slice] | None = None,
    ) -> None:
        self.split = split
        self.batch_size = check_count("batch_size", batch_size, 1, None)
        self.seed = check_count("seed", seed, 0, None)
        self.augment = read_augment(augment)
        self.shuffle = shuffle
        self.device = device
        self.in_numpy = device == "cpu"  # where the images are augmented
        self.classes = classes
        self.ahead = int(self.augment.policy is not None) if ahead is None else ahead
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
        are those of the whole batch: (n,) int64, or with mixup or CutMix (n, classes) float32, the
        share of each class. Both are on the device.
        """
        order = np.arange(len(self.split.labels))
        if self.shuffle:
            np.random.default_rng([self.seed, epoch]).shuffle(order)

        def prepare(step: int) -> Prepared:
            rows = order[step * self.batch_size : (step + 1) * self.batch_size]
            return self._prepare(rows, self._draw(len(rows), epoch, step))

        for prepared in prefetch(prepare, range(start_step, len(self)), self.ahead):
            yield self._hand_over(prepared)

    def _draw(self, n: int, epoch: int, step: int) -> Draws:
        """Draw the random numbers of a whole batch of n images."""
        shape = (n, *self.split.images.shape[2:])
        return draw_augment(self.augment, shape, self.seed, epoch, step)

    def _prepare(self, rows: np.ndarray, draws: Draws) -> Prepared:
        """Make what numpy makes of a batch, the work of the thread: OneFlow sees one thread only.

        Args:
            rows: of the split, those of the whole batch.
            draws: as `_draw` has them.
        """
        labels = self.split.labels[rows]
        part = self.part(len(rows))
        wanted = np.arange(len(rows))[part]
        mixed = take_rows({kind: draws[kind] for kind in MIXED if kind in draws}, part)
        if self.augment.mixes:
            assert self.classes is not None
            labels = mix_labels(labels, draws, self.classes)
        if mixed:
            wanted, mixed["own"], mixed["other"] = pair_up(wanted, mixed.pop("partner"))
        single = {kind: draws[kind] for kind in draws if kind not in MIXED}
        images, left = self._change_bytes(rows[wanted], take_rows(single, wanted))
        if not self.in_numpy:
            return Prepared(images, labels, left, mixed)
        floats = self.normalizer(images)
        for boxes in left.values():
            erase_boxes(floats, boxes)
        return Prepared(mix_images(floats, mixed) if mixed else floats, labels, {}, {})

    def _change_bytes(self, rows: np.ndarray, draws: Draws) -> tuple[np.ndarray, Draws]:
        """Take the images `rows` of the split; return them and the draws that are still to apply.

        A device crops and flips by itself, unless a policy comes next, whose operations are here.
        """
        if not (self.in_numpy or "operations" in draws):
            return self.split.images[rows], draws
        if "crop" in draws:
            images = crop_images(self.split.images, rows, draws["crop"], self.augment.crop_padding)
        else:
            images = self.split.images[rows]
        if "flip" in draws:
            flip_images(images, draws["flip"])
        if "operations" in draws:
            apply_operations(images, draws["operations"], draws["strengths"])
        return images, {kind: draws[kind] for kind in ("cutout", "erasing") if kind in draws}

    def _hand_over(self, prepared: Prepared) -> tuple[flow.Tensor, flow.Tensor]:
        """Make tensors on the device, and do there what is left to do.

        from_numpy shares memory and OneFlow computes later: the arrays are made anew for every
        batch and never written to again.
        """
        images, labels = (
            flow.from_numpy(array).to(self.device) for array in (prepared.images, prepared.labels)
        )
        if self.in_numpy:
            return images, labels
        draws, mixed = (
            {kind: on_device.send(array, self.device) for kind, array in of.items()}
            for of in (prepared.draws, prepared.mixed)
        )
        floats = on_device.augment_images(images, draws, self.augment, self.normalizer)
        return on_device.mix_images(floats, mixed) if mixed else floats, labels
