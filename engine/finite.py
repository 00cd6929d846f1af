"""Whether a step's loss and gradient are finite: what is not must never be saved."""

import math
from collections.abc import Sequence

import oneflow as flow
from oneflow import nn


def gradient_sum(model: nn.Module) -> flow.Tensor:
    """The sum of all gradients: (), not finite if one of them is not.

    An infinity or NaN stays in a sum whatever else is added. The rows of each gradient are added by
    a matrix product with ones, as OneFlow's own reductions take twice as long on a CPU.
    """
    sums = []
    for parameter in model.parameters():
        if parameter.grad is not None:
            rows = parameter.grad.reshape(parameter.shape[0] if parameter.ndim else 1, -1)
            ones = flow.ones(rows.shape[1], 1, dtype=rows.dtype, device=rows.device)
            sums.append(flow.matmul(rows, ones).reshape(-1))
    return flow.cat(sums).sum()


def complaint(step: int, rates: Sequence[float], loss: float, gradient: float) -> str | None:
    """The sentence for a step whose loss or gradient (norm or sum) is not finite, else None."""
    if math.isfinite(loss) and math.isfinite(gradient):
        return None
    what = f"loss of step {step} is {loss}"
    if math.isfinite(loss):
        what = f"gradient of step {step} is not finite"
    told = ", ".join(f"{rate:.6g}" for rate in rates)
    return (
        f"The {what} at learning rate {told}: try a lower optimizer.lr, a warm-up, or "
        "trainer.clip_grad_norm=1; trainer.on_nonfinite=skip leaves such updates out."
    )
