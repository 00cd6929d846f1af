"""ResNet-9, a net for fast runs.

Page 2018, "How to Train Your ResNet" (a series of articles, part 4; no paper), and its code
davidcpage/cifar10-fast: 94 % on CIFAR-10 in 24 epochs, at its time the fastest.

Eight convolutions and one linear layer; only two pairs of convolutions have a shortcut. Parameters:
those of that code (6,573,120 for 10 classes); like there the convolutions start with the library's
default and the logits are an eighth of the last layer's outputs, so that early steps are soft.
"""

import oneflow as flow
import oneflow.nn as nn

from models.layers import check_num_classes, conv, conv_norm_relu


class Residual(nn.Module):
    """x + f(x), where f is two convolutions of as many channels; the sum has no ReLU of its own."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            *conv_norm_relu(conv(channels, channels, 3)),
            *conv_norm_relu(conv(channels, channels, 3)),
        )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, C, H, W) to the same."""
        return features + self.residual(features)


class ResNet9(nn.Module):
    """A stem, three stages that halve the size, the maximum over positions, one linear layer."""

    def __init__(self, num_classes: int, logit_scale: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm_relu(conv(3, 64, 3)))  # (N, 64, 32, 32)
        self.stages = nn.Sequential(
            *conv_norm_relu(conv(64, 128, 3)),
            nn.MaxPool2d(2),
            Residual(128),  # (N, 128, 16, 16)
            *conv_norm_relu(conv(128, 256, 3)),
            nn.MaxPool2d(2),  # (N, 256, 8, 8)
            *conv_norm_relu(conv(256, 512, 3)),
            nn.MaxPool2d(2),
            Residual(512),  # (N, 512, 4, 4)
        )
        self.head = nn.Linear(512, check_num_classes(num_classes), bias=False)
        self.logit_scale = logit_scale

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.stages(self.stem(images))
        return self.head(features.amax(dim=(2, 3))) * self.logit_scale


def resnet9(num_classes: int, logit_scale: float = 0.125) -> ResNet9:
    """64, 128, 256 and 512 channels; 6,619,200 parameters for 100 classes."""
    return ResNet9(num_classes, logit_scale)
