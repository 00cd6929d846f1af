"""The residual nets: sizes worked out by hand, shapes, shortcuts, first weights."""

import math

import numpy as np
import oneflow as flow
import pytest

from models import resnet
from models.convnet import convnet_tiny

# Weights of a bias-free convolution: in * out * area; a batch norm has two numbers per channel.
# A net of 6n + 2 layers has the stem and 2n convolutions per stage: 16 * 16 * 9 = 2304,
# 16 * 32 * 9 = 4608, 32 * 32 * 9 = 9216, 32 * 64 * 9 = 18432, 64 * 64 * 9 = 36864.
#            stem         stage 1       stage 2              stage 3
CIFAR_CONVS = {
    "resnet20": 3 * 16 * 9 + 6 * 2304 + (4608 + 5 * 9216) + (18432 + 5 * 36864),
    "resnet32": 3 * 16 * 9 + 10 * 2304 + (4608 + 9 * 9216) + (18432 + 9 * 36864),
    "resnet44": 3 * 16 * 9 + 14 * 2304 + (4608 + 13 * 9216) + (18432 + 13 * 36864),
    "resnet56": 3 * 16 * 9 + 18 * 2304 + (4608 + 17 * 9216) + (18432 + 17 * 36864),
    "resnet110": 3 * 16 * 9 + 36 * 2304 + (4608 + 35 * 9216) + (18432 + 35 * 36864),
}
CIFAR_NORMS = {
    "resnet20": 2 * (7 * 16 + 6 * 32 + 6 * 64),
    "resnet32": 2 * (11 * 16 + 10 * 32 + 10 * 64),
    "resnet44": 2 * (15 * 16 + 14 * 32 + 14 * 64),
    "resnet56": 2 * (19 * 16 + 18 * 32 + 18 * 64),
    "resnet110": 2 * (37 * 16 + 36 * 32 + 36 * 64),
}
# Option B adds two 1 x 1 convolutions and their norms: 16 -> 32 and 32 -> 64.
OPTION_B = (16 * 32 + 2 * 32) + (32 * 64 + 2 * 64)


def head(channels, classes):
    return channels * classes + classes


def parameters(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("name", "ten_classes", "hundred_classes"),
    [
        ("resnet20", 269_722, 275_572),  # the paper's table 6 says 0.27M, 0.46M, 0.66M, 0.85M, 1.7M
        ("resnet32", 464_154, 470_004),
        ("resnet44", 658_586, 664_436),
        ("resnet56", 853_018, 858_868),
        ("resnet110", 1_727_962, 1_733_812),
    ],
)
def test_cifar_resnets_have_the_papers_size(name, ten_classes, hundred_classes):
    by_hand = CIFAR_CONVS[name] + CIFAR_NORMS[name]
    assert by_hand + head(64, 10) == ten_classes
    assert by_hand + head(64, 100) == hundred_classes
    build = getattr(resnet, name)
    assert parameters(build(10)) == ten_classes
    assert parameters(build(100)) == parameters(build(100, shortcut="A")) == hundred_classes
    assert parameters(build(100, shortcut="B")) == hundred_classes + OPTION_B


# A stage of width w behind i channels: convolutions, norms, a 1 x 1 shortcut and its norm.
def basic_stage(i, w, blocks):
    first = 9 * i * w + 9 * w * w + 4 * w + (i * w + 2 * w if i != w else 0)
    return first + (blocks - 1) * (2 * 9 * w * w + 4 * w)


def bottleneck_stage(i, w, blocks):
    first = i * w + 9 * w * w + 4 * w * w + 2 * (w + w + 4 * w) + (4 * i * w + 2 * 4 * w)
    return first + (blocks - 1) * (4 * w * w + 9 * w * w + 4 * w * w + 2 * (w + w + 4 * w))


STEM = 3 * 64 * 9 + 2 * 64


@pytest.mark.parametrize(
    ("name", "stage", "sizes", "channels", "expected"),
    [
        (
            "resnet18",  # 147,968 + 525,568 + 2,099,712 + 8,393,728
            basic_stage,
            [(64, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 2)],
            512,
            11_220_132,
        ),
        (
            "resnet34",  # 221,952 + 1,116,416 + 6,822,400 + 13,114,368
            basic_stage,
            [(64, 64, 3), (64, 128, 4), (128, 256, 6), (256, 512, 3)],
            512,
            21_328_292,
        ),
        (
            "resnet50",  # 215,808 + 1,219,584 + 7,098,368 + 14,964,736
            bottleneck_stage,
            [(64, 64, 3), (256, 128, 4), (512, 256, 6), (1024, 512, 3)],
            2048,
            23_705_252,
        ),
    ],
)
def test_resnets_with_the_3x3_stem_have_the_usual_size(name, stage, sizes, channels, expected):
    assert STEM + sum(stage(*size) for size in sizes) + head(channels, 100) == expected
    assert parameters(getattr(resnet, name)(100)) == expected


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("resnet20", [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]),
        ("resnet18", [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]),
        ("resnet50", [(64, 32, 32), (256, 32, 32), (512, 16, 16), (1024, 8, 8), (2048, 4, 4)]),
    ],
)
def test_stages_have_the_shapes_of_the_comments(name, shapes):
    net = getattr(resnet, name)(100).eval()
    features, seen = net.stem(flow.ones(1, 3, 32, 32)), []
    seen.append(tuple(features.shape[1:]))
    for stage in net.stages:
        features = stage(features)
        seen.append(tuple(features.shape[1:]))
    assert seen == shapes


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_any_batch_gives_one_row_of_logits_per_image(size, shortcut):
    net = resnet.resnet20(7, shortcut=shortcut).eval()
    assert tuple(net(flow.ones(size, 3, 32, 32)).shape) == (size, 7)


def test_option_a_subsamples_and_pads_with_zeros():
    shortcut = resnet.PaddedShortcut(extra_channels=2, stride=2)
    assert list(shortcut.parameters()) == []
    features = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4) + 1
    out = shortcut(flow.tensor(features)).numpy()
    assert out.shape == (2, 5, 2, 2)
    assert out[0, 0].tolist() == [[1, 3], [9, 11]]
    assert np.array_equal(out[:, :3], features[:, :, ::2, ::2])
    assert np.array_equal(out[:, 3:], np.zeros((2, 2, 2, 2), np.float32))


def test_a_block_with_a_zero_residual_is_its_shortcut():
    block = resnet.BasicBlock(16, 32, stride=2, shortcut="A").eval()
    flow.nn.init.zeros_(block.residual[-1].weight)
    features = np.random.default_rng(0).random((1, 16, 8, 8), np.float32)  # positive: ReLU keeps it
    out = block(flow.tensor(features)).numpy()
    assert np.array_equal(out[:, :16], features[:, :, ::2, ::2])
    assert not out[:, 16:].any()


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_shortcuts_are_the_identity_where_the_shape_stays(shortcut):
    assert isinstance(resnet.build_shortcut(16, 16, 1, shortcut), flow.nn.Identity)


def test_another_shortcut_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"^shortcut='C': expected A or B\.$"):
        resnet.resnet20(10, shortcut="C")


@pytest.mark.parametrize("build", [resnet.resnet20, resnet.resnet18, convnet_tiny])
def test_first_weights_are_those_of_he_et_al(build):
    """Within 4 standard errors: std / sqrt(2 size) of a std, std / sqrt(size) of a mean."""
    flow.manual_seed(0)
    net = build(10)
    for module in net.modules():
        if isinstance(module, flow.nn.Conv2d):
            weights = module.weight.numpy()
            out_channels, _, height, width = weights.shape
            std = math.sqrt(2 / (out_channels * height * width))
            assert abs(weights.std() / std - 1) < 4 / math.sqrt(2 * weights.size)
            assert abs(weights.mean()) < 4 * std / math.sqrt(weights.size)
        if isinstance(module, flow.nn.BatchNorm2d):
            assert (module.weight.numpy() == 1).all()
            assert (module.bias.numpy() == 0).all()
