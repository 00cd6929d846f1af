"""ResNeXt-29 for 32 x 32 images.

Xie, Girshick, Dollár, Tu and He 2017, "Aggregated Residual Transformations for Deep Neural
Networks", arXiv 1611.05431, section 5.3.

The 3 x 3 convolution of a bottleneck falls into `cardinality` groups that do not see each other:
more, narrow paths instead of a deeper or wider one (figure 3 c). "8x64d" has 8 groups, of 64
channels each in the first stage. Three stages of three blocks; 29 layers.

Parameters: the paper's 34.4M and 68.1M for 10 classes; exactly, those of
bearpaw/pytorch-classification, from prlz77/ResNeXt.pytorch. (The `ResNeXt29` nets of
kuangliu/pytorch-cifar are narrower: their blocks end with 2 times the groups' channels.)
"""

from functools import partial

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import conv, conv_norm_relu
from models.resnet import ResNet, build_shortcut


class ResNeXtBlock(nn.Module):
    """1 x 1, grouped 3 x 3, 1 x 1 convolutions: `4 * width` channels out.

    Args:
        in_channels: of the features that come in.
        width: of the stage; the groups' channels grow with it.
        stride: of the 3 x 3 convolution.
        shortcut: option A or B.
        cardinality: groups of the 3 x 3 convolution.
        base_width: channels of a group where the stage's width is 64 (the paper's d).
    """

    def __init__(
        self,
        in_channels: int,
        width: int,
        stride: int,
        shortcut: str,
        cardinality: int,
        base_width: int,
    ) -> None:
        super().__init__()
        inner = cardinality * base_width * width // 64
        self.out_channels = 4 * width
        self.residual = nn.Sequential(
            *conv_norm_relu(conv(in_channels, inner, 1)),
            *conv_norm_relu(conv(inner, inner, 3, stride, groups=cardinality)),
            conv(inner, self.out_channels, 1),
            nn.BatchNorm2d(self.out_channels),
        )
        self.shortcut = build_shortcut(in_channels, self.out_channels, stride, shortcut)

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, in_channels, H, W) to (N, 4 width, H / stride, W / stride)."""
        return F.relu(self.residual(features) + self.shortcut(features))


def resnext29(cardinality: int, base_width: int, num_classes: int) -> ResNet:
    """ResNeXt-29, `cardinality` x `base_width` d.

    Convolutions start as in `initialize_convs`, the last bias is 0, as in the authors' code.
    """
    # (N, 64, 32, 32) stem, (N, 256, 32, 32), (N, 512, 16, 16), (N, 1024, 8, 8), (N, 1024) mean
    block = partial(ResNeXtBlock, cardinality=cardinality, base_width=base_width)
    net = ResNet(block, (3, 3, 3), (64, 128, 256), num_classes, shortcut="B")
    nn.init.zeros_(net.head.bias)
    return net


def resnext29_8x64d(num_classes: int) -> ResNet:
    """8 groups of 64; 34,518,948 parameters for 100 classes."""
    return resnext29(8, 64, num_classes)


def resnext29_16x64d(num_classes: int) -> ResNet:
    """16 groups of 64; 68,247,460 parameters for 100 classes."""
    return resnext29(16, 64, num_classes)
