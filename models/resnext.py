"""ResNeXt-29 for 32 x 32 images.

Xie, Girshick, Dollár, Tu and He 2017, "Aggregated Residual Transformations for Deep Neural
Networks", arXiv 1611.05431, section 5.3.

The 3 x 3 convolution of a bottleneck falls into `cardinality` groups that do not see each other:
more, narrow paths instead of a deeper or wider one (figure 3 c). "8x64d" has 8 groups, of 64
channels each in the first stage. Three stages of three blocks; 29 layers.

Parameters: the paper's 34.4M and 68.1M for 10 classes; exactly, those of
bearpaw/pytorch-classification, from prlz77/ResNeXt.pytorch. (The `ResNeXt29` models of
kuangliu/pytorch-cifar are narrower: their blocks end with 2 times the groups' channels.)
"""

from functools import partial

import oneflow.nn as nn

from models.resnet import Block, ResNet, bottleneck


def grouped_bottleneck(
    in_channels: int, width: int, stride: int, shortcut: str, cardinality: int, base_width: int
) -> Block:
    """Return a bottleneck whose 3 x 3 convolution has `cardinality` groups.

    Each group has `base_width` channels (the paper's d) where the stage's width is 64.
    """
    inner = cardinality * base_width * width // 64
    return bottleneck(in_channels, width, stride, shortcut, inner, cardinality)


def resnext29(cardinality: int, base_width: int, num_classes: int) -> ResNet:
    """Return ResNeXt-29, `cardinality` x `base_width` d.

    Convolutions start as in `initialize_convs`, the last bias is 0, as in the authors' code.
    """
    # (N, 64, 32, 32) stem, (N, 256, 32, 32), (N, 512, 16, 16), (N, 1024, 8, 8), (N, 1024) mean
    block = partial(grouped_bottleneck, cardinality=cardinality, base_width=base_width)
    model = ResNet(block, (3, 3, 3), (64, 128, 256), num_classes, shortcut="B")
    nn.init.zeros_(model.head.bias)
    return model


def resnext29_8x64d(num_classes: int) -> ResNet:
    """Return the model with 8 groups of 64: 34,518,948 parameters for 100 classes."""
    return resnext29(8, 64, num_classes)


def resnext29_16x64d(num_classes: int) -> ResNet:
    """Return the model with 16 groups of 64: 68,247,460 parameters for 100 classes."""
    return resnext29(16, 64, num_classes)
