"""The loop: the clock, what is recorded, that it computes what a plain loop computes, and stops."""

import json
import signal
from functools import partial

import numpy as np
import oneflow as flow
import pytest
from oneflow.optim.lr_scheduler import ExponentialLR, LambdaLR, ReduceLROnPlateau
from safetensors.numpy import load_file

from engine.process.signals import Interruption
from engine.recorder import Recorder
from engine.trainer import Trainer
from engine.update import count_hits
from tests.conftest import Run

CLASSES, PIXELS = 6, 12


class Batches:
    """Fixed batches of 4: `images` in all, multiplied by a factor at some steps of a run."""

    def __init__(self, images=10, seed=0, factors=()):
        random = np.random.default_rng(seed)
        self.images = random.standard_normal((images, PIXELS)).astype("float32")
        self.labels = random.integers(0, CLASSES, images)
        self.factors = dict(factors)

    def __len__(self):
        return -(-len(self.images) // 4)

    def epoch(self, epoch=0, start_step=0):
        for step in range(start_step, len(self)):
            part = slice(4 * step, 4 * step + 4)
            factor = self.factors.get(epoch * len(self) + step, 1.0)
            yield flow.tensor(self.images[part]) * factor, flow.tensor(self.labels[part])


def build_trainer(
    folder, scheduler=None, model=None, train=None, val=None, log_every=4, **settings
):
    """Seven steps in epochs of three, evaluated after 3, 6 and 7; the rate halves at each step."""
    flow.manual_seed(0)
    model = model or flow.nn.Linear(PIXELS, CLASSES)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = (scheduler or (lambda optimizer: ExponentialLR(optimizer, 0.5)))(optimizer)
    settings = {"stop_step": 7, "eval_every": 3, "checkpoint_every": 3} | settings
    val = Batches(seed=1) if val is None else val
    loaders = {"train": train or Batches(), "val": val, "test": Batches(seed=2)}
    recorder = Recorder(folder, settings["stop_step"], log_every)
    return Trainer(model, optimizer, schedule, loaders, recorder, **settings)


def fit(trainer):
    with trainer.recorder:
        trainer.fit()
    return trainer


def points(folder):
    return Run(folder, None).curves


def weights(trainer):
    return {name: tensor.numpy().copy() for name, tensor in trainer.model.state_dict().items()}


def check_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=str(name))


@pytest.mark.parametrize(("smoothing", "norm"), [(0.0, None), (0.5, 0.01)])
def test_a_run_is_that_of_a_plain_loop_and_every_step_has_its_points(tmp_path, smoothing, norm):
    settings = {"label_smoothing": smoothing, "clip_grad_norm": norm}
    trainer = fit(build_trainer(tmp_path, **settings))
    flow.manual_seed(0)
    model = flow.nn.Linear(PIXELS, CLASSES)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for step, (images, labels) in enumerate(([*Batches().epoch()] * 3)[:7]):
        optimizer.param_groups[0]["lr"] = 0.1 * 0.5**step
        loss = flow.nn.CrossEntropyLoss(label_smoothing=smoothing)(model(images), labels)
        loss.backward()
        if norm:
            flow.nn.utils.clip_grad_norm_(model.parameters(), norm)
        optimizer.step()
        optimizer.zero_grad()
        losses.append((step, float(loss.numpy())))
    np.testing.assert_array_equal(trainer.model.weight.numpy(), model.weight.numpy())
    curves = points(tmp_path)
    assert curves["train/loss"] == losses
    assert trainer.applied == [[0.1 * 0.5**step] for step in range(7)]
    assert curves["lr/group0"] == [(k, float(np.float32(0.1 * 0.5**k))) for k in range(7)]
    steps = {tag: [step for step, _ in values] for tag, values in curves.items()}
    assert steps["train/top1"] == list(range(7))
    assert steps["val/loss"] == steps["val/top1"] == steps["val/top5"] == [3, 6, 7]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["epoch"]) for line in lines] == [(3, 1), (6, 2), (7, 7 / 3)]
    assert {"val/loss", "val/top1", "val/top5", "train/loss", "train/top1"} <= set(lines[0])
    # 4 + 4 + 2 images in the three steps of the first epoch
    mean = np.average([loss for _, loss in losses[:3]], weights=[4, 4, 2])
    assert lines[0]["train/loss"] == pytest.approx(mean)
    for log_every in (1, 100):  # how often values are fetched changes none
        fit(build_trainer(tmp_path / str(log_every), log_every=log_every, **settings))
        again = points(tmp_path / str(log_every))
        assert [tag for tag in curves if again[tag] != curves[tag]] == ["speed/images_per_second"]


class Fixed(flow.nn.Module):
    """Logits that are the images' first columns, whatever is trained."""

    def __init__(self):
        super().__init__()
        self.zero = flow.nn.Parameter(flow.zeros(1))

    def forward(self, images):
        return images[:, :CLASSES] + 0 * self.zero


class BadBackward(Fixed):
    """Finite logits whose gradient is nan: the slope of a square root at 0 is infinite."""

    def forward(self, images):
        return super().forward(images) + flow.sqrt(0 * self.zero)


class Scripted(Batches):
    """Five images of logits 6 5 4 3 2 1, and other labels at each evaluation."""

    def __init__(self, *labels):
        super().__init__(images=5)
        self.images[:, :CLASSES] = np.arange(CLASSES, 0, -1)
        self.script = iter(labels)

    def epoch(self, *position):
        self.labels[:] = next(self.script)
        return super().epoch(*position)


# The largest logit is that of class 0: top-1 is the share of zeros.
ONE, THREE = [0, 1, 1, 1, 5], [0, 0, 0, 1, 5]


@pytest.mark.parametrize(
    ("labels", "top1", "top5", "ranks"),
    [
        (
            [0, 0, 0, 0, 5],
            80,
            80,
            [1, 1, 1, 1, 6],
        ),  # the mean of the two batches' means would be 50 %
        ([1, 2, 3, 4, 5], 0, 80, [2, 3, 4, 5, 6]),
    ],
)
def test_figures_are_of_sums_not_of_batch_means(tmp_path, labels, top1, top5, ranks):
    loader = Scripted(labels)
    trainer = build_trainer(tmp_path, model=Fixed(), label_smoothing=0.5)  # for training only
    metrics = trainer.evaluate(loader)
    assert (metrics["top1"], metrics["top5"]) == (pytest.approx(top1), pytest.approx(top5))
    log_sum = np.log(np.exp(np.arange(1, 7)).sum())
    assert metrics["loss"] == pytest.approx(log_sum - 7 + np.mean(ranks), rel=1e-5)


def test_hits_are_shares_of_the_guessed_class():
    guesses = flow.tensor([2, 0, 1])
    assert count_hits(guesses, flow.tensor([2, 1, 1])).tolist() == [1.0, 0.0, 1.0]
    shares = flow.tensor([[0.0, 0.25, 0.75], [0.0, 1.0, 0.0], [0.5, 0.5, 0.0]])
    assert count_hits(guesses, shares).tolist() == [0.75, 0.0, 0.5]


def test_best_is_the_first_of_equals_and_kept_apart(tmp_path):
    trainer = fit(build_trainer(tmp_path, model=Fixed(), val=Scripted(ONE, THREE, THREE)))
    assert (trainer.best["step"], trainer.last["step"]) == (6, 7)
    links = [(tmp_path / "checkpoints" / name).resolve().name for name in ("best", "last")]
    assert links == ["step_00000006", "step_00000007"]


@pytest.mark.parametrize(("mode", "metric"), [("min", "loss"), ("max", "top1")])
def test_plateau_steps_once_per_evaluation(tmp_path, mode, metric):
    """Flat metric, patience 0: the first call sets the best, each later one halves the rate."""
    plateau = partial(ReduceLROnPlateau, mode=mode, factor=0.5, patience=0)
    trainer = fit(build_trainer(tmp_path, plateau, Fixed(), val=Scripted(ONE, ONE, ONE)))
    assert trainer.applied == [[0.1]] * 6 + [[0.05]]  # evaluations after 3, 6 and 7 updates
    assert trainer.rates == [0.025]
    assert trainer.plateau_metrics == dict.fromkeys((3, 6, 7), trainer.last[metric])


def jump(factor, optimizer):
    """Return a schedule that multiplies the rate at step 2 alone."""
    return LambdaLR(optimizer, lambda step: factor if step == 2 else 1)


@pytest.mark.parametrize(
    ("bad_step", "factor", "log_every", "settings", "message", "saved"),
    [
        (4, 1, 20, {}, "loss of step 4 is nan at learning rate 0.1: try a lower", 4),
        (4, 1, 1, {}, "loss of step 4 is nan", 4),
        (9, 1e40, 20, {"checkpoint_every": 1}, r"weights .* after step 2 at .* rate 1e\+39:", 2),
        # finite weights, whose next logits are not
        (9, 1e39, 20, {}, "loss of step 3 is (nan|inf) at learning rate 0.1:", 2),
    ],
)
def test_what_is_not_finite_stops_the_run_and_the_last_checkpoint_is_sound(
    tmp_path, bad_step, factor, log_every, settings, message, saved
):
    settings = {"stop_step": 9, "eval_every": 100, "checkpoint_every": 2} | settings
    settings |= {"scheduler": partial(jump, factor), "log_every": log_every}
    train = Batches(factors={bad_step: float("inf")})
    with pytest.raises(FloatingPointError, match=message):
        fit(build_trainer(tmp_path, train=train, **settings))
    last, curves = tmp_path / "checkpoints/last", points(tmp_path)
    assert "val/loss" not in curves
    assert last.resolve().name == f"step_0000000{saved}"
    whole = fit(build_trainer(tmp_path / "b", **settings | {"stop_step": saved}))
    check_same(load_file(last / "model.safetensors"), weights(whole))
    if bad_step == 4:  # nothing is shown after the step that is named
        assert [step for step, _ in curves["train/loss"]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "loss of step 1 is nan"), ({"checkpoint_every": 1}, "weights .* after step 0")],
)
def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path, settings, message):
    with pytest.raises(FloatingPointError, match=message):
        fit(build_trainer(tmp_path, model=BadBackward(), **settings))
    assert not (tmp_path / "checkpoints").exists()


def test_after_a_signal_nothing_is_saved_that_is_not_finite(tmp_path):
    """The run stops after step 0, whose loss is not fetched yet."""
    train = Batches(factors={0: float("inf")})
    with Interruption() as interruption:
        interruption.defer()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(FloatingPointError, match="loss of step 0 is nan"):
            fit(build_trainer(tmp_path, train=train, interruption=interruption))
    assert not (tmp_path / "checkpoints").exists()
