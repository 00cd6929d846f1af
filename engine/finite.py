"""Whether a step's loss and gradient are finite: what is not must never reach the weights."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any

import oneflow as flow
from oneflow import nn

# Through these OneFlow's optimizers call their update kernels.
UPDATES = [
    f"dispatch_{kind}_update"
    for kind in ("sgd", "momentum", "adam", "lamb", "rmsprop", "adagrad", "adadelta")
]


class NonFinite(FloatingPointError):
    """Something is not finite; `step` updates were made, and the one that follows was not."""

    def __init__(self, told: str, step: int) -> None:
        super().__init__(told)
        self.step = step


def measure_gradient(model: nn.Module, clip_grad_norm: float | None) -> flow.Tensor:
    """Clip the gradient if that is wanted; a number () that is finite if all of it is."""
    if clip_grad_norm is not None:
        return nn.utils.clip_grad_norm_(list(model.parameters()), clip_grad_norm)
    return total(entry.grad for entry in model.parameters() if entry.grad is not None)


def check_weights(model: nn.Module, step: int, rates: Sequence[float]) -> None:
    """Refuse weights that are not finite: a gradient may be, and its update too large all the same.

    Args:
        model: after `step` updates.
        step: the last update was that of step - 1.
        rates: which that update used.

    Raises:
        NonFinite: they are not.
    """
    if not math.isfinite(float(total(model.parameters()).numpy())):
        raise NonFinite(f"The weights are not finite after step {step - 1} {at(rates)}.", step)


def total(tensors: Iterable[flow.Tensor]) -> flow.Tensor:
    """The sum () of all numbers: not finite if one of them is not, whatever else is added."""
    sums = []
    for tensor in tensors:
        rows = tensor.detach().reshape(tensor.shape[0] if tensor.ndim else 1, -1)
        sums.append(flow.matmul(rows, ones(rows.shape[1], rows.dtype, rows.device)).reshape(-1))
    return add_up(flow.cat(sums))


def add_up(numbers: flow.Tensor) -> flow.Tensor:
    """The sum () of floating-point numbers (n,).

    By a matrix product with ones: OneFlow's own sum takes 0.3 ms on a CPU, however few they are.
    """
    column = ones(len(numbers), numbers.dtype, numbers.device)
    return flow.matmul(numbers.reshape(1, -1), column).reshape(())


def ones(count: int, dtype: flow.dtype, device: flow.device) -> flow.Tensor:
    """A column of ones (count, 1), made once: that takes longer than the product with it."""
    if flow._oneflow_internal.lazy_mode.is_enabled():  # while a graph is built: a symbol of its own
        return make_ones.__wrapped__(count, dtype, device)
    return make_ones(count, dtype, device)


@lru_cache(maxsize=256)
def make_ones(count: int, dtype: flow.dtype, device: flow.device) -> flow.Tensor:
    """A new column of ones (count, 1), or the one of the last time."""
    return flow._C.constant([count, 1], 1.0, dtype=dtype, device=device)  # ones() warns in a graph


class Gate:
    """Makes an optimizer's updates as long as every loss and gradient is finite; then none at all.

    The device decides, and nobody waits for it: to look at each loss on the host first leaves the
    device without work, 5 to 8 % of a small net's step. The update kernels of OneFlow have one more
    input, for the loss scaling of its graphs: where `skip_if` (1,) is not 0 they do nothing. So
    weights and optimizer tensors are still those before the bad step when it is found out, many
    steps later; only what norms remember of the batches (their buffers) has gone on.

    Args:
        optimizer: one that the gate `fits`.
    """

    def __init__(self, optimizer: flow.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.closed: flow.Tensor | None = None  # (1,) int64: 1 from the first bad step on
        self.operations: dict[str, Any] = {}  # the kernels with their additional input, by name

    @staticmethod
    def fits(optimizer: flow.optim.Optimizer) -> bool:
        """Whether this is an optimizer of OneFlow's, and does not fuse its updates."""
        fused = any("fused" in group and group["fused"] for group in optimizer.param_groups)
        return type(optimizer).__module__.startswith("oneflow.") and not fused

    def step(self, watch: flow.Tensor) -> bool:
        """Make the update if `watch` (n,) is finite, and was at every step before.

        Returns:
            True: what became of it, the device knows.
        """
        # 0 times a number is 0 if that is finite, and NaN if not
        bad = flow.isnan(add_up(watch * 0)).to(flow.int64).reshape(1)
        self.closed = bad if self.closed is None else flow.maximum(self.closed, bad)
        own = {name: getattr(flow._C, name) for name in UPDATES}
        try:
            for name, dispatch in own.items():
                setattr(flow._C, name, partial(self.dispatch, dispatch))
            self.optimizer.step()
        finally:
            for name, dispatch in own.items():
                setattr(flow._C, name, dispatch)
        return True

    def dispatch(
        self,
        own: Callable[..., Any],
        operation: Any,
        tensors: Sequence[flow.Tensor],
        **settings: Any,
    ) -> Any:
        """Call an update kernel as the optimizer does, and give it `skip_if` besides."""
        if operation.name not in self.operations:
            builder = flow.stateful_op(operation.op_type_name)
            for indexed in operation.indexed_ibns:  # model_0, model_diff_0, ...
                builder.Input(indexed.rpartition("_")[0])
            self.operations[operation.name] = builder.Input("skip_if").Build()
        return own(self.operations[operation.name], (*tensors, self.closed), **settings)


class Waiting:
    """Makes the updates of any optimizer, and waits at each step until its loss is there."""

    def __init__(self, optimizer: flow.optim.Optimizer) -> None:
        self.optimizer = optimizer

    def step(self, watch: flow.Tensor) -> bool:
        """Make the update if `watch` (n,) is finite; returns whether it is."""
        sound = all(map(math.isfinite, watch.tolist()))
        if sound:
            self.optimizer.step()
        return sound


def build_guard(optimizer: flow.optim.Optimizer, skips: bool) -> Gate | Waiting:
    """The gate, unless single updates are to be skipped or the optimizer is not OneFlow's."""
    return Gate(optimizer) if Gate.fits(optimizer) and not skips else Waiting(optimizer)


def complaint(step: int, rates: Sequence[float], loss: float, gradient: float) -> str | None:
    """The sentence for a step whose loss or gradient (norm or sum) is not finite, else None."""
    if math.isfinite(loss) and math.isfinite(gradient):
        return None
    what = f"loss of step {step} is {loss}"
    if math.isfinite(loss):
        what = f"gradient of step {step} is not finite"
    return f"The {what} {at(rates)}; trainer.on_nonfinite=skip leaves such updates out."


def at(rates: Sequence[float]) -> str:
    """The end of such a sentence: the learning rates, and what may help."""
    told = ", ".join(f"{rate:.6g}" for rate in rates)
    return (
        f"at learning rate {told}: try a lower optimizer.lr, a warm-up, or trainer.clip_grad_norm=1"
    )
