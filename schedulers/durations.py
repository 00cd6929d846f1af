"""Durations and factors as people write them, converted to steps once, where a node is read.

A **duration** is `500` (steps), `10ep` or `10 epochs`, or `30%` (of the run). A **factor** with a
unit is `0.95/ep` (applied once per epoch) or `0.01/run` (once over the whole run). The rest of the
program knows only steps and factors per step.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from common.checks import check_integer, is_integer, refusal

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ep|epochs?|%)|(\d+)")
_FACTOR = re.compile(
    r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)\s*/\s*(ep|epoch|run)"
)

DURATION = "a duration: steps (500), epochs (10ep) or a share of the run (30%)"


@dataclass(frozen=True)
class Horizon:
    """Length of a run, which converts durations to steps.

    Attributes:
        total_steps: optimizer updates in the whole run.
        steps_per_epoch: optimizer updates in one pass over the training images.
    """

    total_steps: int
    steps_per_epoch: int

    def __post_init__(self) -> None:
        for name, steps in vars(self).items():
            check_integer(name, steps, 1)


def to_steps(value: object, horizon: Horizon, key: str, minimum: int = 0) -> int:
    """Return the number of steps in a duration, rounded to nearest (halves up).

    A duration above zero never rounds to 0: a warm-up of `1%` in a run of 20 steps lasts 1 step.
    The arithmetic is decimal, so `30%` of 15 steps is exactly 4.5 and becomes 5.

    Args:
        value: an integer, or text such as `500`, `2.5ep`, `30%`.
        horizon: the run.
        key: dotted path of the value, for the error message, e.g. `scheduler.T_max`.
        minimum: fewest steps accepted, e.g. 1 for a period.

    Raises:
        ValueError: not a duration (negative, a fraction of a step), or below the minimum.

    >>> run = Horizon(total_steps=78200, steps_per_epoch=391)
    >>> [to_steps(value, run, "x") for value in (500, "500", "10ep", "2.5 epochs", "30%", "0%")]
    [500, 500, 3910, 978, 23460, 0]
    >>> to_steps("0.0001%", run, "x")
    1
    """
    text = str(value).strip() if isinstance(value, str) or is_integer(value) else ""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise refusal(key, value, DURATION)
    number, unit, whole_steps = match.groups()
    if whole_steps is not None:
        exact = Decimal(whole_steps)
    elif unit == "%":
        exact = Decimal(number) * horizon.total_steps / 100
    else:
        exact = Decimal(number) * horizon.steps_per_epoch
    steps = int(exact.to_integral_value(ROUND_HALF_UP))
    steps = max(steps, 1) if exact > 0 else 0
    if steps < minimum:
        raise refusal(key, value, f"at least {minimum} step")
    return steps


def to_step_factor(value: str, horizon: Horizon, key: str) -> float:
    """Return the factor per step of a factor per epoch or per run.

    `f/ep` becomes `f ** (1 / steps_per_epoch)` and `f/run` becomes `f ** (1 / total_steps)`: after
    that many steps the factor has been applied once. `key` is the value's place in an error.

    Raises:
        ValueError: not a factor with a unit, or not above zero.

    >>> run = Horizon(total_steps=100, steps_per_epoch=10)
    >>> round(to_step_factor("0.95/ep", run, "x") ** 10, 12)
    0.95
    >>> round(to_step_factor("0.01/run", run, "x") ** 100, 12)
    0.01
    """
    match = _FACTOR.fullmatch(value.strip())
    factor = float(match.group(1)) if match else 0.0
    if match is None or not 0 < factor < float("inf"):
        raise refusal(
            key, value, "a number (0.9) or a factor above 0 per epoch (0.95/ep) or run (0.01/run)"
        )
    steps = horizon.total_steps if match.group(2) == "run" else horizon.steps_per_epoch
    return float(factor ** (1 / steps))
