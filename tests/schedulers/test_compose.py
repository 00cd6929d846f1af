"""Composites inside composites: against sums by hand, and against OneFlow where it works."""

from math import cos, pi, sqrt

import pytest
from oneflow.optim import lr_scheduler as upstream

from schedulers import Horizon, build_scheduler, compose, trace_lr
from tests.schedulers.helpers import build_optimizer, node, rates, sentence_of, stepped

HALF = sqrt(2) / 2
RUN = Horizon(100, 10)
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
LAMBDA = node("LambdaLR", lr_lambda=NOAM)
COSINE = node("CosineAnnealingLR", T_max=8)
STAIRS = node("StepLR", step_size=4, gamma=0.5)
RAMP = node("LinearLR", start_factor=0.5, total_iters=2)
WARM = node("WarmupLR", scheduler_or_optimizer=COSINE, warmup_iters=2, warmup_factor=0.5)


def sequential(*schedulers, at, rescaling=True) -> dict:
    return node(
        "SequentialLR", schedulers=list(schedulers), milestones=at, interval_rescaling=rescaling
    )


def chained(*schedulers) -> dict:
    return node("ChainedScheduler", schedulers=list(schedulers))


# --- three deep, worked out by hand -------------------------------------------------------------


def test_lambda_in_chained_in_sequential():
    schedule = sequential(RAMP, chained(STAIRS, LAMBDA), at=[10])
    # from step 10 on with t = step - 10: 0.5 ** (t // 4) * min(t / 4, 2 / sqrt(t))
    assert rates(schedule, 0, 1, 2, 9, 10, 11, 13, 14, 15, 26) == pytest.approx(
        [0.5, 0.75, 1, 1, 0.25, 0.25, 0.75, 0.5 * 1, 0.5 * 2 / sqrt(5), 0.5**4 * 0.5], rel=1e-12
    )


def test_sequential_in_warmup_in_chained():
    inner = sequential(STAIRS, COSINE, at=[6])
    warm = WARM | {"scheduler_or_optimizer": inner, "warmup_prefix": True}
    schedule = chained(node("ConstantLR", factor=0.1, total_iters=3), warm)
    # tenth until step 3; line 0.5 to 1 on 0..2; then, with t = step - 2, stairs until 6, cosine
    assert rates(schedule, 0, 1, 2, 3, 5, 6, 7, 8, 10, 12, 16) == pytest.approx(
        [0.05, 0.075, 0.1, 1, 1, 0.5, 0.5, 1, 0.5 * (1 + HALF), 0.5, 0], rel=1e-12, abs=1e-15
    )


def test_warmup_in_sequential_in_sequential():
    schedule = sequential(LAMBDA, sequential(RAMP, WARM, at=[3]), at=[20])
    # step 20: RAMP from its 0; step 23: WARM from its 0: a line from 0.5 to cosine(2), then cosine
    aim = 0.5 * (1 + HALF)
    assert rates(schedule, 4, 19, 20, 21, 22, 23, 24, 25, 27, 31) == pytest.approx(
        [1, 2 / sqrt(19), 0.5, 0.75, 1, 0.5, (0.5 + aim) / 2, aim, 0.5, 0], rel=1e-12, abs=1e-15
    )


def test_chained_in_sequential_in_chained_with_an_absolute_floor():
    floor = node("CosineAnnealingLR", T_max=4, eta_min=0.2)
    schedule = chained(STAIRS, sequential(chained(floor, STAIRS), RAMP, at=[5]))
    # B = 0.5 ** (t // 4) enters; floor: 0.2 + (B - 0.2) (1 + cos(pi t / 4)) / 2; stairs; then RAMP
    assert rates(schedule, 0, 1, 2, 3, 4, 5, 6, 7, 8) == pytest.approx(
        [
            1,
            0.2 + 0.4 * (1 + HALF),
            0.6,
            0.2 + 0.4 * (1 - HALF),
            0.2 * 0.5,
            0.5 * 0.5,
            0.5 * 0.75,
            0.5,
            0.25,
        ],
        rel=1e-12,
    )


def test_without_rescaling_a_nested_part_counts_from_the_start():
    schedule = sequential(RAMP, sequential(STAIRS, LAMBDA, at=[9]), at=[2], rescaling=False)
    # the inner sequence counts from step 0, its second part from its own milestone
    assert rates(schedule, 2, 4, 8, 9, 13) == pytest.approx([1, 0.5, 0.25, 0.25, 1], rel=1e-12)
    inner = sequential(STAIRS, LAMBDA, at=[9], rescaling=False)
    schedule = sequential(RAMP, inner, at=[2], rescaling=False)
    assert rates(schedule, 2, 4, 8, 9, 16) == pytest.approx([1, 0.5, 0.25, 2 / 3, 0.5], rel=1e-12)


def test_extensions_nest_like_the_others():
    rex = node("schedulers.rex.REXLR", total_steps=10)
    knots = node("schedulers.piecewise.PiecewiseLR", knots=[[0, 1.0], [4, 0.5]])
    schedule = sequential(RAMP, chained(rex, knots), at=[2])
    assert rates(schedule, 2, 4, 7, 12) == pytest.approx(
        [1, 8 / 9 * 0.75, 2 / 3 * 0.5, 0], rel=1e-12
    )


# --- equal to OneFlow's own classes where those work --------------------------------------------


def upstream_pairs():
    """(name, OneFlow's, ours), each a function of an optimizer."""

    def children(optimizer):
        return [
            upstream.LinearLR(optimizer, 0.1, 1.0, 7),
            upstream.CosineAnnealingLR(optimizer, 20, 0.001),
            upstream.StepLR(optimizer, 9, 0.3),
        ]

    for rescaling in (True, False, [True, False], [False, True]):
        yield (
            f"sequential-{rescaling}",
            lambda o, c=upstream.SequentialLR, r=rescaling: c(o, children(o), [7, 30], r),
            lambda o, c=compose.SequentialLR, r=rescaling: c(o, children(o), [7, 30], r),
        )
    yield (
        "chained",
        lambda o: upstream.ChainedScheduler(children(o)),
        lambda o: compose.ChainedScheduler(children(o)),
    )
    yield (
        "lambda",
        lambda o: upstream.LambdaLR(o, lambda step: 0.97**step),
        lambda o: compose.LambdaLR(o, lambda step: 0.97**step),
    )
    for method in ("linear", "constant"):
        for prefix in (True, False):
            options = {"warmup_method": method, "warmup_prefix": prefix, "warmup_iters": 11}
            for child in (0, 1, 2, None):

                def build(warmup_class, optimizer, child=child, options=options):
                    inner = optimizer if child is None else children(optimizer)[child]
                    return warmup_class(inner, **options)

                yield (
                    f"warmup-{method}-{prefix}-{child}",
                    lambda o, b=build: b(upstream.WarmupLR, o),
                    lambda o, b=build: b(compose.WarmupLR, o),
                )


PAIRS = list(upstream_pairs())


@pytest.mark.parametrize("theirs, ours", [p[1:] for p in PAIRS], ids=[p[0] for p in PAIRS])
@pytest.mark.parametrize("base_lrs", [[0.1], [0.03, 0.03]])
def test_curves_are_oneflows_bit_for_bit(theirs, ours, base_lrs):
    expected = stepped(theirs(build_optimizer(*base_lrs)), 60)
    assert stepped(ours(build_optimizer(*base_lrs)), 60) == expected


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


# --- WarmupLR where OneFlow's refuses -----------------------------------------------------------


def test_warmup_without_prefix_around_groups_of_different_rates():
    cosine = node("CosineAnnealingLR", T_max=4, eta_min=0.01)
    schedule = node("WarmupLR", scheduler_or_optimizer=cosine, warmup_factor=0.1, warmup_iters=2)
    first, second = trace_lr(schedule, [0.1, 0.03], RUN)
    # lines from a tenth of each rate to the cosine of step 2: (rate + 0.01) / 2
    assert first[:3] == pytest.approx([0.01, 0.0325, 0.055], rel=1e-12)
    assert second[:3] == pytest.approx([0.003, 0.0115, 0.02], rel=1e-12)
    assert [first[4], second[4]] == pytest.approx([0.01, 0.01], rel=1e-12)


def test_warmup_is_not_tripped_by_a_rounding_error():
    # OneFlow finds an end factor of 1.0000000000000002 here and refuses it
    inner = node("CosineAnnealingWarmRestarts", T_0=5, eta_min=0.001)
    schedule = node("WarmupLR", scheduler_or_optimizer=inner, warmup_iters=5)
    assert rates(schedule, 0, 5, base_lr=0.01) == pytest.approx([0.01 / 3, 0.01], rel=1e-12)


def test_warmup_may_aim_above_the_base_rate_and_start_from_zero():
    rising = node("PolynomialLR", decay_batch=4, end_learning_rate=0.5)
    schedule = node("WarmupLR", scheduler_or_optimizer=rising, warmup_factor=0.0, warmup_iters=2)
    assert rates(schedule, 0, 1, 2, 4, base_lr=0.1) == pytest.approx([0, 0.15, 0.3, 0.5], rel=1e-12)
    assert rates(schedule, 0, 1, 2, 4, base_lr=0.0) == pytest.approx(
        [0, 0.125, 0.25, 0.5], rel=1e-12
    )


def test_warmup_inside_chained_aims_at_the_rate_that_it_is_given():
    warm = WARM | {"scheduler_or_optimizer": node("CosineAnnealingLR", T_max=4, eta_min=0.2)}
    schedule = chained(node("ConstantLR", factor=0.5, total_iters=99), warm)
    # base 0.5: from 0.25 to 0.2 + 0.3 / 2 = 0.35 at step 2
    assert rates(schedule, 0, 1, 2) == pytest.approx([0.25, 0.3, 0.35], rel=1e-12)


def test_graph_conf_of_a_warmup_carries_its_end_factor():
    class Conf:  # what a graph's protobuf message looks like from here
        def __init__(self):
            self.linear_lr_conf = self

        def SetInParent(self):
            pass

    cosine = node("CosineAnnealingLR", T_max=4)
    schedule = node("WarmupLR", scheduler_or_optimizer=cosine, warmup_iters=2)
    scheduler, conf = build_scheduler(schedule, build_optimizer(0.1, 0.1), RUN), Conf()
    scheduler.schedulers[0]._generate_conf_for_graph(conf)
    assert conf.end_factor == pytest.approx(0.5 * (1 + cos(pi / 2)))
    floor = schedule | {"scheduler_or_optimizer": cosine | {"eta_min": 0.01}}
    scheduler = build_scheduler(floor, build_optimizer(0.1, 0.2), RUN)
    with pytest.raises(NotImplementedError, match="different base rates"):
        scheduler.schedulers[0]._generate_conf_for_graph(Conf())


# --- what cannot nest says so when it is built --------------------------------------------------


class StepOnlyLR(upstream.LambdaLR):
    """A scheduler with a step() of its own and no get_lr, as OneFlow's composites are."""


PLATEAU = node("ReduceLROnPlateau")
ALONE = (
    "is a ReduceLROnPlateau, which follows the evaluations and not the steps: it cannot stand "
    "inside a composite, only alone."
)


@pytest.mark.parametrize(
    "schedule, sentence",
    [
        (sequential(COSINE, PLATEAU, at=[5]), f"scheduler.schedulers[1] {ALONE}"),
        (chained(PLATEAU), f"scheduler.schedulers[0] {ALONE}"),
        (
            node("WarmupLR", scheduler_or_optimizer=PLATEAU),
            f"scheduler.scheduler_or_optimizer {ALONE}",
        ),
        (
            sequential(COSINE, chained(COSINE, PLATEAU), at=[5]),
            f"scheduler.schedulers[1].schedulers[1] {ALONE}",
        ),
        (
            chained(node("LambdaLR", lr_lambda=[NOAM, NOAM])),
            "scheduler.schedulers[0].lr_lambda is a list, one function per parameter group: inside "
            "a composite give one function for all groups.",
        ),
        (
            chained(node("tests.schedulers.test_compose.StepOnlyLR", lr_lambda=NOAM)),
            "scheduler.schedulers[0]: StepOnlyLR has no get_lr(base_lr, step), so it cannot stand "
            "inside scheduler.",
        ),
    ],
)
def test_refused_inside_a_composite(schedule, sentence):
    assert sentence_of(schedule, 0.1, 0.1) == sentence


def test_per_group_functions_refuse_get_lr_in_python_too():
    optimizer = build_optimizer(0.1, 0.1)
    lambdas = compose.LambdaLR(optimizer, [lambda step: 1.0, lambda step: 2.0])
    with pytest.raises(ValueError, match="one function for all groups"):
        compose.ChainedScheduler([lambdas])
