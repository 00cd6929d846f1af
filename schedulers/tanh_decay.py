"""Hyperbolic-tangent decay (HTD): high for long, a steep fall, low for a while."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal


class TanhDecayLR(_LRScheduler):
    """Follows the hyperbolic tangent from `lower` to `upper`.

        lr(t) = B (1 - tanh(L + (U - L) t / T)) / 2    L = lower, U = upper

    It starts just below B (at 0.999994 B for L = -6) and ends at `B (1 - tanh(U)) / 2`, which is
    0.0025 B for U = 3 and is held after step T. Within the T steps the numbers are those of timm's
    TanhLRScheduler(lb=L, ub=U), whose own default is L = -7 and which is 0 from step T on.

    Hsueh, Li, Wu 2019, "Stochastic Gradient Descent with Hyperbolic-Tangent Decay on
    Classification", arXiv 1806.01593 (HTD(-6, 3)).

    Args:
        total_steps: T.
        lower: L; the further below zero, the longer the rate stays high.
        upper: U, above L; the larger, the longer it stays low.

    Raises:
        ValueError: upper is not above lower.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = TanhDecayLR(optimizer, total_steps=9)
    >>> [round(schedule.get_lr(1.0, step), 6) for step in (0, 6, 8, 9, 10)]
    [0.999994, 0.5, 0.017986, 0.002473, 0.002473]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        lower: float = -6.0,
        upper: float = 3.0,
        verbose: bool = False,
    ) -> None:
        if lower >= upper:
            raise refusal("upper", upper, f"above lower={lower}")
        self.total_steps, self.lower, self.upper = total_steps, lower, upper
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`."""
        share = min(step / self.total_steps, 1.0)
        return base_lr * 0.5 * (1 - math.tanh(self.lower * (1 - share) + self.upper * share))
