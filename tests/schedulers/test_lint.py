"""Each rule of the lint has a node that trips it, and one beside it that does not."""

import math
from functools import partial

import pytest

from schedulers import Horizon
from schedulers.lint import RULES, SHAPE_RULES, lint_trace
from tests.schedulers.helpers import YAMLS, chained, node, sequential

RUN = Horizon(total_steps=1000, steps_per_epoch=100)


def function(name, **arguments):
    """A LambdaLR whose function takes the step."""
    target = f"tests.schedulers.test_lint.{name}"
    return node("LambdaLR", lr_lambda={"_target_": target, "_partial_": True, **arguments})


def nan_at(step, at):
    return math.nan if step == at else 1.0


def line_down(step, zero_at):
    return 1 - step / zero_at


def warmup(inner, **arguments):
    options = {"warmup_factor": 0.1, "warmup_iters": 80, "warmup_prefix": True} | arguments
    return node("WarmupLR", **({"scheduler_or_optimizer": inner} if inner else {}), **options)


def short(name, *keys):
    """A class with these arguments by position, others by name."""
    return lambda *values, **more: node(name, **dict(zip(keys, values, strict=False)), **more)


cosine = short("CosineAnnealingLR", "T_max")
cosine_decay = short("CosineDecayLR", "decay_steps")
restarts = short("CosineAnnealingWarmRestarts", "T_0")
linear = short("LinearLR", "start_factor", "end_factor", "total_iters")
stairs = short("StepLR", "step_size", "gamma")
constant = short("ConstantLR", "factor", "total_iters")
one_cycle = short("OneCycleLR", "total_steps")
polynomial = short("PolynomialLR", "decay_batch", "end_learning_rate")
plateau = short("ReduceLROnPlateau", "min_lr")
exponential = short("ExponentialLR", "gamma")


def knots(*pairs):
    return node("PiecewiseLR", knots=[list(pair) for pair in pairs])


FIXED = node("FixedLR")
WARM, COSINE = linear(0.1, 1.0, 100), cosine(1000)
FALL = exponential("1e-4/run")
LOW = {"eta_min": 0.02, "decay_rate": 0.1}
LONG = {"warmup_iters": 800, "warmup_factor": 0.05}

half, tenth = (
    partial(sequential, FIXED, FALL, at=[500]),
    partial(sequential, WARM, COSINE, at=[100]),
)

# rule, step where it shows, the node that trips it, the node beside it; base rate 0.1
TRAPS = [
    ("peak", 300, linear(0.1, 0.5, 300), linear(0.1, 1.0, 300)),
    # begins with the inner cosine 800 steps old: the line ends at 0.0095
    ("peak", 800, warmup(cosine(1000), warmup_prefix=False, **LONG), warmup(cosine(200), **LONG)),
    ("peak", 0, chained(linear(0.5, 0.5, 1), cosine(1000)), chained(linear(0.1, 1.0, 50), FIXED)),
    ("rises", 500, cosine(500), cosine(1000)),
    ("rises", 580, warmup(cosine(500)), warmup(cosine(920))),
    # its cycles get a lower top than their floor
    ("rises", 500, restarts(500, **LOW), restarts(500, **LOW | {"eta_min": 0.001})),
    # the second rise is longer than the first: no cycles of one kind
    (
        "rises",
        400,
        knots((0, 0.1), (200, 1.0), (400, 0.1), (700, 1.0)),
        node("CyclicLR", step_size_up=150, min_factor=0.1),
    ),
    ("zero_start", 0, linear(0.0, 1.0, 100), linear(0.01, 1.0, 100)),
    ("zero", 750, restarts(250, restart_limit=3), restarts(318, restart_limit=3)),  # 954 steps
    ("zero", 270, exponential(0.95), exponential("0.95/ep")),
    ("negative", 701, function("line_down", zero_at=700), function("line_down", zero_at=1000)),
    ("not_finite", 7, function("nan_at", at=7), function("line_down", zero_at=1000)),
    ("warmup", 999, warmup(None, warmup_iters=1500), warmup(None, warmup_iters=500)),
    ("warmup", 999, linear(0.1, 1.0, 1500), linear(0.1, 1.0, 900)),
    ("warmup", 999, node("NoamLR", warmup_steps=1200), node("NoamLR", warmup_steps=900)),
    ("length", 999, cosine(1200), cosine(1005)),
    ("length", 999, warmup(cosine("100%")), warmup(cosine("92%"))),
    ("length", 999, tenth(), tenth(rescaling=False)),
    ("length", 999, one_cycle(2000), one_cycle(1000)),
    ("length", 700, one_cycle(700), one_cycle(995)),
    ("length", 999, knots((0, 1.0), (2000, 0.0)), knots((0, 1.0), (800, 0.1))),
    ("length", 999, restarts(1500), restarts(500)),
    ("length", 600, cosine_decay(600), cosine_decay(1000)),
    ("length", 300, linear(1.0, 0.1, 300), linear(0.1, 1.0, 300)),
    ("length", 600, polynomial(600, 0.001), polynomial(500, 0.001, cycle=True)),
    ("jump", 400, stairs(400, 0.04), stairs(400, 0.06)),
    ("jump", 100, constant(0.01, 100), constant(0.1, 100)),
    # without rescaling the exponential is already 500 steps old
    ("jump", 500, half(rescaling=False), half()),
    ("constant", 0, stairs("10ep"), stairs("9ep")),
    ("constant", 0, constant(0.5, 2000), FIXED),
    ("floor", 0, cosine(1000, eta_min=0.2), cosine(1000, eta_min=0.05)),
    ("floor", 0, plateau(0.2), plateau(0.01)),
]


def found(schedule, base_lrs=(0.1,), horizon=RUN, trace=None):
    return [(f.rule, f.step) for f in lint_trace(schedule, base_lrs, horizon, trace)]


def test_a_rule_finds_its_trap_alone_and_not_the_node_beside_it():
    for rule, step, trap, beside in TRAPS:
        (finding,) = lint_trace(trap, [0.1], RUN)
        assert (finding.rule, finding.step) == (rule, step), finding
        assert len(str(finding)) <= 80, finding
        assert found(beside) == [], beside
    assert RULES.keys() | SHAPE_RULES.keys() == {rule for rule, *_ in TRAPS}


@pytest.mark.parametrize("horizon", [(3520, 352), (137, 11), (20, 10), (3, 3)])
def test_no_shipped_schedule_has_a_finding(horizon):
    for name, schedule in YAMLS.items():
        assert lint_trace(schedule, [0.1, 0.001, 1.0], Horizon(*horizon)) == [], name


def test_the_shape_of_a_run_below_100_steps_is_rounding_and_not_judged():
    assert found(stairs(1000), horizon=Horizon(99, 10)) == []
    assert found(stairs(1000), horizon=Horizon(100, 10)) == [("constant", 0)]


def test_polynomials_default_floor_is_found_where_the_yaml_does_not_name_it():
    schedule = node("PolynomialLR", decay_batch=1000)
    assert found(schedule, [1e-5]) == [("floor", 0)]
    assert found(schedule, [1e-3]) == []


def test_groups_are_judged_each_with_its_base_rate():
    (finding,) = lint_trace(cosine(1000, eta_min=0.005), [0.1, 0.001], RUN)
    reason = "eta_min=0.005 is absolute, above the base rate 0.001; lower it"
    assert str(finding) == f"group 1, step 0: {reason}"
    groups = lint_trace(plateau([0.001, 0.2]), [0.1, 0.1], RUN)
    assert [(f.rule, f.group) for f in groups] == [("floor", 1)]
    (finding,) = lint_trace(cosine(500), [0.1, 0.1], RUN)
    assert str(finding).startswith("step 500: rises again")


def test_a_given_trace_is_judged():
    assert found(cosine(1000), trace=[[0.05] * 1000]) == [("constant", 0)]
