"""One optimizer update from one batch, operation after operation as OneFlow runs it by default."""

from dataclasses import dataclass
from typing import Any

import oneflow as flow
from oneflow import nn

from engine.process import ranks


@dataclass(eq=False, repr=False)
class EagerUpdate:
    """Forward, loss, backward, update."""

    model: nn.Module  # maps images (n, 3, 32, 32) to logits (n, classes)
    criterion: nn.Module  # maps logits and labels to the loss ()
    optimizer: flow.optim.Optimizer  # its groups' `lr` are the learning rates applied
    clip_grad_norm: float | None  # the largest norm of the whole gradient

    def __call__(self, images: flow.Tensor, labels: flow.Tensor) -> tuple[flow.Tensor, flow.Tensor]:
        """Make the update of a batch, and return its mean loss () and its hits ().

        Images (m, 3, 32, 32) are this rank's, labels (n,) or (n, classes) those of all ranks.
        """
        local_labels = ranks.local_part(labels)  # (m,), which is all of them in one process
        logits = self.model(images)  # (m, classes)
        loss = ranks.weigh(self.criterion(logits, local_labels), len(labels))
        loss.backward()
        hits = count_hits(logits.detach().argmax(dim=1), local_labels).sum()
        loss, hits = ranks.add_gradients(self.model, loss.detach(), hits, len(labels))
        if self.clip_grad_norm is not None:
            nn.utils.clip_grad_norm_(list(self.model.parameters()), self.clip_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss, hits

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds of it: nothing beside the model and the optimizer."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned, before the first step."""


def count_hits(guesses: flow.Tensor, labels: flow.Tensor) -> flow.Tensor:
    """Return for each image whether its guess (n,) is right, 1 or 0, as (n,) float32.

    Labels are classes (n,), or the shares (n, classes) of mixup and CutMix, of which a guess hits
    the share of its class: 0.7 for the class that 70 % of the image are of.
    """
    if labels.ndim == 1:
        return (guesses == labels).float()
    return flow.gather(labels, 1, guesses.reshape(-1, 1)).reshape(-1)
