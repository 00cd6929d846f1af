"""The shared pieces: convolutions against plain sums, biases, first weights, refusals."""

import hashlib
import math

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from models import convnet, resnet, resnet9, vit
from models.layers import BiasedConv, conv, initialize_convs


def plain_conv(images, weights, stride, groups):
    """The definition, one output number at a time, padded to keep the size at stride 1."""
    out_channels, group_in, size, _ = weights.shape
    pad = size // 2
    padded = np.pad(images, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    side = (images.shape[2] + 2 * pad - size) // stride + 1
    out = np.zeros((len(images), out_channels, side, side))
    for channel, row, column in np.ndindex(out_channels, side, side):
        first = channel // (out_channels // groups) * group_in
        window = padded[:, first : first + group_in, row * stride :, column * stride :]
        out[:, channel, row, column] = (window[:, :, :size, :size] * weights[channel]).sum(
            (1, 2, 3)
        )
    return out


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "size", "stride", "groups"),
    # plain; ResNeXt; depthwise in MobileNetV2 and ShuffleNetV2; ConvMixer
    [(4, 6, 3, 1, 1), (4, 6, 3, 2, 2), (4, 4, 3, 1, 4), (4, 4, 3, 2, 4), (3, 3, 5, 1, 3)],
)
def test_grouped_convolutions_and_their_gradients_are_right(
    in_channels, out_channels, size, stride, groups
):
    rng = np.random.default_rng(0)
    images = rng.standard_normal((2, in_channels, 6, 6))
    layer = conv(in_channels, out_channels, size, stride, groups)
    weights = rng.standard_normal(layer.weight.shape)
    layer.weight.data.copy_(flow.tensor(weights.astype(np.float32)))
    inputs = flow.tensor(images.astype(np.float32), requires_grad=True)

    expected = plain_conv(images, weights, stride, groups)
    out = layer(inputs)
    assert np.allclose(out.numpy(), expected, atol=1e-4)

    # Convolution is linear in each: the gradient along a direction is the convolution with it.
    slope = rng.standard_normal(expected.shape)
    (out * flow.tensor(slope.astype(np.float32))).sum().backward()
    for _ in range(3):
        direction = rng.standard_normal(weights.shape)
        along = (plain_conv(images, direction, stride, groups) * slope).sum()
        assert math.isclose((layer.weight.grad.numpy() * direction).sum(), along, abs_tol=1e-3)
        direction = rng.standard_normal(images.shape)
        along = (plain_conv(direction, weights, stride, groups) * slope).sum()
        assert math.isclose((inputs.grad.numpy() * direction).sum(), along, abs_tol=1e-3)


@pytest.mark.parametrize("settings", [{"padding": 1}, {"stride": 2}, {"groups": 2, "padding": 1}])
def test_a_biased_convolution_is_oneflows(settings):
    images = flow.tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32))
    ours, theirs = BiasedConv(4, 8, 3, **settings), nn.Conv2d(4, 8, 3, **settings)
    theirs.load_state_dict(ours.state_dict())
    for layer in (ours, theirs):
        (layer(images) ** 2).sum().backward()
    assert np.abs(ours.bias.numpy()).min() > 0
    assert np.allclose(ours(images).numpy(), theirs(images).numpy(), atol=1e-5)
    for name in ("weight", "bias"):
        ours_grad, theirs_grad = (getattr(layer, name).grad.numpy() for layer in (ours, theirs))
        assert np.allclose(ours_grad, theirs_grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("mode", "groups", "variance"),  # all groups count
    [("fan_out", 1, 2 / (64 * 9)), ("fan_in", 1, 2 / (32 * 9)), ("fan_out", 32, 2 / (64 * 9))],
)
def test_convolutions_start_with_the_variance_of_he_et_al(mode, groups, variance):
    flow.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(32, 64, 3, groups=groups))
    initialize_convs(net, mode)
    weights = net[0].weight.numpy()
    error = 1 / math.sqrt(2 * weights.size)  # of a standard deviation, relative
    assert abs(weights.std() / math.sqrt(variance) - 1) < 4 * error
    assert not net[0].bias.numpy().any()


@pytest.mark.parametrize(
    ("build", "digest"),
    [
        (convnet.convnet_tiny, "2f2dd2d5f0959249"),
        (resnet.resnet20, "df01d3efad734295"),
        (vit.vit_lite_7_4, "461b228155cfd850"),
    ],
)
def test_the_first_weights_of_a_seed_stay_what_they_are(build, digest):
    flow.manual_seed(0)
    tensors = build(num_classes=100).state_dict().values()
    content = b"".join(tensor.numpy().tobytes() for tensor in tensors)
    assert hashlib.sha256(content).hexdigest()[:16] == digest


def test_an_impossible_number_of_classes_is_refused_in_one_sentence():
    for build in (convnet.convnet_tiny, resnet.resnet20, resnet9.resnet9, vit.vit_lite_7_4):
        with pytest.raises(
            ValueError, match=r"^num_classes=0: expected an integer of at least 1\.$"
        ):
            build(0)
