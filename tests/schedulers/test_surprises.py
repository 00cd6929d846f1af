"""What OneFlow 0.9.0 does that its documentation, or a reader, would not expect.

Each test uses OneFlow's class, and docs/schedules.md lists it with what is done about it here. A
test that fails with a newer OneFlow is good news: look for the workaround.
"""

import math

import pytest
from oneflow.optim import SGD, lr_scheduler

from tests.schedulers.helpers import build_optimizer, curve


def of(name, *arguments, lr=1.0, **options):
    """OneFlow's class over an optimizer with one group."""
    return getattr(lr_scheduler, name)(build_optimizer(lr), *arguments, **options)


def ramp(optimizer, start=0.1, length=2):
    return lr_scheduler.LinearLR(optimizer, start_factor=start, total_iters=length)


def lr_of(schedule) -> float:
    return schedule.optimizer.param_groups[0]["lr"]


def test_a_rate_set_by_hand_is_overwritten_and_no_base_rate():
    schedule = of("ExponentialLR", 0.9, lr=0.1)
    schedule.optimizer.param_groups[0]["lr"] = 5.0
    assert lr_scheduler.ExponentialLR(schedule.optimizer, 0.9).base_lrs == [0.1]
    schedule.step()
    assert lr_of(schedule) == pytest.approx(0.09)


def test_of_two_schedules_on_one_optimizer_the_last_stepped_wins():
    first = of("ExponentialLR", 0.5)
    second = lr_scheduler.ExponentialLR(first.optimizer, 0.9)
    first.step()
    second.step()
    assert lr_of(second) == 0.9  # not 0.45


def test_a_group_added_later_is_never_scheduled():
    schedule = of("ExponentialLR", 0.5)
    schedule.optimizer.add_param_group({"params": [], "lr": 1.0})
    schedule.step()
    assert [group["lr"] for group in schedule.optimizer.param_groups] == [0.5, 1.0]


def test_loading_leaves_the_optimizer_alone_and_overrides_the_arguments():
    saved, again = of("ExponentialLR", 0.5), of("ExponentialLR", 0.9)
    saved.step()
    again.load_state_dict(saved.state_dict())
    assert (lr_of(again), again.gamma) == (1.0, 0.5)  # the rate is right only after the next step
    again.step()
    assert lr_of(again) == 0.25


def test_exponential_gamma_is_per_step():
    assert curve(of("ExponentialLR", 0.95), 392)[391] < 1e-8  # after an epoch of 391 steps


def test_polynomial_cycle_starts_below_the_base_rate():
    # the first rate is that of step 1, twice; after a stretch of 10 the rate jumps to half
    rates = curve(of("PolynomialLR", 10, 0.001, cycle=True, lr=0.1), 12)
    assert rates[:3] == pytest.approx([0.0901, 0.0901, 0.0802])
    assert rates[10:] == pytest.approx([0.001, 0.04555])


def test_restart_limit_counts_cycles():
    for limit, restarts in ((3, [10, 20]), (1, []), (0, [10, 20, 30])):
        rates = curve(of("CosineAnnealingWarmRestarts", 10, restart_limit=limit), 40)
        assert [step for step in range(1, 40) if rates[step] == 1.0] == restarts
    # a negative one is the floor from the start
    negative = of("CosineAnnealingWarmRestarts", 10, eta_min=0.1, restart_limit=-1)
    assert curve(negative, 20) == [0.1] * 20


def test_restarts_decay_the_top_and_not_the_floor():
    schedule = of("CosineAnnealingWarmRestarts", 10, eta_min=0.02, decay_rate=0.1, lr=0.1)
    rates = curve(schedule, 20)
    # in the second cycle the top, 0.01, is below the floor: the rate rises
    assert rates[10] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:])


def test_a_restart_comes_one_step_late():
    # floor(log(3 ** 5, 3)) is 4: the first step of that cycle has the minimum instead of the top
    for factor, length, step in ((3, 10, 1210), (10, 10, 1110), (3, 390, 47190)):
        schedule = of("CosineAnnealingWarmRestarts", length, factor)
        assert schedule.get_lr(1.0, step) == pytest.approx(0.0, abs=1e-12)
        assert schedule.get_lr(1.0, step + 1) > 0.99
    for factor in (2, 4, 5):  # in time
        schedule = of("CosineAnnealingWarmRestarts", 10, factor)
        starts = [10 * (factor**cycle - 1) // (factor - 1) for cycle in range(7)]
        assert [schedule.get_lr(1.0, step) for step in starts] == [1.0] * 7


def test_floors_are_absolute_so_a_small_rate_rises():
    polynomial = of("PolynomialLR", 10, lr=1e-5)  # end_learning_rate is 1e-4
    cosine = of("CosineAnnealingLR", 10, 1e-4, lr=1e-5)
    for rates in (curve(polynomial, 11), curve(cosine, 11)):
        assert rates == sorted(rates) and rates[10] > rates[0]


def test_cosine_annealing_rises_again():
    assert curve(of("CosineAnnealingLR", 10), 21)[10::10] == [0.0, 1.0]


def plateau_after(metrics, lr=1.0, patience=1, **options) -> float:
    schedule = of("ReduceLROnPlateau", lr=lr, patience=patience, **options)
    for metric in metrics:
        schedule.step(metric)
    return lr_of(schedule)


def test_plateau_never_drops_on_a_flat_negative_metric():
    assert plateau_after([-1.0] * 50) == 1.0  # each one counts as better
    assert plateau_after([-1.0] * 50, threshold_mode="abs") < 1e-6


def test_plateau_takes_nan_for_bad_and_freezes_tiny_rates():
    assert plateau_after([math.nan] * 10) < 1e-3
    assert plateau_after([1.0] * 10, lr=1e-8, patience=0) == 1e-8  # eps


def test_nan_negative_rates_and_fractions_of_steps_are_accepted():
    for schedule in (of("ExponentialLR", math.nan), of("CosineAnnealingLR", 5, math.nan)):
        assert math.isnan(curve(schedule, 2)[1])
    assert curve(of("CosineAnnealingLR", 5, eta_min=-0.1, lr=0.1), 6)[5] == -0.1
    assert SGD([{"params": [], "lr": -1.0}], lr=0.1).param_groups[0]["lr"] == -1.0
    assert curve(of("StepLR", 2.5, gamma=0.5), 6) == [1.0, 1.0, 1.0, 0.5, 0.5, 0.25]


def test_milestones_are_not_checked():
    assert curve(of("MultiStepLR", [0]), 1) == [0.1]  # in force at once
    optimizer = build_optimizer(1.0)
    parts = [lr_scheduler.ConstantLR(optimizer, factor, 99) for factor in (0.1, 0.2, 0.3)]
    unsorted = lr_scheduler.SequentialLR(optimizer, parts, [30, 10])
    assert curve(unsorted, 31)[9:11] == pytest.approx([0.1, 0.3])  # skips one
    unused = lr_scheduler.SequentialLR(optimizer, parts[:2], [0])
    assert curve(unused, 3) == pytest.approx([0.2] * 3)


def test_a_nested_composite_fails_in_the_middle_of_training():
    for build in (
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda step: 1.0),
        lambda optimizer: lr_scheduler.SequentialLR(optimizer, [ramp(optimizer)], []),
        lambda optimizer: lr_scheduler.ChainedScheduler([ramp(optimizer)]),
        lr_scheduler.WarmupLR,
        lr_scheduler.ReduceLROnPlateau,
    ):
        optimizer = build_optimizer(1.0)
        parts = [ramp(optimizer), build(optimizer)]
        schedule = lr_scheduler.SequentialLR(optimizer, parts, [5])  # built without complaint
        for _ in range(4):
            schedule.step()
        with pytest.raises((NotImplementedError, AttributeError), match=r"^$|attribute 'get_lr'$"):
            schedule.step()


def test_sequential_default_does_not_smooth_the_seam():
    optimizer = build_optimizer(1.0)
    parts = [ramp(optimizer, 0.1, 5), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    # without rescaling the second part is 5 steps old when its turn comes
    for rescaling, first in ((False, 0.9**5), (True, 1.0)):
        schedule = lr_scheduler.SequentialLR(optimizer, parts, [5], rescaling)
        assert curve(schedule, 6)[4:] == pytest.approx([0.82, first])
    assert lr_scheduler.SequentialLR(optimizer, parts, [5]).interval_rescaling == [False]


def test_warmup_default_aims_at_the_schedule_inside():
    for options, peak in (({}, 0.5), ({"warmup_prefix": True}, 1.0)):
        schedule = lr_scheduler.WarmupLR(of("CosineAnnealingLR", 8), 0.1, 4, **options)
        assert max(curve(schedule, 9)) == pytest.approx(peak)  # the cosine is half-way down by then


def test_warmup_fails_for_unequal_rounded_and_zero_rates():
    with pytest.raises(ValueError, match="different warmup configs"):
        lr_scheduler.WarmupLR(lr_scheduler.CosineAnnealingLR(build_optimizer(0.1, 0.2), 8))
    rounded = of("CosineAnnealingWarmRestarts", 5, eta_min=0.001, lr=0.01)
    with pytest.raises(ValueError, match="Ending multiplicative factor"):
        lr_scheduler.WarmupLR(rounded, warmup_iters=5)
    with pytest.raises(ZeroDivisionError):
        lr_scheduler.WarmupLR(of("CosineAnnealingLR", 8, lr=0.0))


def test_chained_depends_on_the_order_where_a_floor_is_absolute():
    for order, last in ((1, 0.005 / 16), (-1, 0.005)):  # the floor is scaled, or it holds
        optimizer = build_optimizer(0.1)
        cosine = lr_scheduler.CosineAnnealingLR(optimizer, 20, eta_min=0.005)
        parts = [cosine, lr_scheduler.StepLR(optimizer, 5, gamma=0.5)]
        schedule = lr_scheduler.ChainedScheduler(parts[::order])
        assert curve(schedule, 21)[20] == pytest.approx(last)


def test_the_documented_examples_of_composites_are_off():
    def parts(optimizer):
        constant = lr_scheduler.ConstantLR(optimizer, 0.1, 2)
        return [constant, lr_scheduler.ExponentialLR(optimizer, 0.9)]

    # documented: 0.1 0.1 0.9 0.81 0.729, which neither value of interval_rescaling gives
    for rescaling, rates in ((False, [0.81, 0.729, 0.6561]), (True, [1.0, 0.9, 0.81])):
        optimizer = build_optimizer(1.0)
        schedule = lr_scheduler.SequentialLR(optimizer, parts(optimizer), [2], rescaling)
        assert curve(schedule, 5) == pytest.approx([0.1, 0.1, *rates])
    # documented: 0.09 0.081 0.729 0.6561 0.59049
    chained = lr_scheduler.ChainedScheduler(parts(build_optimizer(1.0)))
    assert curve(chained, 5) == pytest.approx([0.1, 0.09, 0.81, 0.729, 0.6561])
    # documented: 0.00075 at step 1
    warmed = lr_scheduler.WarmupLR(of("CosineDecayLR", 5, alpha=0.1, lr=0.001), 0.5, 2)
    assert curve(warmed, 2) == pytest.approx([0.0005, 0.0005945], abs=5e-8)
