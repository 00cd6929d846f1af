"""Train a model on CIFAR-100 with OneFlow under a learning-rate schedule that Hydra composes.

    python train.py --help
    python train.py experiment=quickstart
    python train.py scheduler=cosine_warm_restarts
    python train.py -m scheduler=step,cosine_annealing seed=0,1
    python train.py resume=RUN_FOLDER
    python train.py fork=RUN_FOLDER fork_at=120ep scheduler=linear

OneFlow is imported only when a run starts, so that help and completion stay quick.
"""

import runs as runs  # first: it explains a missing package in one sentence

# isort: split
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from runs import summary
from runs.build import build_horizon, build_trainer, check_schedule, last_step
from runs.command_line import run_command
from runs.folder import lock_folder
from runs.resume import Start, find_start, save_config
from runs.settings import check_settings
from runs.sweep.callback import run_sweep

if TYPE_CHECKING:
    from engine.process.signals import Interruption
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Run one training from a composed config; return the last validation top-1 in percent.

    That is the objective for a sweeper: to be maximized, and from the held-out split. Without such
    a split there is none, and None is returned.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
        FloatingPointError: a training loss is not a finite number.
    """
    horizon, device = prepare(config)

    from engine.process import ranks
    from engine.process.signals import Interrupted, Interruption
    from engine.recorder import mark_interrupted

    folder = Path(HydraConfig.get().runtime.output_dir)
    lock = contextlib.nullcontext() if ranks.RANK else lock_folder(folder)
    with Interruption() as interruption, lock:
        try:
            start = find_start(config, horizon, folder)
            check_schedule(config, horizon)
            if start.checkpoint and start.is_over(last_step(config, horizon), folder):
                log.info("The run in %s is complete: nothing is left to do.", folder)
                return start.checkpoint.state["last"].get("top1")
            trainer = assemble(config, horizon, device, start, interruption)
            return run(trainer, config, horizon)
        except Interrupted:
            if not interruption.deferred and ranks.RANK == 0:
                mark_interrupted(folder)
            raise


def prepare(config: DictConfig) -> tuple["Horizon", str]:
    """Resolve and check a config; return the horizon of its run and the device to train on."""
    if config.dry_run:
        raise ValueError("dry_run=true lists the jobs of a sweep: add -m, or leave it out.")
    OmegaConf.resolve(config)  # a part that is built from its node alone has no ${...} to follow
    check_settings(config)
    horizon = build_horizon(config)

    from data.augment import read_augment
    from engine.process import ranks
    from engine.process.runtime import choose_device

    read_augment(config.augment)
    device = choose_device(config.device)
    ranks.check_device(device)
    return horizon, device


def assemble(
    config: DictConfig,
    horizon: "Horizon",
    device: str,
    start: Start,
    interruption: "Interruption",
) -> "Trainer":
    """Save the config, build all parts and put them where the run starts."""
    from engine.process import ranks

    ranks.barrier()  # each has read the run's old config, which is about to be replaced
    if ranks.RANK == 0:
        hydra = HydraConfig.get()
        save_config(config, hydra.overrides.task, Path(hydra.runtime.output_dir))
    trainer = build_trainer(config, horizon, device, interruption)
    trainer.about["forked_from"] = start.forked_from
    start.apply(trainer)
    ranks.barrier()  # from here on all of them stop together
    interruption.defer()
    return trainer


def run(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> float | None:
    """Train, test once, and write the summary, however the run ends."""
    from engine.process.signals import Interrupted

    log.info(summary.introduction(trainer, config, horizon))
    again = summary.how_to_continue(trainer)
    status, test = "failed", {}
    try:
        with trainer.recorder:
            try:
                summary.record_images(trainer)
                trainer.fit()
                test = trainer.test()
                status = "completed"
            except Interrupted:
                status = "interrupted"
                log.info("Interrupted after step %d. %s", trainer.step, again)
                raise
            finally:
                # A failing summary must not hide the error that ended the run.
                hidden = [OSError] if status == "failed" else []
                with contextlib.suppress(*hidden):
                    written = summary.write_summary(trainer, config, horizon, status, test)
            log.info(summary.conclusion(trainer, written))
            return trainer.last.get("top1")
    except OSError as error:
        folder, reason = trainer.recorder.folder, error.strerror or error
        raise OSError(
            f"The run in {folder} stopped after step {trainer.step}: {reason}. {again}"
        ) from error


if __name__ == "__main__":
    run_command(train, sweep=run_sweep)
