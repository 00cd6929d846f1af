import pytest

from schedulers import Horizon, to_steps
from schedulers.durations import DURATION, to_step_factor

CIFAR = Horizon(total_steps=78200, steps_per_epoch=391)

STEPS = [
    # value, total steps, steps per epoch, steps
    (500, 100, 10, 500),  # steps are steps, beyond the end of the run too
    ("500", 100, 10, 500),
    (0, 100, 10, 0),
    ("10 epochs", 78200, 391, 3910),
    ("1 epoch", 78200, 391, 391),
    ("2.5ep", 78200, 391, 978),  # 977.5: halves go up
    ("2.4ep", 78200, 391, 938),  # 938.4
    (".5ep", 100, 10, 5),
    ("150%", 10, 10, 15),
    ("30%", 15, 15, 5),  # 4.5, exactly: binary fractions would make it 4
    ("1%", 20, 10, 1),  # 0.2, but a duration above zero is never zero
    ("0.001ep", 20, 10, 1),
    ("0%", 20, 10, 0),
]


def test_a_duration_in_steps():
    for value, total_steps, steps_per_epoch, steps in STEPS:
        assert to_steps(value, Horizon(total_steps, steps_per_epoch), "x") == steps, value


@pytest.mark.parametrize(
    "value", ["abc", "-5", -5, "-10ep", "-30%", 2.5, "2.5", True, None, "", "ep", "%", "10 min"]
)
def test_no_duration(value):
    with pytest.raises(ValueError) as error:
        to_steps(value, CIFAR, "trainer.eval_every")
    shown = {True: "true", None: "null"}.get(value, repr(value))
    assert str(error.value) == f"trainer.eval_every={shown}: expected {DURATION}."


def test_too_short():
    with pytest.raises(ValueError, match=r"^trainer.eval_every='0ep': expected at least 1 step\.$"):
        to_steps("0ep", CIFAR, "trainer.eval_every", minimum=1)
    assert to_steps("0.001ep", CIFAR, "trainer.eval_every", minimum=1) == 1


def test_a_factor_is_reached_after_its_duration():
    for value, factor in (
        ("0.5/ep", 0.5**0.25),
        ("1.02 / epoch", 1.02**0.25),
        ("0.5/run", 0.5**0.05),
        ("1e-3/run", 0.001**0.05),
    ):
        assert to_step_factor(value, Horizon(20, 4), "x") == factor, value


@pytest.mark.parametrize("value", ["0.9/step", "0/ep", "-0.5/ep", "/ep", "0.9/", "abc", "1e999/ep"])
def test_no_factor(value):
    with pytest.raises(ValueError) as error:
        to_step_factor(value, CIFAR, "scheduler.gamma")
    assert str(error.value) == (
        f"scheduler.gamma={value!r}: expected a number (0.9) or a factor above 0 per epoch "
        "(0.95/ep) or run (0.01/run)."
    )


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-5, 1), (2.0, 1), (True, 1)])
def test_a_horizon_has_at_least_one_step(sizes):
    with pytest.raises(ValueError, match=r"^(total_steps|steps_per_epoch)=.* of at least 1\.$"):
        Horizon(*sizes)
