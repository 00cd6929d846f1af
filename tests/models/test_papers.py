"""Properties of the papers' blocks, on small ones."""

import math
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
    inputs = np.arange(2 * 3 * 4 * 4, dtype=np.float32).reshape(2, 3, 4, 4) + 1
    out = shortcut(flow.tensor(inputs)).numpy()
    assert out.shape == (2, 5, 2, 2)
    assert out[0, 0].tolist() == [[1, 3], [9, 11]]
    assert np.array_equal(out[:, :3], inputs[:, :, ::2, ::2])
    assert not out[:, 3:].any()


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_a_block_with_a_zero_residual_is_its_shortcut(shortcut):
    block = resnet.basic(4, 8, stride=2, shortcut=shortcut).eval()
    nn.init.zeros_(block.residual[-1].weight)
    expected = np.maximum(block.shortcut(features(4)).numpy(), 0)
    assert np.array_equal(block(features(4)).numpy(), expected)
    assert type(resnet.build_shortcut(16, 16, 1, shortcut)) is nn.Identity


@pytest.mark.parametrize(
    ("build", "arguments", "sentence"),
    [
        (resnet.resnet20, {"shortcut": "C"}, "shortcut='C': expected A or B."),
        (convmixer.convmixer_256_8, {"kernel_size": 4}, "kernel_size=4: expected an odd number."),
        (
            convmixer.convmixer_256_8,
            {"patch_size": 3},
            "patch_size=3: expected 1, 2, 4, 8, 16 or 32.",
        ),
        (
            convmixer.convmixer_256_8,
            {"patch_size": 0},
            "patch_size=0: expected 1, 2, 4, 8, 16 or 32.",
        ),
        (wide_resnet.wrn_16_8, {"dropout": 1.0}, "dropout=1.0: expected at least 0 and below 1."),
        *(
            (partial(wide_resnet.wide_resnet, depth, 1), {}, f"depth={depth}: expected 6n + 4")
            for depth in (27, 4)
        ),
    ],
)
def test_impossible_settings_are_refused_in_one_sentence(build, arguments, sentence):
    with pytest.raises(ValueError) as error:
        build(num_classes=10, **arguments)
    assert str(error.value).startswith(sentence)


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


def test_the_stride_of_a_bottleneck_is_at_its_3x3_convolution():
    strides = [
        m.stride[0] for m in resnet.bottleneck(8, 4, 2, "B").residual if hasattr(m, "stride")
    ]
    assert strides == [1, 2, 1]


def test_a_preact_block_adds_to_features_that_nothing_has_touched():
    block = preact_resnet.basic(4, 4, stride=1)
    nn.init.zeros_(block.residual[-1].weight)
    assert np.array_equal(block(features(4)).numpy(), features(4).numpy())


def test_a_preact_shortcut_that_changes_the_shape_sees_the_activated_features():
    block = preact_resnet.basic(4, 8, stride=2).eval()  # a fresh norm in eval mode changes nothing
    nn.init.zeros_(block.residual[-1].weight)
    # 1 / sqrt(1 + 1e-5) is what the norm's epsilon leaves
    activated = flow.relu(features(4)) / math.sqrt(1 + 1e-5)
    expected = block.shortcut(activated).numpy()
    assert np.allclose(block(features(4)).numpy(), expected, atol=1e-6)


def test_dropout_stands_between_the_two_convolutions_of_a_wide_block():
    residual = wide_resnet.wide_block(4, 8, 1, dropout=0.3).residual
    kinds = [type(module).__name__ for module in residual]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU", "Dropout", "Conv2d"]
    assert residual[3].p == 0.3
    net = wide_resnet.wide_resnet(10, 1, 10)
    assert not [module for module in net.modules() if isinstance(module, nn.Dropout)]


def test_a_dense_layer_keeps_what_came_in_and_adds_behind():
    layer = densenet.DenseLayer(6, growth=2)
    out = layer(features(6)).numpy()
    assert out.shape == (2, 8, 4, 4)
    assert np.array_equal(out[:, :6], features(6).numpy())


def test_an_inverted_residual_adds_only_where_the_shape_stays():
    for in_channels, out_channels, stride, adds in ((4, 4, 1, 1), (4, 4, 2, 0), (4, 6, 1, 0)):
        block = mobilenet_v2.InvertedResidual(in_channels, out_channels, stride, expansion=6)
        nn.init.zeros_(block.residual[-1].weight)
        out = block(features(in_channels)).numpy()
        assert out.shape == (2, out_channels, 4 // stride, 4 // stride)
        assert np.array_equal(out, features(in_channels).numpy() if adds else np.zeros_like(out))


def test_the_narrow_end_of_an_inverted_residual_has_no_relu():
    block = mobilenet_v2.InvertedResidual(4, 6, 1, expansion=6)
    kinds = [type(module).__name__ for module in block.residual]
    up, filtering = ["Conv2d", "BatchNorm2d", "ReLU6"], ["Conv2d", "BatchNorm2d", "ReLU6"]
    assert kinds == [*up, *filtering, "Conv2d", "BatchNorm2d"]


def test_shuffling_takes_turns_between_the_halves():
    channels = flow.tensor(np.arange(6, dtype=np.float32)).reshape(1, 6, 1, 1)
    assert shufflenet_v2.shuffle(channels).numpy().ravel().tolist() == [0, 3, 1, 4, 2, 5]


def test_half_of_the_channels_pass_a_shuffle_block_untouched():
    block = shufflenet_v2.ShuffleBlock(8, 8, 1)
    out = block(features(8)).numpy()
    assert np.array_equal(out[:, ::2], features(8).numpy()[:, :4])


def test_a_scale_is_one_factor_per_channel_between_0_and_1():
    scale = se_resnet.SqueezeExcitation(32)
    ratio = scale(features(32)).numpy() / features(32).numpy()
    assert np.allclose(ratio, ratio[:, :, :1, :1], atol=1e-4)
    assert 0 < ratio.min() < ratio.max() < 1
    nn.init.zeros_(scale.excitation[2].weight)
    nn.init.zeros_(scale.excitation[2].bias)
    assert np.allclose(scale(features(32)).numpy(), features(32).numpy() / 2)  # sigmoid(0)


@pytest.mark.parametrize("block", [resnet.basic, resnet.bottleneck])
def test_the_scale_ends_the_residual(block):
    residual = se_resnet.scaled(block, 32, 32, 1, "B").residual
    assert type(residual[-1]) is se_resnet.SqueezeExcitation
    assert type(residual[-2]) is nn.BatchNorm2d


def test_a_resnext_block_has_groups_as_wide_as_its_name_says():
    block = resnext.grouped_bottleneck(256, 128, 2, "B", cardinality=8, base_width=64)
    grouped = block.residual[3]
    assert (grouped.groups, grouped.out_channels // grouped.groups) == (8, 128)  # stage 2: 2 * 64
    assert (block.out_channels, grouped.stride) == (512, (2, 2))


def test_the_branches_of_an_inception_module_stand_side_by_side():
    module = googlenet.Inception(8, (1, 2, 3, 4, 5, 6))
    assert module.out_channels == 1 + 3 + 5 + 6
    assert module(features(8)).shape == (2, 15, 4, 4)
    ends = [googlenet.Inception(480, googlenet.STAGES[1][0]).out_channels]
    assert ends == [512]  # table 1, inception (4a)


def test_the_logits_of_resnet9_are_an_eighth():
    net = resnet9.ResNet9(10, 0.125).eval()
    images = features(3, 32)
    small = net(images).numpy()
    net.logit_scale = 1.0
    assert np.array_equal(small * 8, net(images).numpy())


def test_a_mixer_layer_has_a_shortcut_around_the_positions_only():
    layer = convmixer.mixer_layer(4, 5)
    around = layer[0]
    nn.init.zeros_(around.residual[2].weight)
    assert np.array_equal(around(features(4)).numpy(), features(4).numpy())
    assert layer(features(4)).shape == (2, 4, 4, 4)


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
    assert np.array_equal(first, np.broadcast_to(first[:, :1, :1], first.shape))
    assert np.array_equal(first, draw(0)) and not np.array_equal(first, draw(1))
    layer.eval()
    assert np.array_equal(draw(0), residual.numpy())


def test_the_trainer_sees_layers_that_draw_numbers():
    assert follow_seed(vit.Layer(dropout=0.0, drop_path=0.1))
    assert follow_seed(wide_resnet.wide_resnet(10, 1, 10, dropout=0.3))
    assert not follow_seed(wide_resnet.wide_resnet(10, 1, 10))


@pytest.mark.parametrize(
    ("build", "name", "std"),
    [
        (lambda: resnet.resnet20(10), "stages.2.0.residual.0.weight", math.sqrt(2 / (32 * 9))),
        (lambda: vgg.VGG((1, 1, 1, 1, 1), 10), "classifier.0.weight", 0.01),
        (lambda: vgg.VGG((1, 1, 1, 1, 1), 10), "stages.2.0.weight", math.sqrt(2 / (128 * 9))),
        (
            lambda: wide_resnet.wide_resnet(10, 2, 10),
            "stages.2.0.residual.0.weight",
            math.sqrt(2 / 288),
        ),
        (lambda: densenet.DenseNetBC((2, 2), 12, 10), "stem.weight", math.sqrt(2 / (24 * 9))),
        (lambda: vit.vit_lite_7_4(10), "layers.0.mlp.1.weight", 0.02),
        (lambda: vit.vit_lite_7_4(10), "patches.weight", math.sqrt(2 / 48)),
        (lambda: vit.vit_lite_7_4(10), "positions", 0.2),
    ],
)
def test_first_weights_have_the_spread_that_the_files_name(build, name, std):
    flow.manual_seed(0)
    weights = dict(build().named_parameters())[name].numpy()
    assert abs(weights.std() / std - 1) < 4 / math.sqrt(2 * weights.size)
