"""Running means of a model's weights, evaluated beside the weights themselves.

With n the number of weights w taken so far, both are one recursion that starts from nothing:

    mean += share(n) * (w - mean)        share(1) = 1: the first weights are the first mean

    EMA  after every step; decay d       share(n) = (1 - d) / (1 - d**n)
    SWA  at chosen steps                 share(n) = 1 / n

EMA is the exponential moving average, after Polyak and Juditsky 1992, "Acceleration of Stochastic
Approximation by Averaging": weights that are k steps old count d**k. Its share is 1 - d in the long
run; before that it makes the d**k so far add up to 1, so that neither the initial weights nor zeros
are in the mean: the bias correction of Adam (arXiv 1412.6980, section 3). SWA is Izmailov et al.
2018, "Averaging Weights Leads to Wider Optima and Better Generalization", arXiv 1803.05407: a plain
mean, for which batch normalization needs new statistics (section 3.2, `estimate_statistics`).
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import oneflow as flow
from oneflow import nn

from engine.loader import Batch

BatchNorm = nn.modules.batchnorm._BatchNorm
Batches = Callable[[], Iterable[Batch]]
Metrics = dict[str, float]


@dataclass(eq=False, repr=False)
class Average:
    """One running mean of the weights."""

    name: str  # `ema` or `swa`, as in `val/ema_top1`
    model: nn.Module  # whose weights are averaged
    share: Callable[[int], float]  # maps n to the share of the n-th weights in the mean of n
    is_due: Callable[[int], bool]  # whether the weights after so many steps are taken
    # Makes training batches for batch-norm statistics; None: the running ones are averaged too.
    batches: Batches | None = None
    count: int = 0  # weights taken
    estimated: int = 0  # how many there were when the statistics were estimated
    tensors: dict[str, flow.Tensor] = field(default_factory=dict)  # as in the model's state

    def take(self, step: int) -> None:
        """Take the weights after `step` steps into the mean, if they are due."""
        if not self.is_due(step):
            return
        self.count += 1
        share = self.share(self.count)
        with flow.no_grad():
            for name, tensor in self.model.state_dict().items():
                if self.count == 1:
                    self.tensors[name] = tensor.detach().clone()
                elif tensor.is_floating_point():
                    self.tensors[name].mul_(1 - share).add_(tensor.detach(), alpha=share)
                else:  # how many batches a normalization has seen
                    self.tensors[name].copy_(tensor)

    @contextlib.contextmanager
    def in_model(self) -> Iterator[None]:
        """Give the model the mean's weights within the block; afterwards its former ones again."""
        state = self.model.state_dict().items()
        former = {name: tensor.detach().clone() for name, tensor in state}
        try:
            self.model.load_state_dict(self.tensors)
            yield
        finally:
            self.model.load_state_dict(former)

    def estimate(self) -> None:
        """Estimate the mean's statistics from training batches; once for the same mean."""
        if self.batches is None or self.estimated == self.count:
            return
        if any(isinstance(module, BatchNorm) for module in self.model.modules()):
            with self.in_model():
                estimate_statistics(self.model, self.batches())
                for name, buffer in self.model.named_buffers():
                    self.tensors[name].copy_(buffer)
        self.estimated = self.count

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of the mean."""
        return {"count": self.count, "estimated": self.estimated, "tensors": self.tensors}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; refuse the mean of another model's weights."""
        wanted = {k: (v.shape, v.dtype) for k, v in self.model.state_dict().items()}
        found = {k: (v.shape, v.dtype) for k, v in state["tensors"].items()}
        if found != (wanted if state["count"] else {}):
            raise ValueError(f"the {self.name} in it is another model's")
        device = next(self.model.parameters()).device
        self.tensors = {name: tensor.to(device) for name, tensor in state["tensors"].items()}
        self.count, self.estimated = state["count"], state["estimated"]


@dataclass(eq=False, repr=False)
class Averages:
    """The averages of a run; none by default, and then nothing is computed or kept."""

    each: Sequence[Average] = ()

    def take(self, step: int) -> None:
        """Take the weights after `step` steps into each average for which they are due."""
        for average in self.each:
            average.take(step)

    def estimate(self) -> None:
        """Estimate the statistics of the means that need it: a pass over the training images."""
        for average in self.each:
            average.estimate()

    def evaluate(self, evaluate: Callable[[Any], Metrics], loader: Any) -> Metrics:
        """Evaluate the model as it is and with each mean that has begun: `top1`, `ema_top1`, ..."""
        metrics = evaluate(loader)
        self.estimate()
        for average in self.each:
            if average.count:
                with average.in_model():
                    averaged = evaluate(loader)
                metrics |= {f"{average.name}_{key}": value for key, value in averaged.items()}
        return metrics


def build_averages(
    model: nn.Module,
    batches: Batches,  # makes training batches, the same at each call, for a mean's statistics
    poll: Callable[[], None] = lambda: None,  # called before each of them; may raise, to stop
    *,
    ema_decay: float | None = None,  # 0 < d < 1: over about the last 1 / (1 - d) steps
    swa_start: int | None = None,  # the step after which SWA takes the first weights
    swa_every: int = 1,  # steps between those it takes
) -> Averages:
    """Return the averages of a model's weights that are asked for: EMA, SWA, both or none."""

    def polled() -> Iterator[Batch]:
        for batch in batches():
            poll()
            yield batch

    each = []
    if (d := ema_decay) is not None:
        share = lambda n: (1 - d) / (1 - d**n)  # noqa: E731
        each.append(Average("ema", model, share, lambda step: True))
    if (start := swa_start) is not None:
        is_due = lambda step: step >= start and (step - start) % swa_every == 0  # noqa: E731
        each.append(Average("swa", model, lambda n: 1 / n, is_due, polled))
    return Averages(each)


def estimate_statistics(model: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the running mean and variance of each batch normalization to those of all images.

    With n images seen before a batch of b, its statistics come in with the momentum b / (n + b).
    The rest of the model computes as in an evaluation: dropout would change the variances. With
    several processes the statistics are those over rank 0's part of each batch, as in training.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    model.eval()
    seen = 0
    try:
        with flow.no_grad():
            for norm in norms:
                norm.train()
            for images, _ in batches:
                seen += len(images)
                for norm in norms:
                    norm.momentum = len(images) / seen
                model(images)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train()
