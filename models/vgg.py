"""VGG models for 32 x 32 images.

Simonyan and Zisserman 2014, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
arXiv 1409.1556, table 1: configurations A (`vgg11_bn`), B (13), D (16) and E (19).

Only 3 x 3 convolutions; five times the size halves and the number of channels doubles, up to 512.
The paper's models are older than batch normalization; the names with `_bn` have it after each
convolution, `vgg16` is the plain model.

At 32 x 32 one position is left, so the first of the three linear layers has 512 inputs instead of
25,088, and the two hidden layers have 512 units instead of 4,096: the models, weights and
parameters of chenyaofo/pytorch-cifar-models (and of timgaripov/swa, whose dropout comes before the
linear layers instead of after them). weiaicunzai/pytorch-cifar100 keeps 4,096 units (34.0M
parameters for `vgg16_bn`), kuangliu/pytorch-cifar has one linear layer.
"""

import oneflow as flow
import oneflow.nn as nn

from models.layers import BiasedConv, conv_norm_relu, initialize_convs, linear

WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Five stages of convolutions and a max-pooling each, then three linear layers.

    Convolutions start as in `initialize_convs`, linear layers with N(0, 0.01 ** 2), the paper's
    (section 3.1); biases are 0. Stage i has `depths[i]` convolutions.
    """

    def __init__(self, depths: tuple[int, ...], num_classes: int, norm: bool = True) -> None:
        super().__init__()
        self.stages = nn.Sequential()
        channels = 3
        for index, (depth, width) in enumerate(zip(depths, WIDTHS, strict=True)):
            layers: list[nn.Module] = []
            for _ in range(depth):
                convolution = BiasedConv(channels, width, 3, padding=1)
                layers += conv_norm_relu(convolution) if norm else [convolution, nn.ReLU()]
                channels = width
            self.stages.add_module(str(index + 1), nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.classifier = nn.Sequential(
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(512, 512),
            nn.ReLU(),
            nn.Dropout(0.5),
            linear(512, num_classes),
        )
        initialize_convs(self)
        for module in self.classifier:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.zeros_(module.bias)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        # (N, 64, 16, 16), (N, 128, 8, 8), (N, 256, 4, 4), (N, 512, 2, 2), (N, 512, 1, 1)
        features = self.stages(images)
        return self.classifier(features.flatten(1))  # (N, 512) to (N, num_classes)


def vgg11_bn(num_classes: int) -> VGG:
    """Return configuration A: 9,802,596 parameters for 100 classes."""
    return VGG((1, 1, 2, 2, 2), num_classes)


def vgg13_bn(num_classes: int) -> VGG:
    """Return configuration B: 9,987,492 parameters for 100 classes."""
    return VGG((2, 2, 2, 2, 2), num_classes)


def vgg16_bn(num_classes: int) -> VGG:
    """Return configuration D: 15,299,748 parameters for 100 classes."""
    return VGG((2, 2, 3, 3, 3), num_classes)


def vgg16(num_classes: int) -> VGG:
    """Return configuration D without batch normalization: 15,291,300 parameters for 100 classes."""
    return VGG((2, 2, 3, 3, 3), num_classes, norm=False)


def vgg19_bn(num_classes: int) -> VGG:
    """Return configuration E: 20,612,004 parameters for 100 classes."""
    return VGG((2, 2, 4, 4, 4), num_classes)
