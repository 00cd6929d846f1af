"""flowvision's classifiers by name: which, how large the images, and what comes out."""

import numpy as np
import oneflow as flow
import pytest
from oneflow import nn

from models.flowvision import ResizedNet, flowvision_net


class Probe(nn.Module):
    """Keeps what it sees and answers with `answer`, given the number of images."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        self.seen = images
        return self.answer(len(images))


def resized(answer, image_size=8, name="probe"):
    return ResizedNet(Probe(answer), name, 5, image_size)


def test_images_are_resized_bilinearly_on_their_way_in():
    """Doubled, a pixel's centre lies a quarter of a pixel off: 3/4 of one and 1/4 of the next."""
    net = resized(lambda n: flow.zeros(n, 5))
    images = np.zeros((2, 3, 4, 4), np.float32)
    images[:, :, :, 2:] = 4.0
    assert net(flow.tensor(images)).shape == (2, 5)
    assert net.net.seen.shape == (2, 3, 8, 8)
    assert net.net.seen[0, 0, 0].numpy().tolist() == [0, 0, 0, 1, 3, 4, 4, 4]
    right = flow.ones(1, 3, 8, 8)
    net(right)
    assert net.net.seen is right


def refuse(n):
    raise AssertionError("Input image height (8) doesn't match model (224).")


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (lambda n: flow.zeros(n, 6), "name='probe': expected a model with 5 logits, not (6,)."),
        (lambda n: flow.zeros(n), "name='probe': expected a model with 5 logits, not ()."),
        (
            lambda n: (flow.zeros(n, 5), 1),
            "name='probe': expected a model with 5 logits, not tuple.",
        ),
        (
            refuse,
            "image_size=8: expected a size that flowvision's probe accepts. Input image height (8) "
            "doesn't match model (224).",
        ),
    ],
)
def test_other_outputs_and_other_sizes_are_refused(answer, sentence):
    with pytest.raises(ValueError) as error:
        resized(answer)(flow.zeros(2, 3, 4, 4))
    assert str(error.value).replace(" per image", "") == sentence


def test_auxiliary_outputs_of_googlenet_are_left_out():
    net = resized(lambda n: (flow.ones(n, 5), None, None), name="googlenet")
    assert net(flow.zeros(2, 3, 4, 4)).numpy().tolist() == [[1] * 5] * 2


CLASSIFIER = "a classifier of flowvision."


@pytest.mark.parametrize(
    ("settings", "key", "wanted"),
    [
        ({"name": "resnet5O"}, "name='resnet5O'", f"{CLASSIFIER} Did you mean resnet50?"),
        ({"name": "???"}, "name='???'", CLASSIFIER),
        # flowvision has it, as a detector
        ({"name": "fasterrcnn_resnet50_fpn"}, "name='fasterrcnn_resnet50_fpn'", CLASSIFIER),
        ({"image_size": 31}, "image_size=31", "an integer from 32 to 1024."),
        ({"image_size": 1025}, "image_size=1025", "an integer from 32 to 1024."),
        ({"image_size": 64.0}, "image_size=64.0", "an integer from 32 to 1024."),
        ({"name": "dla34"}, "image_size=64", "an integer from 224 to 1024."),
        ({"name": "inception_v3"}, "image_size=64", "an integer from 75 to 1024."),
        ({"num_classes": 0}, "num_classes=0", "an integer of at least 1."),
    ],
)
def test_wrong_settings_are_refused_in_one_sentence(settings, key, wanted):
    with pytest.raises(ValueError) as error:
        flowvision_net(**{"num_classes": 10, "name": "resnet18", "image_size": 64} | settings)
    assert str(error.value).startswith(f"{key}: expected {wanted}")


SIZES = {"alexnet": 63, "googlenet": 64, "inception_v3": 75, "dla34": 224, "densenet121": 64}
SIZES |= {"mobilenet_v3_small": 96, "efficientnet_b0": 64, "vit_tiny_patch16_224": 224}
SIZES |= {"swin_tiny_patch4_window7_224": 224}
FULL = [pytest.param(*pair, marks=pytest.mark.full) for pair in SIZES.items()]


@pytest.mark.parametrize(("name", "image_size"), [("squeezenet1_1", 64), *FULL])
def test_models_of_many_families_train(name, image_size):
    net = flowvision_net(10, name, image_size)
    pixels = np.random.default_rng(0).standard_normal((2, 3, 32, 32), np.float32)
    images = flow.tensor(pixels)  # of ones, norms would make zeros: no gradient comes through
    for training in (False, True):
        assert net.train(training)(images).shape == (2, 10)
    net(images).sum().backward()
    assert np.abs(next(net.parameters()).grad.numpy()).max() > 0
