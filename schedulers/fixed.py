"""The fixed learning rate, the baseline of all other schedules."""

from oneflow.optim.lr_scheduler import _LRScheduler


class FixedLR(_LRScheduler):
    """The base rate at every step: `lr(t) = B`. Also useful as the flat part of a SequentialLR.

    >>> import oneflow as flow
    >>> optimizer = flow.optim.SGD([flow.zeros(1)], lr=0.1)
    >>> schedule = FixedLR(optimizer)
    >>> [schedule.get_lr(0.1, step) for step in (0, 1, 1000)]
    [0.1, 0.1, 0.1]
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the base rate."""
        return base_lr
