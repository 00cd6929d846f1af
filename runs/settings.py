"""The run-level keys: what each accepts. Durations are checked where they become steps."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from schedulers import Horizon


def is_integer(value: object) -> bool:
    """Whether this is an int and not a bool (which Python counts among them)."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether this is a finite int or float, and not a bool."""
    return (is_integer(value) or isinstance(value, float)) and math.isfinite(value)  # type: ignore


def integer_from(low: int, high: float = math.inf) -> Callable[[Any], bool]:
    """A check for the integers from `low` to `high`."""
    return lambda value: is_integer(value) and low <= value <= high


def one_of(*choices: str) -> Callable[[Any], bool]:
    """A check for these words."""
    return lambda value: value in choices


SETTINGS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("seed", integer_from(0, 2**31 - 1), "an integer from 0 to 2147483647"),
    ("epochs", integer_from(1), "an integer of at least 1"),
    ("batch_size", integer_from(1), "an integer of at least 1"),
    ("device", one_of("auto", "cpu", "cuda"), "auto, cpu or cuda"),
    ("max_steps", lambda v: v is None or integer_from(1)(v), "null or an integer of at least 1"),
    # YAML reads a bare `off` as false.
    ("lint", lambda v: v in ("warn", "error", "off") or v is False, "warn, error or off"),
    (
        "trainer.clip_grad_norm",
        lambda v: v is None or (is_number(v) and v > 0),
        "null or a number above 0",
    ),
    (
        "trainer.label_smoothing",
        lambda v: is_number(v) and 0 <= v < 1,
        "a number from 0 up to, not including, 1",
    ),
    (
        "trainer.ema_decay",
        lambda v: v is None or (is_number(v) and 0 < v < 1),
        "null or a number between 0 and 1, as 0.999",
    ),
    ("trainer.keep_last", integer_from(1), "an integer of at least 1"),
    ("trainer.graph", lambda v: isinstance(v, bool), "true or false"),
    ("trainer.amp", lambda v: isinstance(v, bool), "true or false"),
    ("optimizer.lr", lambda v: is_number(v) and v > 0, "a number above 0"),
    ("optimizer.weight_decay", lambda v: is_number(v) and v >= 0, "a number of at least 0"),
    ("optimizer.decay_norm_and_bias", lambda v: isinstance(v, bool), "true or false"),
)


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse run-level values that no run could use, before anything is built.

    Raises:
        ValueError: names the key, the value and what is accepted.
    """
    for key, accepts, accepted in SETTINGS:
        value: Any = config
        for part in key.split("."):
            value = value.get(part)
        if not accepts(value):
            raise ValueError(f"{key}={value!r}: expected {accepted}.")


def read_cadence(config: DictConfig, horizon: "Horizon") -> dict[str, int]:
    """Steps between evaluations, fetches and checkpoints."""
    from schedulers import to_steps

    keys = ("eval_every", "log_every", "checkpoint_every")
    return {
        key: to_steps(config.trainer[key], horizon, f"trainer.{key}", minimum=1) for key in keys
    }


def read_swa(config: DictConfig, horizon: "Horizon") -> dict[str, Any]:
    """After which step SWA starts, and every how many steps it takes the weights; {}: it is off.

    Raises:
        ValueError: one of them is no duration, or it would start after the run.
    """
    from schedulers import to_steps

    if config.trainer.swa_start is None:
        return {}
    keys = ("swa_start", "swa_every")
    swa = {key: to_steps(config.trainer[key], horizon, f"trainer.{key}", minimum=1) for key in keys}
    if swa["swa_start"] > horizon.total_steps:
        raise ValueError(
            f"trainer.swa_start={config.trainer.swa_start} is step {swa['swa_start']}, and the run "
            f"has {horizon.total_steps}: expected one of them."
        )
    return swa
