"""Wide residual models for 32 x 32 images.

Zagoruyko and Komodakis 2016, "Wide Residual Networks", arXiv 1605.07146.

WRN-d-k has d = 6n + 4 layers: three stages of n pre-activation blocks with 16k, 32k and 64k
channels (table 1). Fewer layers of more channels learn as well as a thousand thin ones and train
several times faster. Dropout may stand between a block's two convolutions (figure 1 d; the paper
uses 0.3 on CIFAR).

Parameters: those of the authors' szagoruyko/wide-residual-networks, with a 1 x 1 convolution as
the shortcut where the number of channels changes, and no bias in any convolution. (The model of
weiaicunzai/pytorch-cifar100 has biases, and so more.)
"""

from functools import partial

import oneflow.nn as nn

from common.checks import refusal
from models.layers import conv, conv_norm_relu
from models.preact_resnet import PreActBlock, PreActResNet


def wide_block(in_channels: int, width: int, stride: int, dropout: float) -> PreActBlock:
    """Return a block of two 3 x 3 convolutions with dropout in between."""
    residual = nn.Sequential(
        *conv_norm_relu(conv(in_channels, width, 3, stride)),
        nn.Dropout(dropout) if dropout else nn.Identity(),
        conv(width, width, 3),
    )
    return PreActBlock(in_channels, residual, width, stride)


def wide_resnet(depth: int, k: int, num_classes: int, dropout: float = 0.0) -> PreActResNet:
    """Return WRN-`depth`-`k`; `models.preact_resnet` shows the shapes.

    Convolutions start as in `initialize_convs` with fan_in, the last layer with OneFlow's default
    and a bias of 0: as in the authors' code; the paper does not give them.

    Raises:
        ValueError: `depth` is not 6n + 4, or `dropout` not within 0 <= dropout < 1.
    """
    if depth < 10 or (depth - 4) % 6:
        raise refusal("depth", depth, "6n + 4, such as 16, 28 or 40")
    if not 0 <= dropout < 1:
        raise refusal("dropout", dropout, "at least 0 and below 1")
    n = (depth - 4) // 6
    block = partial(wide_block, dropout=dropout)
    widths = (16 * k, 32 * k, 64 * k)
    return PreActResNet(block, (n, n, n), widths, 16, num_classes, "fan_in")


def wrn_28_10(num_classes: int, dropout: float = 0.0) -> PreActResNet:
    """Return n = 4, k = 10: 36,536,884 parameters for 100 classes (table 4: 36.5M)."""
    return wide_resnet(28, 10, num_classes, dropout)


def wrn_16_8(num_classes: int, dropout: float = 0.0) -> PreActResNet:
    """Return n = 2, k = 8: 11,007,540 parameters for 100 classes (table 4: 11.0M)."""
    return wide_resnet(16, 8, num_classes, dropout)


def wrn_40_4(num_classes: int, dropout: float = 0.0) -> PreActResNet:
    """Return n = 6, k = 4: 8,972,340 parameters for 100 classes (table 4: 8.9M)."""
    return wide_resnet(40, 4, num_classes, dropout)
