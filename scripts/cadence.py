"""The durations of the node `trainer`, in steps."""

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from schedulers import Horizon


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
