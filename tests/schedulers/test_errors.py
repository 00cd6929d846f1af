"""What a person is told: the whole sentence, for every kind of mistake in a node."""

import pytest
from oneflow.optim.lr_scheduler import _LRScheduler

from schedulers import Horizon
from tests.schedulers.helpers import node, sentence_of

LENGTH = "give steps (500), epochs (10ep) or a share of the run (30%)"
WHOLE = "give a whole number of steps (500), epochs (10ep) or a share of the run (30%)."
NOT_A_RATE = (
    "give a number (0.9), a factor per epoch (0.95/ep) or a factor per run (0.01/run), above zero."
)
NUMBER = "give a number, or a rate such as 0.95/ep or 0.01/run."
EVALUATIONS = "give a whole number (evaluations, not a length)."
INCREASE = "they must increase, begin above 0 and end before the run does."
PER_GROUP = "one for each parameter group of the optimizer."
NOAM = {"_target_": "schedulers.noam.noam_factor", "_partial_": True, "warmup_steps": 4}
COSINE = node("CosineAnnealingLR", T_max="100%")


def sequential(*schedulers, **arguments) -> dict:
    arguments = {"milestones": [500]} | arguments
    return node("SequentialLR", schedulers=list(schedulers), **arguments)


def cosine(**arguments) -> dict:
    return COSINE | arguments


TABLE = [
    # lengths
    (cosine(T_max="abc"), f"scheduler.T_max='abc' is not a length: {LENGTH}, not negative."),
    (cosine(T_max="-3ep"), f"scheduler.T_max='-3ep' is not a length: {LENGTH}, not negative."),
    (cosine(T_max=-3), "scheduler.T_max=-3 must be above zero."),
    (cosine(T_max=0), "scheduler.T_max=0 must be above zero."),
    (cosine(T_max="0%"), "scheduler.T_max=0 must be above zero."),
    (cosine(T_max=2.5), f"scheduler.T_max=2.5 is not accepted: {WHOLE}"),
    (cosine(T_max=True), f"scheduler.T_max=true is not accepted: {WHOLE}"),
    (cosine(T_max=None), f"scheduler.T_max=null is not accepted: {WHOLE}"),
    (cosine(T_max=[3]), f"scheduler.T_max=[3] is a list: {WHOLE}"),
    (node("StepLR", step_size=0), "scheduler.step_size=0 must be above zero."),
    (node("ConstantLR", total_iters=-1), "scheduler.total_iters=-1 must not be negative."),
    (
        node("MultiStepLR", milestones=["abc"]),
        f"scheduler.milestones[0]='abc' is not a length: {LENGTH}, not negative.",
    ),
    (
        node("MultiStepLR", milestones=[1, 2.5]),
        f"scheduler.milestones[1]=2.5 is not accepted: {WHOLE}",
    ),
    # numbers and rates
    (cosine(eta_min="x"), f"scheduler.eta_min='x' is not a number or a rate: {NOT_A_RATE}"),
    (cosine(eta_min="3ep"), f"scheduler.eta_min='3ep' is not a number or a rate: {NOT_A_RATE}"),
    (cosine(eta_min=None), f"scheduler.eta_min=null is not accepted: {NUMBER}"),
    (cosine(eta_min=False), f"scheduler.eta_min=false is not accepted: {NUMBER}"),
    (cosine(eta_min=float("nan")), "scheduler.eta_min=nan must be a finite number."),
    (cosine(eta_min=-0.1), "scheduler.eta_min=-0.1 must not be negative."),
    (node("ExponentialLR", gamma=float("inf")), "scheduler.gamma=inf must be a finite number."),
    (node("ExponentialLR", gamma=0.0), "scheduler.gamma=0.0 must be above zero."),
    (node("StepLR", step_size=3, gamma=-1), "scheduler.gamma=-1 must be above zero."),
    (node("PolynomialLR", decay_batch=9, power=-1), "scheduler.power=-1 must not be negative."),
    # counts are no lengths
    (
        node("ReduceLROnPlateau", patience="5ep"),
        f"scheduler.patience='5ep' is not accepted: {EVALUATIONS}",
    ),
    (
        node("ReduceLROnPlateau", cooldown=2.5),
        f"scheduler.cooldown=2.5 is not accepted: {EVALUATIONS}",
    ),
    (
        node("CosineAnnealingWarmRestarts", T_0=5, T_mult="2ep"),
        "scheduler.T_mult='2ep' is not accepted: give a whole number (times the previous cycle, "
        "not a length).",
    ),
    (
        node("CosineAnnealingWarmRestarts", T_0=5, restart_limit=-1),
        "scheduler.restart_limit=-1 must not be negative.",
    ),
    # names of arguments
    (
        node("StepLR", step_size=3, gama=0.1),
        "scheduler.gama is not an argument of StepLR, which takes step_size, gamma, verbose; did "
        "you mean gamma?",
    ),
    (
        cosine(nonsense=1),
        "scheduler.nonsense is not an argument of CosineAnnealingLR, which takes T_max, eta_min, "
        "verbose.",
    ),
    (
        cosine(optimizer=1),
        "scheduler.optimizer is not an argument of CosineAnnealingLR, which takes T_max, eta_min, "
        "verbose.",
    ),
    (
        node("ChainedScheduler", schedulers=[COSINE], verbose=True),
        "scheduler.verbose is not an argument of ChainedScheduler, which takes schedulers.",
    ),
    (
        cosine(last_step=4),
        "scheduler.last_step=4 must stay -1: a run is continued from its saved state, not from a "
        "step number.",
    ),
    (
        node("StepLR"),
        "scheduler.step_size must be given: StepLR has no default.",
    ),
    (
        node("SequentialLR"),
        "scheduler.schedulers and scheduler.milestones must be given: SequentialLR has no default.",
    ),
    # targets
    (3, "scheduler=3 must be a mapping with _target_."),
    ({}, "scheduler needs _target_, the dotted path of a class, as text."),
    ({"_target_": 3}, "scheduler needs _target_, the dotted path of a class, as text."),
    (
        {"_target_": "nowhere.MyLR"},
        "scheduler._target_='nowhere.MyLR' could not be imported: No module named 'nowhere'.",
    ),
    (
        node("StepRL", step_size=3),
        "scheduler._target_='oneflow.optim.lr_scheduler.StepRL' could not be imported: module "
        "'oneflow.optim.lr_scheduler' has no attribute 'StepRL'; did you mean "
        "oneflow.optim.lr_scheduler.StepLR?",
    ),
    ({"_target_": "math.pi"}, "scheduler._target_='math.pi' is neither a class nor a function."),
    (
        {"_target_": "os.getcwd"},
        "scheduler._target_='os.getcwd' is not a scheduler: give a class such as "
        "oneflow.optim.lr_scheduler.CosineAnnealingLR, or a subclass of "
        "oneflow.optim.lr_scheduler._LRScheduler of your own.",
    ),
    (
        cosine(_partial_=True),
        "scheduler._partial_=true is for functions inside a scheduler, not for it.",
    ),
    # composites
    (
        sequential(COSINE, cosine(T_max="abc")),
        f"scheduler.schedulers[1].T_max='abc' is not a length: {LENGTH}, not negative.",
    ),
    (
        sequential(COSINE, {"T_max": 3}),
        "scheduler.schedulers[1] needs _target_, the dotted path of a class, as text.",
    ),
    (
        sequential(COSINE, 3),
        "scheduler.schedulers[1] must be a scheduler node: a mapping with _target_.",
    ),
    (sequential(), "scheduler.schedulers must be a list with at least one scheduler node."),
    (
        sequential() | {"schedulers": COSINE},
        "scheduler.schedulers must be a list with at least one scheduler node.",
    ),
    (
        sequential(COSINE),
        "scheduler.milestones=[500] is of length 1: for 1 schedulers it must be of length 0, one "
        "for each change from a part to the next.",
    ),
    (
        sequential(COSINE, COSINE, interval_rescaling=[True, False]),
        "scheduler.interval_rescaling=[True, False] is of length 2: for 2 schedulers it must be of "
        "length 1, one for each change from a part to the next.",
    ),
    (
        sequential(COSINE, COSINE, interval_rescaling=1),
        "scheduler.interval_rescaling=1 is not accepted: give a list or true or false.",
    ),
    (
        sequential(COSINE, COSINE, interval_rescaling=["True"]),
        "scheduler.interval_rescaling[0]='True' is not accepted: give true or false.",
    ),
    (
        sequential(COSINE, COSINE, milestones=5),
        "scheduler.milestones=5 is not accepted: give a list.",
    ),
    (
        sequential(COSINE, COSINE, milestones=[0]),
        f"scheduler.milestones are the steps [0] of a run of 1000: {INCREASE}",
    ),
    (
        sequential(COSINE, COSINE, milestones=["10ep"]),
        f"scheduler.milestones are the steps [1000] of a run of 1000: {INCREASE}",
    ),
    (
        sequential(COSINE, COSINE, COSINE, milestones=["50%", "30%"]),
        f"scheduler.milestones are the steps [500, 300] of a run of 1000: {INCREASE}",
    ),
    (
        node("MultiStepLR", milestones=[30, 30]),
        f"scheduler.milestones are the steps [30, 30] of a run of 1000: {INCREASE}",
    ),
    (
        node("WarmupLR", scheduler_or_optimizer=3),
        "scheduler.scheduler_or_optimizer=3 is not accepted: give a node with _target_.",
    ),
    (
        node("WarmupLR", warmup_prefix="yes"),
        "scheduler.warmup_prefix='yes' is not accepted: give true or false.",
    ),
    # functions
    (
        node("LambdaLR", lr_lambda=3),
        "scheduler.lr_lambda must be a function of the step: a node with _target_ and _partial_: "
        "true.",
    ),
    (
        node("LambdaLR", lr_lambda=NOAM | {"_partial_": False}),
        "scheduler.lr_lambda.step must be given: noam_factor (called now, and not at every step, "
        "for want of _partial_: true) has no default.",
    ),
    (
        node("LambdaLR", lr_lambda=NOAM | {"warmup": 3}),
        "scheduler.lr_lambda.warmup is not an argument of noam_factor, which takes step, "
        "warmup_steps; did you mean warmup_steps?",
    ),
    (
        node("LambdaLR", lr_lambda={"_target_": NOAM["_target_"], "_partial_": True}),
        "scheduler.lr_lambda.warmup_steps must be given: noam_factor has no default.",
    ),
    (
        node("LambdaLR", lr_lambda=NOAM | {"warmup_steps": "x"}),
        f"scheduler.lr_lambda.warmup_steps='x' is not a length: {LENGTH}, not negative.",
    ),
    (
        node("LambdaLR", lr_lambda=[NOAM, NOAM]),
        f"scheduler.lr_lambda is a list of length 2: it must be of length 1, {PER_GROUP}",
    ),
    (
        node("ReduceLROnPlateau", min_lr=[0.1, 0.2]),
        f"scheduler.min_lr is a list of length 2: it must be of length 1, {PER_GROUP}",
    ),
    # what a constructor refuses itself, with its own reason
    (
        node("LinearLR", start_factor=2.0),
        "scheduler: LinearLR(start_factor=2.0) is refused: Starting multiplicative factor expected "
        "to be between 0 and 1.",
    ),
    (
        node("WarmupLR", warmup_method="exp"),
        "scheduler: WarmupLR(warmup_method='exp') is refused: 'warmup_method' must be 'linear' or "
        "'constant', but got exp.",
    ),
    (
        node("WarmupLR", warmup_iters=0),
        "scheduler: WarmupLR(warmup_iters=0) is refused: When 'scheduler_or_optimizer' is an "
        "optimizer warmup_iters can't be equal to 0.",
    ),
    (
        node("ReduceLROnPlateau", mode="mean"),
        "scheduler: ReduceLROnPlateau(mode='mean') is refused: mode mean is unknown.",
    ),
    (
        node("ReduceLROnPlateau", factor=1.0),
        "scheduler: ReduceLROnPlateau(factor=1.0) is refused: Factor should be < 1.0.",
    ),
    (
        node("tests.schedulers.test_errors.SilentLR"),
        "scheduler: SilentLR() is refused: AssertionError without a message.",
    ),
]


class SilentLR(_LRScheduler):
    """Refuses everything without a word, as some of OneFlow's constructors do."""

    def __init__(self, optimizer):
        raise AssertionError


@pytest.mark.parametrize("schedule, sentence", TABLE, ids=[sentence for _, sentence in TABLE])
def test_sentence(schedule, sentence):
    assert sentence_of(schedule) == sentence


def test_a_schedule_that_fails_later_is_found_by_its_trace():
    growing = node("ExponentialLR", gamma=3.0)
    assert sentence_of(growing, horizon=Horizon(10_000, 10)) == (
        "scheduler: ExponentialLR fails at step 647: Numerical result out of range."
    )
