"""Residual nets for 32 x 32 images.

He, Zhang, Ren and Sun 2016, "Deep Residual Learning for Image Recognition", arXiv 1512.03385.

Two families share one class:

- The paper's own CIFAR nets (section 4.2), depth 6n + 2: `resnet20`, `resnet32`, `resnet44`,
  `resnet56`, `resnet110`. Their shortcuts are option A unless `shortcut="B"` is given.
- Its ImageNet nets (table 1) as they are usually run on CIFAR, with a 3 x 3 stem of stride 1 and
  without the max-pooling: `resnet18`, `resnet34`, `resnet50`. Their shortcuts are option B.

A shortcut is the identity where a block keeps the shape. Where it changes, option A has no
parameters (every second row and column, and zeros for the new channels) and option B is a 1 x 1
convolution with batch normalization.
"""

from collections.abc import Callable

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import check_num_classes, conv, initialize_convs


class PaddedShortcut(nn.Module):
    """Option A: (N, C, H, W) to (N, C + extra, H / stride, W / stride), without parameters.

    The channels that are there come first, subsampled; the extra ones are zero.
    """

    def __init__(self, extra_channels: int, stride: int) -> None:
        super().__init__()
        self.extra_channels = extra_channels
        self.stride = stride

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Subsample, then pad the channels with zeros at their end."""
        subsampled = features[:, :, :: self.stride, :: self.stride]
        return F.pad(subsampled, (0, 0, 0, 0, 0, self.extra_channels))


def build_shortcut(in_channels: int, out_channels: int, stride: int, shortcut: str) -> nn.Module:
    """The way around a block, by option A or B where the shape changes."""
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    if shortcut == "A":
        return PaddedShortcut(out_channels - in_channels, stride)
    return nn.Sequential(conv(in_channels, out_channels, 1, stride), nn.BatchNorm2d(out_channels))


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (the paper's figure 5, left): width channels in between and out."""

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_channels = width
        self.residual = nn.Sequential(
            conv(in_channels, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv(width, width, 3),
            nn.BatchNorm2d(width),
        )
        self.shortcut = build_shortcut(in_channels, width, stride, shortcut)

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, in_channels, H, W) to (N, width, H / stride, W / stride)."""
        return F.relu(self.residual(features) + self.shortcut(features))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3, 1 x 1 convolutions (the paper's figure 5, right): 4 width channels out.

    The stride is at the 3 x 3 convolution, as most implementations have it; the authors had it at
    the first 1 x 1. The number of parameters is the same.
    """

    def __init__(self, in_channels: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.out_channels = out_channels = 4 * width
        self.residual = nn.Sequential(
            conv(in_channels, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv(width, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            conv(width, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = build_shortcut(in_channels, out_channels, stride, shortcut)

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, in_channels, H, W) to (N, 4 width, H / stride, W / stride)."""
        return F.relu(self.residual(features) + self.shortcut(features))


class ResNet(nn.Module):
    """A stem, stages of residual blocks, the average over all positions, and one linear layer.

    Stage i has `depths[i]` blocks of `widths[i]` channels (4 times as many behind a bottleneck);
    each stage but the first starts with stride 2. A block is built from its incoming channels, its
    width, stride and shortcut, and says its `out_channels`.

    Batch normalization starts with scale 1 and shift 0, the linear layer with OneFlow's default.

    Raises:
        ValueError: `shortcut` is neither "A" nor "B".
    """

    def __init__(
        self,
        block: Callable[[int, int, int, str], nn.Module],
        depths: tuple[int, ...],
        widths: tuple[int, ...],
        num_classes: int,
        shortcut: str,
    ) -> None:
        super().__init__()
        if shortcut not in ("A", "B"):
            raise ValueError(f"shortcut={shortcut!r}: expected A or B.")
        self.stem = nn.Sequential(conv(3, widths[0], 3), nn.BatchNorm2d(widths[0]), nn.ReLU())
        self.stages = nn.Sequential()
        channels = widths[0]
        for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            strides = [1 if index == 0 else 2] + [1] * (depth - 1)
            blocks = []
            for stride in strides:
                blocks.append(block(channels, width, stride, shortcut))
                channels = blocks[-1].out_channels
            self.stages.add_module(str(index + 1), nn.Sequential(*blocks))
        self.head = nn.Linear(channels, check_num_classes(num_classes))
        initialize_convs(self)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes)."""
        # CIFAR nets           ResNet-18, 34        ResNet-50
        # (N, 16, 32, 32)      (N, 64, 32, 32)      (N, 64, 32, 32)      stem
        # (N, 16, 32, 32)      (N, 64, 32, 32)      (N, 256, 32, 32)     stage 1
        # (N, 32, 16, 16)      (N, 128, 16, 16)     (N, 512, 16, 16)     stage 2
        # (N, 64, 8, 8)        (N, 256, 8, 8)       (N, 1024, 8, 8)      stage 3
        #                      (N, 512, 4, 4)       (N, 2048, 4, 4)      stage 4
        # (N, 64)              (N, 512)             (N, 2048)            mean over positions
        features = self.stages(self.stem(images))
        return self.head(features.mean(dim=(2, 3)))


def cifar_resnet(n: int, num_classes: int, shortcut: str) -> ResNet:
    """A net of section 4.2 with 6n + 2 layers: 3 stages of n basic blocks."""
    return ResNet(BasicBlock, (n, n, n), (16, 32, 64), num_classes, shortcut)


def resnet20(num_classes: int, shortcut: str = "A") -> ResNet:
    """n = 3; 275,572 parameters for 100 classes with option A, 278,324 with B."""
    return cifar_resnet(3, num_classes, shortcut)


def resnet32(num_classes: int, shortcut: str = "A") -> ResNet:
    """n = 5; 470,004 parameters for 100 classes with option A, 472,756 with B."""
    return cifar_resnet(5, num_classes, shortcut)


def resnet44(num_classes: int, shortcut: str = "A") -> ResNet:
    """n = 7; 664,436 parameters for 100 classes with option A, 667,188 with B."""
    return cifar_resnet(7, num_classes, shortcut)


def resnet56(num_classes: int, shortcut: str = "A") -> ResNet:
    """n = 9; 858,868 parameters for 100 classes with option A, 861,620 with B."""
    return cifar_resnet(9, num_classes, shortcut)


def resnet110(num_classes: int, shortcut: str = "A") -> ResNet:
    """n = 18; 1,733,812 parameters for 100 classes with option A, 1,736,564 with B."""
    return cifar_resnet(18, num_classes, shortcut)


def resnet18(num_classes: int) -> ResNet:
    """Basic blocks, 2 + 2 + 2 + 2; 11,220,132 parameters for 100 classes."""
    return ResNet(BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), num_classes, shortcut="B")


def resnet34(num_classes: int) -> ResNet:
    """Basic blocks, 3 + 4 + 6 + 3; 21,328,292 parameters for 100 classes."""
    return ResNet(BasicBlock, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, shortcut="B")


def resnet50(num_classes: int) -> ResNet:
    """Bottlenecks, 3 + 4 + 6 + 3; 23,705,252 parameters for 100 classes."""
    return ResNet(Bottleneck, (3, 4, 6, 3), (64, 128, 256, 512), num_classes, shortcut="B")
