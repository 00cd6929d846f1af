"""Residual models with squeeze-and-excitation, for 32 x 32 images.

Hu, Shen, Albanie, Sun and Wu 2018, "Squeeze-and-Excitation Networks", arXiv 1709.01507.

Each block computes, from the means of all channels of its residual, a factor between 0 and 1 for
each channel (figures 1 and 3). `se_resnet18` and `se_resnet50` are the
ResNets of `models.resnet` with the 3 x 3 stem and such a scale in every block.

Parameters: those of flowvision's and timm's `se_resnet50` (28,088,024 with the ImageNet stem and
1,000 classes) and timm's `legacy_seresnet18` (11,778,592); the stem takes 7,680 fewer here and each
class fewer 2,049 and 513. The models of weiaicunzai/pytorch-cifar100 have biases in their
convolutions and one ReLU more in each block, before the squeeze.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import oneflow as flow
import oneflow.nn as nn

from models.resnet import Block, ResNet, basic, bottleneck

REDUCTION = 16  # the paper's r


class SqueezeExcitation(nn.Module):
    """Scale each channel by sigmoid(W2 relu(W1 means)); W1 has 1/16 of the channels' outputs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excitation = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION),
            nn.ReLU(),
            nn.Linear(channels // REDUCTION, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, C, H, W) to the same shape."""
        scale = self.excitation(features.mean(dim=(2, 3)))  # (N, C)
        return features * scale.reshape(*scale.shape, 1, 1)


def scaled(block: Callable[..., Block], *args: Any, **kwargs: Any) -> Block:
    """Return a block with a scale at the end of its residual."""
    built = block(*args, **kwargs)
    built.residual.add_module("scale", SqueezeExcitation(built.out_channels))
    return built


def se_resnet18(num_classes: int) -> ResNet:
    """Return the model with basic blocks, 2 + 2 + 2 + 2: 11,309,212 parameters for 100 classes."""
    return ResNet(partial(scaled, basic), (2, 2, 2, 2), (64, 128, 256, 512), num_classes, "B")


def se_resnet50(num_classes: int) -> ResNet:
    """Return the model with bottlenecks, 3 + 4 + 6 + 3: 26,236,244 parameters for 100 classes."""
    return ResNet(partial(scaled, bottleneck), (3, 4, 6, 3), (64, 128, 256, 512), num_classes, "B")
