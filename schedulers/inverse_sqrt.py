"""Warm-up, then the inverse square root of the step, with a separate time scale."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import check_integer


class InverseSqrtLR(_LRScheduler):
    """A line up to `B` for `w` steps, then `B / sqrt(1 + (t - w) / s)`.

    `s` is the time scale: s steps after the warm-up the rate has fallen to `B / sqrt(2)`. With
    `s = w` this is the Noam shape. The numbers are those of transformers'
    get_inverse_sqrt_schedule (its warm-up starts at 0, so its first step does nothing:
    `start_factor: 0`).

    Zhai et al. 2022, "Scaling Vision Transformers", arXiv 2106.04560 (it needs no end).

    Args:
        warmup_steps: w.
        timescale: s; null: as long as the warm-up, or 10,000 without one.
        start_factor: factor of B at step 0 of the warm-up.

    Raises:
        ValueError: a time scale of 0.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = InverseSqrtLR(optimizer, warmup_steps=4, timescale=12)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 3, 4, 5, 16, 40)]
    [0.0, 0.75, 1.0, 0.9608, 0.7071, 0.5]
    """

    def __init__(
        self,
        optimizer: Any,
        warmup_steps: int,
        timescale: int | None = None,
        start_factor: float = 0.0,
        verbose: bool = False,
    ) -> None:
        default = warmup_steps or 10_000
        self.warmup_steps = warmup_steps
        self.timescale = check_integer("timescale", default if timescale is None else timescale, 1)
        self.start_factor = start_factor
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`: on the line up, or on the slow way down."""
        if step < self.warmup_steps:
            share = step / self.warmup_steps
            return base_lr * (self.start_factor + (1 - self.start_factor) * share)
        return base_lr / math.sqrt(1 + (step - self.warmup_steps) / self.timescale)
