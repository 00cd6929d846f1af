"""Each run-level key: the values at the edge of what it accepts."""

import pytest
from omegaconf import OmegaConf

from common.checks import show
from runs.build import base_lrs, build_optimizer, last_step
from runs.settings import SETTINGS, check_settings, trainer_durations
from schedulers import Horizon
from tests.conftest import compose_config
from tests.helpers.nets import with_norm

NAN, INF = float("nan"), float("inf")
# key: (values that are accepted, values that are refused)
EDGES = {
    "seed": ([0, 2**31 - 1], [-1, 2**31, 0.5]),
    "epochs": ([1, 200], [0, -1, 1.5, True, "abc"]),
    "batch_size": ([1], [0]),
    "device": (["auto", "cpu", "cuda"], ["tpu", None]),
    "max_steps": ([None, 1], [0, True]),
    "lint": (["warn", "error", "off", False], ["on", True]),
    "trainer.clip_grad_norm": ([None, 1, 1e-9], [0, "1"]),
    "trainer.label_smoothing": ([0, 0.99], [1, -0.1, None]),
    "trainer.ema_decay": ([None, 0.999], [0, 1, True]),
    "trainer.decay_norm_and_bias": ([None, True, False], ["yes", 1]),
    "trainer.keep_last": ([1], [0]),
    "trainer.graph": ([True], [None]),
    "trainer.amp": ([True], [1]),
    "optimizer.lr": ([1e-9], [0, NAN, INF, "abc", None]),
    "optimizer.weight_decay": ([0], [-1e-4]),
}


@pytest.mark.parametrize("key", EDGES)
def test_edges(tmp_path, key):
    assert set(EDGES) == set(SETTINGS)
    config = compose_config("dataset=synthetic", folder=tmp_path)
    accepted, refused = EDGES[key]
    for value in accepted:
        OmegaConf.update(config, key, value)
        check_settings(config)
    for value in refused:
        OmegaConf.update(config, key, value)
        with pytest.raises(ValueError) as error:
            check_settings(config)
        assert str(error.value).startswith(f"{key}={show(value)}: expected ")


RUN = Horizon(40, 10)
EVERY = {"eval_every": "1ep", "log_every": 20, "checkpoint_every": "1ep"}
EVERY |= {"swa_start": None, "swa_every": "1ep"}


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, [10, 20, 10]),
        ({"swa_every": "no duration"}, [10, 20, 10]),  # SWA is off
        ({"eval_every": "50%", "log_every": 1}, [20, 1, 10]),
        ({"swa_start": "75%"}, [10, 20, 10, 30, 10]),
        ({"swa_start": 40, "swa_every": 3}, [10, 20, 10, 40, 3]),
    ],
)
def test_durations_in_steps(changes, steps):
    config = OmegaConf.create({"trainer": EVERY | changes})
    assert list(trainer_durations(config, RUN).values()) == steps


@pytest.mark.parametrize(("key", "value"), [("eval_every", 0), ("swa_start", 41)])
def test_durations_that_are_refused(key, value):
    config = OmegaConf.create({"trainer": EVERY | {key: value}})
    with pytest.raises(ValueError, match=f"^trainer.{key}={value}"):
        trainer_durations(config, RUN)


@pytest.mark.parametrize(("max_steps", "last"), [(None, 40), (39, 39), (41, 40)])
def test_the_last_step(max_steps, last):
    assert last_step(OmegaConf.create({"max_steps": max_steps}), RUN) == last


@pytest.mark.parametrize(
    ("optimizer", "decay", "groups"),
    [
        *(("SGD", None, 1), ("Adam", None, 1), ("AdamW", None, 2), ("LAMB", None, 2)),
        *(("AdamW", True, 1), ("SGD", False, 2)),
    ],
)
def test_one_base_rate_for_each_group(optimizer, decay, groups):
    node = {"_target_": f"oneflow.optim.{optimizer}", "lr": 0.3}
    config = OmegaConf.create({"optimizer": node, "trainer": {"decay_norm_and_bias": decay}})
    assert base_lrs(config) == [0.3] * groups


def test_norms_and_biases_do_not_decay_under_adamw(tmp_path):
    config = compose_config("dataset=synthetic", "optimizer=adamw", folder=tmp_path)
    weights, vectors = build_optimizer(config, with_norm(10)).param_groups
    assert [tuple(entry.shape) for entry in weights.parameters] == [(4, 3, 3, 3), (10, 256)]
    assert [tuple(entry.shape) for entry in vectors.parameters] == [(4,), (4,), (10,)]
    assert (weights["weight_decay"], vectors["weight_decay"]) == (config.optimizer.weight_decay, 0)
