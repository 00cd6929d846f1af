"""The loop: the clock, what is recorded, and that it computes what a plain loop computes."""

import json

import numpy as np
import oneflow as flow
import pytest
from oneflow.optim.lr_scheduler import ExponentialLR, ReduceLROnPlateau
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from engine.recorder import Recorder
from engine.trainer import Trainer

CLASSES, PIXELS = 6, 12


class Batches:
    """A loader of fixed batches: `images` in all, `batch_size` at a time."""

    def __init__(self, images=10, batch_size=4, seed=0):
        random = np.random.default_rng(seed)
        self.images = random.standard_normal((images, PIXELS)).astype("float32")
        self.labels = random.integers(0, CLASSES, images)
        self.batch_size = batch_size

    def __len__(self):
        return -(-len(self.images) // self.batch_size)

    def epoch(self, epoch=0, start_step=0):
        for step in range(start_step, len(self)):
            part = slice(step * self.batch_size, (step + 1) * self.batch_size)
            yield flow.tensor(self.images[part]), flow.tensor(self.labels[part])


def build_trainer(
    folder, scheduler=None, model=None, train=None, val=None, log_every=4, **settings
):
    flow.manual_seed(0)
    model = model or flow.nn.Linear(PIXELS, CLASSES)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = (scheduler or (lambda optimizer: ExponentialLR(optimizer, 0.5)))(optimizer)
    settings = {"stop_step": 7, "eval_every": 3, "checkpoint_every": 3} | settings
    loaders = {
        "train": train or Batches(),
        "val": Batches(seed=1) if val is None else val,
        "test": Batches(seed=2),
    }
    recorder = Recorder(folder, settings["stop_step"], log_every)
    return Trainer(model, optimizer, schedule, loaders, recorder, **settings)


def fit(trainer):
    with trainer.recorder:
        trainer.fit()
    return trainer


def points(folder):
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_update_k_uses_the_rate_logged_at_k(tmp_path):
    """Momentum-free SGD moves a weight by exactly rate x gradient, which this compares."""
    trainer = fit(build_trainer(tmp_path))
    assert trainer.applied == [[0.1 * 0.5**step] for step in range(7)]
    logged = points(tmp_path)["lr/group0"]
    assert [step for step, _ in logged] == list(range(7))
    assert [value for _, value in logged] == [float(np.float32(0.1 * 0.5**k)) for k in range(7)]


def test_every_step_has_its_points(tmp_path):
    fit(build_trainer(tmp_path, log_every=4))
    curves = points(tmp_path)
    for tag in ("train/loss", "train/top1", "lr/group0"):
        assert [step for step, _ in curves[tag]] == list(range(7)), tag
    # 3 steps per epoch: evaluations after 3 and 6 updates, and at the end
    for tag in ("val/loss", "val/top1", "val/top5"):
        assert [step for step, _ in curves[tag]] == [3, 6, 7], tag


@pytest.mark.parametrize("log_every", [1, 2, 100])
def test_how_often_values_are_fetched_changes_no_value(tmp_path, log_every):
    fit(build_trainer(tmp_path / "a", log_every=4))
    fit(build_trainer(tmp_path / "b", log_every=log_every))
    first, second = points(tmp_path / "a"), points(tmp_path / "b")
    for tag in ("train/loss", "train/top1", "val/loss"):
        assert first[tag] == second[tag]


def test_same_weights_as_a_plain_loop(tmp_path):
    trainer = fit(build_trainer(tmp_path, log_every=2))
    flow.manual_seed(0)
    model = flow.nn.Linear(PIXELS, CLASSES)
    optimizer = flow.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    losses, step = [], 0
    while step < 7:
        for images, labels in Batches().epoch():
            if step == 7:
                break
            optimizer.param_groups[0]["lr"] = 0.1 * 0.5**step
            loss = flow.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(float(loss.numpy()))
            step += 1
    np.testing.assert_array_equal(trainer.model.weight.numpy(), model.weight.numpy())
    assert [value for _, value in points(tmp_path)["train/loss"]] == losses


class Fixed(flow.nn.Module):
    """Logits that are the images' first columns: hits can be counted by hand."""

    def __init__(self):
        super().__init__()
        self.scale = flow.nn.Parameter(flow.ones(1))

    def forward(self, images):
        return images[:, :CLASSES] * self.scale


def test_accuracy_is_of_sums_not_of_batch_means(tmp_path):
    """Ranks of the label among six logits: 1, 1, 1, 1 | 6: top-1 4 of 5, top-5 4 of 5.

    The mean of the two batches' means would be (100 + 0) / 2 = 50 percent.
    """
    loader = Batches(images=5, batch_size=4)
    loader.images[:] = np.arange(CLASSES, 0, -1).repeat(2)[:PIXELS]  # 6 6 5 5 ...
    loader.images[:, :CLASSES] = np.arange(CLASSES, 0, -1)  # 6 5 4 3 2 1: class 0 is first
    loader.labels[:] = [0, 0, 0, 0, 5]
    trainer = build_trainer(tmp_path, model=Fixed(), val=loader)
    metrics = trainer.evaluate(loader)
    assert metrics["top1"] == pytest.approx(80)
    assert metrics["top5"] == pytest.approx(80)
    log_sum = np.log(np.exp(np.arange(1, 7)).sum())
    assert metrics["loss"] == pytest.approx((4 * (log_sum - 6) + (log_sum - 1)) / 5, rel=1e-5)
    loader.labels[:] = [1, 2, 3, 4, 5]  # ranks 2 3 4 5 6
    metrics = trainer.evaluate(loader)
    assert (metrics["top1"], metrics["top5"]) == (0, pytest.approx(80))


def test_label_smoothing_is_for_training_only(tmp_path):
    plain = fit(build_trainer(tmp_path / "a", stop_step=1))
    smooth = fit(build_trainer(tmp_path / "b", stop_step=1, label_smoothing=0.5))
    first, second = points(tmp_path / "a"), points(tmp_path / "b")
    assert first["train/loss"] != second["train/loss"]
    loader = plain.loaders["val"]
    smooth.model.load_state_dict(plain.model.state_dict())
    assert plain.evaluate(loader) == smooth.evaluate(loader)


def test_gradient_is_clipped_as_a_whole(tmp_path):
    """With momentum-free rate 0.1 and norm 0.01 the first update moves the weights by 0.001."""
    trainer = build_trainer(tmp_path, stop_step=1, clip_grad_norm=0.01)
    before = [parameter.numpy().copy() for parameter in trainer.model.parameters()]
    fit(trainer)
    moved = [
        parameter.numpy() - old
        for parameter, old in zip(trainer.model.parameters(), before, strict=True)
    ]
    norm = np.sqrt(sum((difference.astype("float64") ** 2).sum() for difference in moved))
    assert norm == pytest.approx(0.1 * 0.01, rel=1e-3)


def test_best_is_the_first_of_equals_and_kept_apart(tmp_path, monkeypatch):
    trainer = build_trainer(tmp_path, stop_step=9)
    top1 = iter([10.0, 30.0, 30.0])
    monkeypatch.setattr(
        trainer, "evaluate", lambda loader: {"loss": 1.0, "top1": next(top1), "top5": 50.0}
    )
    fit(trainer)
    assert (trainer.best["step"], trainer.last["step"]) == (6, 9)
    state = {
        name: json.loads((tmp_path / f"checkpoints/{name}/state.json").read_text())["step"]
        for name in ("best", "last")
    }
    assert state == {"best": 6, "last": 9}


@pytest.mark.parametrize(("mode", "metric"), [("min", "loss"), ("max", "top1")])
def test_plateau_steps_once_per_evaluation(tmp_path, monkeypatch, mode, metric):
    """Flat metric, patience 0: the first call sets the best, each later one halves the rate."""
    trainer = build_trainer(
        tmp_path,
        lambda optimizer: ReduceLROnPlateau(optimizer, mode=mode, factor=0.5, patience=0),
        stop_step=7,
    )
    flat = {"loss": 2.0, "top1": 20.0, "top5": 50.0}
    monkeypatch.setattr(trainer, "evaluate", lambda loader: flat)
    fit(trainer)
    # evaluations after 3, 6 and 7 updates
    assert trainer.applied == [[0.1]] * 6 + [[0.05]]
    assert trainer.rates == [0.025]
    assert trainer.plateau_metrics == dict.fromkeys((3, 6, 7), flat[metric])


def test_no_validation_split(tmp_path):
    trainer = fit(build_trainer(tmp_path, val=Batches(images=0)))
    assert (trainer.last, trainer.best) == ({}, {})
    assert "val/loss" not in points(tmp_path)
    assert (tmp_path / "checkpoints/last/state.json").exists()


def test_metrics_file_has_one_line_per_evaluation(tmp_path):
    fit(build_trainer(tmp_path))
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 6, 7]
    assert lines[0]["epoch"] == 1.0
    assert {"val/loss", "val/top1", "val/top5", "train/loss", "train/top1"} <= set(lines[0])
    curve = [value for _, value in points(tmp_path)["train/loss"]]
    # 4 + 4 + 2 images in the three steps of the first epoch
    assert lines[0]["train/loss"] == pytest.approx(np.average(curve[:3], weights=[4, 4, 2]))


def test_dropout_masks_are_a_function_of_seed_and_step(tmp_path):
    def curve(name, seed):
        flow.manual_seed(0)
        model = flow.nn.Sequential(flow.nn.Linear(PIXELS, CLASSES), flow.nn.Dropout(0.5))
        fit(build_trainer(tmp_path / name, model=model, seed=seed))
        return points(tmp_path / name)["train/loss"]

    first = curve("a", seed=1)
    assert curve("b", seed=1) == first
    assert curve("c", seed=2) != first
