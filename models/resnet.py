"""Residual models for 32 x 32 images.

He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition", arXiv 1512.03385.

Two families share one class:

- The paper's CIFAR models (section 4.2), depth 6n + 2: `resnet20`, `resnet32`, `resnet44`,
  `resnet56`, `resnet110`. Their shortcuts are option A unless `shortcut="B"` is given.
- Its ImageNet models (table 1) as they are usually run on CIFAR, with a 3 x 3 stem of stride 1 and
  without the max-pooling: `resnet18`, `resnet34`, `resnet50`. Their shortcuts are option B.

A shortcut is the identity where a block keeps the shape. Where it changes, option A has no
parameters (every second row and column, and zeros for the new channels) and option B is a 1 x 1
convolution with batch normalization.
"""

from collections.abc import Callable
from functools import partial

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from common.checks import check_integer, refusal
from models.layers import conv, conv_norm_relu, initialize_convs, stack_stages


class PaddedShortcut(nn.Module):
    """Option A: (N, C, H, W) to (N, C + extra, H / stride, W / stride), without parameters.

    The existing channels come first, subsampled; the extra ones are zero.
    """

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.stride = stride

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Subsample, then append channels of zeros."""
        subsampled = features[:, :, :: self.stride, :: self.stride]
        return F.pad(subsampled, (0, 0, 0, 0, 0, self.extra_channels))


def build_shortcut(in_channels: int, out_channels: int, stride: int, shortcut: str) -> nn.Module:
    """Return the way around a block, by option A or B where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if shortcut == "A":
        return PaddedShortcut(out_channels - in_channels, stride)
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class Block(nn.Module):
    """relu(f(x) + shortcut(x)), where `residual` is f and ends with batch normalization."""

    def __init__(
        self, in_channels: int, residual: nn.Module, out_channels: int, stride: int, shortcut: str
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.residual = residual
        self.shortcut = build_shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        return F.relu(self.residual(features) + self.shortcut(features))


def basic(in_channels: int, width: int, stride: int, shortcut: str) -> Block:
    """Return a block of two 3 x 3 convolutions (figure 5, left): width channels out."""
    residual = nn.Sequential(
        *conv_norm_relu(conv(in_channels, width, 3, stride)),
        conv(width, width, 3),
        nn.BatchNorm2d(width),
    )
    return Block(in_channels, residual, width, stride, shortcut)


def bottleneck(
    in_channels: int, width: int, stride: int, shortcut: str, inner: int = 0, groups: int = 1
) -> Block:
    """Return a block of 1 x 1, 3 x 3, 1 x 1 convolutions (figure 5, right): 4 width channels out.

    The stride is at the 3 x 3 convolution, as most implementations have it; the authors had it at
    the first 1 x 1. The number of parameters is the same. The 3 x 3 convolution has `inner`
    channels (0: width) in `groups`.
    """
    inner = inner or width
    residual = nn.Sequential(
        *conv_norm_relu(conv(in_channels, inner, 1)),
        *conv_norm_relu(conv(inner, inner, 3, stride, groups)),
        conv(inner, 4 * width, 1),
        nn.BatchNorm2d(4 * width),
    )
    return Block(in_channels, residual, 4 * width, stride, shortcut)


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the average over all positions, and one linear layer.

    Stage i has `depths[i]` blocks of `widths[i]` channels (4 times as many after a bottleneck);
    each stage but the first starts with stride 2. A block is built from its incoming channels, its
    width, stride and shortcut.

    Batch normalization starts with scale 1 and shift 0, the linear layer with OneFlow's default.

    Raises:
        ValueError: `shortcut` is neither "A" nor "B".
    """

    def __init__(
        self,
        block: Callable[[int, int, int, str], Block],
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        num_classes: int,
        shortcut: str,
    ) -> None:
        super().__init__()
        if shortcut not in ("A", "B"):
            raise refusal("shortcut", shortcut, "A or B")
        self.stem = nn.Sequential(*conv_norm_relu(conv(3, widths[0], 3)))
        chosen = partial(block, shortcut=shortcut)
        self.stages, channels = stack_stages(chosen, widths[0], depths, widths)
        self.head = nn.Linear(channels, check_integer("num_classes", num_classes, 1))
        initialize_convs(self)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        # CIFAR models         ResNet-18, 34        ResNet-50
        # (N, 16, 32, 32)      (N, 64, 32, 32)      (N, 64, 32, 32)      stem
        # (N, 16, 32, 32)      (N, 64, 32, 32)      (N, 256, 32, 32)     stage 1
        # (N, 32, 16, 16)      (N, 128, 16, 16)     (N, 512, 16, 16)     stage 2
        # (N, 64, 8, 8)        (N, 256, 8, 8)       (N, 1024, 8, 8)      stage 3
        #                      (N, 512, 4, 4)       (N, 2048, 4, 4)      stage 4
        # (N, 64)              (N, 512)             (N, 2048)            mean over positions
        features = self.stages(self.stem(images))
        return self.head(features.mean(dim=(2, 3)))


def cifar_resnet(n: int, num_classes: int, shortcut: str) -> ResNet:
    """Return a model of section 4.2 with 6n + 2 layers: 3 stages of n basic blocks."""
    return ResNet(basic, (n, n, n), (16, 32, 64), num_classes, shortcut)


def resnet20(num_classes: int, shortcut: str = "A") -> ResNet:
    """Return the model with n = 3: 275,572 parameters for 100 classes; option B: 278,324."""
    return cifar_resnet(3, num_classes, shortcut)


def resnet32(num_classes: int, shortcut: str = "A") -> ResNet:
    """Return the model with n = 5: 470,004 parameters for 100 classes; option B: 472,756."""
    return cifar_resnet(5, num_classes, shortcut)


def resnet44(num_classes: int, shortcut: str = "A") -> ResNet:
    """Return the model with n = 7: 664,436 parameters for 100 classes; option B: 667,188."""
    return cifar_resnet(7, num_classes, shortcut)


def resnet56(num_classes: int, shortcut: str = "A") -> ResNet:
    """Return the model with n = 9: 858,868 parameters for 100 classes; option B: 861,620."""
    return cifar_resnet(9, num_classes, shortcut)


def resnet110(num_classes: int, shortcut: str = "A") -> ResNet:
    """Return the model with n = 18: 1,733,812 parameters for 100 classes; option B: 1,736,564."""
    return cifar_resnet(18, num_classes, shortcut)


def resnet18(num_classes: int) -> ResNet:
    """Return the model with basic blocks, 2 + 2 + 2 + 2: 11,220,132 parameters for 100 classes."""
    return ResNet(basic, (2, 2, 2, 2), (64, 128, 256, 512), num_classes, shortcut="B")


def resnet34(num_classes: int) -> ResNet:
    """Return the model with basic blocks, 3 + 4 + 6 + 3: 21,328,292 parameters for 100 classes."""
    return ResNet(basic, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, shortcut="B")


def resnet50(num_classes: int) -> ResNet:
    """Return the model with bottlenecks, 3 + 4 + 6 + 3: 23,705,252 parameters for 100 classes."""
    return ResNet(bottleneck, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, shortcut="B")
