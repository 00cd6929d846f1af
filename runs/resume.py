"""Resume and fork: where a run starts, and whether its config may continue that run."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from common.files import write_text
from runs.build import last_step, plan_rates
from runs.config import read_run_config
from runs.folder import read_summary
from runs.overrides import FREE_IN_A_FORK, MAY_CHANGE, MUST_STAY, differences, key_of
from runs.settings import trainer_durations
from runs.targets import check_targets

if TYPE_CHECKING:
    from engine.checkpoint import Checkpoint
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a run starts."""

    resumes: bool = False  # whether it continues in the folder where it has been before
    checkpoint: "Checkpoint | None" = None  # to start from; None: at step 0
    forked_from: dict[str, Any] | None = None  # run and step of a fork's first checkpoint
    forks: bool = False  # whether the checkpoint is that other run's
    same_horizon: bool = True  # whether the run is as long as when the checkpoint was written

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
        """Return whether the run that is resumed is complete and has nothing left to do."""
        if not self.checkpoint or self.forks or self.checkpoint.state["step"] < stop_step:
            return False
        try:
            return read_summary(folder).get("status") == "completed"
        except (OSError, ValueError):
            return False


def find_start(config: DictConfig, horizon: "Horizon", folder: Path) -> Start:
    """Return where the run of this config starts; read and check what it needs of other runs.

    Raises:
        ValueError: the config differs from the run's where it may not, a file cannot be used, or
            there is no such checkpoint.
        FileNotFoundError: there is no such run folder.
    """
    from engine.checkpoint import read_newest

    before = read_origin(config)
    if before is None:
        return Start()
    checkpoint = read_newest(folder / "checkpoints") if config.resume else None
    if checkpoint:
        warn_of_other_ranks(checkpoint)
        same = check_length(config, before, checkpoint, horizon)
        return Start(True, checkpoint, checkpoint.state["forked_from"], same_horizon=same)
    if config.fork:
        checkpoint = find_fork(config, horizon)
        origin = {"run": config.fork, "step": checkpoint.state["step"]}
        return Start(bool(config.resume), checkpoint, origin, forks=True)
    log.info("There is no checkpoint in %s yet: the run begins again.", folder)
    return Start(True)


def read_origin(config: DictConfig) -> DictConfig | None:
    """Return the config of the run that `resume` or `fork` names, checked; None without either.

    Raises:
        ValueError: it cannot be used, would call what it may not, or differs where it may not.
        FileNotFoundError: there is no such run folder.
    """
    key = "resume" if config.resume else "fork"
    if not config[key]:
        return None
    before = read_run_config(Path(config[key]))
    for part in (before, config):
        check_targets(part, list(config.allow_targets))
    refused = []
    for name, has, asked in differences(before, config):
        stays = name not in FREE_IN_A_FORK and not {name, name.split(".")[0]}.isdisjoint(MUST_STAY)
        if name not in MAY_CHANGE if config.resume else stays:
            refused.append(f"{name}: the run has {has}, asked for {asked}")
    if refused:
        raise ValueError(f"{key}={config[key]} cannot change {'; '.join(refused)}.")
    return before


def check_length(
    config: DictConfig, before: DictConfig, checkpoint: "Checkpoint", horizon: "Horizon"
) -> bool:
    """Return whether the length is that of the run so far.

    Raises:
        ValueError: under this length the steps already made would have been others.
    """
    from schedulers import Horizon

    state, stop_step = checkpoint.state, last_step(config, horizon)
    if state["step"] > stop_step:
        key = f"max_steps={config.max_steps}" if config.max_steps else f"epochs={config.epochs}"
        raise ValueError(f"{key}: the run has made {state['step']} steps, more than {stop_step}.")
    was = Horizon(int(before.epochs) * horizon.steps_per_epoch, horizon.steps_per_epoch)
    if was == horizon:
        return True
    old, new = trainer_durations(config, was), trainer_durations(config, horizon)
    for key in {"eval_every", "swa_start", "swa_every"} & old.keys():
        if old[key] != new[key]:
            raise ValueError(
                f"epochs={config.epochs}: trainer.{key}={config.trainer[key]} was {old[key]} "
                f"steps and would be {new[key]}."
            )
    planned = plan_rates(config, horizon, state["plateau_metrics"])[state["first_step"] :]
    steps = enumerate(zip(checkpoint.applied.tolist(), planned, strict=False), state["first_step"])
    for step, (applied, plan) in steps:
        if applied != plan:
            raise ValueError(
                f"epochs={config.epochs} changes the schedule where the run has already been: the "
                f"rate of step {step} was {applied[0]:g} and would be {plan[0]:g}. "
                "Only a fork may change it (fork=FOLDER)."
            )
    return False


def warn_of_other_ranks(checkpoint: "Checkpoint") -> None:
    """Warn if a run goes on with another number of processes than it had so far."""
    from engine.process.ranks import SIZE

    before = checkpoint.state.get("ranks", 1)
    if before != SIZE:
        log.warning(
            "Number of processes: %d so far, %d from here on. Batch norms and dropout see other "
            "parts of each batch now; without them the weights differ by rounding only.",
            *(before, SIZE),
        )


def find_fork(config: DictConfig, horizon: "Horizon") -> "Checkpoint":
    """Return the checkpoint of another run from which a fork starts.

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
            f"it has those of {', '.join(map(str, sorted(folders)))}. trainer.keep_last=1000 keeps "
            "more of a new run."
        )
    if step >= (stop_step := last_step(config, horizon)):
        raise ValueError(f"fork_at={config.fork_at}: nothing is left of {stop_step} steps.")
    return read_checkpoint(folders[step])


def save_config(config: DictConfig, overrides: Sequence[str], folder: Path) -> None:
    """Write the config of a run, and its overrides, for the next time that it is resumed."""
    kept = OmegaConf.merge(config, {"resume": None, "allow_targets": []})
    words = [word for word in overrides if key_of(word) not in ("resume", "allow_targets")]
    (folder / ".hydra").mkdir(exist_ok=True)
    write_text(folder / ".hydra/config.yaml", OmegaConf.to_yaml(kept))
    write_text(folder / ".hydra/overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(words)))
