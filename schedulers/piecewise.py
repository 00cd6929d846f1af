"""Any curve, given by its knots and how to join them."""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal

from oneflow.optim.lr_scheduler import _LRScheduler

from common.checks import refusal

Join = Literal["linear", "cosine", "step"]


class PiecewiseLR(_LRScheduler):
    """`B` times a curve through knots `[duration, factor]`.

    With `a`, `f` a knot, `b`, `g` the next one and `x = (t - a) / (b - a)`

        lr(t) = B (f + (g - f) w)    w = x                       linear
                                     w = (1 - cos(pi x)) / 2     cosine
                                     w = 0                       step: f is held until b

    Before the first knot and after the last one its factor is held. Knots may coincide, which is a
    jump: at that step the later one counts. With `linear` the curve is numpy.interp's.

    Args:
        knots: pairs of a duration and a factor, e.g. `[[0, 0.1], [10%, 1.0], [100%, 0.0]]`.
        join: one for all pieces, or a list with one for each piece (one fewer than knots).

    Raises:
        ValueError: no knot, knots out of order, a negative factor, too few or too many joins.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> curve = PiecewiseLR(optimizer, [[2, 0.0], [4, 1.0], [8, 0.2]], join=["linear", "step"])
    >>> [curve.get_lr(1.0, step) for step in (0, 2, 3, 4, 7, 8, 9)]
    [0.0, 0.0, 0.5, 1.0, 1.0, 0.2, 0.2]
    """

    def __init__(
        self,
        optimizer: Any,
        knots: Sequence[tuple[int, float]],
        join: Join | Sequence[Join] = "linear",
        verbose: bool = False,
    ) -> None:
        self.positions = [position for position, _ in knots]
        self.factors = [factor for _, factor in knots]
        pieces = len(self.positions) - 1
        self.joins = [join] * pieces if isinstance(join, str) else list(join)
        if not knots or self.positions != sorted(self.positions):
            raise refusal("knots", self.positions, "at least one, in order")
        if min(self.factors) < 0:
            raise refusal("knots", self.factors, "factors of at least 0")
        if len(self.joins) != pieces:
            raise refusal("join", join, f"one entry per piece, {pieces} in all")
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, on the piece between the knots around it."""
        right = bisect_right(self.positions, step)
        if right == 0 or right == len(self.positions):
            return base_lr * self.factors[max(right - 1, 0)]
        start, end = self.positions[right - 1], self.positions[right]
        share = (step - start) / (end - start)
        join = self.joins[right - 1]
        if join == "cosine":
            share = 0.5 * (1 - math.cos(math.pi * share))
        elif join == "step":
            share = 0.0
        factor = self.factors[right - 1]
        return base_lr * (factor + (self.factors[right] - factor) * share)
