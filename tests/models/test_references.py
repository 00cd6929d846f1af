"""Every net has exactly as many parameters as the implementation that it is compared with.

The counts are those of the references' own code, built for 10 or for 100 classes (where it knows
one of the two only, the other follows from the last layer). Where a person can add them up, the
sums below do so independently of both.
"""

import importlib

import pytest
from oneflow import nn

# (module, function): (10 classes, 100 classes), and whose code was counted
REFERENCES = {
    ("preact_resnet", "preact_resnet18"): (11_172_170, 11_218_340),  # locuslab/robust_overfitting
    ("preact_resnet", "preact_resnet110"): (1_730_522, 1_736_372),  # bearpaw, basic blocks
    ("preact_resnet", "preact_resnet164"): (1_703_258, 1_726_388),  # bearpaw; timgaripov/swa
    ("wide_resnet", "wrn_28_10"): (36_479_194, 36_536_884),  # xternalz, bearpaw; paper: 36.5M
    ("wide_resnet", "wrn_16_8"): (10_961_370, 11_007_540),  # xternalz, bearpaw; paper: 11.0M
    ("wide_resnet", "wrn_40_4"): (8_949_210, 8_972_340),  # xternalz, bearpaw; paper: 8.9M
    ("vgg", "vgg11_bn"): (9_756_426, 9_802_596),  # chenyaofo
    ("vgg", "vgg13_bn"): (9_941_322, 9_987_492),  # chenyaofo
    ("vgg", "vgg16_bn"): (15_253_578, 15_299_748),  # chenyaofo; timgaripov/swa
    ("vgg", "vgg16"): (15_245_130, 15_291_300),  # timgaripov/swa
    ("vgg", "vgg19_bn"): (20_565_834, 20_612_004),  # chenyaofo
    ("densenet", "densenet_bc_100_12"): (769_162, 800_032),  # andreasveit, bearpaw; paper: 0.8M
    ("densenet", "densenet_bc_190_40"): (25_624_430, 25_821_620),  # andreasveit; paper: 25.6M
    ("densenet", "densenet_bc_121_12"): (1_000_618, 1_035_268),  # kuangliu's densenet_cifar
    ("mobilenet_v2", "mobilenet_v2"): (2_236_682, 2_351_972),  # chenyaofo
    ("shufflenet_v2", "shufflenet_v2_x0_5"): (352_042, 444_292),  # chenyaofo
    ("shufflenet_v2", "shufflenet_v2_x1_0"): (1_263_854, 1_356_104),  # chenyaofo
    # ImageNet's 11,778,592 (timm) and 28,088,024 (flowvision), less 7,680 of the stem and less the
    # rows of 990 or 900 classes of 513 or 2,049 numbers
    ("se_resnet", "se_resnet18"): (11_263_042, 11_309_212),
    ("se_resnet", "se_resnet50"): (26_051_834, 26_236_244),
    ("resnext", "resnext29_8x64d"): (34_426_698, 34_518_948),  # bearpaw; paper: 34.4M
    ("resnext", "resnext29_16x64d"): (68_155_210, 68_247_460),  # bearpaw; paper: 68.1M
    ("googlenet", "googlenet"): (6_310_314, 6_402_564),  # weiaicunzai
    ("resnet9", "resnet9"): (6_573_120, 6_619_200),  # davidcpage/cifar10-fast
    ("convmixer", "convmixer_256_8"): (594_186, 617_316),  # locuslab/convmixer
    ("vit", "vit_lite_7_4"): (3_716_874, 3_740_004),  # SHI-Labs/Compact-Transformers
}


@pytest.fixture
def nothing_drawn(monkeypatch):
    """First weights are left as they lie in memory: who only counts them saves the drawing."""
    for kind in (nn.Conv2d, nn.Linear):
        monkeypatch.setattr(kind, "reset_parameters", lambda self: None)
    for name in ("kaiming_normal_", "normal_", "trunc_normal_"):
        monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


def count(module, function, num_classes, **settings):
    net = getattr(importlib.import_module(f"models.{module}"), function)(num_classes, **settings)
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(("module", "function"), REFERENCES, ids=lambda name: name)
def test_parameters_equal_the_references(nothing_drawn, module, function):
    ten, hundred = REFERENCES[module, function]
    assert count(module, function, 10) == ten
    assert count(module, function, 100) == hundred


def test_convmixer_has_the_paper_s_size_with_the_paper_s_settings(nothing_drawn):
    settings = {"kernel_size": 9, "patch_size": 1}  # the paper: 0.7M
    assert count("convmixer", "convmixer_256_8", 10, **settings) == 706_570


# By hand. A convolution without bias has in * out * area weights, a norm 2 per channel.


def wide(n, k):
    """The stem, three stages, the last norm: each first block widens, with a 1 x 1 shortcut."""
    total = 3 * 16 * 9 + 2 * 64 * k
    for i, o in ((16, 16 * k), (16 * k, 32 * k), (32 * k, 64 * k)):
        total += 2 * i + 9 * i * o + 2 * o + 9 * o * o + i * o
        total += (n - 1) * (2 * o + 9 * o * o) * 2
    return total


def preact_bottlenecks(n):
    """Stages of width w behind i channels: norm and 1 x 1, norm and 3 x 3, norm and 1 x 1."""
    total = 3 * 16 * 9 + 2 * 256
    for i, w in ((16, 16), (64, 32), (128, 64)):
        total += 2 * i + i * w + 2 * w + 9 * w * w + 2 * w + 4 * w * w + 4 * i * w
        total += (n - 1) * (2 * 4 * w + 4 * w * w + 2 * w + 9 * w * w + 2 * w + 4 * w * w)
    return total


def vgg(depths, per_channel):
    """Convolutions with 1 bias and 0 or 2 numbers of a norm per channel; two hidden layers."""
    total, i = 0, 3
    for depth, o in zip(depths, (64, 128, 256, 512, 512), strict=True):
        total += 9 * i * o + (depth - 1) * 9 * o * o + depth * per_channel * o
        i = o
    return total + 2 * (512 * 512 + 512)


def dense(depths, k):
    """A layer behind c channels: norm, c to 4k, norm, 4k to k. A transition: norm, c to c / 2."""
    c = 2 * k
    total = 27 * c
    for index, depth in enumerate(depths):
        if index:
            total += 2 * c + c * (c // 2)
            c //= 2
        for _ in range(depth):
            total += 2 * c + 4 * k * c + 8 * k + 36 * k * k
            c += k
    return total + 2 * c


def resnext(c):
    """Stages of width w behind i channels: 1 x 1, grouped 3 x 3 of c * w channels, 1 x 1."""
    total = 27 * 64 + 2 * 64
    for i, w in ((64, 64), (256, 128), (512, 256)):
        d, o = c * w, 4 * w
        rest = 2 * d + 9 * d * d // c + 2 * d + d * o + 2 * o
        total += i * d + rest + (i * o + 2 * o) + 2 * (o * d + rest)
    return total


def transformer(d, hidden, layers):
    """Patches of 4 x 4, 65 positions, the class token, layers, the last norm."""
    attention = 2 * d + 3 * d * d + d * d + d
    mlp = 2 * d + d * hidden + hidden + hidden * d + d
    return (48 * d + d) + 65 * d + d + layers * (attention + mlp) + 2 * d


def mixer(d, layers, kernel, patch):
    """Patches, then layers of a depthwise and a 1 x 1 convolution, each with bias and norm."""
    return 3 * patch**2 * d + 3 * d + layers * (kernel**2 * d + 3 * d + d * d + 3 * d)


RESNET9 = 27 * 64 + 9 * (64 * 128 + 2 * 128 * 128 + 128 * 256 + 256 * 512 + 2 * 512 * 512)


SE18 = sum(2 * (2 * c * c // 16 + c // 16 + c) for c in (64, 128, 256, 512))
SE50 = sum(
    n * (2 * c * c // 16 + c // 16 + c) for n, c in ((3, 256), (4, 512), (6, 1024), (3, 2048))
)


@pytest.mark.parametrize(
    ("function", "by_hand", "features"),
    [
        ("wrn_28_10", wide(4, 10), 640),
        ("wrn_16_8", wide(2, 8), 512),
        ("wrn_40_4", wide(6, 4), 256),
        ("preact_resnet164", preact_bottlenecks(18), 256),
        ("vgg11_bn", vgg((1, 1, 2, 2, 2), 3), 512),
        ("vgg13_bn", vgg((2, 2, 2, 2, 2), 3), 512),
        ("vgg16_bn", vgg((2, 2, 3, 3, 3), 3), 512),
        ("vgg16", vgg((2, 2, 3, 3, 3), 1), 512),
        ("vgg19_bn", vgg((2, 2, 4, 4, 4), 3), 512),
        ("densenet_bc_100_12", dense((16, 16, 16), 12), 342),
        ("densenet_bc_190_40", dense((31, 31, 31), 40), 2190),
        ("densenet_bc_121_12", dense((6, 12, 24, 16), 12), 384),
        ("resnext29_8x64d", resnext(8), 1024),
        ("resnext29_16x64d", resnext(16), 1024),
        ("se_resnet18", 11_220_132 - 51_300 + SE18, 512),  # ResNet-18 without its last layer
        ("se_resnet50", 23_705_252 - 204_900 + SE50, 2048),
        ("resnet9", RESNET9 + 2 * (64 + 3 * 128 + 256 + 3 * 512) - 100, 512),  # no bias
        ("convmixer_256_8", mixer(256, 8, 5, 2), 256),
        ("vit_lite_7_4", transformer(256, 512, 7), 256),
    ],
)
def test_the_references_add_up(function, by_hand, features):
    hundred = next(counts[1] for (_, name), counts in REFERENCES.items() if name == function)
    assert by_hand + 100 * features + 100 == hundred
