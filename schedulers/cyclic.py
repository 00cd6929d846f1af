"""Triangles between a low learning rate and the base rate, one after another."""

import math
from typing import Any, Literal

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import check_integer


class CyclicLR(_LRScheduler):
    """Rises in a line from `m B` to `B` and falls back, again and again.

    With `u = step_size_up`, `d = step_size_down`, cycle `c = floor(t / (u + d))` counted from 0 and
    the height h of the triangle (0 at its feet, 1 at its top, reached u steps into a cycle)

        lr(t) = m B + (B - m B) h s

    where `s` is 1 (`triangular`), `2 ** -c` (`triangular2`: each cycle half as high) or
    `gamma ** t` (`exp_range`: falling at every STEP, so give `gamma` a unit: `0.1/run`).

    The numbers are those of PyTorch's CyclicLR(base_lr=m B, max_lr=B, cycle_momentum=False). Only
    the learning rate is cycled; the optimizer's momentum is left alone.

    Smith 2017, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186.

    Args:
        step_size_up: steps from a foot to the top.
        step_size_down: steps from the top to a foot; null: as many as up.
        min_factor: m, the feet as a factor of the top.
        mode: `triangular`, `triangular2` or `exp_range`.
        gamma: for `exp_range`: the factor per step.

    Raises:
        ValueError: a duration of zero.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> cycle = CyclicLR(optimizer, step_size_up=2, min_factor=0.1, mode="triangular2")
    >>> [round(cycle.get_lr(1.0, step), 4) for step in range(9)]
    [0.1, 0.55, 1.0, 0.55, 0.1, 0.325, 0.55, 0.325, 0.1]
    """

    def __init__(
        self,
        optimizer: Any,
        step_size_up: int,
        step_size_down: int | None = None,
        min_factor: float = 0.1,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        verbose: bool = False,
    ) -> None:
        down = step_size_up if step_size_down is None else step_size_down
        self.step_size_up = check_integer("step_size_up", step_size_up, 1)
        self.step_size_down = check_integer("step_size_down", down, 1)
        self.min_factor, self.mode, self.gamma = min_factor, mode, gamma
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, by its triangle and the place in it."""
        cycle, place = divmod(step, self.step_size_up + self.step_size_down)
        if place <= self.step_size_up:
            height = place / self.step_size_up
        else:
            height = 1 - (place - self.step_size_up) / self.step_size_down
        if self.mode == "triangular2":
            height = math.ldexp(height, -cycle)
        elif self.mode == "exp_range":
            height *= self.gamma**step
        foot = base_lr * self.min_factor
        return foot + (base_lr - foot) * height
