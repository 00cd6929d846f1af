"""ShuffleNetV2 for 32 x 32 images.

Ma, Zhang, Zheng and Sun 2018, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture
Design", arXiv 1807.11164, table 5.

A block splits the channels, works on one half and leaves the other alone; then the channels are
shuffled, so that the next block works on a mixture of both. Where the size halves, both halves are
made anew from all channels.

Parameters: those of chenyaofo/pytorch-cifar-models, which are the paper's (1.4M and 2.3M with 1,000
classes). For small images the stem has stride 1 and no max-pooling follows it: 4 x 4 positions are
left at the end.
"""

import oneflow as flow
import oneflow.nn as nn

from models.layers import conv, conv_norm_relu, linear, stack_stages

DEPTHS = (4, 8, 4)


def shuffle(features: flow.Tensor) -> flow.Tensor:
    """Interleave the two halves of the channels: 0, C/2, 1, C/2 + 1, ..."""
    n, channels, height, width = features.shape
    halves = features.reshape(n, 2, channels // 2, height, width)
    return halves.transpose(1, 2).reshape(n, channels, height, width)


def depthwise(channels: int, stride: int) -> list[nn.Module]:
    """Return a 3 x 3 convolution of each channel alone, and normalization without a ReLU."""
    return [conv(channels, channels, 3, stride, groups=channels), nn.BatchNorm2d(channels)]


class ShuffleBlock(nn.Module):
    """The paper's figure 3: (c) at stride 1, (d) at stride 2."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        half = out_channels // 2
        seen = half if stride == 1 else in_channels
        self.work = nn.Sequential(
            *conv_norm_relu(conv(seen, half, 1)),
            *depthwise(half, stride),
            *conv_norm_relu(conv(half, half, 1)),
        )
        self.around = None
        if stride == 2:
            self.around = nn.Sequential(
                *depthwise(in_channels, stride), *conv_norm_relu(conv(in_channels, half, 1))
            )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        if self.around is None:
            kept, taken = features.chunk(2, dim=1)
        else:
            kept, taken = self.around(features), features
        return shuffle(flow.cat([kept, self.work(taken)], dim=1))


class ShuffleNetV2(nn.Module):
    """A stem of 24 channels, three stages of `widths`, a 1 x 1 convolution, the mean, the logits.

    First weights are OneFlow's defaults, as in the reference; the paper does not give them.
    """

    def __init__(self, widths: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(*conv_norm_relu(conv(3, 24, 3)))
        self.stages, channels = stack_stages(ShuffleBlock, 24, DEPTHS, widths, first_stride=2)
        self.last = nn.Sequential(*conv_norm_relu(conv(channels, 1024, 1)))
        self.head = linear(1024, num_classes)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.stem(images)  # (N, 24, 32, 32)
        # x1.0: (N, 116, 16, 16), (N, 232, 8, 8), (N, 464, 4, 4)
        features = self.last(self.stages(features))  # (N, 1024, 4, 4)
        return self.head(features.mean(dim=(2, 3)))


def shufflenet_v2_x0_5(num_classes: int) -> ShuffleNetV2:
    """Return the model with half the channels: 444,292 parameters for 100 classes."""
    return ShuffleNetV2((48, 96, 192), num_classes)


def shufflenet_v2_x1_0(num_classes: int) -> ShuffleNetV2:
    """Return the paper's 1x model: 1,356,104 parameters for 100 classes."""
    return ShuffleNetV2((116, 232, 464), num_classes)
