"""Whole stretches of a curve at once: the same bits as step by step."""

import pytest

from schedulers import Horizon, build_scheduler
from schedulers.shortcuts import _SHORTCUTS, rates_of
from tests.schedulers.helpers import build_optimizer, node

STEPS = 2000
CYCLE, COSINE = "schedulers.one_cycle.OneCycleLR", "CosineAnnealingLR"
RESTARTS = "CosineAnnealingWarmRestarts"
ONE = node(CYCLE, total_steps=700)


def parts(*schedulers, at, rescaling):
    return node("SequentialLR", schedulers=list(schedulers), milestones=at,
                interval_rescaling=rescaling)  # fmt: skip


TABLE = {
    "cosine": node(COSINE, T_max=777, eta_min=0.003),
    "cosine that rises again": node(COSINE, T_max=130),
    "restarts, equal": node(RESTARTS, T_0=97, eta_min=0.001, decay_rate=0.7),
    "restarts, equal, limited": node(RESTARTS, T_0=97, restart_limit=3),
    "restarts, doubling": node(RESTARTS, T_0=61, T_mult=2, eta_min=0.01, decay_rate=1.3),
    "restarts that come a step late": node(RESTARTS, T_0=10, T_mult=3),
    "restarts, limited": node(RESTARTS, T_0=10, T_mult=4, restart_limit=2, eta_min=0.02),
    "restarts at every step": node(RESTARTS, T_0=1),
    "cycle": node(CYCLE, total_steps=2000, pct_start=0.123),
    "cycle, short, then held": ONE,
    "cycle, three phases": node(CYCLE, total_steps=1999, pct_start=0.41, three_phase=True),
    "cycle without a rise": node(CYCLE, total_steps=1500, pct_start=0.0),
    "cycle of a rise only": node(CYCLE, total_steps=1500, pct_start=1.0, three_phase=False),
    "cycle of one step": node(CYCLE, total_steps=1),
    "cycle of lines": node(CYCLE, total_steps=1500, anneal_strategy="linear"),
    "parts": parts(ONE, node(COSINE, T_max=500), node("StepLR", step_size=90),
                   at=[300, 301], rescaling=[True, False]),
    "parts in parts": parts(
        node("LinearLR", total_iters=50),
        parts(node(RESTARTS, T_0=30, T_mult=2), ONE, at=[400], rescaling=True),
        at=[50], rescaling=True,
    ),
    "parts in a product": node("ChainedScheduler", schedulers=[
        node("LinearLR", total_iters=50), parts(ONE, ONE, at=[400], rescaling=True)]),
    "warm-up": node("WarmupLR", scheduler_or_optimizer=node(RESTARTS, T_0=30, T_mult=2),
                    warmup_iters=100, warmup_prefix=True),
    "warm-up to a target": node("WarmupLR", scheduler_or_optimizer=ONE, warmup_iters=100),
}  # fmt: skip


@pytest.mark.parametrize("base_lr", [0.1, 1, 0.30000000000000004])
@pytest.mark.parametrize("name", TABLE)
def test_many_steps_at_once_are_the_single_ones_to_the_last_bit(name, base_lr):
    scheduler = build_scheduler(TABLE[name], build_optimizer(base_lr), Horizon(STEPS, 100))
    for steps in (range(1, STEPS + 1), range(0, 1), range(299, 1303), range(5, 5)):
        single = [scheduler.get_lr(base_lr, step) for step in steps]
        assert rates_of(scheduler, base_lr, steps) == single


def test_every_shortcut_is_in_the_table():
    schedulers = [
        build_scheduler(n, build_optimizer(0.1), Horizon(STEPS, 1)) for n in TABLE.values()
    ]
    assert _SHORTCUTS.keys() <= {type(scheduler) for scheduler in schedulers}
