"""Rates at the boundaries, by hand: first step, last of a part, restart, end, one past it.

The base rate is 1 unless said otherwise, so the numbers are factors. Each table names its source.
"""

from math import cos, exp, pi, sqrt

import pytest

from schedulers import Horizon, trace_lr
from schedulers.build import build_scheduler
from tests.schedulers.helpers import LENGTH, build_optimizer, chained, node, rates, sequential

HALF = sqrt(2) / 2  # cos(pi / 4)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
HOLD = {"_target_": "schedulers.multiplicative.hold_then_decay", "_partial_": True}
HOLD |= {"hold_steps": 2, "gamma": 0.5}
COSINE = node("CosineAnnealingLR", T_max=4)
PARTS = [node("LinearLR", start_factor=0.5, total_iters=2), node("ExponentialLR", gamma=0.5)]
WSD = {"total_steps": 10, "warmup_steps": 2, "decay_steps": 4, "min_factor": 0.2}
CYCLE = {"total_steps": 21, "pct_start": 1 / 3, "div_factor": 10, "final_div_factor": 100}
POINTS = [[2, 0.5], [4, 1.0], [8, 0.2]]

UPSTREAM_TABLE = [
    # OneFlow's documentation of each class, "Args" and formula; values worked out by hand
    (node("ConstantLR", factor=0.25, total_iters=4), {0: 0.25, 3: 0.25, 4: 1.0, 5: 1.0}),
    (node("LinearLR", start_factor=0.2, total_iters=4), {0: 0.2, 1: 0.4, 3: 0.8, 4: 1.0, 5: 1.0}),
    (
        node("LinearLR", start_factor=1.0, end_factor=0.0, total_iters=4),
        {0: 1.0, 3: 0.25, 4: 0.0, 5: 0.0},
    ),
    (node("ExponentialLR", gamma=0.5), {0: 1.0, 1: 0.5, 10: 1 / 1024}),
    (node("StepLR", step_size=3), {0: 1.0, 2: 1.0, 3: 0.1, 5: 0.1, 6: 0.01, 9: 0.001}),
    (node("MultiStepLR", milestones=[2, 5]), {0: 1.0, 1: 1.0, 2: 0.1, 4: 0.1, 5: 0.01, 9: 0.01}),
    (
        node("PolynomialLR", decay_batch=4, end_learning_rate=0.2, power=2.0),
        {0: 1.0, 1: 0.65, 3: 0.25, 4: 0.2, 5: 0.2},
    ),
    (
        node("PolynomialLR", decay_batch=10, end_learning_rate=0.01, cycle=True),
        # step 0 is computed as step 1; a new stretch of 10 starts one step after each multiple
        {0: 0.901, 1: 0.901, 2: 0.802, 10: 0.01, 11: 0.4555, 20: 0.01, 21: 0.307},
    ),
    (
        node("CosineDecayLR", decay_steps=4, alpha=0.1),
        {0: 1.0, 1: 0.1 + 0.45 * (1 + HALF), 2: 0.55, 3: 0.1 + 0.45 * (1 - HALF), 4: 0.1, 5: 0.1},
    ),
    (
        node("CosineAnnealingLR", T_max=6, eta_min=0.2),  # cos(pi / 3) = 0.5; it rises after 6
        {0: 1.0, 2: 0.8, 3: 0.6, 4: 0.4, 6: 0.2, 8: 0.4, 12: 1.0},
    ),
    (
        node(
            "CosineAnnealingWarmRestarts", T_0=2, T_mult=2, decay_rate=0.5, restart_limit=3
        ),  # cycles [0, 2), [2, 6), [6, 14), then eta_min
        {0: 1.0, 1: 0.5, 2: 0.5, 3: 0.25 * (1 + HALF), 4: 0.25, 5: 0.25 * (1 - HALF)}
        | {6: 0.25, 10: 0.125, 13: 0.125 * (1 + cos(7 * pi / 8)), 14: 0.0, 20: 0.0},
    ),
    (node("LambdaLR", lr_lambda=NOAM), {0: 0.25, 1: 0.25, 2: 0.5, 4: 1.0, 16: 0.5, 64: 0.25}),
    (sequential(*PARTS, at=[2]), {0: 0.5, 1: 0.75, 2: 1.0, 3: 0.5, 4: 0.25}),
    (
        node("SequentialLR", schedulers=PARTS, milestones=[2]),
        {0: 0.5, 1: 0.75, 2: 0.25, 3: 0.125, 4: 0.0625},
    ),
    (
        node("WarmupLR", warmup_factor=0.1, warmup_iters=2),
        {0: 0.1, 1: 0.55, 2: 1.0, 3: 1.0, 50: 1.0},
    ),
    (
        node("WarmupLR", warmup_factor=0.1, warmup_iters=2, warmup_method="constant"),
        {0: 0.1, 1: 0.1, 2: 1.0, 50: 1.0},
    ),
    (
        node(
            "WarmupLR",
            scheduler_or_optimizer=COSINE,
            warmup_factor=0.5,
            warmup_iters=2,
            warmup_prefix=True,
        ),
        {0: 0.5, 1: 0.75, 2: 1.0, 3: 0.5 * (1 + HALF), 4: 0.5, 6: 0.0, 7: 0.5 * (1 - HALF)},
    ),
    (
        # the line aims at the cosine's 0.5 of step 2
        node("WarmupLR", scheduler_or_optimizer=COSINE, warmup_factor=0.1, warmup_iters=2),
        {0: 0.1, 1: 0.3, 2: 0.5, 3: 0.5 * (1 - HALF), 4: 0.0},
    ),
    (
        chained(node("ConstantLR", factor=0.1, total_iters=2), PARTS[1]),
        {0: 0.1, 1: 0.05, 2: 0.25, 3: 0.125, 4: 0.0625},
    ),
    (node("ReduceLROnPlateau"), {0: 1.0, LENGTH - 1: 1.0}),  # without metrics nothing moves
]

EXTENSION_TABLE = [
    (node("FixedLR"), {0: 1.0, LENGTH - 1: 1.0}),
    # torch/optim/lr_scheduler.py, OneCycleLR.get_lr: phases end at p T - 1 = 6 and T - 1 = 20
    (
        node("OneCycleLR", **CYCLE),
        {0: 0.1, 3: 0.55, 6: 1.0, 13: 0.5005, 20: 0.001, 21: 0.001, 22: 0.001},
    ),
    (
        node("OneCycleLR", **CYCLE, anneal_strategy="linear"),
        {0: 0.1, 1: 0.25, 6: 1.0, 7: 1 - 0.999 / 14, 20: 0.001, 21: 0.001},
    ),
    (
        node("OneCycleLR", **CYCLE, three_phase=True),
        {0: 0.1, 3: 0.55, 6: 1.0, 9: 0.55, 12: 0.1, 16: 0.0505, 20: 0.001, 21: 0.001},
    ),
    (
        # p T - 1 = 0.5: the peak lies between two steps, step 1 is 1/7 of the way down from it
        node(
            "OneCycleLR", total_steps=5, div_factor=10, final_div_factor=1, anneal_strategy="linear"
        ),
        {0: 0.1, 1: 1 - 0.9 / 7, 4: 0.1, 5: 0.1},
    ),
    # p T - 1 = 0: no rise, where PyTorch divides by zero
    (
        node("OneCycleLR", total_steps=5, pct_start=0.2, div_factor=10, final_div_factor=1),
        {0: 1.0, 2: 0.55, 4: 0.1},
    ),
    # torch/optim/lr_scheduler.py, CyclicLR.get_lr with base_lr = 0.2, max_lr = 1
    (
        node("CyclicLR", step_size_up=2, min_factor=0.2),
        {0: 0.2, 1: 0.6, 2: 1.0, 3: 0.6, 4: 0.2, 6: 1.0, 8: 0.2},
    ),
    (
        node("CyclicLR", step_size_up=2, step_size_down=4, min_factor=0.2),
        {0: 0.2, 2: 1.0, 3: 0.8, 5: 0.4, 6: 0.2, 8: 1.0},
    ),
    (
        node("CyclicLR", step_size_up=2, min_factor=0.2, mode="triangular2"),
        {0: 0.2, 2: 1.0, 4: 0.2, 6: 0.6, 8: 0.2, 10: 0.4},
    ),
    (
        node("CyclicLR", step_size_up=2, min_factor=0.0, mode="exp_range", gamma=0.5),
        {0: 0.0, 1: 0.25, 2: 0.25, 3: 0.0625, 4: 0.0, 6: 1 / 64},
    ),
    # the Annotated Transformer, rate(step, model_size=16, factor=1, warmup=4); step 0 is step 1
    (
        node("NoamLR", warmup_steps=4, model_size=16),
        {0: 0.03125, 1: 0.03125, 3: 0.09375, 4: 0.125, 16: 0.0625, 64: 0.03125},
    ),
    # the same shape divided by its peak
    (node("NoamLR", warmup_steps=4), {0: 0.25, 1: 0.25, 4: 1.0, 16: 0.5}),
    # transformers/optimization.py, get_inverse_sqrt_schedule
    (
        node("InverseSqrtLR", warmup_steps=4, timescale=12),
        {0: 0.0, 3: 0.75, 4: 1.0, 16: HALF, 40: 0.5},
    ),
    (node("InverseSqrtLR", warmup_steps=4), {4: 1.0, 16: 0.5, 64: 0.25}),
    (node("InverseSqrtLR", warmup_steps=4, start_factor=0.2), {0: 0.2, 1: 0.4, 4: 1.0}),
    # transformers/optimization.py, get_wsd_schedule with num_stable_steps = 4
    (
        node("WarmupStableDecayLR", **WSD, decay_type="linear"),
        {0: 0.2, 1: 0.6, 2: 1.0, 5: 1.0, 6: 1.0, 7: 0.8, 9: 0.4, 10: 0.2, 11: 0.2},
    ),
    (
        node("WarmupStableDecayLR", **WSD, decay_type="1-sqrt"),
        {6: 1.0, 7: 0.6, 8: 1 - 0.8 * HALF, 10: 0.2, 11: 0.2},
    ),
    (
        node("WarmupStableDecayLR", **WSD),
        {6: 1.0, 7: 0.2 + 0.4 * (1 + HALF), 8: 0.6, 9: 0.2 + 0.4 * (1 - HALF), 10: 0.2},
    ),
    # arXiv 2107.04197: (1 - z) / (1/2 + (1 - z) / 2)
    (node("REXLR", total_steps=10), {0: 1.0, 5: 2 / 3, 9: 2 / 11, 10: 0.0, 11: 0.0}),
    # arXiv 2407.15200; h = sqrt((U - t)^2 - (U - N)^2) / U, with U = 10, N = 4: h(0) = 8 / 10
    (
        node("HyperbolicLR", max_iter=4, upper_bound=10, infimum_lr=0.1),
        {0: 1.0, 2: 1 + 0.9 * (sqrt(28) / 10 - 0.8), 4: 0.28, 5: 0.28},
    ),
    (
        node("ExpHyperbolicLR", max_iter=4, upper_bound=10, infimum_lr=0.1),
        {0: 1.0, 2: 10 ** (sqrt(28) / 10 - 0.8), 4: 10**-0.8, 5: 10**-0.8},
    ),
    # timm/scheduler/tanh_lr.py; (1 - tanh(x)) / 2 = 1 / (1 + exp(2 x)); held where timm drops to 0
    (
        node("TanhDecayLR", total_steps=9),
        {0: 1 / (1 + exp(-12)), 6: 0.5, 8: 1 / (1 + exp(4)), 9: 1 / (1 + exp(6))}
        | {10: 1 / (1 + exp(6))},
    ),
    # fastai/callback/schedule.py, fit_flat_cos(pct_start=0.5, div_final=100)
    (
        node("FlatCosineLR", total_steps=8, flat_steps=4, div_final=100.0),
        {0: 1.0, 4: 1.0, 5: 0.01 + 0.495 * (1 + HALF), 6: 0.505, 8: 0.01, 9: 0.01},
    ),
    # torch/optim/lr_scheduler.py, MultiplicativeLR: the function is first asked for step 1
    (node("MultiplicativeLR", lr_lambda=HOLD), {0: 1.0, 2: 1.0, 3: 0.5, 4: 0.25, 12: 1 / 1024}),
    # timm/scheduler/cosine_lr.py with k_decay: pi (t / T)^2 = pi / 4 at half time
    (
        node("KDecayCosineLR", total_steps=4, k=2.0, min_factor=0.1),
        {0: 1.0, 2: 0.1 + 0.45 * (1 + HALF), 4: 0.1, 5: 0.1},
    ),
    (node("KDecayCosineLR", total_steps=3), {0: 1.0, 1: 0.75, 2: 0.25, 3: 0.0, 4: 0.0}),
    # transformers/optimization.py, get_cosine_with_hard_restarts_schedule_with_warmup
    (
        node("CosineWithHardRestartsLR", total_steps=10, warmup_steps=2, num_cycles=2),
        {0: 0.0, 1: 0.5, 2: 1.0, 4: 0.5, 5: 0.5 * (1 - HALF), 6: 1.0, 9: 0.5 * (1 - HALF)}
        | {10: 0.0, 11: 0.0},
    ),
    # numpy.interp and the definitions of the two other joins
    (node("PiecewiseLR", knots=POINTS), {0: 0.5, 2: 0.5, 3: 0.75, 4: 1.0, 5: 0.8, 8: 0.2, 9: 0.2}),
    (
        node("PiecewiseLR", knots=POINTS, join="cosine"),
        {2: 0.5, 3: 0.75, 4: 1.0, 5: 0.6 + 0.4 * HALF, 6: 0.6, 8: 0.2, 9: 0.2},
    ),
    (
        node("PiecewiseLR", knots=POINTS, join=["linear", "step"]),
        {3: 0.75, 4: 1.0, 7: 1.0, 8: 0.2, 9: 0.2},
    ),
    (
        node("PiecewiseLR", knots=[[0, 1.0], [3, 1.0], [3, 0.1], [5, 0.3]]),
        {2: 1.0, 3: 0.1, 4: 0.2, 5: 0.3},  # a jump: at step 3 the later knot counts
    ),
]


@pytest.mark.parametrize("base_lr", [1.0, 0.1])
def test_rates_at_the_boundaries(base_lr):
    # an absolute floor must shrink with the base rate for the factors to stay the same
    floors = ("eta_min", "end_learning_rate", "infimum_lr")
    for schedule, table in UPSTREAM_TABLE + EXTENSION_TABLE:
        scaled = {k: v * base_lr if k in floors else v for k, v in schedule.items()}
        expected = pytest.approx([factor * base_lr for factor in table.values()], 1e-12, 1e-12)
        assert rates(scaled, *table, base_lr=base_lr) == expected, schedule


def test_plateau_drops_after_a_flat_metric():
    # the first metric sets the best; patience + 1 more drop the rate; then cooldown + patience + 1
    schedule = node("ReduceLROnPlateau", patience=2, cooldown=1, factor=0.5)
    metrics = dict.fromkeys(range(1, 13), 5.0)
    expected = [1.0] * 4 + [0.5] * 4 + [0.25] * 4 + [0.125]
    assert trace_lr(schedule, [1.0], Horizon(13, 1), metrics)[0] == expected


def test_plateau_is_left_alone_by_an_improving_metric():
    schedule = node("ReduceLROnPlateau", patience=0, mode="max")
    metrics = {5: 1.0, 10: 2.0, 15: 1.5, 20: 9.0}
    # 1.5 is worse than 2.0, so update 15, the first after it, has the lower rate
    trace = trace_lr(schedule, [1.0], Horizon(20, 5), metrics)[0]
    assert trace == [1.0] * 15 + [0.1] * 5


def test_inverse_sqrt_without_warmup_has_a_long_time_scale():
    schedule = node("InverseSqrtLR", warmup_steps=0)
    scheduler = build_scheduler(schedule, build_optimizer(1.0), Horizon(10, 10))
    assert scheduler.get_lr(1.0, 0) == 1.0
    assert scheduler.get_lr(1.0, 30_000) == pytest.approx(0.5, rel=1e-12)  # 1 / sqrt(4)


def test_hard_restart_is_not_missed_by_rounding():
    # a floating-point remainder is 0.9999999999999982 at step 30: the minimum for the maximum
    assert (22.0 * (30 / 44)) % 1.0 > 0.99
    for cycles, length in [(22, 44), (23, 46), (39, 78)]:
        schedule = node("CosineWithHardRestartsLR", total_steps=length, num_cycles=cycles)
        restarts = range(0, length, length // cycles)
        assert rates(schedule, *restarts) == [1.0] * len(restarts)
