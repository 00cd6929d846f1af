"""The loader that the engine expects."""

from collections.abc import Iterator
from typing import Protocol

import oneflow as flow

# images (n, 3, 32, 32) float32; labels (n,) int64, or in training (n, classes) float32
Batch = tuple[flow.Tensor, flow.Tensor]


class Loader(Protocol):
    """Batches of a split: their number per epoch, and an epoch's batches."""

    def __len__(self) -> int: ...

    def epoch(self, epoch: int = 0, start_step: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from its step `start_step` on."""
        ...
