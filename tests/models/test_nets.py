"""What holds for every net of conf/model/, and for a net of flowvision in its place."""

import subprocess
import sys
from pathlib import Path

import hydra
import numpy as np
import oneflow as flow
import pytest
from omegaconf import OmegaConf

ROOT = Path(__file__).parent.parent.parent
FILES = sorted((ROOT / "conf" / "model").glob("*.yaml"))


def instantiate(path, num_classes=100, **changes):
    node = OmegaConf.merge(OmegaConf.load(path), changes)
    config = OmegaConf.create({"dataset": {"num_classes": num_classes}, "model": node})
    return hydra.utils.instantiate(config.model)


def images(size, seed=0):
    pixels = np.random.default_rng(seed).standard_normal((size, 3, 32, 32), np.float32)
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


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_builds_a_net_of_the_size_in_its_header(path):
    net = instantiate(path).eval()
    size = sum(parameter.numel() for parameter in net.parameters())
    header = path.read_text()
    assert f"# {size:,} parameters for 100 classes" in header
    assert f"# python train.py model={path.stem} " in header
    before = arrays(net)
    with flow.no_grad():
        logits = net(images(2)).numpy()
    assert logits.shape == (2, 100)
    assert np.isfinite(logits).all()
    assert same(before, arrays(net)) == list(before), "eval mode changed the net"


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
    net = instantiate(FILES[0], num_classes=7, _target_=f"flowvision.models.{name}").eval()
    assert tuple(net(images(1)).shape) == (1, 7)


def test_flowvision_is_not_imported_before_it_is_asked_for():
    code = "import engine, models.convnet, models.resnet, sys; print('flowvision' in sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "False"
