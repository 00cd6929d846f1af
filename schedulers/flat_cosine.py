"""A constant stretch, then half a cosine."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal


class FlatCosineLR(_LRScheduler):
    """`B` for `f` steps, then half a cosine to `B / div_final`.

        lr(t) = B                                                  for t <= f
        lr(t) = B / v + (B - B / v) (1 + cos(pi (t - f) / (T - f))) / 2    for f < t <= T, then held

    with `T = total_steps`, `f = flat_steps` and `v = div_final`. The numbers are those of fastai's
    fit_flat_cos(pct_start=f / T, div_final=v), which divides the base rate (PyTorch's OneCycleLR
    divides the first one) and looks at t / T, so that step T is one past the run.

    Introduced with fastai and the Ranger optimizer in 2019; no paper.

    Args:
        total_steps: T.
        flat_steps: f, below T.
        div_final: v, the base rate divided by the last one.

    Raises:
        ValueError: no step is left for the cosine, or a divisor of 0.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = FlatCosineLR(optimizer, total_steps=8, flat_steps=6, div_final=100)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 6, 7, 8, 9)]
    [1.0, 1.0, 0.505, 0.01, 0.01]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        flat_steps: int,
        div_final: float = 1e5,
        verbose: bool = False,
    ) -> None:
        if flat_steps >= total_steps:
            raise refusal("flat_steps", flat_steps, f"fewer than total_steps={total_steps}")
        if div_final <= 0:
            raise refusal("div_final", div_final, "a number above 0")
        self.total_steps, self.flat_steps, self.div_final = total_steps, flat_steps, div_final
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`."""
        share = (step - self.flat_steps) / (self.total_steps - self.flat_steps)
        cosine = 0.5 * (1 + math.cos(math.pi * min(max(share, 0.0), 1.0)))
        last_lr = base_lr / self.div_final
        return last_lr + (base_lr - last_lr) * cosine
