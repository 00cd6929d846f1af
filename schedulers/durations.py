"""Lengths and rates as people write them, turned into steps once, at the edge of the program.

A **duration** is `500` (steps), `10ep` or `10 epochs`, or `30%` (of the run). A **rate** is a
factor per length: `0.95/ep` (what one epoch multiplies by) or `0.01/run` (what the whole run does).
Everything behind this file knows only steps.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

_DURATION = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*(ep|epochs?|%)|(\d+)")
_RATE = re.compile(r"(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)\s*/\s*(ep|epoch|run)")

LENGTHS = "steps (500), epochs (10ep) or a share of the run (30%)"


@dataclass(frozen=True)
class Horizon:
    """How long a run is: what turns durations into steps.

    Attributes:
        total_steps: optimizer updates in the whole run.
        steps_per_epoch: optimizer updates in one pass over the training images.
    """

    total_steps: int
    steps_per_epoch: int

    def __post_init__(self) -> None:
        for name, steps in vars(self).items():
            if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
                raise ValueError(f"{name}={steps!r} must be a whole number of at least 1.")


def to_steps(value: object, horizon: Horizon, key: str, minimum: int = 0) -> int:
    """Number of steps in a duration, rounded to nearest (halves up).

    A length above zero never rounds to 0: a warm-up of `1%` in a run of 20 steps lasts 1 step.
    The arithmetic is decimal, so `30%` of 15 steps is exactly 4.5 and becomes 5.

    Args:
        value: what stands in the YAML: a whole number, or text such as `500`, `2.5ep`, `30%`.
        horizon: the run that the length belongs to.
        key: dotted path of the value, for the error message, e.g. `scheduler.T_max`.
        minimum: fewest steps that make sense, e.g. 1 for a period.

    Raises:
        ValueError: negative, fractional steps, below the minimum, or not a duration at all.

    >>> run = Horizon(total_steps=78200, steps_per_epoch=391)
    >>> [to_steps(value, run, "x") for value in (500, "500", "10ep", "2.5 epochs", "30%", "0%")]
    [500, 500, 3910, 978, 23460, 0]
    >>> to_steps("0.0001%", run, "x")
    1
    """
    text = str(value).strip() if isinstance(value, int | str) else ""
    match = _DURATION.fullmatch(text)
    if match is None or isinstance(value, bool):
        raise ValueError(f"{key}={value!r} is not a length: give {LENGTHS}, not negative.")
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
        raise ValueError(f"{key}={value!r} is too short: give at least {minimum} step.")
    return steps


def to_step_factor(value: str, horizon: Horizon, key: str) -> float:
    """Per-step factor of a rate per length.

    `f/ep` becomes `f ** (1 / steps_per_epoch)` and `f/run` becomes `f ** (1 / total_steps)`: after
    that many steps the factor has been applied once.

    Args:
        value: text such as `0.95/ep` or `0.01/run`; the factor is above zero.
        horizon: the run that the length belongs to.
        key: dotted path of the value, for the error message, e.g. `scheduler.gamma`.

    Raises:
        ValueError: not a rate, or a factor of zero.

    >>> run = Horizon(total_steps=100, steps_per_epoch=10)
    >>> round(to_step_factor("0.95/ep", run, "x") ** 10, 12)
    0.95
    >>> round(to_step_factor("0.01/run", run, "x") ** 100, 12)
    0.01
    """
    match = _RATE.fullmatch(value.strip())
    factor = float(match.group(1)) if match else 0.0
    if match is None or not 0 < factor < float("inf"):
        raise ValueError(
            f"{key}={value!r} is not a number or a rate: give a number (0.9), a factor per epoch "
            "(0.95/ep) or a factor per run (0.01/run), above zero."
        )
    steps = horizon.total_steps if match.group(2) == "run" else horizon.steps_per_epoch
    return float(factor ** (1 / steps))
