"""What OneFlow 0.9.0 accepts, and what comes of it: pitfalls, and saving and loading."""

import math

import pytest
from oneflow.optim import SGD, lr_scheduler

from tests.schedulers.helpers import build_optimizer, curve, ramp


def composites(optimizer):
    """OneFlow's four, which have no get_lr. schedulers/compose.py adds it."""
    return [
        lr_scheduler.LambdaLR(optimizer, lambda step: 1.0),
        lr_scheduler.SequentialLR(optimizer, [ramp(optimizer)], []),
        lr_scheduler.WarmupLR(optimizer),
        lr_scheduler.ChainedScheduler([ramp(optimizer)]),
    ]


@pytest.mark.parametrize("index", range(4), ids=["Lambda", "Sequential", "Warmup", "Chained"])
def test_a_nested_composite_fails_in_the_middle_of_training(index):
    optimizer = build_optimizer(1.0)
    parts = [ramp(optimizer), composites(optimizer)[index]]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [5])  # built without complaint
    for _ in range(4):
        schedule.step()
    with pytest.raises(NotImplementedError) as error:
        schedule.step()
    assert str(error.value) == ""


def test_a_nested_plateau_fails_in_the_middle_of_training():
    optimizer = build_optimizer(1.0)
    parts = [ramp(optimizer), lr_scheduler.ReduceLROnPlateau(optimizer)]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [1])
    with pytest.raises(AttributeError, match="has no attribute 'get_lr'"):
        schedule.step()


def test_warmup_refuses_groups_of_different_rates():
    cosine = lr_scheduler.CosineAnnealingLR(build_optimizer(0.1, 0.2), 8)
    with pytest.raises(ValueError, match="different warmup configs"):
        lr_scheduler.WarmupLR(cosine)


def test_warmup_is_tripped_by_a_rounding_error():
    inner = lr_scheduler.CosineAnnealingWarmRestarts(build_optimizer(0.01), 5, eta_min=0.001)
    with pytest.raises(ValueError, match="Ending multiplicative factor"):
        lr_scheduler.WarmupLR(inner, warmup_iters=5)


def test_warmup_of_a_rate_of_zero_divides_by_it():
    cosine = lr_scheduler.CosineAnnealingLR(build_optimizer(0.0), 8)
    with pytest.raises(ZeroDivisionError):
        lr_scheduler.WarmupLR(cosine)


def plateau_after(metrics, **arguments) -> float:
    schedule = lr_scheduler.ReduceLROnPlateau(build_optimizer(1.0), patience=1, **arguments)
    for metric in metrics:
        schedule.step(metric)
    return schedule.optimizer.param_groups[0]["lr"]


def test_plateau_never_drops_on_a_flat_negative_metric():
    assert plateau_after([-1.0] * 50) == 1.0  # each one counts as better: say threshold_mode: abs
    assert plateau_after([-1.0] * 50, threshold_mode="abs") < 1e-6


def test_plateau_takes_nan_for_bad():
    assert plateau_after([math.nan] * 10) < 1e-3


def test_plateau_freezes_tiny_rates():
    schedule = lr_scheduler.ReduceLROnPlateau(build_optimizer(1e-8), patience=0)
    for _ in range(10):
        schedule.step(1.0)
    assert schedule.optimizer.param_groups[0]["lr"] == 1e-8  # eps


def test_plateau_is_no_scheduler():
    schedule = lr_scheduler.ReduceLROnPlateau(build_optimizer(1.0))
    assert not isinstance(schedule, lr_scheduler._LRScheduler)
    assert not hasattr(schedule, "get_last_lr")


@pytest.mark.parametrize(
    "build",
    [
        lambda optimizer: lr_scheduler.PolynomialLR(optimizer, 10),  # end_learning_rate is 1e-4
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 10, eta_min=1e-4),
        lambda optimizer: lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 99, eta_min=1e-4),
    ],
    ids=["polynomial", "cosine_annealing", "cosine_warm_restarts"],
)
def test_floors_are_absolute_so_a_small_rate_rises(build):
    rates = curve(build(build_optimizer(1e-5)), 11)
    assert rates == sorted(rates)
    assert rates[10] > rates[0]


def test_cosine_annealing_rises_again():
    schedule = lr_scheduler.CosineAnnealingLR(build_optimizer(1.0), 10)
    rates = curve(schedule, 21)
    assert (rates[10], rates[20]) == (0.0, 1.0)


def test_chained_depends_on_the_order_where_a_floor_is_absolute():
    def chain(order):
        optimizer = build_optimizer(0.1)
        parts = [
            lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.005),
            lr_scheduler.StepLR(optimizer, 5, gamma=0.5),
        ]
        return curve(lr_scheduler.ChainedScheduler(parts[::order]), 21)

    assert chain(1)[20] == pytest.approx(0.005 / 16)  # the floor is scaled
    assert chain(-1)[20] == pytest.approx(0.005)  # the floor holds


def test_members_report_stale_rates():
    optimizer = build_optimizer(1.0)
    member = lr_scheduler.ExponentialLR(optimizer, 0.5)
    schedule = lr_scheduler.SequentialLR(optimizer, [member], [])
    schedule.step()
    assert (schedule.get_last_lr(), member.get_last_lr()) == ([0.5], [1.0])


def test_milestones_of_sequential_are_not_checked():
    optimizer = build_optimizer(1.0)
    parts = [lr_scheduler.ConstantLR(optimizer, factor, 99) for factor in (0.1, 0.2, 0.3)]
    unsorted = lr_scheduler.SequentialLR(optimizer, parts, [30, 10])
    assert curve(unsorted, 31)[9:11] == pytest.approx([0.1, 0.3])  # skips one; refused in a YAML
    unused = lr_scheduler.SequentialLR(optimizer, parts[:2], [0])
    assert curve(unused, 3) == pytest.approx([0.2] * 3)


@pytest.mark.parametrize(
    "build",
    [
        lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=math.nan),
        lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 5, eta_min=math.nan),
        lambda optimizer: lr_scheduler.CosineDecayLR(optimizer, 5, alpha=math.nan),
    ],
)
def test_nan_is_accepted(build):
    assert math.isnan(curve(build(build_optimizer(1.0)), 2)[1])  # refused in a YAML


def test_negative_rates_are_accepted():
    schedule = lr_scheduler.CosineAnnealingLR(build_optimizer(0.1), 5, eta_min=-0.1)
    assert curve(schedule, 6)[5] == -0.1  # refused in a YAML
    assert SGD([{"params": [], "lr": -1.0}], lr=0.1).param_groups[0]["lr"] == -1.0


def test_fractions_of_steps_are_accepted():
    schedule = lr_scheduler.StepLR(build_optimizer(1.0), 2.5, gamma=0.5)
    assert curve(schedule, 6) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]  # refused in a YAML


def test_multistep_keeps_the_list_that_it_was_given():
    milestones = [5]
    schedule = lr_scheduler.MultiStepLR(build_optimizer(1.0), milestones)
    milestones.append(6)
    assert curve(schedule, 7)[6] == pytest.approx(0.01)


def test_a_milestone_at_0_is_in_force_at_once():
    schedule = lr_scheduler.MultiStepLR(build_optimizer(1.0), [0])
    assert curve(schedule, 1) == [0.1]  # refused in a YAML


# --- saving and loading -------------------------------------------------------------------------


def test_loading_leaves_the_optimizer_alone():
    saved = lr_scheduler.ExponentialLR(build_optimizer(1.0), 0.5)
    saved.step()
    again = lr_scheduler.ExponentialLR(build_optimizer(1.0), 0.5)
    again.load_state_dict(saved.state_dict())
    assert again.optimizer.param_groups[0]["lr"] == 1.0  # right only after the next step
    again.step()
    assert again.optimizer.param_groups[0]["lr"] == 0.25


def test_loading_overrides_the_arguments():
    saved = lr_scheduler.StepLR(build_optimizer(1.0), 5)
    again = lr_scheduler.StepLR(build_optimizer(1.0), 9)
    again.load_state_dict(saved.state_dict())
    assert again.step_size == 5


def test_a_group_added_later_is_never_scheduled():
    optimizer = build_optimizer(1.0)
    schedule = lr_scheduler.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": [], "lr": 1.0})
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == [0.5, 1.0]
