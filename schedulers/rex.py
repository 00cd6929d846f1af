"""REX: above the straight line, so high rates last longer."""

from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler


class REXLR(_LRScheduler):
    """Reflected exponential decay to zero.

        lr(t) = B (1 - z) / (1/2 + (1 - z) / 2)    z = t / T, at most 1; T = total_steps

    Half-way through the run the rate is still 2/3 of B. The formula is the paper's.

    Chen, Wolfe, Kyrillidis 2022, "REX: Revisiting Budgeted Training with an Improved Schedule",
    arXiv 2107.04197.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> [round(REXLR(optimizer, 10).get_lr(1.0, step), 4) for step in (0, 5, 9, 10, 11)]
    [1.0, 0.6667, 0.1818, 0.0, 0.0]
    """

    def __init__(self, optimizer: Any, total_steps: int, verbose: bool = False) -> None:
        self.total_steps = total_steps
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, by the share of the budget that is left."""
        left = 1 - min(step / self.total_steps, 1.0)
        return base_lr * left / (0.5 + 0.5 * left)
