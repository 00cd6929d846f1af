"""Where a run starts: at step 0, or at a checkpoint of its own (resume) or of another (fork)."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from runs.build import plan_rates
from runs.config import read_run_config
from runs.overrides import FREE_IN_A_FORK, MAY_CHANGE, MUST_STAY, differences, key_of
from runs.targets import check_targets

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Origin:
    """The run from which this one goes on.

    Attributes:
        folder: its run folder.
        config: its config, as it was when it last ran.
    """

    folder: Path
    config: DictConfig


def read_origin(config: DictConfig) -> Origin | None:
    """The run that `resume` or `fork` names, when its config has been looked at.

    Raises:
        ValueError: it cannot be used, would call what it may not, or differs where it may not.
        FileNotFoundError: there is no such run folder.
    """
    folder = config.resume or config.fork
    if not folder:
        return None
    origin = Origin(Path(folder), read_run_config(Path(folder)))
    check_targets(origin.config, list(config.allow_targets))
    check_targets(config, list(config.allow_targets))
    if config.resume:
        check_same(config, origin, lambda key: key not in MAY_CHANGE, "resume")
    else:
        check_same(config, origin, stays_in_a_fork, "fork")
    return origin


def stays_in_a_fork(key: str) -> bool:
    """Whether a key must be the same in a fork."""
    return key.split(".")[0] in MUST_STAY and key not in FREE_IN_A_FORK


def check_same(config: DictConfig, origin: Origin, stays: Callable[[str], bool], verb: str) -> None:
    """Refuse a config that differs from the run's in a key that has to stay.

    Raises:
        ValueError: lists the keys, what the run has and what was asked for.
    """
    told = [
        f"{key}: the run has {has}, asked for {asked}"
        for key, has, asked in differences(origin.config, config)
        if stays(key)
    ]
    if told:
        raise ValueError(f"{verb}={origin.folder} cannot change {'; '.join(told)}.")


@dataclass(frozen=True)
class Start:
    """Where a run starts.

    Attributes:
        resumes: whether it goes on in a folder where it has been before.
        checkpoint: to start from; None: at step 0.
        forked_from: what the summary says of the run that the checkpoint is from.
        forks: whether the checkpoint is that other run's, and not this one's.
        same_horizon: whether the run is as long as when the checkpoint was written.
    """

    resumes: bool = False
    checkpoint: "Checkpoint | None" = None
    forked_from: dict[str, Any] | None = None
    forks: bool = False
    same_horizon: bool = True

    def apply(self, trainer: "Trainer") -> None:
        """Put a new trainer where the run starts.

        Raises:
            ValueError: the checkpoint does not fit the trainer's model, optimizer or scheduler.
        """
        from engine import restore

        if self.checkpoint and not self.forks:
            restore.resume(trainer, self.checkpoint, self.same_horizon)
            return
        if self.checkpoint:
            restore.fork(trainer, self.checkpoint)
        if self.resumes:  # it was killed before its first checkpoint: begin again
            nothing = trainer.recorder.state() | {"metrics_bytes": 0}
            trainer.recorder.continue_from(trainer.step, nothing, {})

    def is_over(self, stop_step: int, folder: Path) -> bool:
        """Whether the run that is resumed is complete and has nothing left to do."""
        if not self.checkpoint or self.forks or self.checkpoint.state["step"] < stop_step:
            return False
        try:
            return bool(json.loads((folder / "summary.json").read_text())["status"] == "completed")
        except (OSError, ValueError, KeyError, TypeError):
            return False


def find_start(config: DictConfig, horizon: "Horizon", stop_step: int, folder: Path) -> Start:
    """Where the run of this config starts; reads and checks what it needs of other runs.

    Raises:
        ValueError: the config differs from the run's where it may not, a file cannot be used, or
            there is no such checkpoint.
        FileNotFoundError: there is no such run folder.
    """
    from engine.checkpoint import read_newest

    origin = read_origin(config)
    if origin is None:
        return Start()
    checkpoint = read_newest(folder / "checkpoints") if config.resume else None
    if origin and checkpoint:
        check_ranks(checkpoint)
        same_horizon = check_resumed(config, origin, checkpoint, horizon, stop_step)
        return Start(True, checkpoint, checkpoint.state["forked_from"], same_horizon=same_horizon)
    if config.fork:
        checkpoint = find_fork(config, horizon, stop_step)
        step = checkpoint.state["step"]
        return Start(bool(config.resume), checkpoint, {"run": config.fork, "step": step}, True)
    log.info("There is no checkpoint in %s yet: the run begins again.", folder)
    return Start(True)


def check_resumed(
    config: DictConfig,
    origin: Origin,
    checkpoint: "Checkpoint",
    horizon: "Horizon",
    stop_step: int,
) -> bool:
    """Refuse a length under which the steps already made would have been others.

    Returns:
        Whether the length is the one under which the run ran.

    Raises:
        ValueError: names the key and what would have been different.
    """
    from schedulers import Horizon, to_steps

    state, epochs = checkpoint.state, int(origin.config.epochs)
    before = Horizon(epochs * horizon.steps_per_epoch, horizon.steps_per_epoch)
    if state["step"] > stop_step:
        key = f"max_steps={config.max_steps}" if config.max_steps else f"epochs={config.epochs}"
        raise ValueError(f"{key}: the run has made {state['step']} steps, more than {stop_step}.")
    if before == horizon:
        return True
    for key in ("eval_every", "swa_start", "swa_every"):
        value = config.trainer[key]
        if value is None or (config.trainer.swa_start is None and key == "swa_every"):
            continue
        steps = [to_steps(value, run, f"trainer.{key}") for run in (before, horizon)]
        if steps[0] != steps[1]:
            raise ValueError(
                f"epochs={config.epochs}: with trainer.{key}={value} the run had {steps[0]} steps "
                f"there, and this would have {steps[1]}."
            )
    planned = plan_rates(config, horizon, state["plateau_metrics"])[state["first_step"] :]
    steps = zip(checkpoint.applied.tolist(), planned, strict=False)
    changed = [step for step, (applied, plan) in enumerate(steps) if applied != plan]
    if changed:
        raise ValueError(
            f"epochs={config.epochs} changes the schedule where the run has already been: the rate "
            f"of step {state['first_step'] + changed[0]} was {checkpoint.applied[changed[0]][0]:g} "
            f"and would be {planned[changed[0]][0]:g} (fork= may)."
        )
    return False


def check_ranks(checkpoint: "Checkpoint") -> None:
    """Say so if a run goes on with another number of processes than it had so far."""
    from engine.process.ranks import SIZE

    before = checkpoint.state.get("ranks", 1)
    if before != SIZE:
        log.warning(
            "Number of processes: %d so far, %d from here on. Batch norms and dropout see other "
            "parts of each batch now; without them the weights differ by rounding only.",
            before,
            SIZE,
        )


def find_fork(config: DictConfig, horizon: "Horizon", stop_step: int) -> "Checkpoint":
    """The checkpoint of another run from which a fork starts.

    Raises:
        ValueError: there is none at this step; lists those that exist.
        FileNotFoundError: the run has no checkpoints.
    """
    from engine.checkpoint import list_checkpoints, read_checkpoint, step_of
    from schedulers import to_steps

    folders = {step_of(path): path for path in list_checkpoints(Path(config.fork) / "checkpoints")}
    if not folders:
        raise FileNotFoundError(f"fork={config.fork}: this run has no checkpoints.")
    step = max(folders)
    if config.fork_at is not None:
        step = to_steps(config.fork_at, horizon, "fork_at", minimum=1)
    if step not in folders:
        raise ValueError(
            f"fork_at={config.fork_at} is step {step}, of which {config.fork} keeps no checkpoint: "
            f"it has those of {', '.join(str(kept) for kept in sorted(folders))}."
        )
    if step >= stop_step:
        raise ValueError(f"fork_at={config.fork_at}: nothing is left of {stop_step} steps.")
    return read_checkpoint(folders[step])


def save_config(config: DictConfig, overrides: Sequence[str], folder: Path) -> None:
    """Keep the config of a run, resolved, for the next time that it is resumed."""
    kept = OmegaConf.merge(config, {"resume": None, "allow_targets": []})
    words = [word for word in overrides if key_of(word) not in ("resume", "allow_targets")]
    for name, content in (("config", kept), ("overrides", OmegaConf.create(words))):
        path = folder / ".hydra" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_suffix(".tmp")
        OmegaConf.save(content, fresh)
        fresh.replace(path)
