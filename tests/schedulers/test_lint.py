"""Each rule of the lint has a node that trips it, and one beside it that does not."""

import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from schedulers import Horizon, trace_lr
from schedulers.lint import Finding, lint_trace

ROOT = Path(__file__).resolve().parents[2]
RUN = Horizon(total_steps=1000, steps_per_epoch=100)
YAMLS = sorted((ROOT / "conf" / "scheduler").glob("*.yaml"))


def upstream(name, **arguments):
    return {"_target_": f"oneflow.optim.lr_scheduler.{name}", **arguments}


def local(path, **arguments):
    return {"_target_": f"schedulers.{path}", **arguments}


def function(path, **arguments):
    """A LambdaLR whose function takes the step."""
    name = f"tests.schedulers.test_lint.{path}"
    return upstream("LambdaLR", lr_lambda={"_target_": name, "_partial_": True, **arguments})


def nan_at(step, at):
    return math.nan if step == at else 1.0


def line_down(step, zero_at):
    return 1 - step / zero_at


def warmup(inner, **arguments):
    node = upstream("WarmupLR", warmup_factor=0.1, warmup_iters=80, warmup_prefix=True)
    return node | ({"scheduler_or_optimizer": inner} if inner else {}) | arguments


def cosine(T_max, **arguments):
    return upstream("CosineAnnealingLR", T_max=T_max, **arguments)


def linear(start, end, steps):
    return upstream("LinearLR", start_factor=start, end_factor=end, total_iters=steps)


def sequential(*schedulers, milestones, rescale=True):
    node = upstream("SequentialLR", schedulers=list(schedulers), milestones=milestones)
    return node | {"interval_rescaling": rescale}


def one_cycle(steps):
    return local("one_cycle.OneCycleLR", total_steps=steps)


FIXED = local("fixed.FixedLR")
WARM = linear(0.1, 1.0, 100)
EXPONENTIAL = upstream("ExponentialLR", gamma="1e-4/run")

# rule, step where it shows, the node that trips it, the node beside it; base rate 0.1
TRAPS = [
    ("peak", 300, linear(0.1, 0.5, 300), linear(0.1, 1.0, 300)),
    # begins with the inner cosine 800 steps old: the line ends at 0.0095
    (
        "peak",
        800,
        warmup(cosine(1000), warmup_iters=800, warmup_prefix=False, warmup_factor=0.05),
        warmup(cosine(200), warmup_iters=800, warmup_prefix=True, warmup_factor=0.05),
    ),
    (
        "peak",
        0,
        upstream("ChainedScheduler", schedulers=[linear(0.5, 0.5, 1), cosine(1000)]),
        upstream("ChainedScheduler", schedulers=[linear(0.1, 1.0, 50), FIXED]),
    ),
    ("rises", 500, cosine(500), cosine(1000)),
    ("rises", 580, warmup(cosine(500)), warmup(cosine(920))),
    # its cycles get a lower top than their floor
    (
        "rises",
        500,
        upstream("CosineAnnealingWarmRestarts", T_0=500, eta_min=0.02, decay_rate=0.1),
        upstream("CosineAnnealingWarmRestarts", T_0=500, eta_min=0.001, decay_rate=0.1),
    ),
    # the second rise is longer than the first: no cycles of one kind
    (
        "rises",
        400,
        local("piecewise.PiecewiseLR", knots=[[0, 0.1], [200, 1.0], [400, 0.1], [700, 1.0]]),
        local("cyclic.CyclicLR", step_size_up=150, min_factor=0.1),
    ),
    ("zero_start", 0, linear(0.0, 1.0, 100), linear(0.01, 1.0, 100)),
    (
        "zero",
        750,
        upstream("CosineAnnealingWarmRestarts", T_0=250, restart_limit=3),
        upstream("CosineAnnealingWarmRestarts", T_0=318, restart_limit=3),  # 954 steps
    ),
    (
        "zero",
        270,
        upstream("ExponentialLR", gamma=0.95),
        upstream("ExponentialLR", gamma="0.95/ep"),
    ),
    (
        "negative",
        701,
        function("line_down", zero_at=700),
        function("line_down", zero_at=1000),
    ),
    ("not_finite", 7, function("nan_at", at=7), function("line_down", zero_at=1000)),
    ("warmup", 999, warmup(None, warmup_iters=1500), warmup(None, warmup_iters=500)),
    (
        "warmup",
        999,
        local("noam.NoamLR", warmup_steps=1200),
        local("noam.NoamLR", warmup_steps=900),
    ),
    ("length", 999, cosine(1200), cosine(1005)),
    ("length", 999, warmup(cosine("100%")), warmup(cosine("92%"))),
    (
        "length",
        999,
        sequential(WARM, cosine(1000), milestones=[100]),
        sequential(WARM, cosine(1000), milestones=[100], rescale=False),
    ),
    ("length", 999, one_cycle(2000), one_cycle(1000)),
    ("length", 700, one_cycle(700), one_cycle(995)),
    (
        "length",
        999,
        local("piecewise.PiecewiseLR", knots=[[0, 1.0], [2000, 0.0]]),
        local("piecewise.PiecewiseLR", knots=[[0, 1.0], [800, 0.1]]),
    ),
    (
        "length",
        999,
        upstream("CosineAnnealingWarmRestarts", T_0=1500),
        upstream("CosineAnnealingWarmRestarts", T_0=500),
    ),
    (
        "length",
        600,
        upstream("CosineDecayLR", decay_steps=600),
        upstream("CosineDecayLR", decay_steps=1000),
    ),
    ("length", 300, linear(1.0, 0.1, 300), linear(0.1, 1.0, 300)),
    (
        "length",
        600,
        upstream("PolynomialLR", decay_batch=600, end_learning_rate=0.001),
        upstream("PolynomialLR", decay_batch=500, end_learning_rate=0.001, cycle=True),
    ),
    (
        "jump",
        400,
        upstream("StepLR", step_size=400, gamma=0.04),
        upstream("StepLR", step_size=400, gamma=0.06),
    ),
    (
        "jump",
        100,
        upstream("ConstantLR", factor=0.01, total_iters=100),
        upstream("ConstantLR", factor=0.1, total_iters=100),
    ),
    # without rescaling the exponential is already 500 steps old
    (
        "jump",
        500,
        sequential(FIXED, EXPONENTIAL, milestones=[500], rescale=False),
        sequential(FIXED, EXPONENTIAL, milestones=[500]),
    ),
    (
        "constant",
        0,
        upstream("StepLR", step_size="10ep"),
        upstream("StepLR", step_size="9ep"),
    ),
    ("constant", 0, upstream("ConstantLR", factor=0.5, total_iters=2000), FIXED),
    ("floor", 0, cosine(1000, eta_min=0.2), cosine(1000, eta_min=0.05)),
    (
        "floor",
        0,
        upstream("ReduceLROnPlateau", min_lr=0.2),
        upstream("ReduceLROnPlateau", min_lr=0.01),
    ),
]


def found(node, base_lrs=(0.1,), horizon=RUN, trace=None):
    return [(f.rule, f.step) for f in lint_trace(node, base_lrs, horizon, trace)]


@pytest.mark.parametrize(("rule", "step", "trap", "beside"), TRAPS)
def test_a_rule_finds_its_trap_alone_and_not_the_node_beside_it(rule, step, trap, beside):
    assert found(trap) == [(rule, step)]
    assert found(beside) == []


def test_every_rule_has_a_trap_in_the_table():
    from schedulers import lint

    rules = {rule.__name__.lstrip("_") for rule in lint._RULES + lint._SHAPE_RULES}
    assert rules == {rule for rule, *_ in TRAPS}


@pytest.mark.parametrize("horizon", [(10560, 352), (137, 11), (20, 10), (3, 3)])
@pytest.mark.parametrize("path", YAMLS, ids=lambda path: path.stem)
def test_no_shipped_schedule_is_found_wrong(path, horizon):
    node = OmegaConf.load(path)
    assert lint_trace(node, [0.1, 0.001, 1.0], Horizon(*horizon)) == []


def test_the_shape_of_a_run_below_100_steps_is_rounding_and_not_judged():
    short = upstream("StepLR", step_size=1000)
    assert found(short, horizon=Horizon(99, 10)) == []
    assert found(short, horizon=Horizon(100, 10)) == [("constant", 0)]


def test_polynomials_default_floor_is_found_where_the_yaml_does_not_name_it():
    node = upstream("PolynomialLR", decay_batch=1000)
    assert found(node, [1e-5]) == [("floor", 0)]
    assert found(node, [1e-3]) == []


def test_groups_are_judged_each_with_its_own_base_rate():
    node = cosine(1000, eta_min=0.005)
    (finding,) = lint_trace(node, [0.1, 0.001], RUN)
    assert (finding.rule, finding.group) == ("floor", 1)
    plateau = upstream("ReduceLROnPlateau", min_lr=[0.001, 0.2])
    assert [(f.rule, f.group) for f in lint_trace(plateau, [0.1, 0.1], RUN)] == [("floor", 1)]
    (finding,) = lint_trace(cosine(500), [0.1, 0.1], RUN)
    assert (finding.rule, finding.group) == ("rises", None)


def test_a_given_trace_is_what_is_judged():
    node = cosine(1000)
    assert found(node, trace=trace_lr(node, [0.1], RUN)) == []
    assert found(node, trace=[[0.05] * 1000]) == [("constant", 0)]


def test_a_finding_reads_as_a_line():
    assert str(Finding("jump", 12, "why; fix")) == "step 12: why; fix"
    assert str(Finding("jump", 12, "why; fix", group=1)) == "group 1, step 12: why; fix"


@pytest.mark.parametrize(("rule", "step", "trap", "beside"), TRAPS)
def test_a_line_fits_a_terminal_of_80_columns(rule, step, trap, beside):
    (finding,) = lint_trace(trap, [0.1], RUN)
    assert len(str(finding)) <= 80
