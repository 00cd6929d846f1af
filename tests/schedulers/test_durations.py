import pytest

from schedulers import Horizon, to_steps
from schedulers.durations import to_step_factor

CIFAR = Horizon(total_steps=78200, steps_per_epoch=391)


@pytest.mark.parametrize(
    "value, total_steps, steps_per_epoch, steps",
    [
        (500, 100, 10, 500),  # steps are steps, beyond the end of the run too
        ("500", 100, 10, 500),
        (0, 100, 10, 0),
        ("10ep", 78200, 391, 3910),
        ("10 epochs", 78200, 391, 3910),
        ("1 epoch", 78200, 391, 391),
        ("2.5ep", 78200, 391, 978),  # 977.5: halves go up
        ("2.4ep", 78200, 391, 938),  # 938.4
        (".5ep", 100, 10, 5),
        ("30%", 78200, 391, 23460),
        ("100%", 78200, 391, 78200),
        ("150%", 10, 10, 15),
        ("30%", 15, 15, 5),  # 4.5, exactly: binary fractions would make it 4
        ("0.7%", 50000, 391, 350),
        ("30%", 3, 3, 1),  # 0.9
        ("1%", 20, 10, 1),  # 0.2, but a length above zero is never zero
        ("0.001ep", 20, 10, 1),
        ("0%", 20, 10, 0),
        ("0ep", 20, 10, 0),
    ],
)
def test_length_in_steps(value, total_steps, steps_per_epoch, steps):
    assert to_steps(value, Horizon(total_steps, steps_per_epoch), "x") == steps


@pytest.mark.parametrize(
    "value", ["abc", "-5", -5, "-10ep", "-30%", 2.5, "2.5", True, None, "", "ep", "%", "10 min"]
)
def test_no_length(value):
    with pytest.raises(ValueError) as error:
        to_steps(value, CIFAR, "scheduler.T_max")
    assert str(error.value) == (
        f"scheduler.T_max={value!r} is not a length: give steps (500), epochs (10ep) or a share "
        "of the run (30%), not negative."
    )


def test_too_short():
    with pytest.raises(ValueError) as error:
        to_steps("0ep", CIFAR, "trainer.eval_every", minimum=1)
    assert str(error.value) == "trainer.eval_every='0ep' is too short: give at least 1 step."
    assert to_steps("0.001ep", CIFAR, "trainer.eval_every", minimum=1) == 1


@pytest.mark.parametrize(
    "value, after, factor",
    [
        ("0.95/ep", 391, 0.95),
        ("0.95 / epoch", 391, 0.95),
        ("0.01/run", 78200, 0.01),
        ("1e-3/run", 78200, 0.001),
        ("1.02/ep", 391, 1.02),
    ],
)
def test_rate_reaches_its_factor_after_its_length(value, after, factor):
    assert to_step_factor(value, CIFAR, "x") ** after == pytest.approx(factor, rel=1e-11)


def test_rate_is_the_root():
    assert to_step_factor("0.5/ep", Horizon(20, 4), "x") == 0.5**0.25
    assert to_step_factor("0.5/run", Horizon(20, 4), "x") == 0.5**0.05


@pytest.mark.parametrize("value", ["0.9/step", "0/ep", "-0.5/ep", "/ep", "0.9/", "abc", "1e999/ep"])
def test_no_rate(value):
    with pytest.raises(ValueError) as error:
        to_step_factor(value, CIFAR, "scheduler.gamma")
    assert str(error.value) == (
        f"scheduler.gamma={value!r} is not a number or a rate: give a number (0.9), a factor per "
        "epoch (0.95/ep) or a factor per run (0.01/run), above zero."
    )


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (-5, 1), (2.0, 1), (True, 1)])
def test_horizon_is_whole_and_positive(sizes):
    with pytest.raises(ValueError, match="must be a whole number of at least 1"):
        Horizon(*sizes)
