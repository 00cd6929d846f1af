"""OneFlow's four composites, made to nest.

In OneFlow 0.9.0 a scheduler that goes into another one needs `get_lr(base_lr, step)`, and LambdaLR,
SequentialLR, WarmupLR and ChainedScheduler have none: put into each other they fail with an empty
`NotImplementedError`, some of them only at a milestone in the middle of training. The subclasses
here add that one method, so that any depth works. Curves that OneFlow's own classes can draw are
unchanged. `build_scheduler` uses these in place of the upstream four (`NESTING`), so a YAML goes on
naming `oneflow.optim.lr_scheduler.SequentialLR`.
"""

from bisect import bisect_right
from typing import Any

from oneflow.optim import lr_scheduler as upstream


class LambdaLR(upstream.LambdaLR):
    """`base_lr * lr_lambda(step)`: OneFlow's LambdaLR that may stand inside a composite.

    A list of functions (one per parameter group) works at the top only: inside a composite
    `get_lr` is not told which group it is asked for.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Rate of a group with `base_lr` at `step`, by the one function of all groups.

        Raises:
            ValueError: there is one function per group.
        """
        function, *others = self.lr_lambdas
        if others and any(other is not function for other in others):
            raise ValueError("inside a composite LambdaLR takes one function for all groups.")
        return base_lr * function(step)


class SequentialLR(upstream.SequentialLR):
    """OneFlow's SequentialLR that may stand inside a composite.

    Part k runs on `[milestones[k-1], milestones[k])`. It is asked for its own step 0 at its first
    step where `interval_rescaling` is true, and for the whole sequence's step where it is not.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Rate of the part that is on at `step`."""
        part = bisect_right(self.milestones, step)
        if part > 0 and self.interval_rescaling[part - 1]:
            step -= self.milestones[part - 1]
        return self.schedulers[part].get_lr(base_lr, step)


class ChainedScheduler(upstream.ChainedScheduler):
    """OneFlow's ChainedScheduler that may stand inside a composite.

    Each member's rate is the next member's base rate, all at the same step.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Rate after the last member."""
        for scheduler in self.schedulers:
            base_lr = scheduler.get_lr(base_lr, step)
        return base_lr


class _Ramp(upstream.LinearLR):
    """A line from `base_lr * start_factor` to what `inner` gives at step `total_iters`.

    OneFlow computes one end factor from the first parameter group and therefore refuses groups with
    different rates, an `inner` that lies above the base rate there, and a base rate of 0. Here the
    factor is found for each rate asked for.
    """

    def __init__(self, optimizer: Any, inner: Any, **arguments: Any) -> None:
        self.inner = inner
        super().__init__(optimizer, **arguments)

    def get_lr(self, base_lr: float, step: int) -> float:
        end_lr = self.inner.get_lr(base_lr, self.total_iters)
        if base_lr == 0 or step >= self.total_iters:
            return end_lr * min(step / self.total_iters, 1.0)
        # The order of operations is LinearLR's, so that equal rates give bit-equal curves.
        factor = self.start_factor + (end_lr / base_lr - self.start_factor) * (
            step / self.total_iters
        )
        return base_lr * factor

    def state_dict(self) -> dict[str, Any]:
        # `inner` saves itself: it is the second part of the WarmupLR.
        return {key: value for key, value in super().state_dict().items() if key != "inner"}

    def _generate_conf_for_graph(self, lr_conf: Any) -> None:
        factors = {self.get_lr(lr, self.total_iters) / lr for lr in self.base_lrs}
        if len(factors) > 1:
            raise NotImplementedError(
                "nn.Graph cannot draw WarmupLR without warmup_prefix around different base rates."
            )
        (self.end_factor,) = factors
        super()._generate_conf_for_graph(lr_conf)


class WarmupLR(upstream.WarmupLR, SequentialLR):
    """OneFlow's WarmupLR that may stand inside a composite, around groups of any base rates."""

    def _init_warmup_scheduler(self, scheduler: Any) -> Any:
        aims_at_inner = scheduler and self.warmup_method == "linear" and not self.warmup_prefix
        if not aims_at_inner or self.warmup_iters <= 0:
            return super()._init_warmup_scheduler(scheduler)
        return _Ramp(
            self.optimizer,
            scheduler,
            start_factor=self.warmup_factor,
            total_iters=self.warmup_iters,
            verbose=self.verbose,
        )


NESTING: dict[type, type] = {
    upstream.LambdaLR: LambdaLR,
    upstream.SequentialLR: SequentialLR,
    upstream.WarmupLR: WarmupLR,
    upstream.ChainedScheduler: ChainedScheduler,
}
