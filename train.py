"""Train a model on CIFAR-100 with OneFlow under a learning-rate schedule that Hydra composes.

    python train.py --help
    python train.py experiment=quickstart
    python train.py scheduler=cosine_warm_restarts
    python train.py -m scheduler=step,cosine_annealing seed=0,1
    python train.py resume=RUN_FOLDER
    python train.py fork=RUN_FOLDER fork_at=120ep scheduler=linear

This file composes the parts and hands them to `engine.trainer.Trainer`. It imports OneFlow only
when a run starts, so that help and completion stay quick.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from runs.build import build_horizon, build_trainer, check_schedule
from runs.command_line import run_command
from runs.start import Start, find_start, save_config
from runs.summary import (
    check_rates,
    conclusion,
    how_to_continue,
    hparam_settings,
    introduction,
    record_images,
    summarize,
)
from runs.sweep.callback import run_sweep

if TYPE_CHECKING:
    from engine.process.signals import Interruption
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)


def train(config: DictConfig) -> float | None:
    """Run one training from a composed config; returns the last validation top-1 in percent.

    That is the objective for a sweeper: to be maximized, and from the held-out split. Without such
    a split there is none, and None is returned.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
        FloatingPointError: a training loss is not a finite number.
    """
    from runs.settings import check_settings

    if config.dry_run:
        raise ValueError("dry_run=true lists the jobs of a sweep: add -m, or leave it out.")
    with open_dict(config):
        config.pop("recipe", None)  # what an experiment says of a publication is no setting
    OmegaConf.resolve(config)  # a part that is built from its node alone has no ${...} to follow
    check_settings(config)
    horizon = build_horizon(config)

    from data.augment import read_augment
    from engine.process import ranks
    from engine.process.runtime import choose_device
    from engine.process.signals import Interrupted, Interruption
    from engine.recorder import mark_interrupted
    from runs.folder import FolderLock

    read_augment(config.augment)
    device = choose_device(config.device)
    ranks.check_device(device)
    folder = Path(HydraConfig.get().runtime.output_dir)
    lock = contextlib.nullcontext() if ranks.RANK else FolderLock(folder)
    with Interruption() as interruption, lock:
        try:
            stop_step = min(config.max_steps or horizon.total_steps, horizon.total_steps)
            start = find_start(config, horizon, stop_step, folder)
            check_schedule(config, horizon)
            if start.checkpoint and start.is_over(stop_step, folder):
                log.info("The run in %s is complete: nothing is left to do.", folder)
                return start.checkpoint.state["last"].get("top1")
            return train_from(start, config, horizon, device, interruption)
        except Interrupted:
            if not interruption.deferred and ranks.RANK == 0:
                mark_interrupted(folder)
            raise


def train_from(
    start: Start,
    config: DictConfig,
    horizon: "Horizon",
    device: str,
    interruption: "Interruption",
) -> float | None:
    """Build all parts, put them where the run starts, and train."""
    from engine.process import ranks

    folder = Path(HydraConfig.get().runtime.output_dir)
    ranks.barrier()  # each has read what the run was, which is about to be written anew
    if ranks.RANK == 0:
        save_config(config, HydraConfig.get().overrides.task, folder)
    trainer = build_trainer(config, horizon, device, interruption)
    trainer.about["forked_from"] = start.forked_from
    start.apply(trainer)
    ranks.barrier()  # from here on all of them stop together
    interruption.defer()
    log.info(introduction(trainer, config, horizon))
    try:
        with trainer.recorder:
            return run(trainer, config, horizon)
    except OSError as error:
        raise OSError(
            f"The run in {folder} stopped after step {trainer.step}: "
            f"{error.strerror or error}. {how_to_continue(trainer)}"
        ) from error


def run(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> float | None:
    """Train, test once, and leave the summary, whatever happens on the way."""
    from engine.process.signals import Interrupted

    status, test = "failed", {}
    try:
        record_images(trainer)
        trainer.fit()
        test = trainer.test()
        status = "completed"
    except Interrupted:
        status = "interrupted"
        log.info("Interrupted after step %d. %s", trainer.step, how_to_continue(trainer))
        raise
    finally:
        # What has stopped the run says more than a summary that cannot be written either.
        with contextlib.suppress(OSError) if status == "failed" else contextlib.nullcontext():
            summary = summarize(trainer, config, status, test)
            summary["lr_check"] = check_rates(trainer, config, horizon)
            trainer.recorder.summary(hparam_settings(config), summary)
    log.info(conclusion(trainer, summary))
    return trainer.last.get("top1")


if __name__ == "__main__":
    run_command(train, sweep=run_sweep)
