"""Densely connected models for 32 x 32 images.

Huang, Liu, van der Maaten and Weinberger 2017, "Densely Connected Convolutional Networks",
arXiv 1608.06993.

Each layer sees the outputs of all earlier layers of its block and adds `growth` (the paper's k)
channels to them. DenseNet-BC has a bottleneck (B) in each layer, a 1 x 1 convolution to 4k
channels, and halves the channels between two blocks (C). With L layers in three blocks, each block
has (L - 4) / 6 of them, because each is two convolutions deep (section 4.2).

Parameters: those of andreasveit/densenet-pytorch, a port of the authors' liuzhuang13/DenseNet;
table 2 has them rounded, for 10 classes: 0.8M and 25.6M. `densenet_bc_121_12` has the four blocks
of the paper's ImageNet model with k = 12: kuangliu/pytorch-cifar's `densenet_cifar`.
"""

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import conv, conv_norm_relu, initialize_convs, linear


class DenseLayer(nn.Module):
    """Append `growth` new channels to the incoming ones."""

    def __init__(self, in_channels: int, growth: int) -> None:
        super().__init__()
        self.new = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            nn.ReLU(),
            *conv_norm_relu(conv(in_channels, 4 * growth, 1)),
            conv(4 * growth, growth, 3),
        )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, in_channels + growth, H, W)."""
        return flow.cat([features, self.new(features)], dim=1)


def transition(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return the layers between two blocks: (N, in, H, W) to (N, out, H / 2, W / 2)."""
    return nn.Sequential(
        nn.BatchNorm2d(in_channels), nn.ReLU(), conv(in_channels, out_channels, 1), nn.AvgPool2d(2)
    )


class DenseNetBC(nn.Module):
    """A convolution, dense blocks with transitions in between, the mean, one linear layer.

    Block i has `depths[i]` layers. Convolutions start as in `initialize_convs`, the last bias is 0
    (the authors' code; the paper names He et al. 2015).
    """

    def __init__(self, depths: tuple[int, ...], growth: int, num_classes: int) -> None:
        super().__init__()
        channels = 2 * growth
        self.stem = conv(3, channels, 3)
        self.blocks = nn.Sequential()
        for index, depth in enumerate(depths):
            layers: list[nn.Module] = []
            if index > 0:
                layers.append(transition(channels, channels // 2))
                channels //= 2
            for _ in range(depth):
                layers.append(DenseLayer(channels, growth))
                channels += growth
            self.blocks.add_module(str(index + 1), nn.Sequential(*layers))
        self.norm = nn.BatchNorm2d(channels)
        self.head = linear(channels, num_classes)
        initialize_convs(self)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        # BC-100, k = 12     BC-190, k = 40       BC-121, k = 12
        # (N, 24, 32, 32)    (N, 80, 32, 32)      (N, 24, 32, 32)    stem
        # (N, 216, 32, 32)   (N, 1320, 32, 32)    (N, 96, 32, 32)    block 1
        # (N, 300, 16, 16)   (N, 1900, 16, 16)    (N, 192, 16, 16)   block 2
        # (N, 342, 8, 8)     (N, 2190, 8, 8)      (N, 384, 8, 8)     block 3
        #                                         (N, 384, 4, 4)     block 4
        # (N, 342)           (N, 2190)            (N, 384)           mean over positions
        features = F.relu(self.norm(self.blocks(self.stem(images))))
        return self.head(features.mean(dim=(2, 3)))


def densenet_bc_100_12(num_classes: int) -> DenseNetBC:
    """Return the model with L = 100, k = 12: 800,032 parameters for 100 classes."""
    return DenseNetBC((16, 16, 16), 12, num_classes)


def densenet_bc_190_40(num_classes: int) -> DenseNetBC:
    """Return the model with L = 190, k = 40: 25,821,620 parameters for 100 classes."""
    return DenseNetBC((31, 31, 31), 40, num_classes)


def densenet_bc_121_12(num_classes: int) -> DenseNetBC:
    """Return four blocks of 6, 12, 24, 16 layers, k = 12: 1,035,268 parameters for 100 classes."""
    return DenseNetBC((6, 12, 24, 16), 12, num_classes)
