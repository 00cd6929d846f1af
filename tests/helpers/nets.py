"""Nets that only tests need."""

from oneflow import nn


def with_dropout(num_classes: int) -> nn.Module:
    """Dropout twice and a batch norm: masks and running statistics have to be resumed."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(3 * 32 * 32, 16),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(16, num_classes),
    )


def with_norm(num_classes: int) -> nn.Module:
    """A batch norm and no dropout: small, and quick to compile as a graph."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, stride=4, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 8 * 8, num_classes),
    )


class Branching(nn.Module):
    """Looks at a value while it computes, which a static graph cannot."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 32 * 32, num_classes)

    def forward(self, images):
        logits = self.linear(images.flatten(1))
        return logits if float(logits.sum().numpy()) > 0 else -logits


def without_norms(num_classes: int) -> nn.Module:
    """Nothing in it depends on which images share a batch."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=4, bias=False),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(8 * 8 * 8, num_classes),
    )
