"""Warm-up, a long constant stretch, and a short cool-down."""

import math
from typing import Any, Literal

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal

_COOL_DOWNS = {
    "linear": lambda x: 1 - x,
    "1-sqrt": lambda x: 1 - math.sqrt(x),
    "cosine": lambda x: 0.5 * (1 + math.cos(math.pi * x)),
}


class WarmupStableDecayLR(_LRScheduler):
    """Up from `m B` to `B`, constant, and down to `m B` in the last steps (WSD).

    With `w = warmup_steps`, `d = decay_steps`, `T = total_steps` and `f` from 0 to 1

        lr(t) = B (m + (1 - m) f)    f = t / w               for t < w
                                     f = 1                   for w <= t < T - d
                                     f = cool((t - T + d) / d)    for T - d <= t < T, then 0

    and `cool(x)` = `1 - x` (linear), `1 - sqrt(x)` or `(1 + cos(pi x)) / 2`. The numbers are those
    of transformers' get_wsd_schedule. With m = 0 the first step does nothing.

    Hu et al. 2024, "MiniCPM", arXiv 2404.06395; Hägele et al. 2024, "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", arXiv 2405.18392 (1-sqrt).

    Args:
        total_steps: T, all three parts together.
        warmup_steps: w.
        decay_steps: d.
        decay_type: `linear`, `1-sqrt` or `cosine`.
        min_factor: m, the lowest rate as a factor of B.

    Raises:
        ValueError: warm-up and cool-down are together longer than T.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = WarmupStableDecayLR(optimizer, 10, warmup_steps=2, decay_steps=4, min_factor=0.2)
    >>> [round(schedule.get_lr(1.0, step), 4) for step in (0, 1, 2, 6, 8, 9, 10)]
    [0.2, 0.6, 1.0, 1.0, 0.6, 0.3172, 0.2]
    """

    def __init__(
        self,
        optimizer: Any,
        total_steps: int,
        warmup_steps: int,
        decay_steps: int,
        decay_type: Literal["linear", "1-sqrt", "cosine"] = "cosine",
        min_factor: float = 0.0,
        verbose: bool = False,
    ) -> None:
        if warmup_steps + decay_steps > total_steps:
            wanted = f"with warmup_steps={warmup_steps} at most total_steps={total_steps}"
            raise refusal("decay_steps", decay_steps, wanted)
        self.total_steps, self.warmup_steps = total_steps, warmup_steps
        self.decay_steps, self.decay_type = decay_steps, decay_type
        self.min_factor = min_factor
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, by the part it belongs to."""
        decay_start = self.total_steps - self.decay_steps
        if step < self.warmup_steps:
            factor = step / self.warmup_steps
        elif step < decay_start:
            factor = 1.0
        elif step < self.total_steps:
            factor = _COOL_DOWNS[self.decay_type]((step - decay_start) / self.decay_steps)
        else:
            factor = 0.0
        return base_lr * (self.min_factor + (1 - self.min_factor) * factor)
