"""One optimizer update from one batch, operation after operation as OneFlow runs it by default."""

from typing import Any

import oneflow as flow
from oneflow import nn

from engine.finite import add_up, build_guard, measure_gradient
from engine.graph import GraphUpdate
from engine.hits import count_hits
from engine.process import ranks


class EagerUpdate:
    """Forward, loss, backward, update.

    Args:
        model: maps images (n, 3, 32, 32) to logits (n, classes).
        criterion: maps logits and labels to the loss ().
        optimizer: its groups' rates are the ones applied.
        clip_grad_norm: the largest norm of the whole gradient, or None.
        skips: whether an update whose loss or gradient is not finite is left out on its own.
    """

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        optimizer: flow.optim.Optimizer,
        clip_grad_norm: float | None,
        skips: bool,
    ) -> None:
        self.model = model
        self.criterion = criterion
        self.optimizer = optimizer
        self.clip_grad_norm = clip_grad_norm
        self.guard = build_guard(optimizer, skips)
        self.retries = False

    def __call__(
        self, images: flow.Tensor, labels: flow.Tensor
    ) -> tuple[flow.Tensor, flow.Tensor, bool]:
        """Make the update of a batch: this rank's images (m, 3, 32, 32), all labels, (n,) or
        (n, classes).

        Returns:
            (2,): mean loss, and a number that is finite if the gradient is; hits (); and whether
            the update was made, as far as the host knows.
        """
        own = ranks.own(labels)  # (m,), which is all of them in one process
        logits = self.model(images)  # (m, classes)
        loss = ranks.weigh(self.criterion(logits, own), len(labels))
        loss.backward()
        guesses = logits.detach().argmax(dim=1)
        hits = add_up(count_hits(guesses, own))  # queued before anybody waits
        loss, correct = ranks.add_gradients(self.model, loss.detach(), hits, len(labels))
        watch = flow.stack([loss, measure_gradient(self.model, self.clip_grad_norm)])
        sound = self.guard.step(watch)
        self.optimizer.zero_grad()
        return watch, correct, sound

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it: nothing, it is all in the model and the optimizer."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take over what `state` returned."""


def build_update(
    *parts: Any, graph: bool, amp: bool, stochastic: bool
) -> EagerUpdate | GraphUpdate:
    """The update of these parts (`EagerUpdate`), compiled where `graph` or `amp` asks for it.

    Raises:
        ValueError: a graph cannot do that, or not as it should.
    """
    if graph or amp:
        return GraphUpdate(*parts, amp=amp, stochastic=stochastic)
    return EagerUpdate(*parts)
