"""A loss or gradient that is not finite never reaches the weights."""

import json

import numpy as np
import oneflow as flow
import pytest

from tests.engine.test_trainer import PIXELS, Batches, build_trainer, fit, points

CLASSES = 6


class Spoiled(Batches):
    """Batches that are multiplied by a number at some steps of the run."""

    def __init__(self, factors):
        super().__init__()
        self.factors = factors

    def epoch(self, epoch=0, start_step=0):
        batches = super().epoch(epoch, start_step)
        for step, (images, labels) in enumerate(batches, epoch * len(self) + start_step):
            yield images * self.factors.get(step, 1.0), labels


def weights(trainer):
    return {name: tensor.numpy().copy() for name, tensor in trainer.model.state_dict().items()}


def model_with_norm():
    flow.manual_seed(0)
    return flow.nn.Sequential(flow.nn.Linear(PIXELS, CLASSES), flow.nn.BatchNorm1d(CLASSES))


class Steep(flow.nn.Module):
    """A finite loss with a gradient that is not: d sqrt(|w|) / dw at w = 0."""

    def __init__(self):
        super().__init__()
        self.linear = flow.nn.Linear(PIXELS, CLASSES)
        self.zero = flow.nn.Parameter(flow.zeros(1))

    def forward(self, images):
        return self.linear(images) + flow.sqrt(self.zero)


def test_the_run_stops_before_the_weights_are_spoiled(tmp_path):
    trainer = build_trainer(tmp_path, train=Spoiled({4: float("inf")}), stop_step=9, log_every=1)
    with pytest.raises(FloatingPointError, match=r"loss of step 4 is nan at learning rate 0.00625"):
        fit(trainer)
    assert all(np.isfinite(array).all() for array in weights(trainer).values())
    assert trainer.step == 4
    state = json.loads((tmp_path / "checkpoints/last/state.json").read_text())
    assert state["step"] == 3
    assert [step for step, _ in points(tmp_path)["train/loss"]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("log_every", [2, 20])
def test_what_is_fetched_later_is_never_saved(tmp_path, log_every):
    settings = {"stop_step": 9, "checkpoint_every": 1, "log_every": log_every}
    trainer = build_trainer(tmp_path, train=Spoiled({4: float("inf")}), **settings)
    with pytest.raises(FloatingPointError, match=r"loss of step 4 is nan at learning rate 0.00625"):
        fit(trainer)
    state = json.loads((tmp_path / "checkpoints/last/state.json").read_text())
    assert state["step"] == 4  # made of steps 0 to 3


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_alone_stops_it_too(tmp_path, clip):
    trainer = build_trainer(tmp_path, model=Steep(), stop_step=9, clip_grad_norm=clip, log_every=1)
    before = weights(trainer)
    with pytest.raises(FloatingPointError, match=r"gradient of step 0 is not finite at learning"):
        fit(trainer)
    for name, array in weights(trainer).items():
        np.testing.assert_array_equal(array, before[name])


def test_a_skipped_update_changes_neither_weights_nor_norms(tmp_path):
    """What follows is as if the batch had not been; only the clock has gone on."""
    settings = {"on_nonfinite": "skip", "stop_step": 5, "model": model_with_norm()}
    trainer = build_trainer(tmp_path, train=Spoiled({3: float("nan"), 4: float("inf")}), **settings)
    fit(trainer)
    whole = build_trainer(tmp_path / "b", model=model_with_norm(), stop_step=3)
    fit(whole)
    for name, array in weights(trainer).items():
        np.testing.assert_array_equal(array, weights(whole)[name], err_msg=name)
    assert (trainer.step, trainer.skipped, trainer.skipped_in_a_row) == (5, 2, 2)
    assert points(tmp_path)["train/skipped"] == [(3, 1.0), (4, 2.0)]
    assert trainer.applied == [[0.1 * 0.5**step] for step in range(5)]
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [3, 5]
    assert "train/loss" not in lines[1]  # there was none between the two evaluations


def test_too_many_in_a_row_stop_the_run(tmp_path):
    bad = dict.fromkeys((1, 3, 4, 5), float("nan"))
    trainer = build_trainer(
        tmp_path, train=Spoiled(bad), on_nonfinite="skip", max_skipped=3, stop_step=9
    )
    with pytest.raises(FloatingPointError, match=r"Up to step 5 .* 3 updates in a row"):
        fit(trainer)
    assert trainer.skipped == 4
