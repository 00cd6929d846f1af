"""A saved state is plain JSON, and a run that continues from it goes on bit for bit."""

import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from schedulers import Horizon, build_scheduler
from tests.schedulers.helpers import build_optimizer, node, stepped

FOLDER = Path(__file__).parents[2] / "conf" / "scheduler"
STEPPED = [path for path in sorted(FOLDER.glob("*.yaml")) if path.stem != "reduce_on_plateau"]
RUN = Horizon(40, 10)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
HOLD = {"_target_": "schedulers.multiplicative.hold_then_decay", "_partial_": True}
DEEP = node(
    "SequentialLR",
    schedulers=[
        node(
            "WarmupLR",
            scheduler_or_optimizer=node("LambdaLR", lr_lambda=NOAM),
            warmup_iters=3,
        ),
        node(
            "ChainedScheduler",
            schedulers=[
                node("StepLR", step_size=4),
                node(
                    "schedulers.multiplicative.MultiplicativeLR",
                    lr_lambda=HOLD | {"hold_steps": 2, "gamma": 0.9},
                ),
            ],
        ),
    ],
    milestones=[15],
    interval_rescaling=True,
)


@pytest.mark.parametrize("cut", [0, 2, 14, 15, 16, 30])
def test_deep_schedule_continues(cut):
    whole = stepped(build_scheduler(DEEP, build_optimizer(0.1, 0.2), RUN), 40)
    assert continued(DEEP, cut) == whole


@pytest.mark.parametrize("path", STEPPED, ids=lambda path: path.stem)
def test_every_yaml_continues(path):
    schedule = OmegaConf.load(path)
    whole = stepped(build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN), 40)
    assert continued(schedule, 17) == whole


def continued(schedule, cut: int) -> list[list[float]]:
    """Rates of a run that was cut, saved as JSON, and taken up by a new process's objects."""
    scheduler = build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN)
    before = stepped(scheduler, cut)
    state = json.loads(json.dumps(scheduler.state_dict(), allow_nan=False))
    lrs = [group["lr"] for group in scheduler.optimizer.param_groups]

    again = build_scheduler(schedule, build_optimizer(0.1, 0.2), RUN)
    again.load_state_dict(state)
    # OneFlow's load_state_dict leaves the optimizer alone; its own state brings the rates back
    for group, lr in zip(again.optimizer.param_groups, lrs, strict=True):
        group["lr"] = lr
    return before + stepped(again, 40 - cut)


def test_plateau_continues():
    schedule = node("ReduceLROnPlateau", patience=1, cooldown=1)

    def run(scheduler, metrics):
        lrs = []
        for metric in metrics:
            scheduler.step(metric)
            lrs.append(scheduler.optimizer.param_groups[0]["lr"])
        return lrs

    metrics = [3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0]
    whole = run(build_scheduler(schedule, build_optimizer(1.0), RUN), metrics)
    assert len(set(whole)) > 2
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
