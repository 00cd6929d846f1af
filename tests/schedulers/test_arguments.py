"""The whole sentence for every kind of mistake in a node."""

from functools import partial

import pytest
from oneflow.optim.lr_scheduler import _LRScheduler

from schedulers import Horizon
from tests.schedulers.helpers import node, sentence_of

DURATION = "a duration: steps (500), epochs (10ep) or a share of the run (30%)"
FACTOR = "a number (0.9) or a factor above 0 per epoch (0.95/ep) or run (0.01/run)"
NUMBER = "a number or a factor such as 0.95/ep or 0.01/run"
COUNT = "an integer (evaluations, not a duration)"
ABOVE, ZERO = "a number above 0", "a number of at least 0"
ONE = "an integer of at least 1"
ARGUMENTS = "an argument of CosineAnnealingLR (T_max, eta_min, verbose)"
SHARE = "0 to 1, or 0 to 0.5 with three_phase"
CHANGES = "a list of length {}, one entry per change of schedule"
GROUPS = "a list of length 1, with one entry per parameter group, not of length 2"
PATH = "the dotted path of a class"
INSIDE = "increasing steps, above 0 and below the run's 1000"
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
COSINE = node("CosineAnnealingLR", T_max="100%")
NAN, INF = float("nan"), float("inf")


def cosine(**arguments) -> dict:
    return COSINE | arguments


def sequential(*schedulers, **arguments) -> dict:
    arguments = {"milestones": [500]} | arguments
    return node("SequentialLR", schedulers=list(schedulers), **arguments)


def function(**arguments) -> dict:
    return node("LambdaLR", lr_lambda=NOAM | arguments)


def curve(name: str, **arguments) -> dict:
    """A class of this repository, over 9 steps where it has a total."""
    return node(name, **({"total_steps": 9} | arguments))


def knots(*pairs, **arguments) -> dict:
    return node("PiecewiseLR", knots=[list(pair) for pair in pairs], **arguments)


plateau, warmup = partial(node, "ReduceLROnPlateau"), partial(node, "WarmupLR")
restarts = partial(node, "CosineAnnealingWarmRestarts", T_0=5)
two = partial(sequential, COSINE, COSINE)
hyperbolic, cyclic = partial(node, "HyperbolicLR"), partial(node, "CyclicLR")
hard = partial(curve, "CosineWithHardRestartsLR")

# a node, the place and value in the sentence, what is expected
EXPECTED = [
    # durations
    (cosine(T_max="abc"), ".T_max='abc'", DURATION),
    (cosine(T_max="-3ep"), ".T_max='-3ep'", DURATION),
    (cosine(T_max=-3), ".T_max=-3", ABOVE),
    (cosine(T_max=0), ".T_max=0", ABOVE),
    (cosine(T_max="0%"), ".T_max=0", ABOVE),
    (cosine(T_max=2.5), ".T_max=2.5", DURATION),
    (cosine(T_max=True), ".T_max=true", DURATION),
    (cosine(T_max=None), ".T_max=null", DURATION),
    (cosine(T_max=[3]), ".T_max=[3]", DURATION),
    (node("ConstantLR", total_iters=-1), ".total_iters=-1", ZERO),
    (node("MultiStepLR", milestones=["abc"]), ".milestones[0]='abc'", DURATION),
    (node("MultiStepLR", milestones=[1, 2.5]), ".milestones[1]=2.5", DURATION),
    (function(warmup_steps="x"), ".lr_lambda.warmup_steps='x'", DURATION),
    (sequential(COSINE, cosine(T_max="abc")), ".schedulers[1].T_max='abc'", DURATION),
    # numbers and factors
    (cosine(eta_min="x"), ".eta_min='x'", FACTOR),
    (cosine(eta_min="3ep"), ".eta_min='3ep'", FACTOR),
    (cosine(eta_min=None), ".eta_min=null", NUMBER),
    (cosine(eta_min=False), ".eta_min=false", NUMBER),
    (cosine(eta_min=NAN), ".eta_min=nan", "a finite number"),
    (cosine(eta_min=-0.1), ".eta_min=-0.1", ZERO),
    (node("ExponentialLR", gamma=INF), ".gamma=inf", "a finite number"),
    (node("ExponentialLR", gamma=0.0), ".gamma=0.0", ABOVE),
    (node("StepLR", step_size=3, gamma=-1), ".gamma=-1", ABOVE),
    (node("PolynomialLR", decay_batch=9, power=-1), ".power=-1", ZERO),
    # counts are no durations
    (plateau(patience="5ep"), ".patience='5ep'", COUNT),
    (plateau(cooldown=2.5), ".cooldown=2.5", COUNT),
    (
        restarts(T_mult="2ep"),
        ".T_mult='2ep'",
        "an integer (times the previous cycle, not a duration)",
    ),
    (restarts(restart_limit=-1), ".restart_limit=-1", ZERO),
    # true, false and lists
    (warmup(warmup_prefix="yes"), ".warmup_prefix='yes'", "true or false"),
    (two(interval_rescaling=1), ".interval_rescaling=1", "a list or true or false"),
    (two(interval_rescaling=["True"]), ".interval_rescaling[0]='True'", "true or false"),
    (two(milestones=5), ".milestones=5", "a list"),
    # names of arguments
    (cosine(nonsense=1), ".nonsense=1", ARGUMENTS),
    (cosine(optimizer=1), ".optimizer=1", ARGUMENTS),
    (
        node("ChainedScheduler", schedulers=[COSINE], verbose=True),
        ".verbose=true",
        "an argument of ChainedScheduler (schedulers)",
    ),
    (
        cosine(last_step=4),
        ".last_step=4",
        "-1, because a run continues from its saved state and not from a step number",
    ),
    # arguments that are missing
    (node("StepLR"), ".step_size", "a value, because StepLR has no default"),
    (
        node("SequentialLR"),
        ".schedulers and scheduler.milestones",
        "a value, because SequentialLR has no default",
    ),
    (
        node("LambdaLR", lr_lambda={"_target_": NOAM["_target_"], "_partial_": True}),
        ".lr_lambda.warmup_steps",
        "a value, because noam_factor has no default",
    ),
    (
        function(_partial_=False),
        ".lr_lambda.step",
        "a value, because noam_factor (called now and not at every step, because _partial_: true "
        "is missing) has no default",
    ),
    # targets
    (3, "=3", "a mapping with _target_"),
    ({}, "._target_=null", PATH),
    ({"_target_": 3}, "._target_=3", PATH),
    (
        sequential(COSINE, {"T_max": 3}),
        ".schedulers[1]._target_=null",
        "the dotted path of a class",
    ),
    ({"_target_": "math.pi"}, "._target_='math.pi'", "a class or a function"),
    (
        {"_target_": "os.getcwd"},
        "._target_='os.getcwd'",
        "a scheduler class, such as oneflow.optim.lr_scheduler.CosineAnnealingLR or your subclass "
        "of oneflow.optim.lr_scheduler._LRScheduler",
    ),
    (
        cosine(_partial_=True),
        "._partial_=true",
        "false: only a function inside a scheduler is partial",
    ),
    # composites
    (sequential(COSINE, 3), ".schedulers[1]=3", "a scheduler node: a mapping with _target_"),
    (sequential(), ".schedulers", "a list of at least one scheduler node"),
    (sequential() | {"schedulers": COSINE}, ".schedulers", "a list of at least one scheduler node"),
    (sequential(COSINE), ".milestones=[500]", CHANGES.format(0)),
    (two(interval_rescaling=[True, False]), ".interval_rescaling=[True, False]", CHANGES.format(1)),
    (two(milestones=[0]), ".milestones=[0]", INSIDE),
    (two(milestones=["10ep"]), ".milestones=[1000]", INSIDE),
    (sequential(*[COSINE] * 3, milestones=["50%", "30%"]), ".milestones=[500, 300]", INSIDE),
    (node("MultiStepLR", milestones=[30, 30]), ".milestones=[30, 30]", INSIDE),
    (warmup(scheduler_or_optimizer=3), ".scheduler_or_optimizer=3", "a node with _target_"),
    # functions and groups
    (
        node("LambdaLR", lr_lambda=3),
        ".lr_lambda=3",
        "a function of the step: a node with _target_ and _partial_: true",
    ),
    (node("LambdaLR", lr_lambda=[NOAM, NOAM]), ".lr_lambda", GROUPS),
    (plateau(min_lr=[0.1, 0.2]), ".min_lr", GROUPS),
    # classes of this repository
    (curve("OneCycleLR", pct_start=1.5), ".pct_start=1.5", SHARE),
    (curve("OneCycleLR", pct_start=0.6, three_phase=True), ".pct_start=0.6", SHARE),
    (curve("OneCycleLR", div_factor=0.0), ".div_factor=0.0", ABOVE),
    (curve("OneCycleLR", final_div_factor=0), ".final_div_factor=0", ABOVE),
    (curve("OneCycleLR", anneal_strategy="exp"), ".anneal_strategy='exp'", "cos or linear"),
    (cyclic(step_size_up=0), ".step_size_up=0", ONE),
    (cyclic(step_size_up=1, step_size_down=0), ".step_size_down=0", ONE),
    (node("NoamLR", warmup_steps=0), ".warmup_steps=0", ONE),
    (node("NoamLR", warmup_steps=4, model_size=0), ".model_size=0", ONE),
    (node("InverseSqrtLR", warmup_steps=4, timescale=0), ".timescale=0", ONE),
    (
        node("WarmupStableDecayLR", total_steps="100%", warmup_steps="60%", decay_steps="50%"),
        ".decay_steps=500",
        "with warmup_steps=600 at most total_steps=1000",
    ),
    (node("REXLR", total_steps=0), ".total_steps=0", ABOVE),
    (hyperbolic(max_iter=9, upper_bound=8), ".upper_bound=8", "an integer of at least 9"),
    (hyperbolic(max_iter=0, upper_bound=8), ".max_iter=0", ONE),
    (
        node("ExpHyperbolicLR", max_iter=9, upper_bound=9, infimum_lr=0.5),
        ".infimum_lr=0.5",
        "above 0 and at most the base rates [0.1]",
    ),
    (curve("TanhDecayLR", lower=3), ".upper=3.0", "above lower=3"),
    (curve("FlatCosineLR", flat_steps=9), ".flat_steps=9", "fewer than total_steps=9"),
    (curve("FlatCosineLR", flat_steps=3, div_final=0.0), ".div_final=0.0", ABOVE),
    (curve("KDecayCosineLR", k=0.0), ".k=0.0", ABOVE),
    (hard(warmup_steps=9), ".warmup_steps=9", "fewer than total_steps=9"),
    (hard(num_cycles=0), ".num_cycles=0", ONE),
    (hard(num_cycles="3ep"), ".num_cycles='3ep'", "an integer (cycles, not a duration)"),
    (knots((0, 1), ("x", 2)), ".knots[1][0]='x'", DURATION),
    (knots((0, 1), (5,)), ".knots[1]=[5]", "a list of 2 entries"),
    (knots((5, 1), (2, 2)), ".knots=[5, 2]", "at least one, in order"),
    (knots(), ".knots=[]", "at least one, in order"),
    (knots((0, -1)), ".knots=[-1]", "factors of at least 0"),
    (knots((0, 1), join="spline"), ".join='spline'", "linear or cosine or step or a list"),
    (knots((0, 1), join=["step"]), ".join=['step']", "one entry per piece, 0 in all"),
]

SENTENCES = [
    (
        node("StepLR", step_size=3, gama=0.1),
        "scheduler.gama=0.1: expected an argument of StepLR (step_size, gamma, verbose). Did you "
        "mean gamma?",
    ),
    (
        {"_target_": "nowhere.MyLR"},
        "scheduler._target_='nowhere.MyLR': expected a class or function that can be imported. No "
        "module named 'nowhere'.",
    ),
    (
        {"_target_": "oneflow.optim.lr_scheduler.StepRL"},
        "scheduler._target_='oneflow.optim.lr_scheduler.StepRL': expected a class or function that "
        "can be imported. module 'oneflow.optim.lr_scheduler' has no attribute 'StepRL'. Did you "
        "mean StepLR?",
    ),
    # OneFlow's reasons
    (
        node("LinearLR", start_factor=2.0),
        "scheduler: LinearLR(start_factor=2.0) is refused: Starting multiplicative factor expected "
        "to be between 0 and 1.",
    ),
    (
        warmup(warmup_method="exp"),
        "scheduler: WarmupLR(warmup_method='exp') is refused: 'warmup_method' must be 'linear' or "
        "'constant', but got exp.",
    ),
    (
        warmup(warmup_iters=0),
        "scheduler: WarmupLR(warmup_iters=0) is refused: When 'scheduler_or_optimizer' is an "
        "optimizer warmup_iters can't be equal to 0.",
    ),
    (
        plateau(mode="mean"),
        "scheduler: ReduceLROnPlateau(mode='mean') is refused: mode mean is unknown.",
    ),
    (
        node("tests.schedulers.test_arguments.SilentLR"),
        "scheduler: SilentLR() is refused: AssertionError without a message.",
    ),
]


class SilentLR(_LRScheduler):
    """Refuses everything without a word, as some of OneFlow's constructors do."""

    def __init__(self, optimizer):
        raise AssertionError


def test_a_mistake_is_answered_with_key_value_and_what_is_expected():
    for schedule, place, expected in EXPECTED:
        assert sentence_of(schedule) == f"scheduler{place}: expected {expected}."


@pytest.mark.parametrize(("schedule", "sentence"), SENTENCES)
def test_other_mistakes_are_answered_with_a_reason(schedule, sentence):
    assert sentence_of(schedule) == sentence


def test_a_schedule_that_fails_later_is_found_by_its_trace():
    growing = node("ExponentialLR", gamma=3.0)
    assert sentence_of(growing, horizon=Horizon(10_000, 10)) == (
        "scheduler: ExponentialLR fails at step 647: Numerical result out of range."
    )
