"""What a person is told about the arguments of the schedules that are this repository's own."""

import pytest

from tests.schedulers.helpers import node, sentence_of

LENGTH = "give steps (500), epochs (10ep) or a share of the run (30%)"
KNOTS = {"_target_": "schedulers.piecewise.PiecewiseLR", "knots": [[0, 1], [2, 2]]}

TABLE = [
    (
        node("schedulers.one_cycle.OneCycleLR", total_steps=9, pct_start=1.5),
        "scheduler: OneCycleLR(total_steps=9, pct_start=1.5) is refused: pct_start must be from 0 "
        "to 1, and to 0.5 with three_phase.",
    ),
    (
        node("schedulers.one_cycle.OneCycleLR", total_steps=9, div_factor=0.0),
        "scheduler: OneCycleLR(total_steps=9, div_factor=0.0) is refused: div_factor and "
        "final_div_factor must be above zero.",
    ),
    (
        node("schedulers.one_cycle.OneCycleLR", total_steps=9, anneal_strategy="exp"),
        "scheduler.anneal_strategy='exp' is not accepted: give cos or linear.",
    ),
    (
        node("schedulers.cyclic.CyclicLR", step_size_up=0),
        "scheduler: CyclicLR(step_size_up=0) is refused: step_size_up and step_size_down must be "
        "at least 1 step.",
    ),
    (
        node("schedulers.noam.NoamLR", warmup_steps=0),
        "scheduler: NoamLR(warmup_steps=0) is refused: warmup_steps must be at least 1 step.",
    ),
    (
        node("schedulers.noam.NoamLR", warmup_steps=4, model_size=0),
        "scheduler: NoamLR(warmup_steps=4, model_size=0) is refused: model_size must be at least "
        "1, or null.",
    ),
    (
        node("schedulers.inverse_sqrt.InverseSqrtLR", warmup_steps=4, timescale=0),
        "scheduler: InverseSqrtLR(warmup_steps=4, timescale=0) is refused: timescale must be at "
        "least 1 step, or null.",
    ),
    (
        node(
            "schedulers.warmup_stable_decay.WarmupStableDecayLR",
            total_steps="100%",
            warmup_steps="60%",
            decay_steps="50%",
        ),
        "scheduler: WarmupStableDecayLR(total_steps=1000, warmup_steps=600, decay_steps=500) is "
        "refused: warmup_steps and decay_steps are together longer than total_steps.",
    ),
    (node("schedulers.rex.REXLR", total_steps=0), "scheduler.total_steps=0 must be above zero."),
    (
        node("schedulers.hyperbolic.HyperbolicLR", max_iter=9, upper_bound=8),
        "scheduler: HyperbolicLR(max_iter=9, upper_bound=8) is refused: max_iter must be at least "
        "1 step and upper_bound at least max_iter.",
    ),
    (
        node("schedulers.hyperbolic.ExpHyperbolicLR", max_iter=9, upper_bound=9, infimum_lr=0.5),
        "scheduler: ExpHyperbolicLR(max_iter=9, upper_bound=9, infimum_lr=0.5) is refused: "
        "infimum_lr must be above 0 and not above the rates [0.1].",
    ),
    (
        node("schedulers.tanh_decay.TanhDecayLR", total_steps=9, lower=3),
        "scheduler: TanhDecayLR(total_steps=9, lower=3) is refused: upper must be above lower.",
    ),
    (
        node("schedulers.flat_cosine.FlatCosineLR", total_steps=9, flat_steps=9),
        "scheduler: FlatCosineLR(total_steps=9, flat_steps=9) is refused: flat_steps must be fewer "
        "than total_steps.",
    ),
    (
        node("schedulers.flat_cosine.FlatCosineLR", total_steps=9, flat_steps=3, div_final=0.0),
        "scheduler: FlatCosineLR(total_steps=9, flat_steps=3, div_final=0.0) is refused: div_final "
        "must be above zero.",
    ),
    (
        node("schedulers.k_decay_cosine.KDecayCosineLR", total_steps=9, k=0.0),
        "scheduler: KDecayCosineLR(total_steps=9, k=0.0) is refused: k must be above zero.",
    ),
    (
        node(
            "schedulers.cosine_hard_restarts.CosineWithHardRestartsLR",
            total_steps=9,
            warmup_steps=9,
        ),
        "scheduler: CosineWithHardRestartsLR(total_steps=9, warmup_steps=9) is refused: "
        "warmup_steps must be fewer than total_steps.",
    ),
    (
        node(
            "schedulers.cosine_hard_restarts.CosineWithHardRestartsLR",
            total_steps=9,
            num_cycles="3ep",
        ),
        "scheduler.num_cycles='3ep' is not accepted: give a whole number (cycles, not a length).",
    ),
    (
        KNOTS | {"knots": [[0, 1], ["x", 2]]},
        f"scheduler.knots[1][0]='x' is not a length: {LENGTH}, not negative.",
    ),
    (KNOTS | {"knots": [[0, 1], [5]]}, "scheduler.knots[1]=[5] must have 2 entries."),
    (
        KNOTS | {"knots": [[5, 1], [2, 2]]},
        "scheduler: PiecewiseLR(knots=[[5, 1], [2, 2]]) is refused: knots must be at least one, in "
        "order, but are at [5, 2].",
    ),
    (
        KNOTS | {"knots": []},
        "scheduler: PiecewiseLR(knots=[]) is refused: knots must be at least one, in order, but "
        "are at [].",
    ),
    (
        KNOTS | {"knots": [[0, -1]]},
        "scheduler: PiecewiseLR(knots=[[0, -1]]) is refused: the factors of knots must not be "
        "negative.",
    ),
    (
        KNOTS | {"join": "spline"},
        "scheduler.join='spline' is not accepted: give linear or cosine or step or a list.",
    ),
    (
        KNOTS | {"join": ["step", "step"]},
        "scheduler: PiecewiseLR(knots=[[0, 1], [2, 2]], join=['step', 'step']) is refused: join is "
        "of length 2 for 1 pieces.",
    ),
]


@pytest.mark.parametrize("schedule, sentence", TABLE, ids=[sentence for _, sentence in TABLE])
def test_sentence(schedule, sentence):
    assert sentence_of(schedule) == sentence
