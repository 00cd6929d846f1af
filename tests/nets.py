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
