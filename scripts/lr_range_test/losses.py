"""The losses of a range test, and when it stops."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from omegaconf import DictConfig

from scripts.lr_range_test.suggestions import smooth


@dataclass
class LossCurve:
    """The trainer's recorder in a range test: keeps the losses and decides when to stop.

    Divergence is checked after the first tenth of the ramp: before, the average has few values.
    """

    settings: DictConfig  # the node `range_test`
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    smoothed: list[float] = field(default_factory=list)
    stopped: str | None = None  # why the ramp was left before its end

    def train_step(
        self, step: int, rates: list[float], loss: Any, correct: Any, images: int
    ) -> None:
        """Take a step's values, and fetch the loss."""
        value = float(loss.item())
        where = f"stopped at step {step}, rate {rates[0]:.3g}"
        if not np.isfinite(value):
            self.stopped = f"{where}: the loss is not finite"
            return
        self.rates.append(rates[0])
        self.losses.append(value)
        self.smoothed = smooth(self.losses, self.settings.smoothing)
        seen = self.smoothed[self.settings.steps // 10 :]
        if seen and seen[-1] > self.settings.divergence * min(seen):
            times = self.settings.divergence
            self.stopped = f"{where}: smoothed loss above {times:g} times its lowest"
