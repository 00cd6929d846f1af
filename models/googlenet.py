"""GoogLeNet for 32 x 32 images.

Szegedy, Liu, Jia, Sermanet, Reed, Anguelov, Erhan, Vanhoucke and Rabinovich 2015, "Going Deeper
with Convolutions", arXiv 1409.4842, table 1.

An Inception module looks at the same features in four ways, of which each is cheap because a 1 x 1
convolution narrows it first, and lets the next module choose.

Parameters: those of weiaicunzai/pytorch-cifar100. As there, and other than in the paper: batch
normalization after each convolution, two 3 x 3 convolutions in place of a 5 x 5, no auxiliary
classifiers, and a stem of three 3 x 3 convolutions at 32 x 32. (kuangliu/pytorch-cifar has a stem
of one, no pooling after it and no dropout: 6,258,500 parameters, 4 times the work.)
"""

import oneflow as flow
import oneflow.nn as nn

from models.layers import BiasedConv, conv, conv_norm_relu, linear

# The columns of table 1: 1 x 1; 3 x 3 reduce, 3 x 3; 5 x 5 reduce, 5 x 5; pool projection
STAGES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)


def biased(in_channels: int, out_channels: int, kernel_size: int) -> list[nn.Module]:
    """Return a convolution with a bias, normalization and a ReLU."""
    padding = kernel_size // 2
    return conv_norm_relu(BiasedConv(in_channels, out_channels, kernel_size, padding=padding))


class Inception(nn.Module):
    """Four branches side by side (the paper's figure 2 b); `widths` is a row of table 1."""

    def __init__(self, in_channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, three_reduce, three, five_reduce, five, pool = widths
        self.out_channels = one + three + five + pool
        self.branches = nn.ModuleList(
            [
                nn.Sequential(*biased(in_channels, one, 1)),
                nn.Sequential(
                    *biased(in_channels, three_reduce, 1), *biased(three_reduce, three, 3)
                ),
                nn.Sequential(
                    *biased(in_channels, five_reduce, 1),
                    *biased(five_reduce, five, 3),
                    *biased(five, five, 3),
                ),
                nn.Sequential(nn.MaxPool2d(3, 1, 1), *biased(in_channels, pool, 1)),
            ]
        )

    def forward(self, features: flow.Tensor) -> flow.Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return flow.cat([branch(features) for branch in self.branches], dim=1)


class GoogLeNet(nn.Module):
    """A stem and three stages of Inception modules, a max-pooling before each stage.

    First weights are OneFlow's defaults, as in the reference; the paper does not give them.
    """

    def __init__(self, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            *conv_norm_relu(conv(3, 64, 3)),
            *conv_norm_relu(conv(64, 64, 3)),
            *conv_norm_relu(conv(64, 192, 3)),
        )
        self.stages = nn.Sequential()
        channels = 192
        for index, rows in enumerate(STAGES):
            layers: list[nn.Module] = [nn.MaxPool2d(3, 2, 1)]
            for widths in rows:
                layers.append(Inception(channels, widths))
                channels = layers[-1].out_channels
            self.stages.add_module(str(index + 3), nn.Sequential(*layers))
        self.dropout = nn.Dropout(dropout)
        self.head = linear(channels, num_classes)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.stem(images)  # (N, 192, 32, 32)
        features = self.stages(features)  # (N, 480, 16, 16), (N, 832, 8, 8), (N, 1024, 4, 4)
        return self.head(self.dropout(features.mean(dim=(2, 3))))


def googlenet(num_classes: int, dropout: float = 0.4) -> GoogLeNet:
    """Return the model with Inception 3a to 5b: 6,402,564 parameters for 100 classes."""
    return GoogLeNet(num_classes, dropout)
