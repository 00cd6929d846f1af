"""MobileNetV2 for 32 x 32 images.

Sandler, Howard, Zhu, Zhmoginov and Chen 2018, "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", arXiv 1801.04381, table 2.

A block widens its few channels by 6, filters each of the many on its own (a depthwise 3 x 3
convolution) and narrows them again, without a ReLU after it: in few channels a ReLU loses too much.

Parameters: those of chenyaofo/pytorch-cifar-models, which are the paper's (3.4M with 1,000
classes). For small images two strides of 2 become 1: the stem's and the second stage's, so that
4 x 4 positions are left at the end. kuangliu/pytorch-cifar also adds a convolution to some
shortcuts, which the paper does not have.
"""

from functools import partial

import oneflow as flow
import oneflow.nn as nn

from models.layers import conv, conv_norm_relu, initialize_convs, linear

# expansion, channels, blocks, stride of the first (the paper's 1, 2, 2, 2, 1, 2, 1)
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

conv_norm_relu6 = partial(conv_norm_relu, activation=nn.ReLU6)  # min(max(x, 0), 6)


class InvertedResidual(nn.Module):
    """1 x 1 up, depthwise 3 x 3, 1 x 1 down (the paper's figure 3 b and table 1)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = expansion * in_channels
        up = conv_norm_relu6(conv(in_channels, width, 1)) if expansion > 1 else []
        self.residual = nn.Sequential(
            *up,
            *conv_norm_relu6(conv(width, width, 3, stride, groups=width)),
            conv(width, out_channels, 1),
            nn.BatchNorm2d(out_channels),
        )
        self.adds = stride == 1 and in_channels == out_channels

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        out = self.residual(features)
        return features + out if self.adds else out


class MobileNetV2(nn.Module):
    """A stem, seven stages of blocks, a 1 x 1 convolution to 1,280 channels, the mean, the logits.

    The paper does not give the first weights. As in the reference, convolutions start as in
    `initialize_convs`, the last layer with N(0, 0.01 ** 2) and a bias of 0.
    """

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm_relu6(conv(3, 32, 3)))
        self.stages = nn.Sequential()
        channels = 32
        for index, (expansion, width, depth, first_stride) in enumerate(STAGES):
            blocks = []
            for stride in [first_stride] + [1] * (depth - 1):
                blocks.append(InvertedResidual(channels, width, stride, expansion))
                channels = width
            self.stages.add_module(str(index + 1), nn.Sequential(*blocks))
        self.last = nn.Sequential(*conv_norm_relu6(conv(channels, 1280, 1)))
        self.dropout = nn.Dropout(dropout)
        self.head = linear(1280, num_classes)
        initialize_convs(self)
        nn.init.normal_(self.head.weight, 0, 0.01)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.stem(images)  # (N, 32, 32, 32)
        # (N, 16, 32, 32), (N, 24, 32, 32), (N, 32, 16, 16), (N, 64, 8, 8), (N, 96, 8, 8),
        # (N, 160, 4, 4), (N, 320, 4, 4)
        features = self.last(self.stages(features))  # (N, 1280, 4, 4)
        return self.head(self.dropout(features.mean(dim=(2, 3))))


def mobilenet_v2(num_classes: int, dropout: float = 0.2) -> MobileNetV2:
    """Return the model with width multiplier 1: 2,351,972 parameters for 100 classes."""
    return MobileNetV2(num_classes, dropout)
