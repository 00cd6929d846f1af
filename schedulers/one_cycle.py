"""One cycle: up to the base rate, then down far below where it began (super-convergence)."""

import math
from typing import Any, Literal

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal


class OneCycleLR(_LRScheduler):
    """Rises from `B / div_factor` to `B`, then falls to `B / (div_factor * final_div_factor)`.

    With `low = B / div_factor`, `T = total_steps` and `p = pct_start` the corners are

        (0, low)  (p T - 1, B)  (T - 1, low / final_div_factor)

    and with `three_phase` there is one more, `(2 p T - 2, low)`, before the last. Between two
    corners, at a share x of the way, `cos` gives `end + (start - end) (1 + cos(pi x)) / 2` and
    `linear` the straight line. After the last corner the rate is held.

    The numbers are those of PyTorch's OneCycleLR(max_lr=B, cycle_momentum=False): the corners are
    not rounded to whole steps, so the peak is met exactly only where `p T` is whole, and the lowest
    rate is that of the last step. PyTorch raises an error after it. Only the learning
    rate is cycled; the optimizer's momentum is left alone.

    Smith, Topin 2018, "Super-Convergence", arXiv 1708.07120.

    Args:
        total_steps: T, duration of the cycle.
        pct_start: share of it that rises, 0 to 1 (to 0.5 with three phases).
        anneal_strategy: `cos` or `linear`.
        div_factor: peak divided by the first rate.
        final_div_factor: first rate divided by the last one.
        three_phase: back to the first rate as fast as it rose, then down to the last.

    Raises:
        ValueError: a share or a divisor is out of range.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> cycle = OneCycleLR(optimizer, total_steps=10, div_factor=10, final_div_factor=100)
    >>> [round(cycle.get_lr(1.0, step), 4) for step in (0, 1, 2, 3, 9, 10)]
    [0.1, 0.55, 1.0, 0.9505, 0.001, 0.001]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        verbose: bool = False,
    ) -> None:
        if not 0 <= pct_start <= (0.5 if three_phase else 1):
            raise refusal("pct_start", pct_start, "0 to 1, or 0 to 0.5 with three_phase")
        for name, value in (("div_factor", div_factor), ("final_div_factor", final_div_factor)):
            if value <= 0:
                raise refusal(name, value, "a number above 0")
        self.total_steps, self.pct_start = total_steps, pct_start
        self.div_factor, self.final_div_factor = div_factor, final_div_factor
        self.anneal_strategy, self.three_phase = anneal_strategy, three_phase
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, between the two corners around it."""
        step = min(step, self.total_steps - 1)
        start, start_lr, end, end_lr = self._corners(base_lr, step)
        # A first piece of length 0 is a division by zero in PyTorch; here the peak comes at once.
        share = (step - start) / (end - start) if end > start else 1.0
        if self.anneal_strategy == "linear":
            return (end_lr - start_lr) * share + start_lr
        return end_lr + (start_lr - end_lr) / 2 * (math.cos(math.pi * share) + 1)

    def _corners(self, base_lr: float, step: int) -> tuple[float, float, float, float]:
        """Return the two corners around a step of the cycle: step and rate of each."""
        low, rise = base_lr / self.div_factor, self.pct_start * self.total_steps
        top = rise - 1
        if step <= top:
            return 0.0, low, top, base_lr
        if self.three_phase and step <= 2 * rise - 2:
            return top, base_lr, 2 * rise - 2, low
        start, start_lr = (2 * rise - 2, low) if self.three_phase else (top, base_lr)
        return start, start_lr, self.total_steps - 1, low / self.final_div_factor
