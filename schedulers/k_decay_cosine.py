"""A cosine over a power of the time: its fall is later and steeper for k above 1."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal


class KDecayCosineLR(_LRScheduler):
    """Half a cosine over `(t / T) ** k`.

        lr(t) = m B + (B - m B) (1 + cos(pi (t / T) ** k)) / 2    after T: m B

    `k = 1` is the plain cosine; above 1 the rate stays high for longer. The numbers are those of
    timm's CosineLRScheduler(k_decay=k, lr_min=m B).

    Zhang, Li 2020, "k-decay: A New Method For Learning Rate Schedule", arXiv 2004.05909.

    Args:
        total_steps: T.
        k: above 0.
        min_factor: m, the last rate as a factor of B.

    Raises:
        ValueError: k is not above 0.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = KDecayCosineLR(optimizer, total_steps=4, k=2.0, min_factor=0.1)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 2, 3, 4, 5)]
    [1.0, 0.8682, 0.4622, 0.1, 0.1]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        k: float = 1.0,
        min_factor: float = 0.0,
        verbose: bool = False,
    ) -> None:
        if k <= 0:
            raise refusal("k", k, "a number above 0")
        self.total_steps, self.k, self.min_factor = total_steps, k, min_factor
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`."""
        share = min(step / self.total_steps, 1.0) ** self.k
        last_lr = base_lr * self.min_factor
        return last_lr + (base_lr - last_lr) * 0.5 * (1 + math.cos(math.pi * share))
