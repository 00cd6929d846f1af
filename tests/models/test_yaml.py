"""Every model of conf/model/, and a model of flowvision in its place."""

import hydra
import numpy as np
import oneflow as flow
import pytest
from omegaconf import OmegaConf

from engine.process.runtime import follow_seed
from tests.conftest import ROOT
from tests.models.test_references import SIZES

FILES = {path.stem: path for path in sorted((ROOT / "conf/model").glob("*.yaml"))}

# Sides of the images here: so small that 2 x 2 positions are left at the end, where the last layer
# takes the mean over any number of them. The others need 32 x 32.
WHOLE = [name for name in FILES if name.startswith(("convnet", "vgg", "vit", "flow"))]
SIDES = dict.fromkeys(FILES, 16) | dict.fromkeys(WHOLE, 32)
THIN = "resnet20 resnet32 resnet44 resnet56 resnet110 preact_resnet110 preact_resnet164 wrn_28_10 "
THIN += "wrn_16_8 wrn_40_4 densenet_bc_100_12 densenet_bc_190_40 resnext29_8x64d resnext29_16x64d"
SIDES |= dict.fromkeys(THIN.split(), 8)
# Plain, residual, and with attention and dropout: these are trained by default, `full` trains all.
TRAINED = ("convnet_tiny", "resnet20", "vit_lite_7_4")
# By heart: 0.001, with Adam, is too much for three linear layers that start small. Without batch
# norm 16 layers make all images of fine noise alike, so that model gets squares of 8 x 8 pixels.
LEARNING_RATES = {name: 3e-4 for name in FILES if name.startswith("vgg")} | {"vgg16": 1e-4}
GRAINS = {"vgg16": 8}
# 164 layers of batch statistics over two images: not even 2e-4 along the gradient is a small step.
# That it learns is shown by the 64 images (full).
JAGGED = {"preact_resnet164"}


def build(name, num_classes=100, seed=0, **changes):
    if name == "flowvision":
        changes = {"image_size": 64} | changes
    node = OmegaConf.merge(OmegaConf.load(FILES[name]), changes)
    config = OmegaConf.create({"dataset": {"num_classes": num_classes}, "model": node})
    flow.manual_seed(seed)
    return hydra.utils.instantiate(config.model)


def images(size, side=32):
    pixels = np.random.default_rng(0).standard_normal((size, 3, side, side), np.float32)
    return flow.tensor(pixels)


def arrays(model):
    """A copy: the arrays of a state dict follow the model."""
    return {key: np.array(value.numpy()) for key, value in model.state_dict().items()}


def same(first, second):
    return {key for key in first if np.array_equal(first[key], second[key])}


def check_logits(name, batch, num_classes=100, model=None):
    with flow.no_grad():
        logits = (model or build(name, num_classes)).eval()(batch).numpy()
    assert logits.shape == (len(batch), num_classes), name
    assert np.isfinite(logits).all(), name


def check_training_step(name, batch):
    """Every parameter gets a gradient, and a small step along it lowers the loss."""
    model, labels = build(name).train(), flow.tensor([3, 1])
    follow_seed(model)
    before = arrays(model)

    def loss():
        flow.manual_seed(0)  # the same dropout each time
        return flow.nn.CrossEntropyLoss()(model(batch), labels)

    first = loss()
    first.backward()
    buffers = {key for key, _ in model.named_buffers()}
    assert before.keys() - same(before, arrays(model)) == buffers, "running statistics alone move"
    for key, parameter in model.named_parameters():
        assert np.isfinite(parameter.grad.numpy()).all(), key
        assert parameter.grad.numpy().any() or key.endswith("bias"), f"{key} has no gradient"
    norm = flow.nn.utils.clip_grad_norm_(model.parameters(), 1e9).item()
    flow.optim.SGD(model.parameters(), lr=2e-4 / norm).step()
    assert name in JAGGED or loss().item() < first.item()


def test_every_file_builds_the_model_of_its_header():
    assert FILES.keys() - SIZES.keys() == {"preact_resnet20", "preact_resnet50", "flowvision"}
    for name, path in FILES.items():
        model = build(name)
        size = sum(parameter.numel() for parameter in model.parameters())
        header = path.read_text()
        assert f"# {size:,} parameters for 100 classes" in header, name
        assert f"# python train.py model={name} " in header, name
        if name in SIZES:
            layers = [m for m in model.modules() if isinstance(m, flow.nn.Linear)]
            per_class = sum(parameter[0].numel() for parameter in layers[-1].parameters())
            assert (size - 90 * per_class, size) == SIZES[name], name
        check_logits(name, images(2, SIDES[name]), model=model)


@pytest.mark.parametrize("name", TRAINED)
def test_a_model_trains_and_its_evaluation_changes_nothing(name):
    check_training_step(name, images(2, SIDES[name]))
    model = build(name, num_classes=10).eval()
    before = arrays(model)
    logits = model(images(4)).numpy()
    assert same(before, arrays(model)) == before.keys()
    assert np.allclose(model(images(4)[:1]).numpy(), logits[:1], atol=1e-5)  # in any batch


@pytest.mark.parametrize("name", TRAINED)
def test_the_seed_alone_decides_the_first_weights(name):
    first, again, other = (arrays(build(name, seed=seed)) for seed in (0, 0, 1))
    assert same(first, again) == first.keys()
    drawn = {key for key in first if first[key].std() > 0}
    assert drawn and not drawn & same(first, other)


def test_a_model_of_flowvision_takes_the_place_of_any_model():
    target = "flowvision.models.squeezenet1_1"
    check_logits("", images(1), 7, model=build("convnet_tiny", 7, _target_=target))


@pytest.mark.full
@pytest.mark.parametrize("name", FILES)
def test_every_model_makes_logits_for_whole_images_and_trains(name):
    for num_classes in (10, 100):
        check_logits(name, images(2), num_classes)
    check_training_step(name, images(2, SIDES[name]))


@pytest.mark.full
@pytest.mark.parametrize("name", FILES)
def test_every_model_learns_64_images_by_heart(name):
    """There is nothing to be understood in noise. Dropout would only blur the end."""
    model = build(name, 10).train()
    for module in model.modules():
        if any(word in type(module).__name__ for word in ("Dropout", "StochasticDepth")):
            module.eval()
    grain = GRAINS.get(name, 1)
    batch = images(64, SIDES[name] // grain)
    batch = batch.repeat_interleave(grain, 2).repeat_interleave(grain, 3)
    labels = flow.tensor(np.arange(64) % 10)  # of equal numbers, or one image takes long
    optimizer = flow.optim.Adam(model.parameters(), lr=LEARNING_RATES.get(name, 0.001))
    for _ in range(150):
        logits = model(batch)
        if (logits.numpy().argmax(1) == labels.numpy()).all():
            return
        optimizer.zero_grad()
        flow.nn.CrossEntropyLoss()(logits, labels).backward()
        optimizer.step()
    pytest.fail(f"{(logits.numpy().argmax(1) == labels.numpy()).sum()} of 64 after 150 steps")
