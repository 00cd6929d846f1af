"""Pre-activation residual models for 32 x 32 images.

He, Zhang, Ren and Sun 2016, "Identity Mappings in Deep Residual Networks", arXiv 1603.05027.

Normalization and ReLU come before each convolution instead of after it, and nothing follows the
sum: blocks only add to the features, so a signal passes all of them unchanged. The sum of the last
block is normalized once more (section 4 and the appendix).

- The paper's CIFAR models: `preact_resnet110` (6n + 2 layers, basic blocks) and `preact_resnet164`
  (9n + 2 layers, bottlenecks). Parameters: those of bearpaw/pytorch-classification.
- `preact_resnet18`: the widths of ResNet-18 with the 3 x 3 stem. Parameters: those of
  locuslab/robust_overfitting; kuangliu/pytorch-cifar leaves out the last normalization and has
  1,024 fewer.

Where a block changes the shape, its shortcut is a 1 x 1 convolution of the activated features, as
in the authors' code (KaimingHe/resnet-1k-layers).
"""

from collections.abc import Callable

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import conv, conv_norm_relu, initialize_convs, linear, stack_stages


class PreActBlock(nn.Module):
    """x + f(relu(norm(x))) (the paper's figure 1 b), where `residual` is f, up to a convolution."""

    def __init__(
        self, in_channels: int, residual: nn.Module, out_channels: int, stride: int
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.activation = nn.Sequential(nn.BatchNorm2d(in_channels), nn.ReLU())
        self.residual = residual
        self.shortcut = None
        if stride != 1 or in_channels != out_channels:
            self.shortcut = conv(in_channels, out_channels, 1, stride)

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        activated = self.activation(features)
        around = features if self.shortcut is None else self.shortcut(activated)
        return around + self.residual(activated)


def basic(in_channels: int, width: int, stride: int) -> PreActBlock:
    """Return a block of two 3 x 3 convolutions: width channels in between and out."""
    residual = nn.Sequential(
        *conv_norm_relu(conv(in_channels, width, 3, stride)), conv(width, width, 3)
    )
    return PreActBlock(in_channels, residual, width, stride)


def bottleneck(in_channels: int, width: int, stride: int) -> PreActBlock:
    """Return a block of 1 x 1, 3 x 3, 1 x 1 convolutions: width channels inside, 4 width out.

    The stride is at the 3 x 3 convolution, as in `models.resnet`; the authors had it at the first.
    """
    residual = nn.Sequential(
        *conv_norm_relu(conv(in_channels, width, 1)),
        *conv_norm_relu(conv(width, width, 3, stride)),
        conv(width, 4 * width, 1),
    )
    return PreActBlock(in_channels, residual, 4 * width, stride)


class PreActResNet(nn.Module):
    """A convolution, stages of blocks, normalization, mean over positions, one linear layer.

    The stages are those of `stack_stages`; `stem` is the first convolution's channels and `init`
    the mode of `initialize_convs`.
    """

    def __init__(
        self,
        block: Callable[[int, int, int], PreActBlock],
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        stem: int,
        num_classes: int,
        init: str = "fan_out",
    ) -> None:
        super().__init__()
        self.stem = conv(3, stem, 3)
        self.stages, channels = stack_stages(block, stem, depths, widths)
        self.norm = nn.BatchNorm2d(channels)
        self.head = linear(channels, num_classes)
        initialize_convs(self, init)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        # PreAct-110         PreAct-164         PreAct-18          WRN-28-10
        # (N, 16, 32, 32)    (N, 16, 32, 32)    (N, 64, 32, 32)    (N, 16, 32, 32)     stem
        # (N, 16, 32, 32)    (N, 64, 32, 32)    (N, 64, 32, 32)    (N, 160, 32, 32)    stage 1
        # (N, 32, 16, 16)    (N, 128, 16, 16)   (N, 128, 16, 16)   (N, 320, 16, 16)    stage 2
        # (N, 64, 8, 8)      (N, 256, 8, 8)     (N, 256, 8, 8)     (N, 640, 8, 8)      stage 3
        #                                       (N, 512, 4, 4)                         stage 4
        # (N, 64)            (N, 256)           (N, 512)           (N, 640)            mean
        features = F.relu(self.norm(self.stages(self.stem(images))))
        return self.head(features.mean(dim=(2, 3)))


def preact_resnet18(num_classes: int) -> PreActResNet:
    """Return the model with basic blocks, 2 + 2 + 2 + 2: 11,218,340 parameters for 100 classes."""
    return PreActResNet(basic, (2, 2, 2, 2), (64, 128, 256, 512), 64, num_classes)


def cifar_preact_resnet(n: int, num_classes: int) -> PreActResNet:
    """Return a model with 6n + 2 layers: 3 stages of n basic blocks."""
    return PreActResNet(basic, (n, n, n), (16, 32, 64), 16, num_classes)


def preact_resnet20(num_classes: int) -> PreActResNet:
    """Return the model with n = 3: 278,132 parameters for 100 classes."""
    return cifar_preact_resnet(3, num_classes)


def preact_resnet50(num_classes: int) -> PreActResNet:
    """Return the model with n = 8: 764,212 parameters for 100 classes. Not the ImageNet model."""
    return cifar_preact_resnet(8, num_classes)


def preact_resnet110(num_classes: int) -> PreActResNet:
    """Return the model with n = 18: 1,736,372 parameters for 100 classes."""
    return cifar_preact_resnet(18, num_classes)


def preact_resnet164(num_classes: int) -> PreActResNet:
    """Return the model with bottlenecks, 18 per stage: 1,726,388 parameters for 100 classes."""
    return PreActResNet(bottleneck, (18, 18, 18), (16, 32, 64), 16, num_classes)
