"""A small vision transformer for 32 x 32 images.

Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words: Transformers for Image Recognition at
Scale", arXiv 2010.11929, in the size that Hassani et al. 2021, "Escaping the Big Data Paradigm with
Compact Transformers", arXiv 2104.05704, call ViT-Lite-7/4: 7 layers, patches of 4 x 4, 256
features, 4 heads, 512 hidden units, a class token, learned positions.

Parameters: those of SHI-Labs/Compact-Transformers (3,716,874 for 10 classes), whose first weights,
dropout of attention (0.1) and stochastic depth (up to 0.1) these are. Its layers normalize the
features themselves on their way to the two linear layers; here, as in both papers, only what goes
through these layers is normalized.
"""

import oneflow as flow
import oneflow.nn as nn
import oneflow.nn.functional as F

from models.layers import BiasedConv, linear

FEATURES = 256
HEADS = 4
HIDDEN = 512
LAYERS = 7


class Attention(nn.Module):
    """Attention between all tokens: softmax(q k^T / sqrt(features per head)) v, per head."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.qkv = nn.Linear(FEATURES, 3 * FEATURES, bias=False)
        self.out = nn.Linear(FEATURES, FEATURES)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: flow.Tensor) -> flow.Tensor:
        """Map (N, tokens, features) to the same shape."""
        n, count, features = tokens.shape
        split = self.qkv(tokens).reshape(n, count, 3, HEADS, features // HEADS)
        q, k, v = split.permute(2, 0, 3, 1, 4)  # each (N, heads, tokens, features / heads)
        scores = flow.matmul(q, k.transpose(-2, -1)) * (features // HEADS) ** -0.5
        weights = self.dropout(scores.softmax(dim=-1))  # (N, heads, tokens, tokens)
        mixed = flow.matmul(weights, v).transpose(1, 2).reshape(n, count, features)
        return self.out(mixed)


class StochasticDepth(nn.Module):
    """Drop the residual of a whole image with probability p, in training, and scale the others up.

    Huang et al. 2016, "Deep Networks with Stochastic Depth", arXiv 1603.09382. The mask is a
    dropout of ones, which follows the seed.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, residual: flow.Tensor) -> flow.Tensor:
        """Map (N, tokens, features) to the same shape."""
        if not self.training or self.p == 0:
            return residual
        ones = flow.ones(residual.shape[0], 1, 1, device=residual.device)
        return residual * F.dropout(ones, self.p)


class Layer(nn.Module):
    """Attention, then two linear layers per token, each with normalization before and a shortcut.

    `dropout` is that of the attention's weights, `drop_path` the probability to drop a residual.
    """

    def __init__(self, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.attention = nn.Sequential(
            nn.LayerNorm(FEATURES), Attention(dropout), StochasticDepth(drop_path)
        )
        self.mlp = nn.Sequential(
            nn.LayerNorm(FEATURES),
            nn.Linear(FEATURES, HIDDEN),
            nn.GELU(),
            nn.Linear(HIDDEN, FEATURES),
            StochasticDepth(drop_path),
        )

    def forward(self, tokens: flow.Tensor) -> flow.Tensor:
        """Map (N, tokens, features) to the same shape."""
        tokens = tokens + self.attention(tokens)
        return tokens + self.mlp(tokens)


class ViT(nn.Module):
    """Patches, a class token in front, positions, layers, and the class token's logits.

    Linear weights start with N(0, 0.02 ** 2) cut off at 2, the patches' convolution as in He et al.
    2015 (fan_in), positions with N(0, 0.2 ** 2) cut off at 2, biases and the class token with 0.
    """

    def __init__(self, num_classes: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.patches = BiasedConv(3, FEATURES, 4, stride=4)
        self.class_token = nn.Parameter(flow.zeros(1, 1, FEATURES))
        self.positions = nn.Parameter(flow.zeros(1, 1 + 8 * 8, FEATURES))
        rates = [drop_path * index / (LAYERS - 1) for index in range(LAYERS)]
        self.layers = nn.Sequential(*(Layer(dropout, rate) for rate in rates))
        self.norm = nn.LayerNorm(FEATURES)
        self.head = linear(FEATURES, num_classes)
        self.initialize()

    def initialize(self) -> None:
        """Draw the first weights."""
        nn.init.kaiming_normal_(self.patches.weight)
        nn.init.trunc_normal_(self.positions, std=0.2)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: flow.Tensor) -> flow.Tensor:
        """Map images (N, 3, 32, 32) to logits (N, num_classes)."""
        patches = self.patches(images).flatten(2).transpose(1, 2)  # (N, 64, 256)
        first = self.class_token.expand(len(images), 1, FEATURES)
        tokens = flow.cat([first, patches], dim=1) + self.positions  # (N, 65, 256)
        tokens = self.norm(self.layers(tokens))
        return self.head(tokens[:, 0])


def vit_lite_7_4(num_classes: int, dropout: float = 0.1, drop_path: float = 0.1) -> ViT:
    """Return the model with 7 layers, patches of 4 x 4: 3,740,004 parameters for 100 classes."""
    return ViT(num_classes, dropout, drop_path)
