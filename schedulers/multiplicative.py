"""A schedule given by its ratios: each step multiplies the rate by a function of the step."""

from collections.abc import Callable
from typing import Any

from oneflow.optim.lr_scheduler import _LRScheduler


def hold_then_decay(step: int, hold_steps: int, gamma: float) -> float:
    """Return the ratio for MultiplicativeLR: 1 up to step `hold_steps`, then `gamma`.

    >>> [hold_then_decay(step, hold_steps=2, gamma=0.9) for step in (1, 2, 3, 4)]
    [1.0, 1.0, 0.9, 0.9]
    """
    return 1.0 if step <= hold_steps else gamma


class MultiplicativeLR(_LRScheduler):
    """The rate of the step before times `lr_lambda(t)`.

        lr(0) = B,  lr(t) = lr(t - 1) lr_lambda(t) = B lr_lambda(1) lr_lambda(2) ... lr_lambda(t)

    The numbers are those of PyTorch's MultiplicativeLR. Unlike there a rate set by hand is not kept
    (OneFlow's schedules are functions of the base rate and the step), and all groups share one
    function of the step. Products are kept, so a step costs one call.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=1.0)
    >>> schedule = MultiplicativeLR(optimizer, lambda step: 0.5)
    >>> [schedule.get_lr(1.0, step) for step in (0, 1, 2, 10)]
    [1.0, 0.5, 0.25, 0.0009765625]
    """

    def __init__(
        self, optimizer: Any, lr_lambda: Callable[[int], float], verbose: bool = False
    ) -> None:
        self.lr_lambda = lr_lambda
        self._products = [1.0]  # by step
        super().__init__(optimizer, verbose=verbose)

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the base rate times all ratios up to `step`."""
        while len(self._products) <= step:
            self._products.append(self._products[-1] * self.lr_lambda(len(self._products)))
        return base_lr * self._products[step]

    def state_dict(self) -> dict[str, Any]:
        """Return OneFlow's state without the function and the products, which can be recomputed."""
        state = super().state_dict()
        return {key: value for key, value in state.items() if key not in ("lr_lambda", "_products")}
