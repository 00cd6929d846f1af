"""Residual nets with squeeze-and-excitation, for 32 x 32 images.

Hu, Shen, Albanie, Sun and Wu 2018, "Squeeze-and-Excitation Networks", arXiv 1709.01507.

Each block looks at the mean of every channel of its residual and from all of them decides by which
factor between 0 and 1 to scale each (figures 1 and 3). `se_resnet18` and `se_resnet50` are the
ResNets of `models.resnet` with the 3 x 3 stem and such a scale in every block.

Parameters: those of flowvision's and timm's `se_resnet50` (28,088,024 with the ImageNet stem and
1,000 classes) and timm's `legacy_seresnet18` (11,778,592); the stem takes 7,680 fewer here and each
class fewer 2,049 and 513. The nets of weiaicunzai/pytorch-cifar100 have biases in their
convolutions and one ReLU more in each block, before the squeeze.
"""

import oneflow as flow
import oneflow.nn as nn

from models.resnet import BasicBlock, Bottleneck, ResNet

REDUCTION = 16  # the paper's r


class SqueezeExcitation(nn.Module):
    """Scales each channel by sigmoid(W2 relu(W1 means)); W1 has 1/16 of the channels' outputs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.excitation = nn.Sequential(
            nn.Linear(channels, channels // REDUCTION),
            nn.ReLU(),
            nn.Linear(channels // REDUCTION, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, C, H, W) to the same."""
        scale = self.excitation(features.mean(dim=(2, 3)))  # (N, C)
        return features * scale.reshape(*scale.shape, 1, 1)


class SEBasicBlock(BasicBlock):
    """The basic block with a scale at the end of its residual."""

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__(in_channels, width, stride, shortcut)
        self.residual.add_module("scale", SqueezeExcitation(self.out_channels))


class SEBottleneck(Bottleneck):
    """The bottleneck with a scale at the end of its residual."""

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__(in_channels, width, stride, shortcut)
        self.residual.add_module("scale", SqueezeExcitation(self.out_channels))


def se_resnet18(num_classes: int) -> ResNet:
    """Basic blocks, 2 + 2 + 2 + 2; 11,309,212 parameters for 100 classes."""
    return ResNet(SEBasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), num_classes, shortcut="B")


def se_resnet50(num_classes: int) -> ResNet:
    """Bottlenecks, 3 + 4 + 6 + 3; 26,236,244 parameters for 100 classes."""
    return ResNet(SEBottleneck, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, shortcut="B")
