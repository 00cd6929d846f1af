"""OneFlow's four composites, made to nest, and the check of what may be nested.

In OneFlow 0.9.0 a scheduler inside another one needs `get_lr(base_lr, step)`, and LambdaLR,
SequentialLR, WarmupLR and ChainedScheduler have none: nested, they fail with an empty
`NotImplementedError`, some of them only at a milestone in the middle of training. The subclasses
here add that one method, so that any depth works. Curves that OneFlow's classes can draw are
unchanged. `build_scheduler` replaces the upstream four by these (`NESTING`), so a YAML still names
`oneflow.optim.lr_scheduler.SequentialLR`.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Any

from oneflow.optim import lr_scheduler as upstream

from common.checks import refusal


class LambdaLR(upstream.LambdaLR):
    """`base_lr * lr_lambda(step)`: OneFlow's LambdaLR that may be nested.

    A list of functions (one per parameter group) works at the top only: inside a composite `get_lr`
    cannot know which group it is called for.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate at `step`, by the one function of all groups.

        Raises:
            ValueError: there is one function per group.
        """
        function, *others = self.lr_lambdas
        if others and any(other is not function for other in others):
            raise ValueError("lr_lambda: expected one function for all groups in a composite.")
        return base_lr * function(step)


class SequentialLR(upstream.SequentialLR):
    """OneFlow's SequentialLR that may be nested.

    Part k runs on `[milestones[k-1], milestones[k])`. With `interval_rescaling` it starts at its
    step 0, without it continues with the step of the whole sequence.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate of the part that runs at `step`."""
        part = bisect_right(self.milestones, step)
        if part > 0 and self.interval_rescaling[part - 1]:
            step -= self.milestones[part - 1]
        return self.schedulers[part].get_lr(base_lr, step)


class ChainedScheduler(upstream.ChainedScheduler):
    """OneFlow's ChainedScheduler that may be nested.

    The learning rate of each member is the base rate of the next, all at the same step.
    """

    def get_lr(self, base_lr: float, step: int) -> float:
        """Return the learning rate after the last member."""
        for scheduler in self.schedulers:
            base_lr = scheduler.get_lr(base_lr, step)
        return base_lr


class _Ramp(upstream.LinearLR):
    """A line from `base_lr * start_factor` to the rate of `inner` at step `total_iters`.

    OneFlow computes one end factor from the first parameter group and therefore refuses groups with
    different rates, an `inner` that lies above the base rate there, and a base rate of 0. Here the
    factor is computed for each base rate.
    """

    def __init__(self, optimizer: Any, inner: Any, **arguments: Any) -> None:
        self.inner = inner
        super().__init__(optimizer, **arguments)

    def get_lr(self, base_lr: float, step: int) -> float:
        end_lr = self.inner.get_lr(base_lr, self.total_iters)
        share = step / self.total_iters  # below 1: the WarmupLR goes on to `inner` there
        if base_lr == 0:
            return end_lr * share
        # The order of operations is LinearLR's, so that equal rates give bit-equal curves.
        return base_lr * (self.start_factor + (end_lr / base_lr - self.start_factor) * share)

    def state_dict(self) -> dict[str, Any]:
        # `inner` is saved as the second part of the WarmupLR.
        return {key: value for key, value in super().state_dict().items() if key != "inner"}


class WarmupLR(upstream.WarmupLR, SequentialLR):
    """OneFlow's WarmupLR that may be nested, around groups of any base rates."""

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


def check_parts(arguments: Mapping[str, Any], optimizer: Any, key: str) -> None:
    """Refuse a composite without parts, with lists that do not fit, or with an unusable part.

    Nested nodes are built by now.

    Raises:
        ValueError: names the list or the part.
    """
    if "schedulers" in arguments:
        parts = arguments["schedulers"]
        if not isinstance(parts, list) or not parts:
            raise ValueError(f"{key}.schedulers: expected a list of at least one scheduler node.")
        for index, part in enumerate(parts):
            _check_part(part, f"{key}.schedulers[{index}]")
        for name in ("milestones", "interval_rescaling"):
            value = arguments.get(name)
            if isinstance(value, list) and len(value) != len(parts) - 1:
                wanted = f"a list of length {len(parts) - 1}, one entry per change of schedule"
                raise refusal(f"{key}.{name}", value, wanted)
    inner = arguments.get("scheduler_or_optimizer")
    if inner is not None and inner is not optimizer:
        _check_part(inner, f"{key}.scheduler_or_optimizer")


def _check_part(part: Any, key: str) -> None:
    """Refuse a part whose learning rate cannot be computed for any step."""
    name = type(part).__name__
    if isinstance(part, upstream.ReduceLROnPlateau):
        wanted = "a schedule of the step; this one follows evaluations and only works alone"
        raise refusal(key, name, wanted)
    if not isinstance(part, upstream._LRScheduler):
        raise refusal(key, part, "a scheduler node: a mapping with _target_")
    if type(part).get_lr is upstream._LRScheduler.get_lr:
        wanted = "a class with get_lr(base_lr, step), which a part of a composite needs"
        raise refusal(key, name, wanted)
    if len({id(function) for function in getattr(part, "lr_lambdas", ())}) > 1:
        raise ValueError(f"{key}.lr_lambda: expected one function for all groups in a composite.")
