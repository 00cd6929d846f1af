"""Properties of the papers' blocks, on small ones."""

import math
import re
from functools import partial

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from engine.process.runtime import follow_seed
from models import (
    convmixer,
    densenet,
    googlenet,
    mobilenet_v2,
    preact_resnet,
    resnet,
    resnet9,
    resnext,
    se_resnet,
    shufflenet_v2,
    vgg,
    vit,
    wide_resnet,
)


def features(channels, size=4, n=2):
    rng = np.random.default_rng(0)
    return flow.tensor(rng.standard_normal((n, channels, size, size), np.float32))


def test_option_a_subsamples_and_pads_with_zeros():
    shortcut = resnet.build_shortcut(3, 5, 2, "A")
    assert list(shortcut.parameters()) == []
    out = shortcut(features(3)).numpy()
    assert out.shape == (2, 5, 2, 2)
    assert np.array_equal(out[:, :3], features(3).numpy()[:, :, ::2, ::2])
    assert not out[:, 3:].any()


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (resnet.basic(4, 8, 2, "A"), lambda block, x: flow.relu(block.shortcut(x))),
        (resnet.basic(4, 8, 2, "B"), lambda block, x: flow.relu(block.shortcut(x))),
        (resnet.basic(4, 4, 1, "B"), lambda block, x: flow.relu(x)),
        (preact_resnet.basic(4, 4, 1), lambda block, x: x),
        # a fresh norm in eval mode divides by sqrt(1 + 1e-5)
        (preact_resnet.basic(4, 8, 2), lambda block, x: block.shortcut(flow.relu(x) / 1.000005)),
        (mobilenet_v2.InvertedResidual(4, 4, 1, 6), lambda block, x: x),
        (mobilenet_v2.InvertedResidual(4, 4, 2, 6), lambda block, x: flow.zeros(2, 4, 2, 2)),
        (mobilenet_v2.InvertedResidual(4, 6, 1, 6), lambda block, x: flow.zeros(2, 6, 4, 4)),
        (convmixer.mixer_layer(4, 5)[0], lambda block, x: x),  # around the positions only
    ],
)
def test_a_block_with_a_zero_residual_is_its_shortcut(block, expected):
    nn.init.zeros_(block.residual[-1].weight)
    out = block.eval()(features(4)).numpy()
    assert np.allclose(out, expected(block, features(4)).numpy(), atol=1e-6)


CONV, UP = "Conv2d BatchNorm2d ReLU", "Conv2d BatchNorm2d ReLU6"
SCALED = f"{CONV} Conv2d BatchNorm2d SqueezeExcitation"
STRIDED = f"{CONV} Conv2d/2 BatchNorm2d ReLU Conv2d BatchNorm2d"  # at the 3 x 3 convolution


@pytest.mark.parametrize(
    ("block", "kinds"),
    [
        (resnet.bottleneck(8, 4, 2, "B"), STRIDED),
        (wide_resnet.wide_block(4, 8, 1, 0.3), f"{CONV} Dropout Conv2d"),
        (wide_resnet.wide_block(4, 8, 1, 0.0), f"{CONV} Identity Conv2d"),
        # no ReLU at the narrow end
        (mobilenet_v2.InvertedResidual(4, 6, 1, 6), f"{UP} {UP} Conv2d BatchNorm2d"),
        (mobilenet_v2.InvertedResidual(4, 6, 1, 1), f"{UP} Conv2d BatchNorm2d"),
        (se_resnet.scaled(resnet.basic, 32, 32, 1, "B"), SCALED),
    ],
)
def test_the_order_of_layers_in_a_residual(block, kinds):
    found = [
        type(layer).__name__ + ("/2" if getattr(layer, "stride", 1) == (2, 2) else "")
        for layer in block.residual
    ]
    assert " ".join(found) == kinds


REFUSED = {
    "shortcut='C': expected A or B.": partial(resnet.resnet20, shortcut="C"),
    "kernel_size=4: expected an odd number.": partial(convmixer.convmixer_256_8, kernel_size=4),
    "patch_size=3: expected 1, 2, 4, 8, 16 or": partial(convmixer.convmixer_256_8, patch_size=3),
    "patch_size=0: expected 1, 2, 4, 8, 16 or": partial(convmixer.convmixer_256_8, patch_size=0),
    "dropout=1.0: expected at least 0 and below 1.": partial(wide_resnet.wrn_16_8, dropout=1.0),
    "depth=27: expected 6n + 4": partial(wide_resnet.wide_resnet, 27, 1),
    "depth=4: expected 6n + 4": partial(wide_resnet.wide_resnet, 4, 1),
}


def test_impossible_settings_are_refused_in_one_sentence():
    for sentence, build in REFUSED.items():
        with pytest.raises(ValueError, match="^" + re.escape(sentence)):
            build(num_classes=10)


@pytest.mark.parametrize(
    ("build", "shapes"),
    [
        (resnet.resnet20, [(16, 32, 32), (16, 32, 32), (32, 16, 16), (64, 8, 8)]),
        (resnet.resnet18, [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]),
        (shufflenet_v2.shufflenet_v2_x1_0, [(24, 32, 32), (116, 16, 16), (232, 8, 8), (464, 4, 4)]),
    ],
)
def test_stages_have_the_shapes_of_the_comments(build, shapes):
    model = build(100).eval()
    out = model.stem(features(3, 32, 1))
    seen = [out.shape[1:]]
    for stage in model.stages:
        out = stage(out)
        seen.append(out.shape[1:])
    assert [tuple(shape) for shape in seen] == shapes


def test_a_dense_layer_keeps_what_came_in_and_adds_behind():
    layer = densenet.DenseLayer(6, growth=2)
    out = layer(features(6)).numpy()
    assert out.shape == (2, 8, 4, 4)
    assert np.array_equal(out[:, :6], features(6).numpy())


def test_shuffling_takes_turns_between_a_half_untouched_and_a_new_one():
    channels = flow.tensor(np.arange(6, dtype=np.float32)).reshape(1, 6, 1, 1)
    assert shufflenet_v2.shuffle(channels).numpy().ravel().tolist() == [0, 3, 1, 4, 2, 5]
    out = shufflenet_v2.ShuffleBlock(8, 8, 1)(features(8)).numpy()
    assert np.array_equal(out[:, ::2], features(8).numpy()[:, :4])


def test_a_scale_is_one_factor_per_channel_between_0_and_1():
    scale = se_resnet.SqueezeExcitation(32)
    ratio = scale(features(32)).numpy() / features(32).numpy()
    assert np.allclose(ratio, ratio[:, :, :1, :1], atol=1e-4)
    assert 0 < ratio.min() < ratio.max() < 1
    nn.init.zeros_(scale.excitation[2].weight)
    nn.init.zeros_(scale.excitation[2].bias)
    assert np.allclose(scale(features(32)).numpy(), features(32).numpy() / 2)  # sigmoid(0)


def test_a_resnext_block_has_groups_as_wide_as_its_name_says():
    block = resnext.grouped_bottleneck(256, 128, 2, "B", cardinality=8, base_width=64)
    grouped = block.residual[3]
    assert (grouped.groups, grouped.out_channels // grouped.groups) == (8, 128)  # stage 2: 2 * 64
    assert (block.out_channels, grouped.stride) == (512, (2, 2))


def test_the_branches_of_an_inception_module_stand_side_by_side():
    module = googlenet.Inception(8, (1, 2, 3, 4, 5, 6))
    assert module.out_channels == 1 + 3 + 5 + 6
    assert module(features(8)).shape == (2, 15, 4, 4)


def test_the_logits_of_resnet9_are_an_eighth():
    net = resnet9.ResNet9(10, 0.125).eval()
    images = features(3, 32)
    small = net(images).numpy()
    net.logit_scale = 1.0
    assert np.array_equal(small * 8, net(images).numpy())


def test_attention_mixes_tokens_by_softmax():
    layer = vit.Attention(dropout=0.0).eval()
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((1, 5, 256))
    qkv = tokens @ layer.qkv.weight.numpy().T.astype(float)
    q, k, v = (part.reshape(5, 4, 64).transpose(1, 0, 2) for part in np.split(qkv[0], 3, axis=1))
    weights = np.exp(q @ k.transpose(0, 2, 1) / 8)  # 8 = sqrt(64 features per head)
    mixed = (weights / weights.sum(-1, keepdims=True)) @ v
    expected = mixed.transpose(1, 0, 2).reshape(5, 256) @ layer.out.weight.numpy().T
    expected += layer.out.bias.numpy()
    out = layer(flow.tensor(tokens.astype(np.float32))).numpy()
    assert np.allclose(out[0], expected, atol=1e-4)


def test_stochastic_depth_drops_whole_images_by_the_seed_and_only_in_training():
    layer = vit.StochasticDepth(0.5)
    residual = flow.ones(64, 3, 4)

    def draw(seed):
        flow.manual_seed(seed)
        return layer(residual).numpy()

    first = draw(0)
    assert set(np.unique(first)) == {0, 2}
    assert (first == first[:, :1, :1]).all()
    assert (first == draw(0)).all() and (first != draw(1)).any()
    layer.eval()
    assert np.array_equal(draw(0), residual.numpy())


def test_the_trainer_sees_layers_that_draw_numbers():
    assert follow_seed(vit.Layer(dropout=0.0, drop_path=0.1))
    assert follow_seed(wide_resnet.wide_resnet(10, 1, 10, dropout=0.3))
    assert not follow_seed(wide_resnet.wide_resnet(10, 1, 10))


@pytest.mark.parametrize(
    ("build", "name", "std"),
    [
        (resnet.resnet20, "stages.2.0.residual.0.weight", math.sqrt(2 / (32 * 9))),
        (partial(vgg.VGG, (1,) * 5), "classifier.0.weight", 0.01),
        (partial(vgg.VGG, (1,) * 5), "stages.2.0.weight", math.sqrt(2 / (128 * 9))),
        (wide_resnet.wrn_16_8, "stages.2.0.residual.0.weight", math.sqrt(2 / (128 * 9))),
        (partial(densenet.DenseNetBC, (2, 2), 12), "stem.weight", math.sqrt(2 / (24 * 9))),
        (vit.vit_lite_7_4, "layers.0.mlp.1.weight", 0.02),
        (vit.vit_lite_7_4, "patches.weight", math.sqrt(2 / 48)),
        (vit.vit_lite_7_4, "positions", 0.2),
    ],
)
def test_first_weights_have_the_spread_that_the_files_name(build, name, std):
    flow.manual_seed(0)
    weights = dict(build(num_classes=10).named_parameters())[name].numpy()
    assert abs(weights.std() / std - 1) < 4 / math.sqrt(2 * weights.size)
