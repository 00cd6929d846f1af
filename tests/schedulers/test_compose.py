"""Composites inside composites: against sums by hand, and against OneFlow where it works."""

from math import sqrt

import pytest
from oneflow.optim import lr_scheduler as upstream

from schedulers import Horizon, build_scheduler, compose, trace_lr
from tests.schedulers.helpers import (
    build_optimizer,
    chained,
    node,
    rates,
    sentence_of,
    sequential,
    stepped,
)

HALF = sqrt(2) / 2
RUN = Horizon(100, 10)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
LAMBDA = node("LambdaLR", lr_lambda=NOAM)
COSINE = node("CosineAnnealingLR", T_max=8)
STAIRS = node("StepLR", step_size=4, gamma=0.5)
RAMP = node("LinearLR", start_factor=0.5, total_iters=2)


def warmed(inner, **arguments) -> dict:
    return node("WarmupLR", scheduler_or_optimizer=inner, warmup_iters=2, **arguments)


WARM = warmed(COSINE, warmup_factor=0.5)
CHAIN = chained(STAIRS, LAMBDA)
TENTH = node("ConstantLR", factor=0.1, total_iters=3)
FLOOR = chained(node("CosineAnnealingLR", T_max=4, eta_min=0.2), STAIRS)
CURVES = chained(node("REXLR", total_steps=10), node("PiecewiseLR", knots=[[0, 1], [4, 0.5]]))
LATE = sequential(STAIRS, COSINE, at=[6])

NESTED = [
    # from step 10 on with t = step - 10: 0.5 ** (t // 4) * min(t / 4, 2 / sqrt(t))
    (
        sequential(RAMP, CHAIN, at=[10]),
        {0: 0.5, 1: 0.75, 2: 1, 9: 1, 10: 0.25, 11: 0.25, 13: 0.75, 14: 0.5 * 1}
        | {15: 0.5 * 2 / sqrt(5), 26: 0.5**4 * 0.5},
    ),
    # tenth until step 3; line 0.5 to 1 on 0..2; then, with t = step - 2, stairs until 6, cosine
    (
        chained(TENTH, warmed(LATE, warmup_factor=0.5, warmup_prefix=True)),
        {0: 0.05, 1: 0.075, 2: 0.1, 3: 1, 5: 1, 6: 0.5, 7: 0.5, 8: 1}
        | {10: 0.5 * (1 + HALF), 12: 0.5, 16: 0},
    ),
    # step 20: RAMP from its 0; step 23: WARM from its 0: a line from 0.5 to cosine(2), then cosine
    (
        sequential(LAMBDA, sequential(RAMP, WARM, at=[3]), at=[20]),
        {4: 1, 19: 2 / sqrt(19), 20: 0.5, 21: 0.75, 22: 1, 23: 0.5}
        | {24: 0.25 + 0.25 * (1 + HALF), 25: 0.5 * (1 + HALF), 27: 0.5, 31: 0},
    ),
    # B = 0.5 ** (t // 4) enters; floor: 0.2 + (B - 0.2) (1 + cos(pi t / 4)) / 2; stairs; then RAMP
    (
        chained(STAIRS, sequential(FLOOR, RAMP, at=[5])),
        {0: 1, 1: 0.2 + 0.4 * (1 + HALF), 2: 0.6, 3: 0.2 + 0.4 * (1 - HALF)}
        | {4: 0.2 * 0.5, 5: 0.5 * 0.5, 6: 0.5 * 0.75, 7: 0.5, 8: 0.25},
    ),
    # without rescaling outside: the inner sequence counts from step 0, its second part from step 9
    (
        sequential(RAMP, sequential(STAIRS, LAMBDA, at=[9]), at=[2], rescaling=False),
        {2: 1, 4: 0.5, 8: 0.25, 9: 0.25, 13: 1},
    ),
    (sequential(RAMP, CURVES, at=[2]), {2: 1, 4: 8 / 9 * 0.75, 7: 2 / 3 * 0.5, 12: 0}),
    # the warm-up aims at the rate that it is given, base 0.1: from 0.05 to cosine(2) at step 2
    (chained(TENTH, WARM), {0: 0.05, 1: (0.05 + 0.05 * (1 + HALF)) / 2, 2: 0.05 * (1 + HALF)}),
]


@pytest.mark.parametrize(("schedule", "table"), NESTED)
def test_nested_rates_by_hand(schedule, table):
    expected = pytest.approx(list(table.values()), rel=1e-12, abs=1e-15)
    assert rates(schedule, *table) == expected


# --- equal to OneFlow's classes where those work ------------------------------------------------


def same_curves(build) -> bool:
    """Whether OneFlow's class and ours draw one curve for two groups."""
    libs = (upstream, compose)
    theirs, ours = (stepped(build(lib, build_optimizer(0.03, 0.03)), 60) for lib in libs)
    return theirs == ours


def children(optimizer):
    return [
        upstream.LinearLR(optimizer, 0.1, 1.0, 7),
        upstream.CosineAnnealingLR(optimizer, 20, 0.001),
        upstream.StepLR(optimizer, 9, 0.3),
    ]


def test_composites_are_oneflows_bit_for_bit():
    for flags in (True, False, [True, False], [False, True]):
        assert same_curves(lambda lib, o, r=flags: lib.SequentialLR(o, children(o), [7, 30], r))
    assert same_curves(lambda lib, o: lib.ChainedScheduler(children(o)))
    assert same_curves(lambda lib, o: lib.LambdaLR(o, lambda step: 0.97**step))


@pytest.mark.parametrize("method", ["linear", "constant"])
@pytest.mark.parametrize("prefix", [True, False])
def test_warmup_is_oneflows_bit_for_bit(method, prefix):
    options = {"warmup_method": method, "warmup_prefix": prefix, "warmup_iters": 11}
    for child in range(3):
        assert same_curves(lambda lib, o, c=child: lib.WarmupLR(children(o)[c], **options))
    assert same_curves(lambda lib, o: lib.WarmupLR(o, **options))
    options["warmup_iters"] = 0  # no warm-up: the schedule inside
    assert same_curves(lambda lib, o: lib.WarmupLR(children(o)[1], **options))


def test_per_group_functions_work_at_the_top():
    schedule = node("LambdaLR", lr_lambda=[NOAM, NOAM | {"warmup_steps": 16}])
    first, second = trace_lr(schedule, [1.0, 2.0], RUN)
    assert (first[4], second[4]) == (1.0, 0.5)


def test_get_lr_agrees_with_stepping_for_every_composite():
    schedule = sequential(
        WARM, chained(STAIRS, LAMBDA), sequential(RAMP, COSINE, at=[3]), at=[9, 20]
    )
    scheduler = build_scheduler(schedule, build_optimizer(0.1, 0.02), RUN)
    asked = [[scheduler.get_lr(lr, step) for lr in (0.1, 0.02)] for step in range(40)]
    assert stepped(scheduler, 40) == asked


def test_warmup_works_where_oneflows_refuses():
    cosine = node("CosineAnnealingLR", T_max=4, eta_min=0.01)
    first, second = trace_lr(warmed(cosine, warmup_factor=0.1), [0.1, 0.03], RUN)
    # lines from a tenth of each rate to the cosine of step 2: (rate + 0.01) / 2
    assert first[:3] == pytest.approx([0.01, 0.0325, 0.055], rel=1e-12)
    assert second[:3] == pytest.approx([0.003, 0.0115, 0.02], rel=1e-12)
    assert [first[4], second[4]] == pytest.approx([0.01, 0.01], rel=1e-12)

    # OneFlow finds an end factor of 1.0000000000000002 here and refuses it
    inner = node("CosineAnnealingWarmRestarts", T_0=5, eta_min=0.001)
    schedule = node("WarmupLR", scheduler_or_optimizer=inner, warmup_iters=5)
    assert rates(schedule, 0, 5, base_lr=0.01) == pytest.approx([0.01 / 3, 0.01], rel=1e-12)
    # it may aim above the base rate, and start from zero
    rising = node("PolynomialLR", decay_batch=4, end_learning_rate=0.5)
    for base_lr, expected in ((0.1, [0, 0.15, 0.3, 0.5]), (0.0, [0, 0.125, 0.25, 0.5])):
        found = rates(warmed(rising, warmup_factor=0.0), 0, 1, 2, 4, base_lr=base_lr)
        assert found == pytest.approx(expected, rel=1e-12)


def test_per_group_functions_refuse_to_nest_in_a_yaml_and_in_python():
    functions = node("LambdaLR", lr_lambda=[NOAM, NOAM])
    assert sentence_of(chained(functions), 0.1, 0.1) == (
        "scheduler.schedulers[0].lr_lambda: expected one function for all groups in a composite."
    )
    optimizer = build_optimizer(0.1, 0.1)
    lambdas = compose.LambdaLR(optimizer, [lambda step: 1.0, lambda step: 2.0])
    with pytest.raises(ValueError, match="one function for all groups"):
        compose.ChainedScheduler([lambdas])
