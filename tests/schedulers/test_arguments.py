"""The whole sentence for every kind of mistake in a node.

Under a heading, which is what the sentence says is expected, stand nodes and the place and value
that it names.
"""

from functools import partial

import pytest
from oneflow.optim.lr_scheduler import LambdaLR, _LRScheduler

from tests.schedulers import helpers
from tests.schedulers.helpers import TARGETS, node, sentence_of

NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
COSINE = node("CosineAnnealingLR", T_max="100%")
NAN, INF = float("nan"), float("inf")


def cosine(**arguments) -> dict:
    return COSINE | arguments


def sequential(*schedulers, **arguments) -> dict:
    return node("SequentialLR", **({"milestones": [500]} | arguments), schedulers=list(schedulers))


def function(**arguments) -> dict:
    return node("LambdaLR", lr_lambda=NOAM | arguments)


def knots(*pairs, **arguments) -> dict:
    return node("PiecewiseLR", knots=[list(pair) for pair in pairs], **arguments)


two = partial(sequential, COSINE, COSINE)
warmup, plateau = partial(node, "WarmupLR"), partial(node, "ReduceLROnPlateau")
restarts = partial(node, "CosineAnnealingWarmRestarts", T_0=5)
one_cycle = partial(node, "OneCycleLR", total_steps=9)
flat = partial(node, "FlatCosineLR", total_steps=9)
hard = partial(node, "CosineWithHardRestartsLR", total_steps=9)
hyperbolic = partial(node, "HyperbolicLR", upper_bound=8)

TABLE = """
# a duration: steps (500), epochs (10ep) or a share of the run (30%)
cosine(T_max="abc") | .T_max='abc'
cosine(T_max=True) | .T_max=true
cosine(T_max=None) | .T_max=null
cosine(T_max=[3]) | .T_max=[3]
MultiStepLR(milestones=[1, 2.5]) | .milestones[1]=2.5
function(warmup_steps="x") | .lr_lambda.warmup_steps='x'
knots((0, 1), ("x", 2)) | .knots[1][0]='x'
# a number (0.9) or a factor above 0 per epoch (0.95/ep) or run (0.01/run)
cosine(eta_min="3ep") | .eta_min='3ep'
# a number or a factor such as 0.95/ep or 0.01/run
cosine(eta_min=False) | .eta_min=false
# a finite number
cosine(eta_min=NAN) | .eta_min=nan
ExponentialLR(gamma=INF) | .gamma=inf
# a number above 0
cosine(T_max=-3) | .T_max=-3
cosine(T_max="0%") | .T_max=0
REXLR(total_steps=0) | .total_steps=0
ExponentialLR(gamma=0.0) | .gamma=0.0
one_cycle(div_factor=0.0) | .div_factor=0.0
one_cycle(final_div_factor=0) | .final_div_factor=0
flat(flat_steps=3, div_final=0.0) | .div_final=0.0
KDecayCosineLR(total_steps=9, k=0.0) | .k=0.0
# a number of at least 0
ConstantLR(total_iters=-1) | .total_iters=-1
cosine(eta_min=-0.1) | .eta_min=-0.1
PolynomialLR(decay_batch=9, power=-1) | .power=-1
restarts(restart_limit=-1) | .restart_limit=-1
# an integer of at least 1
CyclicLR(step_size_up=0) | .step_size_up=0
CyclicLR(step_size_up=1, step_size_down=0) | .step_size_down=0
NoamLR(warmup_steps=0) | .warmup_steps=0
NoamLR(warmup_steps=4, model_size=0) | .model_size=0
InverseSqrtLR(warmup_steps=4, timescale=0) | .timescale=0
hyperbolic(max_iter=0) | .max_iter=0
hard(num_cycles=0) | .num_cycles=0
# an integer (evaluations, not a duration)
plateau(patience="5ep") | .patience='5ep'
plateau(cooldown=2.5) | .cooldown=2.5
# an integer (times the previous cycle, not a duration)
restarts(T_mult="2ep") | .T_mult='2ep'
# an integer (cycles, not a duration)
restarts(restart_limit="2ep") | .restart_limit='2ep'
hard(num_cycles="3ep") | .num_cycles='3ep'
# true or false
warmup(warmup_prefix="yes") | .warmup_prefix='yes'
# a list or true or false
two(interval_rescaling=1) | .interval_rescaling=1
# a list
two(milestones=5) | .milestones=5
# a list of 2 entries
knots((0, 1), (5,)) | .knots[1]=[5]
# cos or linear
one_cycle(anneal_strategy="exp") | .anneal_strategy='exp'
# linear or cosine or step or a list
knots((0, 1), join="spline") | .join='spline'
# an argument of CosineAnnealingLR (T_max, eta_min, verbose)
cosine(nonsense=1) | .nonsense=1
cosine(optimizer=1) | .optimizer=1
# an argument of ChainedScheduler (schedulers)
ChainedScheduler(schedulers=[COSINE], verbose=True) | .verbose=true
# -1, because a run continues from its saved state and not from a step number
cosine(last_step=4) | .last_step=4
# a value, because StepLR has no default
StepLR() | .step_size
# a value, because SequentialLR has no default
SequentialLR() | .schedulers and scheduler.milestones
# a value, because noam_factor has no default
LambdaLR(lr_lambda={"_target_": NOAM["_target_"], "_partial_": True}) | .lr_lambda.warmup_steps
# a value, because noam_factor (called now and not at every step, because _partial_: true is \
missing) has no default
function(_partial_=False) | .lr_lambda.step
# a mapping with _target_
3 | =3
# the dotted path of a class
{} | ._target_=null
sequential(COSINE, {"T_max": 3}) | .schedulers[1]._target_=null
# a class or a function
{"_target_": "math.pi"} | ._target_='math.pi'
# a scheduler class, such as oneflow.optim.lr_scheduler.CosineAnnealingLR or your subclass of \
oneflow.optim.lr_scheduler._LRScheduler
{"_target_": "os.getcwd"} | ._target_='os.getcwd'
# false: only a function inside a scheduler is partial
cosine(_partial_=True) | ._partial_=true
# a scheduler node: a mapping with _target_
sequential(COSINE, 3) | .schedulers[1]=3
# a schedule of the step; this one follows evaluations and only works alone
chained(sequential(COSINE, plateau())) | .schedulers[0].schedulers[1]='ReduceLROnPlateau'
warmup(scheduler_or_optimizer=plateau()) | .scheduler_or_optimizer='ReduceLROnPlateau'
# a class with get_lr(base_lr, step), which a part of a composite needs
chained(node("tests.schedulers.test_arguments.StepOnlyLR", lr_lambda=NOAM)) | \
.schedulers[0]='StepOnlyLR'
# a list of at least one scheduler node
sequential() | .schedulers
sequential() | {"schedulers": COSINE} | .schedulers
# a list of length 0, one entry per change of schedule
sequential(COSINE) | .milestones=[500]
# a list of length 1, one entry per change of schedule
two(interval_rescaling=[True, False]) | .interval_rescaling=[True, False]
# increasing steps, above 0 and below the run's 1000
MultiStepLR(milestones=[0]) | .milestones=[0]
two(milestones=["10ep"]) | .milestones=[1000]
MultiStepLR(milestones=[30, 30]) | .milestones=[30, 30]
# a node with _target_
warmup(scheduler_or_optimizer=3) | .scheduler_or_optimizer=3
# a function of the step: a node with _target_ and _partial_: true
LambdaLR(lr_lambda=3) | .lr_lambda=3
# a list of length 1, with one entry per parameter group, not of length 2
LambdaLR(lr_lambda=[NOAM, NOAM]) | .lr_lambda
plateau(min_lr=[0.1, 0.2]) | .min_lr
# 0 to 1, or 0 to 0.5 with three_phase
one_cycle(pct_start=1.5) | .pct_start=1.5
one_cycle(pct_start=0.6, three_phase=True) | .pct_start=0.6
# with warmup_steps=600 at most total_steps=1000
WarmupStableDecayLR(total_steps="100%", warmup_steps="60%", decay_steps="50%") | .decay_steps=500
# an integer of at least 9
hyperbolic(max_iter=9) | .upper_bound=8
# above 0 and at most the base rates [0.1]
ExpHyperbolicLR(max_iter=9, upper_bound=9, infimum_lr=0.5) | .infimum_lr=0.5
# above lower=3
TanhDecayLR(total_steps=9, lower=3) | .upper=3.0
# fewer than total_steps=9
flat(flat_steps=9) | .flat_steps=9
hard(warmup_steps=9) | .warmup_steps=9
# at least one, in order
knots((5, 1), (2, 2)) | .knots=[5, 2]
knots() | .knots=[]
# factors of at least 0
knots((0, -1)) | .knots=[-1]
# one entry per piece, 0 in all
knots((0, 1), join=["step"]) | .join=['step']
"""

REASONS = [
    (
        node("StepLR", step_size=3, gama=0.1),
        ".gama=0.1: expected an argument of StepLR (step_size, gamma, verbose). Did you mean "
        "gamma?",
    ),
    (
        {"_target_": "oneflow.optim.lr_scheduler.StepRL"},
        "._target_='oneflow.optim.lr_scheduler.StepRL': expected a class or function that can be "
        "imported. module 'oneflow.optim.lr_scheduler' has no attribute 'StepRL'. Did you mean "
        "StepLR?",
    ),
    (
        warmup(warmup_method="exp"),  # the reason is OneFlow's
        ": WarmupLR(warmup_method='exp') is refused: 'warmup_method' must be 'linear' or "
        "'constant', but got exp.",
    ),
    (
        node("tests.schedulers.test_arguments.SilentLR"),
        ": SilentLR() is refused: AssertionError without a message.",
    ),
]


class StepOnlyLR(LambdaLR):
    """A scheduler with its own step() and no get_lr, as OneFlow's composites are."""


class SilentLR(_LRScheduler):
    """Refuses everything without a word, as some of OneFlow's constructors do."""

    def __init__(self, optimizer):
        raise AssertionError


def test_a_mistake_is_answered_with_key_value_and_what_is_expected():
    names = vars(helpers) | globals() | {name: partial(node, name) for name in TARGETS}
    for line in TABLE.strip().splitlines():
        if line.startswith("# "):
            expected = line[2:]
            continue
        schedule, place = line.rsplit(" | ", 1)
        sentence = f"scheduler{place}: expected {expected}."
        assert sentence_of(eval(schedule, names)) == sentence


@pytest.mark.parametrize(("schedule", "sentence"), REASONS)
def test_other_mistakes_are_answered_with_a_reason(schedule, sentence):
    assert sentence_of(schedule) == f"scheduler{sentence}"


def test_a_schedule_that_fails_later_is_found_by_its_trace():
    assert sentence_of(node("ExponentialLR", gamma=3.0)) == (
        "scheduler: ExponentialLR fails at step 647: Numerical result out of range."
    )
