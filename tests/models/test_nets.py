"""What holds for every net of conf/model/, and for a net of flowvision in its place."""

import subprocess
import sys
from pathlib import Path

import hydra
import numpy as np
import oneflow as flow
import pytest
from omegaconf import OmegaConf

from engine.process.runtime import follow_seed

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "conf" / "model").glob("*.yaml"))

# What a net is trained on here: images so small that 2 x 2 positions are left at the end, where its
# last layer takes the mean over any number of them. The others need 32 x 32.
SIDES = dict.fromkeys(
    (
        *("resnet20", "resnet32", "resnet44", "resnet56", "resnet110"),
        *("preact_resnet110", "preact_resnet164", "wrn_28_10", "wrn_16_8", "wrn_40_4"),
        *("densenet_bc_100_12", "densenet_bc_190_40", "resnext29_8x64d", "resnext29_16x64d"),
    ),
    8,
) | dict.fromkeys(
    (
        *("resnet18", "resnet34", "resnet50", "se_resnet18", "se_resnet50", "preact_resnet18"),
        *("densenet_bc_121_12", "mobilenet_v2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0"),
        *("googlenet", "resnet9", "convmixer_256_8"),
    ),
    16,
)
# More than a billion multiply-adds for one image of 32 x 32: only `full` shows them whole images.
HEAVY = {
    *("densenet_bc_190_40", "resnet34", "resnet50", "resnext29_8x64d", "resnext29_16x64d"),
    *("se_resnet50", "wrn_16_8", "wrn_28_10", "wrn_40_4"),
}
# For the net behind conf/model/flowvision.yaml the same is a matter of its own key.
CHANGES = {"flowvision": {"image_size": 64}}
# By heart: 0.001, with Adam, is too much for three linear layers that start small. Without batch
# norm 16 layers make all images of fine noise alike, so that net is shown squares of 8 x 8 pixels.
LEARNING_RATES = dict.fromkeys(("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"), 3e-4)
LEARNING_RATES["vgg16"] = 1e-4
GRAINS = {"vgg16": 8}


def instantiate(path, num_classes=100, **changes):
    node = OmegaConf.merge(OmegaConf.load(path), changes)
    config = OmegaConf.create({"dataset": {"num_classes": num_classes}, "model": node})
    return hydra.utils.instantiate(config.model)


def images(size, side=32, seed=0):
    pixels = np.random.default_rng(seed).standard_normal((size, 3, side, side), np.float32)
    return flow.tensor(pixels)


def arrays(net):
    """A copy: the arrays of a state dict follow the net."""
    return {key: np.array(value.numpy()) for key, value in net.state_dict().items()}


def same(first, second):
    return [key for key in first if np.array_equal(first[key], second[key])]


def test_the_nets_are_there():
    names = {path.stem for path in FILES}
    depths = (18, 20, 32, 34, 44, 50, 56, 110)
    assert names >= {"convnet_tiny"} | {f"resnet{depth}" for depth in depths}


def test_the_papers_are_there():
    names = {path.stem for path in FILES}
    assert names >= {
        *("preact_resnet18", "preact_resnet110", "preact_resnet164"),
        *("wrn_28_10", "wrn_16_8", "wrn_40_4"),
        *("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "vgg16"),
        *("densenet_bc_100_12", "densenet_bc_190_40", "densenet_bc_121_12"),
        *("mobilenet_v2", "shufflenet_v2_x0_5", "shufflenet_v2_x1_0"),
        *("se_resnet18", "se_resnet50", "resnext29_8x64d", "resnext29_16x64d"),
        *("googlenet", "resnet9", "convmixer_256_8", "vit_lite_7_4", "flowvision"),
    }


# 164 layers of batch statistics over two images: not even 2e-4 along the gradient is a small step.
# That it learns is shown by the 64 images (full).
JAGGED = {"preact_resnet164"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_builds_a_net_that_is_what_its_header_says_and_learns(path):
    flow.manual_seed(0)
    net = instantiate(path, **CHANGES.get(path.stem, {})).eval()
    check_header(path, net)
    small = images(2, SIDES.get(path.stem, 32))
    check_evaluation(net, small if path.stem in HEAVY else images(2))
    check_training_step(net, small, falls=path.stem not in JAGGED)


def check_header(path, net):
    size = sum(parameter.numel() for parameter in net.parameters())
    header = path.read_text()
    assert f"# {size:,} parameters for 100 classes" in header
    assert f"# python train.py model={path.stem} " in header


def check_evaluation(net, batch, num_classes=100):
    before = arrays(net)
    with flow.no_grad():
        logits = net(batch).numpy()
    assert logits.shape == (len(batch), num_classes)
    assert np.isfinite(logits).all()
    assert same(before, arrays(net)) == list(before), "eval mode changed the net"


def check_training_step(net, batch, falls=True):
    """Every parameter gets a gradient, and a small step along it lowers the loss."""
    labels = flow.tensor([3, 1])
    follow_seed(net.train())

    def loss():
        flow.manual_seed(0)  # the same dropout each time
        return flow.nn.CrossEntropyLoss()(net(batch), labels)

    first = loss()
    first.backward()
    for name, parameter in net.named_parameters():
        assert np.isfinite(parameter.grad.numpy()).all(), name
        assert parameter.grad.numpy().any() or name.endswith("bias"), f"{name} has no gradient"
    norm = flow.nn.utils.clip_grad_norm_(net.parameters(), 1e9).item()
    flow.optim.SGD(net.parameters(), lr=2e-4 / norm).step()
    assert not falls or loss().item() < first.item()


@pytest.mark.full
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_net_learns_64_images_by_heart(path):
    """There is nothing to be understood in noise. Dropout would only blur the end."""
    flow.manual_seed(0)
    net = instantiate(path, 10, **CHANGES.get(path.stem, {})).train()
    for module in net.modules():
        if any(word in type(module).__name__ for word in ("Dropout", "StochasticDepth")):
            module.eval()
    grain = GRAINS.get(path.stem, 1)
    batch = images(64, SIDES.get(path.stem, 32) // grain)
    batch = batch.repeat_interleave(grain, 2).repeat_interleave(grain, 3)
    labels = flow.tensor(np.arange(64) % 10)  # of equal numbers, or one image takes long
    optimizer = flow.optim.Adam(net.parameters(), lr=LEARNING_RATES.get(path.stem, 0.001))
    for _ in range(150):
        logits = net(batch)
        if (logits.numpy().argmax(1) == labels.numpy()).all():
            return
        optimizer.zero_grad()
        flow.nn.CrossEntropyLoss()(logits, labels).backward()
        optimizer.step()
    pytest.fail(f"{(logits.numpy().argmax(1) == labels.numpy()).sum()} of 64 after 150 steps")


@pytest.mark.full
@pytest.mark.parametrize("num_classes", [10, 100])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_net_makes_a_row_of_logits_per_image(path, num_classes):
    check_evaluation(instantiate(path, num_classes).eval(), images(2), num_classes)


@pytest.mark.parametrize("name", ["convnet_tiny", "resnet20"])
@pytest.mark.parametrize(("size", "classes"), [(1, 10), (3, 100)])
def test_an_image_gets_the_same_logits_in_any_batch(name, size, classes):
    net = instantiate(ROOT / f"conf/model/{name}.yaml", num_classes=classes).eval()
    logits = net(images(4)).numpy()
    part = net(images(4)[:size]).numpy()
    assert part.shape == (size, classes)
    assert np.allclose(part, logits[:size], atol=1e-5)


@pytest.mark.parametrize("name", ["convnet_tiny", "resnet20"])
def test_training_mode_moves_the_running_statistics_and_reaches_every_parameter(name):
    net = instantiate(ROOT / f"conf/model/{name}.yaml")
    before = arrays(net)
    flow.nn.CrossEntropyLoss()(net(images(4)), flow.tensor([3, 1, 4, 1])).backward()
    buffers = {key for key, _ in net.named_buffers()}
    assert buffers
    assert set(before) - set(same(before, arrays(net))) == buffers
    for name, parameter in net.named_parameters():
        assert np.abs(parameter.grad.numpy()).max() > 0, f"{name} has no gradient"


@pytest.mark.parametrize("name", ["convnet_tiny", "resnet20"])
def test_the_seed_alone_decides_the_first_weights(name):
    def build(seed):
        flow.manual_seed(seed)
        return arrays(instantiate(ROOT / f"conf/model/{name}.yaml"))

    first, again, other = build(0), build(0), build(1)
    assert same(first, again) == list(first)
    drawn = {key for key in first if first[key].std() > 0}
    assert drawn and not drawn & set(same(first, other))


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1"])
def test_a_net_of_flowvision_takes_the_place_of_any_net(name):
    path = ROOT / "conf/model/convnet_tiny.yaml"
    net = instantiate(path, num_classes=7, _target_=f"flowvision.models.{name}").eval()
    assert tuple(net(images(1)).shape) == (1, 7)


def test_flowvision_is_not_imported_before_it_is_asked_for():
    code = (
        "import engine, models.resnet, models.flowvision, sys; print('flowvision' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
