"""ConvMixer for 32 x 32 images.

Trockman and Kolter 2022, "Patches Are All You Need?", arXiv 2201.09792.

The image is cut into patches once, and the size stays the same from there on. A layer mixes
positions (a depthwise convolution with a shortcut around it), then channels (a 1 x 1 convolution).

`convmixer_256_8` has 256 channels and 8 layers, with 5 x 5 kernels and patches of 2 x 2, as in the
authors' CIFAR-10 code (locuslab/convmixer-cifar10). `kernel_size=9, patch_size=1` is the paper's
best CIFAR-10 model (0.7M parameters), at 4 times the positions. Parameters: those of that code.
"""

import oneflow as flow
import oneflow.nn as nn

from common.checks import refusal
from models.layers import BiasedConv, Residual, linear


def conv_gelu_norm(convolution: nn.Conv2d) -> list[nn.Module]:
    """Return a convolution, a GELU and batch normalization, in the paper's order."""
    return [convolution, nn.GELU(), nn.BatchNorm2d(convolution.out_channels)]


def mixer_layer(channels: int, kernel_size: int) -> nn.Sequential:
    """Return a layer that mixes positions, then channels: (N, C, H, W) to the same shape."""
    positions = BiasedConv(
        channels, channels, kernel_size, padding=kernel_size // 2, groups=channels
    )
    return nn.Sequential(
        Residual(nn.Sequential(*conv_gelu_norm(positions))),
        *conv_gelu_norm(BiasedConv(channels, channels, 1)),
    )


class ConvMixer(nn.Module):
    """Patches, equal layers, the mean over positions, one linear layer.

    First weights are OneFlow's defaults, as in the authors' code; the paper does not give them.

    Raises:
        ValueError: `kernel_size` is even, or `patch_size` does not divide 32.
    """

    def __init__(
        self, channels: int, depth: int, num_classes: int, kernel_size: int, patch_size: int
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise refusal("kernel_size", kernel_size, "an odd number")
        if patch_size < 1 or 32 % patch_size:
            raise refusal("patch_size", patch_size, "1, 2, 4, 8, 16 or 32")
        patches = BiasedConv(3, channels, patch_size, stride=patch_size)
        self.patches = nn.Sequential(*conv_gelu_norm(patches))
        self.layers = nn.Sequential(*(mixer_layer(channels, kernel_size) for _ in range(depth)))
        self.head = linear(channels, num_classes)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        features = self.layers(self.patches(images))  # (N, 256, 16, 16) with patches of 2 x 2
        return self.head(features.mean(dim=(2, 3)))


def convmixer_256_8(num_classes: int, kernel_size: int = 5, patch_size: int = 2) -> ConvMixer:
    """Return the model with 256 channels, 8 layers: 617,316 parameters for 100 classes."""
    return ConvMixer(256, 8, num_classes, kernel_size, patch_size)
