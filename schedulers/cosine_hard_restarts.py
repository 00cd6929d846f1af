"""A warm-up, then a given number of equal cosines that fill the run."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import check_integer, refusal


class CosineWithHardRestartsLR(_LRScheduler):
    """A line up for `w` steps, then `c` half-cosines of equal length from `B` to 0.

        lr(t) = B (s + (1 - s) t / w)                                   for t < w
        lr(t) = B (1 + cos(pi ((c (t - w) mod (T - w)) / (T - w)))) / 2     for w <= t < T, then 0

    with `T = total_steps`, `w = warmup_steps`, `c = num_cycles` and `s = start_factor`. The numbers
    are those of transformers' get_cosine_with_hard_restarts_schedule_with_warmup (there s = 0: the
    first step does nothing). A restart is found with integers, so no rounding error can miss it as
    with the floating-point remainder there.

    Loshchilov, Hutter 2017, "SGDR", arXiv 1608.03983 (the restarts).

    Args:
        total_steps: T, the warm-up included.
        warmup_steps: w, below T.
        num_cycles: c.
        start_factor: s, factor of B at step 0 of the warm-up.

    Raises:
        ValueError: no step is left after the warm-up, or fewer than one cycle.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = CosineWithHardRestartsLR(optimizer, 10, warmup_steps=2, num_cycles=2)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 1, 2, 4, 5, 6, 9, 10)]
    [0.0, 0.5, 1.0, 0.5, 0.1464, 1.0, 0.1464, 0.0]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        warmup_steps: int = 0,
        num_cycles: int = 1,
        start_factor: float = 0.0,
        verbose: bool = False,
    ) -> None:
        if warmup_steps >= total_steps:
            raise refusal("warmup_steps", warmup_steps, f"fewer than total_steps={total_steps}")
        self.num_cycles = check_integer("num_cycles", num_cycles, 1)
        self.total_steps, self.warmup_steps = total_steps, warmup_steps
        self.start_factor = start_factor
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`: on the line up, or in one of the cosines."""
        if step < self.warmup_steps:
            share = step / self.warmup_steps
            return base_lr * (self.start_factor + (1 - self.start_factor) * share)
        if step >= self.total_steps:
            return 0.0
        length = self.total_steps - self.warmup_steps
        place = (self.num_cycles * (step - self.warmup_steps)) % length
        return base_lr * 0.5 * (1 + math.cos(math.pi * place / length))
