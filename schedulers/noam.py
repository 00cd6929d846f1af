"""The Transformer's schedule: a line up, then the inverse square root of the step."""

import math
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import check_integer


def noam_factor(step: int, warmup_steps: int) -> float:
    """Return the Noam shape with its peak at 1: `min(t / w, sqrt(w / t))`, step 0 read as 1.

    For LambdaLR's `lr_lambda`. `t` is the step and `w` is `warmup_steps`.

    Raises:
        ValueError: a warm-up of 0 steps.

    >>> [noam_factor(step, warmup_steps=4) for step in (0, 1, 2, 4, 16)]
    [0.25, 0.25, 0.5, 1.0, 0.5]
    """
    check_integer("warmup_steps", warmup_steps, 1)
    step = max(step, 1)
    return min(step / warmup_steps, math.sqrt(warmup_steps / step))


class NoamLR(_LRScheduler):
    """Up in a line for `w` steps, then as `1 / sqrt(t)`.

        lr(t) = B d ** -0.5 min(t ** -0.5, t w ** -1.5)      with model_size d
        lr(t) = B min(t / w, sqrt(w / t))                    without: the peak is B

    Step 0 is read as 1, so the first two rates are equal; the peak is at step w. With `model_size`
    the numbers are those of the Annotated Transformer's `rate(step, model_size, factor, warmup)`
    (B is its factor, and 1 in the paper); the peak is then `B / sqrt(d w)`, far too low at
    B = 0.1. Without it the shape is the same and B stays the peak, as in all other schedules.

    Vaswani et al. 2017, "Attention Is All You Need", arXiv 1706.03762, 5.3.

    Args:
        warmup_steps: w, steps to the peak.
        model_size: d, the width of the model, or null for a peak of B.

    Raises:
        ValueError: a warm-up or a model of size 0.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> [NoamLR(optimizer, 4).get_lr(0.1, step) for step in (0, 1, 4, 16)]
    [0.025, 0.025, 0.1, 0.05]
    >>> NoamLR(optimizer, 4, model_size=16).get_lr(1.0, 4)
    0.125
    """

    def __init__(
        self,
        optimizer: Any,
        warmup_steps: int,
        model_size: int | None = None,
        verbose: bool = False,
    ) -> None:
        if model_size is not None:
            check_integer("model_size", model_size, 1)
        self.warmup_steps, self.model_size = warmup_steps, model_size
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the peak rate times the shape at `step`."""
        peak = base_lr
        if self.model_size is not None:
            peak /= math.sqrt(self.model_size * self.warmup_steps)
        return peak * noam_factor(step, self.warmup_steps)
