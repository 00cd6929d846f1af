import subprocess
import sys

import pytest
from omegaconf import OmegaConf
from oneflow.optim import lr_scheduler as upstream

from schedulers import Horizon, build_scheduler, compose, trace_lr
from tests.conftest import ROOT
from tests.schedulers.helpers import build_optimizer, node, sentence_of, stepped

RUN = Horizon(total_steps=100, steps_per_epoch=10)
COSINE = node("CosineAnnealingLR", T_max="80%")
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": "10%"}


def build(schedule, *base_lrs):
    return build_scheduler(schedule, build_optimizer(*(base_lrs or [0.1])), RUN)


def test_lengths_become_steps_at_every_depth():
    warm = node("WarmupLR", scheduler_or_optimizer=COSINE, warmup_iters="1.5ep")
    schedule = node("SequentialLR", schedulers=[warm, COSINE], milestones=["2ep"])
    scheduler = build(schedule)
    warm = scheduler.schedulers[0]
    assert (scheduler.milestones, warm.warmup_iters, warm.schedulers[1].T_max) == ([20], 15, 80)


def test_rates_become_factors_per_step():
    assert build(node("ExponentialLR", gamma="0.5/ep")).gamma == 0.5**0.1
    assert build(node("ExponentialLR", gamma="0.5/run")).gamma == 0.5**0.01
    assert build(node("ExponentialLR", gamma=0.5)).gamma == 0.5


def test_texts_stay_texts_where_the_constructor_asks_for_one():
    assert build(node("ReduceLROnPlateau", mode="max")).mode == "max"
    assert build(node("WarmupLR", warmup_method="constant")).warmup_method == "constant"


def test_counts_stay_counts():
    restarts = build(node("CosineAnnealingWarmRestarts", T_0="1ep", T_mult=2, restart_limit=3))
    assert (restarts.T_0, restarts.T_mult, restarts.restart_limit) == (10, 2, 3)


def test_every_part_has_the_one_optimizer():
    optimizer = build_optimizer(0.1)
    warm = node("WarmupLR", scheduler_or_optimizer=COSINE)
    schedule = node("ChainedScheduler", schedulers=[warm, COSINE])
    scheduler = build_scheduler(schedule, optimizer, RUN)
    parts = [scheduler, *scheduler.schedulers, scheduler.schedulers[0].schedulers[1]]
    assert all(part.optimizer is optimizer for part in parts)
    assert build_scheduler(node("WarmupLR"), optimizer, RUN).optimizer is optimizer


def test_building_sets_the_rates_of_step_0():
    scheduler = build(node("ConstantLR", factor=0.5), 0.1, 0.2)
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == [0.05, 0.1]


@pytest.mark.parametrize("name", ["LambdaLR", "SequentialLR", "WarmupLR", "ChainedScheduler"])
def test_oneflows_composites_become_those_that_nest(name):
    arguments = {
        "LambdaLR": {"lr_lambda": NOAM},
        "SequentialLR": {"schedulers": [COSINE], "milestones": []},
        "WarmupLR": {},
        "ChainedScheduler": {"schedulers": [COSINE]},
    }
    scheduler = build(node(name, **arguments[name]))
    assert type(scheduler) is getattr(compose, name)
    assert isinstance(scheduler, getattr(upstream, name))


def test_a_config_of_hydra_builds_with_its_references_resolved():
    config = OmegaConf.create(
        {"length": "50%", "scheduler": node("MultiStepLR", milestones=["${length}", "60%"])}
    )
    scheduler = build(config.scheduler)
    assert scheduler.milestones == [50, 60]
    assert type(scheduler.milestones) is list


def test_last_step_may_be_named_as_long_as_it_is_the_default():
    assert build(COSINE | {"last_step": -1}).last_step == 0


def test_a_function_is_given_the_step():
    scheduler = build(node("LambdaLR", lr_lambda=NOAM))
    assert [scheduler.lr_lambdas[0](step) for step in (1, 10, 40)] == [0.1, 1.0, 0.5]


USER_MODULE = """
from oneflow.optim.lr_scheduler import _LRScheduler

class MyLR(_LRScheduler):
    def __init__(self, optimizer, length, gamma=0.5, note="", floors=None, **more):
        self.length, self.gamma, self.note = length, gamma, note
        self.floors, self.more = floors, more
        super().__init__(optimizer)

    def get_lr(self, base_lr, step):
        return base_lr * (self.gamma if step >= self.length else 1.0)

class Broken(:
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """A module outside the repository, in a folder of the module path."""
    good, _, bad = USER_MODULE.partition("class Broken")
    (tmp_path / "my_schedules.py").write_text(good)
    (tmp_path / "my_broken_schedules.py").write_text(f"class Broken{bad}")
    monkeypatch.syspath_prepend(tmp_path)
    yield "my_schedules.MyLR"
    sys.modules.pop("my_schedules", None)


def test_a_class_outside_the_repository(user_module):
    # no annotations: what looks like a length or a rate is one, the default shows the other types
    schedule = node(user_module, length="2ep", gamma="0.25/ep", note="30% off", extra="10%")
    scheduler = build(schedule | {"floors": [0.1, "50%"]})
    assert (scheduler.length, scheduler.gamma, scheduler.note) == (20, 0.25**0.1, "30% off")
    assert (scheduler.floors, scheduler.more) == ([0.1, 50], {"extra": 10})
    assert trace_lr(node(user_module, length="2ep"), [1.0], RUN)[0] == [1.0] * 20 + [0.5] * 80


def test_a_class_outside_the_repository_nests(user_module):
    schedule = node("ChainedScheduler", schedulers=[node(user_module, length=3), COSINE])
    assert build(schedule).get_lr(1.0, 80) == 0.0


def test_mistakes_with_a_class_outside_the_repository(user_module):
    assert sentence_of(node(user_module)) == (
        "scheduler.length must be given: MyLR has no default."
    )
    assert sentence_of(node(user_module, length="soon")) == (
        "scheduler.length='soon' is not a length: give steps (500), epochs (10ep) or a share of "
        "the run (30%), not negative."
    )
    assert sentence_of({"_target_": "my_broken_schedules.X"}).startswith(
        "scheduler._target_='my_broken_schedules.X' could not be imported: invalid syntax"
    )


# --- traces -------------------------------------------------------------------------------------


def test_a_trace_has_a_rate_per_group_and_step():
    trace = trace_lr(node("LinearLR", start_factor=0.5, total_iters=4), [1.0, 0.1], Horizon(5, 5))
    assert trace == [
        [0.5, 0.625, 0.75, 0.875, 1.0],
        pytest.approx([0.05, 0.0625, 0.075, 0.0875, 0.1]),
    ]


def test_a_trace_is_what_stepping_gives():
    schedule = node("WarmupLR", scheduler_or_optimizer=COSINE, warmup_iters=7)
    rows = stepped(build(schedule, 0.1, 0.3), 100)
    assert trace_lr(schedule, [0.1, 0.3], RUN) == [list(rates) for rates in zip(*rows, strict=True)]


@pytest.mark.parametrize("path", sorted(ROOT.glob("conf/scheduler/*.yaml")), ids=lambda p: p.stem)
def test_every_trace_is_what_stepping_gives_to_the_last_bit(path):
    schedule, run = OmegaConf.load(path), Horizon(total_steps=337, steps_per_epoch=11)
    scheduler = build_scheduler(schedule, build_optimizer(0.1, 0.3), run)
    metrics = {}
    if isinstance(scheduler, upstream.ReduceLROnPlateau):
        metrics = dict.fromkeys(range(11, 337, 11), 1.0)
        rows = []
        for step in range(337):
            if step in metrics:
                scheduler.step(metrics[step])
            rows.append([group["lr"] for group in scheduler.optimizer.param_groups])
    else:
        rows = stepped(scheduler, 337)
    trace = trace_lr(schedule, [0.1, 0.3], run, metrics)
    assert trace == [list(rates) for rates in zip(*rows, strict=True)]


def test_schedules_that_depend_on_more_than_the_step_are_stepped(tmp_path, monkeypatch):
    (tmp_path / "my_halving.py").write_text(
        "from oneflow.optim.lr_scheduler import _LRScheduler\n"
        "class Halving(_LRScheduler):\n"
        "    def get_lr(self, base_lr, step):\n"
        "        return base_lr if step == 0 else self._last_lr[0] / 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert trace_lr(node("my_halving.Halving"), [1.0], Horizon(4, 4)) == [[1.0, 0.5, 0.25, 0.125]]
    functions = [
        {"_target_": "tests.schedulers.helpers.power", "_partial_": True, "base": base}
        for base in (0.5, 0.1)
    ]
    trace = trace_lr(node("LambdaLR", lr_lambda=functions), [1.0, 1.0], Horizon(3, 3))
    assert trace == [[1.0, 0.5, 0.25], [1.0, 0.1, pytest.approx(0.01)]]


class OwnStep(upstream._LRScheduler):
    def get_lr(self, base_lr, step):
        return base_lr

    def step(self):
        super().step()
        self.optimizer.param_groups[0]["lr"] = 7.0


class OwnUpdate(upstream._LRScheduler):
    def get_lr(self, base_lr, step):
        return base_lr / (step + 1)

    def update_lrs(self, lrs):
        super().update_lrs([round(lr, 1) for lr in lrs])


@pytest.mark.parametrize(
    ("kind", "rates"), [(OwnStep, [7.0, 7.0, 7.0]), (OwnUpdate, [1.0, 0.5, 0.3])]
)
def test_a_class_that_steps_in_its_own_way_is_stepped(kind, rates, monkeypatch):
    monkeypatch.setattr(kind, "__module__", "schedulers.mine")
    assert trace_lr(node(f"{__name__}.{kind.__name__}"), [1.0], Horizon(3, 3)) == [rates]


def test_a_trace_is_silent_and_a_run_is_not(capsys):
    talking = COSINE | {"verbose": True}
    trace_lr(talking, [0.1], RUN)
    assert capsys.readouterr().out == ""
    build(talking)
    assert "adjusting learning rate of param_groups[0] to 0.10000" in capsys.readouterr().out


def test_metrics_move_a_plateau_schedule_only():
    plateau, metrics = node("ReduceLROnPlateau", patience=0), {30: 1.0, 60: 1.0, 100: 1.0}
    assert trace_lr(plateau, [0.1], RUN, metrics)[0] == pytest.approx([0.1] * 60 + [0.01] * 40)
    assert trace_lr(COSINE, [0.1], RUN, metrics) == trace_lr(COSINE, [0.1], RUN)


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
        print("accepted", name)
    except ValueError as error:
        print("refused")
"""
    command = [sys.executable, "-O", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["refused"] * 6
