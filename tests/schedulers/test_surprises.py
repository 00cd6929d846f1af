"""What OneFlow 0.9.0 does that its documentation, or a reader, would not expect.

Each test uses OneFlow's own class. A test that fails with a newer OneFlow is good news: look for
the workaround that its comment names.
"""

import math

import pytest
from oneflow.optim import lr_scheduler

from tests.schedulers.helpers import build_optimizer, curve, ramp

# --- the model that all share -------------------------------------------------------------------


def test_a_rate_set_by_hand_is_overwritten():
    optimizer = build_optimizer(0.1)
    schedule = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    optimizer.param_groups[0]["lr"] = 5.0
    schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.09)


def test_the_first_schedule_fixes_the_base_rate():
    optimizer = build_optimizer(0.1)
    lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    optimizer.param_groups[0]["lr"] = 5.0
    assert lr_scheduler.ExponentialLR(optimizer, gamma=0.9).base_lrs == [0.1]


def test_of_two_schedules_on_one_optimizer_the_last_stepped_wins():
    optimizer = build_optimizer(1.0)
    first = lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    second = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    first.step()
    second.step()
    assert optimizer.param_groups[0]["lr"] == 0.9  # not 0.45: use ChainedScheduler


def test_exponential_gamma_is_per_step():
    # 0.95 is next to nothing after one epoch of 391 steps; write 0.95/ep
    schedule = lr_scheduler.ExponentialLR(build_optimizer(1.0), gamma=0.95)
    assert curve(schedule, 392)[391] < 1e-8


# --- where the documentation and the code disagree ----------------------------------------------


def test_polynomial_cycle_starts_below_the_base_rate():
    schedule = lr_scheduler.PolynomialLR(build_optimizer(0.1), 10, 0.001, cycle=True)
    # the first rate is that of step 1, twice; after a stretch of 10 the rate jumps to half
    rates = curve(schedule, 12)
    assert rates[:3] == pytest.approx([0.0901, 0.0901, 0.0802])
    assert rates[10:] == pytest.approx([0.001, 0.04555])


@pytest.mark.parametrize("limit, restarts", [(3, [10, 20]), (1, []), (0, [10, 20, 30])])
def test_restart_limit_counts_cycles(limit, restarts):
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(
        build_optimizer(1.0), 10, restart_limit=limit
    )
    rates = curve(schedule, 40)
    assert [step for step in range(1, 40) if rates[step] == 1.0] == restarts


def test_a_negative_restart_limit_is_the_floor_from_the_start():
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(
        build_optimizer(1.0), 10, eta_min=0.1, restart_limit=-1
    )
    assert curve(schedule, 20) == [0.1] * 20  # refused in a YAML


def test_restarts_decay_the_top_and_not_the_floor():
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(
        build_optimizer(0.1), 10, eta_min=0.02, decay_rate=0.1
    )
    rates = curve(schedule, 20)
    # in the second cycle the top, 0.01, is below the floor: the rate rises
    assert rates[10] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:])


@pytest.mark.parametrize("factor, length, step", [(3, 10, 1210), (10, 10, 1110), (3, 390, 47190)])
def test_a_restart_comes_one_step_late(factor, length, step):
    # floor(log(3 ** 5, 3)) is 4: the first step of that cycle has the minimum instead of the top
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(build_optimizer(1.0), length, factor)
    assert schedule.get_lr(1.0, step) == pytest.approx(0.0, abs=1e-12)
    assert schedule.get_lr(1.0, step + 1) > 0.99


@pytest.mark.parametrize("factor", [2, 4, 5])
def test_a_restart_is_in_time_for_factors_2_4_and_5(factor):
    schedule = lr_scheduler.CosineAnnealingWarmRestarts(build_optimizer(1.0), 10, factor)
    starts = [10 * (factor**cycle - 1) // (factor - 1) for cycle in range(7)]
    assert [schedule.get_lr(1.0, step) for step in starts] == [1.0] * 7


@pytest.mark.parametrize(
    "rescaling, rates",
    [(False, [0.1, 0.1, 0.81, 0.729, 0.6561]), (True, [0.1, 0.1, 1.0, 0.9, 0.81])],
)
def test_neither_mode_gives_the_documented_example_of_sequential(rescaling, rates):
    optimizer = build_optimizer(1.0)  # documented: 0.1 0.1 0.9 0.81 0.729
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    schedule = lr_scheduler.SequentialLR(optimizer, parts, [2], rescaling)
    assert curve(schedule, 5) == pytest.approx(rates)


def test_the_documented_example_of_chained_is_off():
    optimizer = build_optimizer(1.0)  # documented: 0.09 0.081 0.729 0.6561 0.59049
    parts = [lr_scheduler.ConstantLR(optimizer, 0.1, 2), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    schedule = lr_scheduler.ChainedScheduler(parts)
    assert curve(schedule, 5) == pytest.approx([0.1, 0.09, 0.81, 0.729, 0.6561])


def test_the_documented_example_of_warmup_is_off():
    cosine = lr_scheduler.CosineDecayLR(build_optimizer(0.001), 5, alpha=0.1)
    schedule = lr_scheduler.WarmupLR(cosine, 0.5, 2)
    assert curve(schedule, 2) == pytest.approx([0.0005, 0.0005945], abs=5e-8)  # not 0.00075


def test_sequential_default_does_not_smooth_the_seam():
    optimizer = build_optimizer(1.0)
    parts = [ramp(optimizer, 0.1, 5), lr_scheduler.ExponentialLR(optimizer, 0.9)]
    # the second part is 5 steps old when its turn comes: say interval_rescaling: true
    assert curve(lr_scheduler.SequentialLR(optimizer, parts, [5]), 6)[4:] == pytest.approx(
        [0.82, 0.9**5]
    )
    assert curve(lr_scheduler.SequentialLR(optimizer, parts, [5], True), 6)[4:] == pytest.approx(
        [0.82, 1.0]
    )


def test_warmup_default_aims_at_the_schedule_inside():
    def warmed(prefix):
        cosine = lr_scheduler.CosineAnnealingLR(build_optimizer(1.0), 8)
        return curve(lr_scheduler.WarmupLR(cosine, 0.1, 4, warmup_prefix=prefix), 9)

    assert max(warmed(False)) == pytest.approx(0.5)  # the cosine is half-way down by then
    assert max(warmed(True)) == 1.0  # say warmup_prefix: true


def test_noam_is_no_linear_and_exponential():
    def noam(step):
        return min(max(step, 1) / 4, 2 / math.sqrt(max(step, 1)))

    schedule = lr_scheduler.LambdaLR(build_optimizer(1.0), noam)
    rates = curve(schedule, 65)
    assert rates[0] == rates[1]  # step 0 is read as step 1
    assert rates[16] / rates[4] == rates[64] / rates[16]  # a power of the step, no exponential
    assert rates[8] / rates[4] != pytest.approx(rates[12] / rates[8], rel=0.01)


def test_plateau_is_geometric():
    schedule = lr_scheduler.ReduceLROnPlateau(build_optimizer(1.0), patience=0)
    rates = []
    for _ in range(4):
        schedule.step(1.0)
        rates.append(schedule.optimizer.param_groups[0]["lr"])
    assert rates == pytest.approx([1.0, 0.1, 0.01, 0.001])


@pytest.mark.parametrize("name", ["steps", "total_iters"])
def test_the_period_of_polynomial_is_called_decay_batch(name):
    with pytest.raises(TypeError):
        lr_scheduler.PolynomialLR(build_optimizer(1.0), **{name: 10})
