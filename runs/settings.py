"""The run-level keys: what each accepts. Durations are checked where they become steps."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from common.checks import is_integer, is_number, refusal

if TYPE_CHECKING:
    from schedulers import Horizon

Check = tuple[Callable[[Any], bool], str]  # whether it accepts a value, and what it accepts

COUNT: Check = (lambda v: is_integer(v, 1), "an integer of at least 1")
SWITCH: Check = (lambda v: isinstance(v, bool), "true or false")
ABOVE_0: Check = (lambda v: is_number(v) and v > 0, "a number above 0")


def or_null(check: Check) -> Check:
    """Return the check that accepts null too."""
    return lambda v: v is None or check[0](v), f"null or {check[1]}"


SETTINGS: dict[str, Check] = {
    "seed": (lambda v: is_integer(v, 0, 2**31 - 1), "an integer from 0 to 2147483647"),
    "epochs": COUNT,
    "batch_size": COUNT,
    "device": (lambda v: v in ("auto", "cpu", "cuda"), "auto, cpu or cuda"),
    "max_steps": or_null(COUNT),
    # YAML reads a bare `off` as false.
    "lint": (lambda v: v in ("warn", "error", "off") or v is False, "warn, error or off"),
    "trainer.clip_grad_norm": or_null(ABOVE_0),
    "trainer.label_smoothing": (lambda v: is_number(v) and 0 <= v < 1, "a number, 0 <= value < 1"),
    "trainer.ema_decay": or_null((lambda v: is_number(v) and 0 < v < 1, "a number, 0 < value < 1")),
    "trainer.keep_last": COUNT,
    "trainer.graph": SWITCH,
    "trainer.amp": SWITCH,
    "trainer.decay_norm_and_bias": or_null(SWITCH),
    "optimizer.lr": ABOVE_0,
    "optimizer.weight_decay": (lambda v: is_number(v) and v >= 0, "a number of at least 0"),
}


def check_settings(config: Mapping[str, Any]) -> None:
    """Refuse run-level values that no run could use, before anything is built.

    Raises:
        ValueError: names the key, the value and what is accepted.
    """
    for key, (accepts, expected) in SETTINGS.items():
        value: Any = config
        for part in key.split("."):
            value = value.get(part)
        if not accepts(value):
            raise refusal(key, value, expected)


def trainer_durations(config: DictConfig, horizon: "Horizon") -> dict[str, int]:
    """Return the durations of the node `trainer` in steps; those of SWA only where it is on.

    Raises:
        ValueError: one of them is no duration, or SWA would start after the run.
    """
    from schedulers import to_steps

    keys = ["eval_every", "log_every", "checkpoint_every"]
    if config.trainer.swa_start is not None:
        keys += ["swa_start", "swa_every"]
    steps = {
        key: to_steps(config.trainer[key], horizon, f"trainer.{key}", minimum=1) for key in keys
    }
    if steps.get("swa_start", 0) > horizon.total_steps:
        raise ValueError(
            f"trainer.swa_start={config.trainer.swa_start}: expected at most the run's "
            f"{horizon.total_steps} steps."
        )
    return steps
