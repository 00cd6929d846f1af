"""Rates at the boundaries, by hand: first step, last of a part, restart, end, one past it.

A line has the class with its arguments, then rates by step; above it stands the source of the
numbers. The base rate is 1, so they are factors.
"""

import math
from functools import partial
from math import sqrt

import pytest

from schedulers import Horizon, trace_lr
from schedulers.build import build_scheduler
from tests.schedulers import helpers
from tests.schedulers.helpers import TARGETS, build_optimizer, node, rates

HALF = sqrt(2) / 2  # cos(pi / 4)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
HOLD = {"_target_": "schedulers.multiplicative.hold_then_decay", "_partial_": True}
HOLD |= {"hold_steps": 2, "gamma": 0.5}
PARTS = [node("LinearLR", start_factor=0.5, total_iters=2), node("ExponentialLR", gamma=0.5)]
WARM = partial(node, "WarmupLR", warmup_iters=2)
AROUND = partial(WARM, scheduler_or_optimizer=node("CosineAnnealingLR", T_max=4))
RESTARTS = node("CosineAnnealingWarmRestarts", T_0=2, T_mult=2, decay_rate=0.5, restart_limit=3)
CYCLE = {"total_steps": 21, "pct_start": 1 / 3, "div_factor": 10, "final_div_factor": 100}
SHORT = {"total_steps": 5, "div_factor": 10, "final_div_factor": 1}
WSD = {"total_steps": 10, "warmup_steps": 2, "decay_steps": 4, "min_factor": 0.2}
HYPERBOLA = {"max_iter": 4, "upper_bound": 10, "infimum_lr": 0.1}
POINTS = [[2, 0.5], [4, 1], [8, 0.2]]
JUMP = [[0, 1], [3, 1], [3, 0.1], [5, 0.3]]

TABLE = """
# OneFlow's documentation of each class, "Args" and formula; values worked out by hand
ConstantLR(factor=0.25, total_iters=4) | 0: 0.25, 3: 0.25, 4: 1, 5: 1
LinearLR(start_factor=0.2, total_iters=4) | 0: 0.2, 1: 0.4, 3: 0.8, 4: 1, 5: 1
LinearLR(start_factor=1, end_factor=0, total_iters=4) | 0: 1, 3: 0.25, 4: 0, 5: 0
ExponentialLR(gamma=0.5) | 0: 1, 1: 0.5, 10: 1 / 1024
StepLR(step_size=3) | 0: 1, 2: 1, 3: 0.1, 5: 0.1, 6: 0.01, 9: 0.001
MultiStepLR(milestones=[2, 5]) | 0: 1, 1: 1, 2: 0.1, 4: 0.1, 5: 0.01, 9: 0.01
PolynomialLR(decay_batch=4, end_learning_rate=0.2, power=2) | 0: 1, 1: 0.65, 3: 0.25, 4: 0.2, 5: 0.2
# step 0 is computed as step 1; a new stretch of 10 starts one step after each multiple
PolynomialLR(decay_batch=10, end_learning_rate=0.01, cycle=True) | \
0: 0.901, 1: 0.901, 2: 0.802, 10: 0.01, 11: 0.4555, 20: 0.01, 21: 0.307
CosineDecayLR(decay_steps=4, alpha=0.1) | \
0: 1, 1: 0.1 + 0.45 * (1 + HALF), 2: 0.55, 3: 0.1 + 0.45 * (1 - HALF), 4: 0.1, 5: 0.1
# cos(pi / 3) = 0.5; it rises after 6
CosineAnnealingLR(T_max=6, eta_min=0.2) | 0: 1, 2: 0.8, 3: 0.6, 4: 0.4, 6: 0.2, 8: 0.4, 12: 1
# cycles [0, 2), [2, 6), [6, 14), then eta_min
RESTARTS | 0: 1, 1: 0.5, 2: 0.5, 3: 0.25 * (1 + HALF), 4: 0.25, 5: 0.25 * (1 - HALF), 6: 0.25
RESTARTS | 10: 0.125, 13: 0.125 * (1 + cos(7 * pi / 8)), 14: 0, 20: 0
LambdaLR(lr_lambda=NOAM) | 0: 0.25, 1: 0.25, 2: 0.5, 4: 1, 16: 0.5, 64: 0.25
sequential(*PARTS, at=[2]) | 0: 0.5, 1: 0.75, 2: 1, 3: 0.5, 4: 0.25
sequential(*PARTS, at=[2], rescaling=False) | 0: 0.5, 1: 0.75, 2: 0.25, 3: 0.125, 4: 0.0625
WARM(warmup_factor=0.1) | 0: 0.1, 1: 0.55, 2: 1, 3: 1, 50: 1
WARM(warmup_factor=0.1, warmup_method="constant") | 0: 0.1, 1: 0.1, 2: 1, 50: 1
AROUND(warmup_factor=0.5, warmup_prefix=True) | \
0: 0.5, 1: 0.75, 2: 1, 3: 0.5 * (1 + HALF), 4: 0.5, 6: 0, 7: 0.5 * (1 - HALF)
# the line aims at the cosine's 0.5 of step 2
AROUND(warmup_factor=0.1) | 0: 0.1, 1: 0.3, 2: 0.5, 3: 0.5 * (1 - HALF), 4: 0
chained(ConstantLR(factor=0.1, total_iters=2), PARTS[1]) | 0: 0.1, 1: 0.05, 2: 0.25, 3: 0.125
# without metrics nothing moves
ReduceLROnPlateau() | 0: 1, 99: 1
FixedLR() | 0: 1, 99: 1
# torch/optim/lr_scheduler.py, OneCycleLR.get_lr: phases end at p T - 1 = 6 and T - 1 = 20
OneCycleLR(**CYCLE) | 0: 0.1, 3: 0.55, 6: 1, 13: 0.5005, 20: 0.001, 21: 0.001, 22: 0.001
OneCycleLR(**CYCLE, anneal_strategy="linear") | 0: 0.1, 1: 0.25, 6: 1, 7: 1 - 0.999 / 14, 20: 0.001
OneCycleLR(**CYCLE, three_phase=True) | 0: 0.1, 3: 0.55, 6: 1, 9: 0.55, 12: 0.1, 16: 0.0505
# p T - 1 = 0.5: the peak lies between two steps, step 1 is 1/7 of the way down from it
OneCycleLR(**SHORT, anneal_strategy="linear") | 0: 0.1, 1: 1 - 0.9 / 7, 4: 0.1, 5: 0.1
# p T - 1 = 0: no rise, where PyTorch divides by zero
OneCycleLR(**SHORT, pct_start=0.2) | 0: 1, 2: 0.55, 4: 0.1
# torch/optim/lr_scheduler.py, CyclicLR.get_lr with base_lr = 0.2, max_lr = 1
CyclicLR(step_size_up=2, min_factor=0.2) | 0: 0.2, 1: 0.6, 2: 1, 3: 0.6, 4: 0.2, 6: 1, 8: 0.2
CyclicLR(step_size_up=2, step_size_down=4, min_factor=0.2) | 0: 0.2, 2: 1, 3: 0.8, 5: 0.4, 6: 0.2
CyclicLR(step_size_up=2, min_factor=0.2, mode="triangular2") | 0: 0.2, 2: 1, 4: 0.2, 6: 0.6, 10: 0.4
CyclicLR(step_size_up=2, min_factor=0, mode="exp_range", gamma=0.5) | \
0: 0, 1: 0.25, 2: 0.25, 3: 0.0625, 4: 0, 6: 1 / 64
# the Annotated Transformer, rate(step, model_size=16, factor=1, warmup=4); step 0 is step 1
NoamLR(warmup_steps=4, model_size=16) | 0: 0.03125, 1: 0.03125, 3: 0.09375, 4: 0.125, 16: 0.0625
# the same shape divided by its peak
NoamLR(warmup_steps=4) | 0: 0.25, 1: 0.25, 4: 1, 16: 0.5
# transformers/optimization.py, get_inverse_sqrt_schedule
InverseSqrtLR(warmup_steps=4, timescale=12) | 0: 0, 3: 0.75, 4: 1, 16: HALF, 40: 0.5
InverseSqrtLR(warmup_steps=4) | 4: 1, 16: 0.5, 64: 0.25
InverseSqrtLR(warmup_steps=4, start_factor=0.2) | 0: 0.2, 1: 0.4, 4: 1
# transformers/optimization.py, get_wsd_schedule with num_stable_steps = 4
WarmupStableDecayLR(**WSD, decay_type="linear") | \
0: 0.2, 1: 0.6, 2: 1, 5: 1, 6: 1, 7: 0.8, 9: 0.4, 10: 0.2, 11: 0.2
WarmupStableDecayLR(**WSD, decay_type="1-sqrt") | 6: 1, 7: 0.6, 8: 1 - 0.8 * HALF, 10: 0.2
WarmupStableDecayLR(**WSD) | 6: 1, 7: 0.2 + 0.4 * (1 + HALF), 8: 0.6, 9: 0.2 + 0.4 * (1 - HALF)
# arXiv 2107.04197: (1 - z) / (1/2 + (1 - z) / 2)
REXLR(total_steps=10) | 0: 1, 5: 2 / 3, 9: 2 / 11, 10: 0, 11: 0
# arXiv 2407.15200; h = sqrt((U - t)^2 - (U - N)^2) / U, with U = 10, N = 4: h(0) = 8 / 10
HyperbolicLR(**HYPERBOLA) | 0: 1, 2: 1 + 0.9 * (sqrt(28) / 10 - 0.8), 4: 0.28, 5: 0.28
ExpHyperbolicLR(**HYPERBOLA) | 0: 1, 2: 10 ** (sqrt(28) / 10 - 0.8), 4: 10**-0.8, 5: 10**-0.8
# timm/scheduler/tanh_lr.py; (1 - tanh(x)) / 2 = 1 / (1 + exp(2 x)); held where timm drops to 0
TanhDecayLR(total_steps=9) | \
0: 1 / (1 + exp(-12)), 6: 0.5, 8: 1 / (1 + exp(4)), 9: 1 / (1 + exp(6)), 10: 1 / (1 + exp(6))
# fastai/callback/schedule.py, fit_flat_cos(pct_start=0.5, div_final=100)
FlatCosineLR(total_steps=8, flat_steps=4, div_final=100) | \
0: 1, 4: 1, 5: 0.01 + 0.495 * (1 + HALF), 6: 0.505, 8: 0.01, 9: 0.01
# torch/optim/lr_scheduler.py, MultiplicativeLR: the function is first asked for step 1
MultiplicativeLR(lr_lambda=HOLD) | 0: 1, 2: 1, 3: 0.5, 4: 0.25, 12: 1 / 1024
# timm/scheduler/cosine_lr.py with k_decay: pi (t / T)^2 = pi / 4 at half time
KDecayCosineLR(total_steps=4, k=2, min_factor=0.1) | 0: 1, 2: 0.1 + 0.45 * (1 + HALF), 4: 0.1
KDecayCosineLR(total_steps=3) | 0: 1, 1: 0.75, 2: 0.25, 3: 0, 4: 0
# transformers/optimization.py, get_cosine_with_hard_restarts_schedule_with_warmup
CosineWithHardRestartsLR(total_steps=10, warmup_steps=2, num_cycles=2) | \
0: 0, 1: 0.5, 2: 1, 4: 0.5, 5: 0.5 * (1 - HALF), 6: 1, 9: 0.5 * (1 - HALF), 10: 0, 11: 0
# numpy.interp and the definitions of the two other joins; at a jump the later knot counts
PiecewiseLR(knots=POINTS) | 0: 0.5, 2: 0.5, 3: 0.75, 4: 1, 5: 0.8, 8: 0.2, 9: 0.2
PiecewiseLR(knots=POINTS, join="cosine") | 2: 0.5, 3: 0.75, 4: 1, 5: 0.6 + 0.4 * HALF, 6: 0.6
PiecewiseLR(knots=POINTS, join=["linear", "step"]) | 3: 0.75, 4: 1, 7: 1, 8: 0.2, 9: 0.2
PiecewiseLR(knots=JUMP) | 2: 1, 3: 0.1, 4: 0.2, 5: 0.3
"""


@pytest.mark.parametrize("base_lr", [1, 0.1])
def test_rates_at_the_boundaries(base_lr):
    names = vars(math) | vars(helpers) | globals()
    names |= {name: partial(node, name) for name in TARGETS}
    # an absolute floor must shrink with the base rate for the factors to stay the same
    floors = ("eta_min", "end_learning_rate", "infimum_lr")
    for line in TABLE.strip().splitlines():
        if line.startswith("#"):
            continue
        schedule, numbers = line.split(" | ")
        table = eval(f"{{{numbers}}}", names)
        scaled = {k: v * base_lr if k in floors else v for k, v in eval(schedule, names).items()}
        expected = pytest.approx([factor * base_lr for factor in table.values()], 1e-12, 1e-12)
        assert rates(scaled, *table, base_lr=base_lr) == expected, line


def test_plateau_drops_after_a_flat_metric_and_not_after_a_better_one():
    # the first metric sets the best; patience + 1 more drop the rate; then cooldown + patience + 1
    flat, metrics = node("ReduceLROnPlateau", patience=2, cooldown=1, factor=0.5), range(1, 13)
    expected = [1.0] * 4 + [0.5] * 4 + [0.25] * 4 + [0.125]
    assert trace_lr(flat, [1.0], Horizon(13, 1), dict.fromkeys(metrics, 5.0))[0] == expected
    # 1.5 is worse than 2.0, so update 15, the first after it, has the lower rate
    better, metrics = node("ReduceLROnPlateau", patience=0, mode="max"), {5: 1, 10: 2, 15: 1.5}
    assert trace_lr(better, [1.0], Horizon(20, 5), metrics)[0] == [1.0] * 15 + [0.1] * 5


def test_inverse_sqrt_without_warmup_has_a_long_time_scale():
    schedule = node("InverseSqrtLR", warmup_steps=0)
    scheduler = build_scheduler(schedule, build_optimizer(1.0), Horizon(10, 10))
    assert scheduler.get_lr(1.0, 0) == 1.0
    assert scheduler.get_lr(1.0, 30_000) == pytest.approx(0.5, rel=1e-12)  # 1 / sqrt(4)


def test_hard_restart_is_not_missed_by_rounding():
    # a floating-point remainder is 0.9999999999999982 at step 30: the minimum for the maximum
    for cycles, length in [(22, 44), (23, 46), (39, 78)]:
        schedule = node("CosineWithHardRestartsLR", total_steps=length, num_cycles=cycles)
        restarts = range(0, length, length // cycles)
        assert rates(schedule, *restarts) == [1] * len(restarts)
