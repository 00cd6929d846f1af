"""The rates of many steps at once: what `get_lr` gives step by step, bit for bit, in less time.

Asked for every step of 78,200, some classes take a tenth of a second, which one notices when a
slider is moved. Here, what is the same for many steps is computed once for them. The rest of the
arithmetic is that of `get_lr`, operation by operation: another order would round differently.
"""

import math
from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from oneflow.optim.lr_scheduler import CosineAnnealingLR, CosineAnnealingWarmRestarts

from schedulers.compose import SequentialLR, WarmupLR
from schedulers.one_cycle import OneCycleLR


def rates_of(scheduler: Any, base_lr: float, steps: range) -> list[float]:
    """`get_lr(base_lr, step)` for each of these consecutive steps.

    Args:
        scheduler: one whose `get_lr` depends on nothing but its arguments.
        base_lr: of the parameter group.
        steps: not before step 0.
    """
    if shortcut := _SHORTCUTS.get(type(scheduler)):
        return shortcut(scheduler, base_lr, steps)
    return [scheduler.get_lr(base_lr, step) for step in steps]


def _sequential(scheduler: Any, base_lr: float, steps: range) -> list[float]:
    """Each part from its milestone to the next."""
    rates: list[float] = []
    starts = [0, *scheduler.milestones]
    for part, (member, start) in enumerate(zip(scheduler.schedulers, starts, strict=True)):
        stop = starts[part + 1] if part + 1 < len(starts) else steps.stop
        shift = start if part > 0 and scheduler.interval_rescaling[part - 1] else 0
        own = range(max(start, steps.start) - shift, min(stop, steps.stop) - shift)
        rates += rates_of(member, base_lr, own)
    return rates


def _cosine(scheduler: Any, base_lr: float, steps: range) -> list[float]:
    low, length, cos, pi = scheduler.eta_min, scheduler.T_max, math.cos, math.pi
    height = base_lr - low
    return [low + height * (0.5 * (1 + cos(pi * step / length))) for step in steps]


def _warm_restarts(scheduler: Any, base_lr: float, steps: range) -> list[float]:
    """Cycle by cycle. Which cycle a step is in is asked as OneFlow does, late restarts and all."""
    low, first, factor = scheduler.eta_min, scheduler.T_0, scheduler.T_mult
    cos, pi, limit, rates = math.cos, math.pi, scheduler.restart_limit, []

    def cycle_of(step: int) -> int:
        if factor == 1:
            return int(step // first)
        return math.floor(math.log(1 - step / first * (1 - factor), factor))

    while steps:
        cycle = cycle_of(steps.start)
        own = steps[: bisect_right(steps, cycle, key=cycle_of)]
        steps = steps[len(own) :]
        if 0 < limit <= cycle:
            rates += [low] * len(own)
            continue
        length = factor**cycle * first
        start = (1 - factor**cycle) / (1 - factor) * first if factor > 1 else length * cycle
        height = base_lr * scheduler.decay_rate**cycle - low
        rates += [low + height * (0.5 * (1 + cos(pi * (k - start) / length))) for k in own]
    return rates


def _one_cycle(scheduler: Any, base_lr: float, steps: range) -> list[float]:
    """Piece by piece between the corners; after the last one the rate is held."""
    if scheduler.anneal_strategy == "linear":
        return [scheduler.get_lr(base_lr, step) for step in steps]
    cos, pi, rates = math.cos, math.pi, []
    while steps and steps.start < scheduler.total_steps:
        start, start_lr, end, end_lr = scheduler.piece_at(base_lr, steps.start)
        inside = steps[: bisect_right(steps, start, key=lambda k: scheduler.piece_at(1.0, k)[0])]
        own = range(inside.start, min(inside.stop, scheduler.total_steps))
        steps = steps[len(own) :]
        height, length = (start_lr - end_lr) / 2, end - start
        if length > 0:
            rates += [end_lr + height * (cos(pi * ((k - start) / length)) + 1) for k in own]
        else:
            rates += [scheduler.get_lr(base_lr, k) for k in own]
    return rates + [scheduler.get_lr(base_lr, k) for k in steps]


_SHORTCUTS: dict[type, Callable[[Any, float, range], list[float]]] = {
    CosineAnnealingLR: _cosine,
    CosineAnnealingWarmRestarts: _warm_restarts,
    OneCycleLR: _one_cycle,
    SequentialLR: _sequential,
    WarmupLR: _sequential,
}
