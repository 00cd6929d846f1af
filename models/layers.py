"""Pieces that several papers share: convolutions, first weights, the last layer."""

from typing import Any

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F


def conv(
    in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1 and halves it at stride 2.

    It has no bias: the batch normalization behind it would remove it, and on a CPU OneFlow's
    convolution is 2 to 3 times slower with one.
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

    The same as `nn.Conv2d`, but the bias is added by broadcasting: OneFlow's own takes longer on a
    CPU than the whole convolution.
    """

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """(N, in_channels, H, W) to (N, out_channels, H / stride, W / stride)."""
        out = F.conv2d(
            features, self.weight, None, self.stride, self.padding, self.dilation, self.groups
        )
        return out + self.bias.reshape(1, -1, 1, 1)


def conv_norm_relu(convolution: nn.Conv2d) -> list[nn.Module]:
    """A convolution, its batch normalization and a ReLU."""
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU()]


def linear(in_features: int, num_classes: int) -> nn.Linear:
    """The layer that makes logits; its bias starts at 0.

    Raises:
        ValueError: `num_classes` is no integer of at least 1.
    """
    head = nn.Linear(in_features, check_num_classes(num_classes))
    nn.init.zeros_(head.bias)
    return head


def check_num_classes(num_classes: Any) -> int:
    """The number of classes, if it is one.

    >>> check_num_classes(100)
    100

    Raises:
        ValueError: it is no integer of at least 1.
    """
    if isinstance(num_classes, bool) or not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(f"num_classes={num_classes!r}: expected an integer of at least 1.")
    return num_classes


def initialize_convs(net: nn.Module, mode: str = "fan_out") -> None:
    """Draw the convolutions' weights from N(0, 2 / (channels * kernel_height * kernel_width)).

    With the number of outgoing channels (fan_out) the gradient keeps its size on its way back
    through convolutions and ReLUs, with that of the incoming ones (fan_in) the features keep theirs
    on their way forth (He et al. 2015, arXiv 1502.01852, section 2.2). In a convolution of g groups
    the outgoing channels of all groups count, as in the references' code: the weights start smaller
    by the square root of g than the derivation would have them. Biases become 0.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
