"""A saved state is plain JSON, and a run that continues from it goes on bit for bit."""

import json

import pytest

from schedulers import Horizon, build_scheduler
from tests.schedulers.helpers import YAMLS, build_optimizer, chained, node, sequential, stepped

RUN = Horizon(40, 10)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
HOLD = {"_target_": "schedulers.multiplicative.hold_then_decay", "_partial_": True}
WARM = node("WarmupLR", scheduler_or_optimizer=node("LambdaLR", lr_lambda=NOAM), warmup_iters=3)
MULTIPLIED = node("MultiplicativeLR", lr_lambda=HOLD | {"hold_steps": 2, "gamma": 0.9})
CHAINED = chained(node("StepLR", step_size=4), MULTIPLIED)
DEEP = sequential(WARM, CHAINED, at=[15])


def continued(schedule, cut: int) -> list[list[float]]:
    """Rates of a run that was cut, saved as JSON, and taken up by a new process's objects."""
    scheduler = build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN)
    before = stepped(scheduler, cut)
    state = json.loads(json.dumps(scheduler.state_dict(), allow_nan=False))
    lrs = [group["lr"] for group in scheduler.optimizer.param_groups]

    again = build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN)
    again.load_state_dict(state)
    # OneFlow's load_state_dict leaves the optimizer alone; the optimizer's state brings rates back
    for group, lr in zip(again.optimizer.param_groups, lrs, strict=True):
        group["lr"] = lr
    return before + stepped(again, 40 - cut)


def test_every_schedule_continues():
    cases = {name: (schedule, (17,)) for name, schedule in YAMLS.items()}
    del cases["reduce_on_plateau"]
    for name, (schedule, cuts) in (cases | {"deep": (DEEP, (0, 2, 14, 15, 16, 30))}).items():
        whole = stepped(build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN), 40)
        for cut in cuts:
            assert continued(schedule, cut) == whole, (name, cut)


def test_plateau_continues():
    schedule = node("ReduceLROnPlateau", patience=1, cooldown=1)

    def run(scheduler, metrics):
        group = scheduler.optimizer.param_groups[0]
        return [scheduler.step(metric) or group["lr"] for metric in metrics]

    metrics = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    whole = run(build_scheduler(schedule, build_optimizer(1.0), RUN), metrics)
    # a drop after two evaluations without improvement, of which the first after a drop is not one
    assert whole == pytest.approx([1.0] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001])
    first = build_scheduler(schedule, build_optimizer(1.0), RUN)
    before = run(first, metrics[:5])
    again = build_scheduler(schedule, build_optimizer(before[-1]), RUN)
    again.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert before + run(again, metrics[5:]) == whole


def test_the_state_does_not_grow_with_the_run():
    scheduler = build_scheduler(DEEP, build_optimizer(0.1), RUN)
    before = len(json.dumps(scheduler.state_dict()))
    stepped(scheduler, 1000)
    assert len(json.dumps(scheduler.state_dict())) < before + 100
