"""A loss or gradient that is not finite never reaches the weights."""

import json
import math
from unittest.mock import Mock

import numpy as np
import oneflow as flow
import pytest
from oneflow.optim.lr_scheduler import LambdaLR

from engine.finite import Gate
from engine.process.signals import Interrupted, Interruption
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


def tensors_of(optimizer):
    """Copies of an optimizer's own tensors, by parameter and name."""
    state = optimizer.state_dict()["state"]
    return {
        (index, name): tensor.numpy().copy()
        for index, tensors in state.items()
        if index != "step"
        for name, tensor in tensors.items()
    }


def check_same(found, wanted):
    assert found.keys() == wanted.keys()
    for name, array in wanted.items():
        np.testing.assert_array_equal(found[name], array, err_msg=str(name))


@pytest.mark.parametrize("log_every", [20, 3, 1])
def test_the_run_stops_before_the_weights_are_spoiled(tmp_path, log_every):
    """Step 4 is bad and found out at step 8, 5 or 4: nothing has moved a weight since step 3."""
    settings = {"stop_step": 9, "checkpoint_every": 2, "eval_every": 100, "log_every": log_every}
    trainer = build_trainer(tmp_path, train=Spoiled({4: float("inf")}), **settings)
    with pytest.raises(FloatingPointError, match=r"loss of step 4 is nan at learning rate 0.00625"):
        fit(trainer)
    whole = fit(build_trainer(tmp_path / "whole", **settings | {"stop_step": 4}))
    check_same(weights(trainer), weights(whole))
    check_same(tensors_of(trainer.optimizer), tensors_of(whole.optimizer))
    assert (trainer.step, trainer.applied) == (4, whole.applied)
    state = json.loads((tmp_path / "checkpoints/last/state.json").read_text())
    assert state["step"] == 4
    assert [step for step, _ in points(tmp_path)["train/loss"]] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("on_nonfinite", "eval_every"), [("stop", 100), ("skip", 3)])
def test_weights_that_a_finite_gradient_has_spoiled_are_never_saved(
    tmp_path, on_nonfinite, eval_every
):
    settings = {"checkpoint_every": 1, "stop_step": 9, "eval_every": eval_every}
    settings["on_nonfinite"] = on_nonfinite

    def soar(optimizer):
        return LambdaLR(optimizer, lambda step: 1e40 if step == 2 else 1)

    trainer = build_trainer(tmp_path, soar, **settings)
    with pytest.raises(FloatingPointError, match=r"weights are not finite after step 2 at .* 1e"):
        fit(trainer)
    state = json.loads((tmp_path / "checkpoints/last/state.json").read_text())
    assert (state["step"], trainer.step, len(trainer.applied)) == (2, 3, 3)
    assert "val/loss" not in points(tmp_path)


def test_a_bad_step_that_a_signal_follows_is_told_and_not_saved(tmp_path):
    interruption = Interruption()
    interruption.poll = Mock(side_effect=[None, None, Interrupted(15)])
    settings = {"stop_step": 9, "eval_every": 100, "checkpoint_every": 100, "log_every": 20}
    bad = Spoiled({1: float("inf")})
    trainer = build_trainer(tmp_path, train=bad, interruption=interruption, **settings)
    with pytest.raises(FloatingPointError, match="loss of step 1 is nan"):
        fit(trainer)
    assert trainer.step == 1
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_alone_stops_it_too(tmp_path, clip):
    trainer = build_trainer(tmp_path, model=Steep(), stop_step=9, clip_grad_norm=clip)
    before = weights(trainer)
    with pytest.raises(FloatingPointError, match=r"gradient of step 0 is not finite at learning"):
        fit(trainer)
    check_same(weights(trainer), before)


OPTIMIZERS = {
    "SGD": [{}, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}],
    "Adam": [{"weight_decay": 0.1}, {"amsgrad": True}],
    "AdamW": [{"weight_decay": 0.1}, {"amsgrad": True}],
    "LAMB": [{"weight_decay": 0.1}],
    "RMSprop": [{}, {"centered": True, "weight_decay": 0.1}],
    "Adagrad": [{"weight_decay": 0.1}],
    "Adadelta": [{"weight_decay": 0.1}],
}


@pytest.mark.parametrize(
    ("name", "settings"),
    [(name, settings) for name, every in OPTIMIZERS.items() for settings in every],
)
def test_every_optimizer_can_be_gated(name, settings):
    """Open, the gate changes no bit; closed, no step changes a weight or a tensor any more."""

    def train(gated, watches):
        flow.manual_seed(0)
        model = flow.nn.Linear(3, 2)
        optimizer = getattr(flow.optim, name)(model.parameters(), lr=0.1, **settings)
        gate = Gate(optimizer)
        for step, watch in enumerate(watches):
            (model(flow.ones(4, 3) * (step + 1)) ** 2).sum().backward()
            gate.step(flow.tensor([1.0, watch])) if gated else optimizer.step()
            optimizer.zero_grad()
        parameters = {key: tensor.numpy().copy() for key, tensor in model.state_dict().items()}
        return parameters | tensors_of(optimizer)

    assert Gate.fits(getattr(flow.optim, name)([flow.nn.Parameter(flow.ones(1))], lr=0.1))
    wanted = train(False, [1, 1])
    check_same(train(True, [1, 1]), wanted)
    for bad in (math.nan, math.inf, -math.inf):
        check_same(train(True, [1, 1, bad, 1, 1]), wanted)
    assert any((train(True, [1, 1, 1])[key] != array).any() for key, array in wanted.items())


class Own(flow.optim.SGD):
    """An optimizer of one's own, which may do anything in its step."""


def test_with_an_optimizer_that_is_not_known_each_loss_is_waited_for(tmp_path, monkeypatch):
    parameters = [flow.nn.Parameter(flow.ones(1))]
    assert not Gate.fits(Own(parameters, lr=0.1))
    assert Gate.fits(flow.optim.SGD(parameters, lr=0.1))
    monkeypatch.setattr(Gate, "fits", lambda optimizer: False)
    trainer = build_trainer(tmp_path, train=Spoiled({4: float("inf")}), stop_step=9)
    with pytest.raises(FloatingPointError, match=r"loss of step 4 is nan at learning rate 0.00625"):
        fit(trainer)
    whole = fit(build_trainer(tmp_path / "whole", stop_step=4))
    check_same(weights(trainer), weights(whole))
    assert (trainer.step, trainer.applied) == (4, whole.applied)


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
