"""Running means of the weights: their numbers, their statistics, and what may not spoil them."""

import numpy as np
import oneflow as flow
import pytest

from engine.averaging import build_averages, estimate_statistics
from engine.checkpoint import read_checkpoint
from engine.process.signals import Interrupted
from tests.engine.test_trainer import Batches, build_trainer, check_same, fit, points, weights


def model_with_norm():
    flow.manual_seed(0)
    return flow.nn.Sequential(flow.nn.Linear(12, 6), flow.nn.BatchNorm1d(6))


def means(values, **settings):
    """Return the mean after each of the steps 1, 2, ... that leave these weights; NaN before."""
    model = flow.nn.Linear(1, 1, bias=False)
    averages = build_averages(model, list, **settings)
    (average,) = averages.each
    found = []
    for step, value in enumerate(values, 1):
        with flow.no_grad():
            model.weight.fill_(value)
        averages.take(step)
        found.append(average.tensors["weight"].item() if average.count else np.nan)
    return found


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # d = 1/2: (1), (2 + 1/2 * 1) / (1 + 1/2), (4 + 1/2 * 2 + 1/4 * 1) / (7/4), ...
        ({"ema_decay": 0.5}, [1, 2.5 / 1.5, 5.25 / 1.75, 10.625 / 1.875, 21.3125 / 1.9375]),
        # a long memory begins as the plain mean
        ({"ema_decay": 1 - 1e-9}, [1, 1.5, 7 / 3, 15 / 4, 31 / 5]),
        ({"swa_start": 1, "swa_every": 1}, [1, 1.5, 7 / 3, 15 / 4, 31 / 5]),
        ({"swa_start": 2, "swa_every": 2}, [np.nan, 2, 2, 5, 5]),
        ({"swa_start": 5, "swa_every": 3}, [np.nan, np.nan, np.nan, np.nan, 16]),
    ],
)
def test_means_of_1_2_4_8_16(settings, expected):
    assert means([1, 2, 4, 8, 16], **settings) == pytest.approx(expected, rel=1e-6, nan_ok=True)


def test_statistics_are_those_of_all_images():
    """Three batches, the last one smaller: the mean of all, and the batches' variances by size."""
    rng = np.random.default_rng(0)
    batches = [rng.normal(3, 2, (n, 2, 4, 4)).astype("float32") for n in (8, 8, 3)]
    norm = flow.nn.BatchNorm2d(2)
    model = flow.nn.Sequential(flow.nn.Dropout(0.5), norm)  # dropout is off
    estimate_statistics(model, [(flow.tensor(images), None) for images in batches])
    every = np.concatenate(batches)
    np.testing.assert_allclose(norm.running_mean.numpy(), every.mean((0, 2, 3)), rtol=1e-5)
    by_size = sum(len(x) * x.var((0, 2, 3), ddof=1) for x in batches) / len(every)
    np.testing.assert_allclose(norm.running_var.numpy(), by_size, rtol=1e-5)
    assert norm.momentum == 0.1 and norm.training


def test_the_models_weights_come_back_whatever_happens():
    model = model_with_norm()
    averages = build_averages(model, list, ema_decay=0.9)
    averages.take(1)
    with flow.no_grad():
        model[0].weight.add_(1.0)
    before = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), averages.each[0].in_model():
        assert not np.array_equal(model[0].weight.numpy(), before["0.weight"])
        raise KeyboardInterrupt
    check_same({name: tensor.numpy() for name, tensor in model.state_dict().items()}, before)


def averaging_trainer(folder, poll=lambda: None, train=None, **settings):
    """Seven steps; an evaluation after 3, 6 and 7; SWA takes the weights after 4 and 6."""
    model, train = model_with_norm(), train or Batches()
    which = {"ema_decay": 0.9, "swa_start": 4, "swa_every": 2}
    averages = build_averages(model, train.epoch, poll, **which)
    return build_trainer(folder, model=model, train=train, averages=averages, **settings)


def test_averages_are_evaluated_beside_the_weights(tmp_path):
    trainer = averaging_trainer(tmp_path)
    with trainer.recorder:
        trainer.fit()
        before = weights(trainer)
        test = trainer.test()
    check_same(weights(trainer), before)
    curves = points(tmp_path)
    assert [step for step, _ in curves["val/ema_top1"]] == [3, 6, 7]
    assert [step for step, _ in curves["val/swa_top5"]] == [6, 7]
    assert curves["test/swa_loss"] == [(7, pytest.approx(test["swa_loss"]))]
    assert trainer.last["ema_top1"] == pytest.approx(curves["val/ema_top1"][-1][1])
    plain = fit(build_trainer(tmp_path / "plain", model=model_with_norm()))
    check_same(before, weights(plain))  # to look at means changes nothing
    assert (trainer.best["step"], trainer.best["top1"]) == (plain.best["step"], plain.best["top1"])
    # an average's figures are those of a model that has its weights
    plain.model.load_state_dict(trainer.averages.each[1].tensors)
    assert plain.evaluate(plain.loaders["test"])["loss"] == pytest.approx(test["swa_loss"])


def test_statistics_of_swa_are_in_the_last_checkpoint_without_a_validation_split(tmp_path):
    trainer = fit(averaging_trainer(tmp_path, val=[]))
    saved = read_checkpoint(tmp_path / "checkpoints/last").state["averages"]["swa"]
    assert (saved["count"], saved["estimated"]) == (2, 2)
    assert (trainer.last, trainer.best) == ({}, {}) and "val/loss" not in points(tmp_path)
    model = model_with_norm()
    model.load_state_dict(saved["tensors"])
    estimate_statistics(model, trainer.train_loader.epoch())
    for name in ("1.running_mean", "1.running_var"):
        found = model.state_dict()[name].numpy()
        np.testing.assert_allclose(found, saved["tensors"][name].numpy(), rtol=1e-6)


def test_a_run_can_be_interrupted_while_statistics_are_estimated(tmp_path):
    """The pass is left at its first batch, and the evaluation is made again when it goes on."""

    def poll():
        raise Interrupted(15)

    trainer = averaging_trainer(tmp_path, poll)
    with pytest.raises(Interrupted):
        fit(trainer)
    plain = fit(build_trainer(tmp_path / "b", model=model_with_norm(), stop_step=6))
    check_same(weights(trainer), weights(plain))
    assert (trainer.step, trainer.saved_step, trainer.last["step"]) == (6, 6, 3)
