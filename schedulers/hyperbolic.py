"""Hyperbolic decay: nearly the same early curve for runs of any length."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import check_integer, refusal


class HyperbolicLR(_LRScheduler):
    """A branch of a hyperbola from `B` towards `m`.

        lr(t) = B + (B - m) (h(t) - h(0))    h(t) = sqrt((N - t) / U (2 - (N + t) / U))

    `N = max_iter` is the run's duration and `U = upper_bound >= N` the longest that is planned:
    runs of different N with one U start along nearly the same curve, so a rate tuned on a short run
    serves a long one. Only with U = N does the rate reach m, and then along a straight line;
    otherwise it ends above m, at `B - (B - m) h(0)`. After N it is held. The formula is the
    paper's.

    Kim 2024, "HyperbolicLR: Epoch insensitive learning rate scheduler", arXiv 2407.15200.

    Args:
        max_iter: N.
        upper_bound: U, at least N.
        infimum_lr: m, an absolute rate, below every B.

    Raises:
        ValueError: U is below N, or m is not between 0 and B.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = HyperbolicLR(optimizer, max_iter=10, upper_bound=20, infimum_lr=0.1)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 1, 5, 10, 11)]
    [1.0, 0.9476, 0.7237, 0.2206, 0.2206]
    """

    def __init__(
        self,
        optimizer: Any,
        max_iter: int,
        upper_bound: int,
        infimum_lr: float = 1e-6,
        verbose: bool = False,
    ) -> None:
        self.max_iter = check_integer("max_iter", max_iter, 1)
        self.upper_bound = check_integer("upper_bound", upper_bound, max_iter)
        self.infimum_lr = infimum_lr
        super().__init__(optimizer, verbose=verbose)
        if not all(0 < infimum_lr <= lr for lr in self.base_lrs):
            wanted = f"above 0 and at most the base rates {self.base_lrs}"
            raise refusal("infimum_lr", infimum_lr, wanted)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`."""
        return base_lr + (base_lr - self.infimum_lr) * self._fall(step)

    def _fall(self, step: int) -> float:
        """Return `h(t) - h(0)`: 0 at first, -h(0) at the end and after it."""
        return self._height(min(step, self.max_iter)) - self._height(0)

    def _height(self, step: int) -> float:
        length, bound = self.max_iter, self.upper_bound
        return math.sqrt((length - step) / bound * (2 - (length + step) / bound))


class ExpHyperbolicLR(HyperbolicLR):
    """The hyperbola on a logarithmic axis.

        lr(t) = B (B / m) ** (h(t) - h(0))

    Symbols, paper and arguments as in HyperbolicLR. The rate ends at `B (m / B) ** h(0)`.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = ExpHyperbolicLR(optimizer, max_iter=10, upper_bound=20, infimum_lr=0.1)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 1, 5, 10, 11)]
    [1.0, 0.8745, 0.4932, 0.1361, 0.1361]
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`."""
        return base_lr * (base_lr / self.infimum_lr) ** self._fall(step)
