"""ResNet-9, a model for fast runs.

Page 2018, "How to Train Your ResNet" (a series of articles, part 4; no paper), and its code
davidcpage/cifar10-fast: 94 % on CIFAR-10 in 24 epochs, at its time the fastest.

Eight convolutions and one linear layer; only two pairs of convolutions have a shortcut. Parameters:
those of that code (6,573,120 for 10 classes); like there the convolutions start with the library's
default and the logits are an eighth of the last layer's outputs, so that early steps are soft.
"""

import oneflow as flow
import oneflow.nn as nn

from common.checks import check_integer
from models.layers import Residual, conv, conv_norm_relu


def pair(channels: int) -> Residual:
    """Return x + f(x), where f is two convolutions of as many channels."""
    convolutions = [conv_norm_relu(conv(channels, channels, 3)) for _ in range(2)]
    return Residual(nn.Sequential(*convolutions[0], *convolutions[1]))


class ResNet9(nn.Module):
    """A stem, three stages that halve the size, the maximum over positions, one linear layer."""

    def __init__(self, num_classes: int, logit_scale: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm_relu(conv(3, 64, 3)))  # (N, 64, 32, 32)
        self.stages = nn.Sequential(
            *conv_norm_relu(conv(64, 128, 3)),
            nn.MaxPool2d(2),
            pair(128),  # (N, 128, 16, 16)
            *conv_norm_relu(conv(128, 256, 3)),
            nn.MaxPool2d(2),  # (N, 256, 8, 8)
            *conv_norm_relu(conv(256, 512, 3)),
            nn.MaxPool2d(2),
            pair(512),  # (N, 512, 4, 4)
        )
        self.head = nn.Linear(512, check_integer("num_classes", num_classes, 1), bias=False)
        self.logit_scale = logit_scale

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.stages(self.stem(images))
        return self.head(features.amax(dim=(2, 3))) * self.logit_scale


def resnet9(num_classes: int, logit_scale: float = 0.125) -> ResNet9:
    """Return the model with 64, 128, 256 and 512 channels: 6,619,200 parameters for 100 classes."""
    return ResNet9(num_classes, logit_scale)
