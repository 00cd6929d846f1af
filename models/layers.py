"""Pieces that several papers share: convolutions, blocks, first weights, the last layer."""

from collections.abc import Callable, Sequence

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from common.checks import check_integer


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Return a convolution that keeps the size at stride 1 and halves it at stride 2.

    It has no bias: the batch normalization after it would remove it, and on a CPU OneFlow's
    convolution is much slower with one.
    """
    return nn.Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        groups=groups,
        bias=False,
    )


class BiasedConv(nn.Conv2d):
    """A convolution with a bias per channel, for the papers that have one.

    The same as `nn.Conv2d`, but the bias is added by broadcasting, which is much faster on a CPU.
    """

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        out = F.conv2d(
            features, self.weight, None, self.stride, self.padding, self.dilation, self.groups
        )
        return out + self.bias.reshape(1, -1, 1, 1)


def conv_norm_relu(
    convolution: nn.Conv2d, activation: Callable[[], nn.Module] = nn.ReLU
) -> list[nn.Module]:
    """Return a convolution, its batch normalization and an activation."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), activation()]


class Residual(nn.Module):
    """x + f(x), without a ReLU after the sum."""

    def __init__(self, residual: nn.Module) -> None:
        super().__init__()
        self.residual = residual

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, C, H, W) to the same shape."""
        return features + self.residual(features)


def stack_stages(
    block: Callable[[int, int, int], nn.Module],
    channels: int,
    depths: Sequence[int],
    widths: Sequence[int],
    first_stride: int = 1,
) -> tuple[nn.Sequential, int]:
    """Return stages of blocks, named "1", "2", ..., and the channels after the last one.

    Stage i has `depths[i]` blocks, built by `block(in_channels, widths[i], stride)`; each block has
    `out_channels`. The first stage starts with `first_stride`, the others with 2.
    """
    stages = nn.Sequential()
    for index, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        blocks: list[nn.Module] = []
        for stride in [2 if index else first_stride] + [1] * (depth - 1):
            blocks.append(block(channels, width, stride))
            channels = blocks[-1].out_channels
        stages.add_module(str(index + 1), nn.Sequential(*blocks))
    return stages, channels


def linear(in_features: int, num_classes: int) -> nn.Linear:
    """Return the layer that computes the logits; its bias starts at 0.

    Raises:
        ValueError: `num_classes` is not an integer of at least 1.
    """
    head = nn.Linear(in_features, check_integer("num_classes", num_classes, 1))
    nn.init.zeros_(head.bias)
    return head


def initialize_convs(model: nn.Module, mode: str = "fan_out") -> None:
    """Draw the convolutions' weights from N(0, 2 / (channels * kernel_height * kernel_width)).

    With the number of outgoing channels (fan_out) the gradient keeps its size on its way back
    through convolutions and ReLUs, with that of the incoming ones (fan_in) the features keep theirs
    on their way forth (He et al. 2015, arXiv 1502.01852, section 2.2). In a convolution of g groups
    the outgoing channels of all groups count, as in the references' code: the weights start smaller
    by the square root of g than in the derivation. Biases become 0.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
