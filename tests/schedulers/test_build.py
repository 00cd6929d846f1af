import subprocess
import sys

import pytest
from omegaconf import OmegaConf

from schedulers import Horizon, build_scheduler, is_plateau, trace_lr
from tests.schedulers.helpers import YAMLS, build_optimizer, node, sentence_of

RUN = Horizon(total_steps=100, steps_per_epoch=10)
COSINE = node("CosineAnnealingLR", T_max="80%")


def build(schedule, *base_lrs):
    return build_scheduler(schedule, build_optimizer(*(base_lrs or [0.1])), RUN)


def test_values_are_converted_by_the_type_that_the_constructor_asks_for():
    assert build(node("ExponentialLR", gamma="0.5/run")).gamma == 0.5**0.01
    assert build(node("ExponentialLR", gamma=0.5)).gamma == 0.5
    assert build(node("ReduceLROnPlateau", mode="max")).mode == "max"
    restarts = build(node("CosineAnnealingWarmRestarts", T_0="1ep", T_mult=2, restart_limit=3))
    assert (restarts.T_0, restarts.T_mult, restarts.restart_limit) == (10, 2, 3)


def test_every_part_gets_its_steps_and_the_one_optimizer():
    optimizer = build_optimizer(0.1)
    warm = node("WarmupLR", scheduler_or_optimizer=COSINE, warmup_iters="1.5ep")
    schedule = node("SequentialLR", schedulers=[warm, COSINE], milestones=["2ep"])
    scheduler = build_scheduler(schedule, optimizer, RUN)
    warm = scheduler.schedulers[0]
    assert (scheduler.milestones, warm.warmup_iters, warm.schedulers[1].T_max) == ([20], 15, 80)
    parts = [scheduler, *scheduler.schedulers, warm.schedulers[1]]
    assert all(part.optimizer is optimizer for part in parts)
    assert build_scheduler(node("WarmupLR"), optimizer, RUN).optimizer is optimizer


def test_building_sets_the_rates_of_step_0():
    scheduler = build(node("ConstantLR", factor=0.5), 0.1, 0.2)
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.05, 0.1]
    assert build(COSINE | {"last_step": -1}).last_step == 0  # the default may be given


def test_a_config_of_hydra_builds_with_its_references_resolved():
    schedule = node("MultiStepLR", milestones=["${length}", "60%"])
    config = OmegaConf.create({"length": "50%", "scheduler": schedule})
    assert build(config.scheduler).milestones == [50, 60]


USER_MODULE = """
from oneflow.optim.lr_scheduler import _LRScheduler

class MyLR(_LRScheduler):
    def __init__(self, optimizer, length, gamma=0.5, note="", floors=None, **more):
        self.length, self.gamma, self.note = length, gamma, note
        self.floors, self.more = floors, more
        super().__init__(optimizer)

    def get_lr(self, base_lr, step):
        return base_lr * (self.gamma if step >= self.length else 1.0)

class Halving(_LRScheduler):
    def get_lr(self, base_lr, step):
        return base_lr if step == 0 else self._last_lr[0] / 2
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module outside the repository, in a folder of the module path."""
    (tmp_path / "my_schedules.py").write_text(USER_MODULE)
    (tmp_path / "my_broken_schedules.py").write_text("class Broken(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_schedules.MyLR"
    sys.modules.pop("my_schedules", None)


def test_a_class_outside_the_repository(user_module):
    # no annotations: what looks like a duration or a factor is one, the default shows other types
    schedule = node(user_module, length="2ep", gamma="0.25/ep", note="30% off", more="0.5/ep")
    scheduler = build(schedule | {"floors": [0.1, "50%"]})
    assert (scheduler.length, scheduler.gamma, scheduler.note) == (20, 0.25**0.1, "30% off")
    assert (scheduler.floors, scheduler.more) == ([0.1, 50], {"more": 0.5**0.1})
    assert trace_lr(node(user_module, length="2ep"), [1.0], RUN)[0] == [1.0] * 20 + [0.5] * 80
    nested = node("ChainedScheduler", schedulers=[node(user_module, length=3), COSINE])
    assert build(nested).get_lr(1.0, 80) == 0.0
    assert sentence_of(node(user_module, length="soon")).startswith(
        "scheduler.length='soon': expected a duration: "
    )
    assert sentence_of({"_target_": "my_broken_schedules.X"}).startswith(
        "scheduler._target_='my_broken_schedules.X': expected a class or function that can be "
        "imported. invalid syntax"
    )


# --- traces -------------------------------------------------------------------------------------


def test_a_trace_has_a_rate_per_group_and_step(user_module):
    trace = trace_lr(node("LinearLR", start_factor=0.5, total_iters=4), [1.0, 0.1], Horizon(5, 5))
    rates = [0.5, 0.625, 0.75, 0.875, 1.0]
    assert trace == [rates, pytest.approx([rate / 10 for rate in rates])]
    halving = node("my_schedules.Halving")  # a rate that depends on the last one
    assert trace_lr(halving, [1.0], Horizon(4, 4)) == [[1.0, 0.5, 0.25, 0.125]]


def test_a_trace_is_silent_and_a_run_is_not(capsys):
    talking = COSINE | {"verbose": True}
    trace_lr(talking, [0.1], RUN)
    assert capsys.readouterr().out == ""
    build(talking)
    assert "adjusting learning rate of param_groups[0] to 0.10000" in capsys.readouterr().out


def test_a_plateau_is_known_by_its_class_and_alone_moved_by_metrics():
    plateau, metrics = node("ReduceLROnPlateau", patience=0), {30: 1.0, 60: 1.0, 100: 1.0}
    assert trace_lr(plateau, [0.1], RUN, metrics)[0] == pytest.approx([0.1] * 60 + [0.01] * 40)
    assert trace_lr(COSINE, [0.1], RUN, metrics) == trace_lr(COSINE, [0.1], RUN)
    assert [name for name, node in YAMLS.items() if is_plateau(node)] == ["reduce_on_plateau"]
    assert is_plateau(node("mine.MyReduceLROnPlateau"))


def test_checks_do_not_vanish_with_asserts_switched_off():
    script = """
import engine.process.runtime
from schedulers import Horizon, trace_lr
for name, arguments in [
    ("StepLR", {"step_size": 0}), ("StepLR", {"step_size": 5, "gamma": -1.0}),
    ("MultiStepLR", {"milestones": [5, 2]}), ("CosineDecayLR", {"decay_steps": 0}),
    ("PolynomialLR", {"decay_batch": 0}), ("SequentialLR", {"schedulers": [], "milestones": []}),
]:
    try:
        target = "oneflow.optim.lr_scheduler." + name
        trace_lr({"_target_": target, **arguments}, [0.1], Horizon(9, 9))
    except ValueError as error:
        print("refused")
"""
    command = [sys.executable, "-O", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 6
