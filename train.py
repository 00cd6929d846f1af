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

import scripts as scripts  # before the packages: it tells if one is missing

# isort: split
import contextlib
import logging
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf, open_dict

from scripts.cadence import read_cadence, read_swa
from scripts.command_line import run_command
from scripts.report import (
    check_rates,
    conclusion,
    how_to_continue,
    hparam_settings,
    introduction,
    record_images,
    summarize,
    versions,
)
from scripts.resume import save_config
from scripts.start import Start, base_lrs, find_start
from scripts.sweep_job import run_job

if TYPE_CHECKING:
    from engine.signals import Interruption
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)

TRAINER_KEYS = (
    "clip_grad_norm",
    "label_smoothing",
    "keep_last",
    "on_nonfinite",
    "max_skipped",
    "graph",
    "amp",
)


def train(config: DictConfig) -> float | None:
    """Run one training from a composed config; returns the last validation top-1 in percent.

    That is the objective for a sweeper: to be maximized, and from the held-out split. Without such
    a split there is none, and None is returned.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
        FloatingPointError: a training loss is not a finite number.
    """
    from engine.settings import check_settings

    if config.dry_run:
        raise ValueError("dry_run=true lists the jobs of a sweep: add -m, or leave it out.")
    with open_dict(config):
        config.pop("recipe", None)  # what an experiment says of a publication is no setting
    OmegaConf.resolve(config)  # a part that is built from its node alone has no ${...} to follow
    check_settings(config)
    horizon = build_horizon(config)

    from data.augment import read_augment
    from engine import ranks
    from engine.folder import FolderLock
    from engine.recorder import mark_interrupted
    from engine.runtime import choose_device
    from engine.signals import Interrupted, Interruption

    read_augment(config.dataset.get("augment"))
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
    from engine import ranks

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


def build_horizon(config: DictConfig) -> "Horizon":
    """The length of the run, from sizes in the config alone: no data is read."""
    from data import split_sizes
    from schedulers import Horizon

    steps_per_epoch = ceil(split_sizes(config.dataset)[0] / config.batch_size)
    return Horizon(config.epochs * steps_per_epoch, steps_per_epoch)


def check_schedule(config: DictConfig, horizon: "Horizon") -> None:
    """Refuse a schedule that cannot be built or followed, and lint it as the key `lint` says."""
    from data import split_sizes
    from schedulers.lint import lint_trace

    findings = lint_trace(config.scheduler, base_lrs(config.optimizer), horizon)
    if findings and config.lint == "error":
        raise ValueError("lint=error: " + "; ".join(str(finding) for finding in findings) + ".")
    if config.lint == "warn":
        for finding in findings:
            log.warning("Lint: %s", finding)
    target = str(config.scheduler.get("_target_"))
    if target.endswith("ReduceLROnPlateau") and split_sizes(config.dataset)[1] == 0:
        raise ValueError(
            "dataset.val_size=0: ReduceLROnPlateau follows the validation split; expected at "
            "least 1."
        )


def build_trainer(
    config: DictConfig,
    horizon: "Horizon",
    device: str,
    interruption: "Interruption",
    recorder: Any = None,
) -> "Trainer":
    """Build every part of a run, from the data to the trainer.

    Without a recorder there will be one that writes to the run folder.
    """
    import oneflow as flow

    from data import BatchLoader, build_dataset
    from engine import ranks
    from engine.averaging import Averages
    from engine.recorder import Recorder
    from engine.trainer import Trainer
    from schedulers import build_scheduler

    cadence = read_cadence(config, horizon)
    flow.manual_seed(config.seed)
    model = build_part(config.model, "model").to(device)
    optimizer = build_optimizer(config.optimizer, model)
    scheduler = build_scheduler(config.scheduler, optimizer, horizon)
    dataset = build_dataset(config.dataset)
    shared = {
        "batch_size": config.batch_size,
        "mean": dataset.mean,
        "std": dataset.std,
        "device": device,
        "part": ranks.part,
    }
    loaders = {
        "train": BatchLoader(
            dataset.train,
            **shared,
            seed=config.seed,
            augment=config.dataset.augment,
            shuffle=True,
            classes=len(dataset.class_names),
        ),
        "val": BatchLoader(dataset.val, **shared),
        "test": BatchLoader(dataset.test, **shared),
    }
    folder = Path(HydraConfig.get().runtime.output_dir)
    stop_step = min(config.max_steps or horizon.total_steps, horizon.total_steps)
    return Trainer(
        model,
        optimizer,
        scheduler,
        loaders,
        recorder or Recorder(folder, stop_step, cadence["log_every"], silent=ranks.RANK > 0),
        stop_step=stop_step,
        eval_every=cadence["eval_every"],
        checkpoint_every=cadence["checkpoint_every"],
        **{key: config.trainer[key] for key in TRAINER_KEYS},
        averages=Averages(
            model,
            loaders["train"].epoch,
            interruption.poll,
            ema_decay=config.trainer.ema_decay,
            **read_swa(config, horizon),
        ),
        seed=config.seed,
        interruption=interruption,
        about={
            "config": OmegaConf.to_container(config, resolve=True),
            "versions": versions(),
            "ranks": ranks.SIZE,
        },
    )


def build_part(node: DictConfig, key: str, *args: Any, **kwargs: Any) -> Any:
    """Instantiate a node; a target that is missing or refuses its arguments is a ValueError."""
    try:
        return hydra.utils.instantiate(node, *args, _convert_="all", **kwargs)
    except (InstantiationException, AssertionError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{key}: {node._target_} cannot be built: {reason}") from error


def build_optimizer(node: DictConfig, model: Any) -> Any:
    """The optimizer of a node over a model's parameters.

    With `decay_norm_and_bias: false` there are two groups: the weights, and without weight decay
    all parameters of fewer than two dimensions (norms' scales and shifts, biases).
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [{"params": parameters}]
    if not node.decay_norm_and_bias:
        vectors = [parameter for parameter in parameters if parameter.ndim < 2]
        weights = [parameter for parameter in parameters if parameter.ndim >= 2]
        if not vectors or not weights:
            raise ValueError(
                "optimizer.decay_norm_and_bias=false: this model has no two kinds of parameters; "
                "expected true."
            )
        groups = [{"params": weights}, {"params": vectors, "weight_decay": 0.0}]
    settings = OmegaConf.masked_copy(node, [key for key in node if key != "decay_norm_and_bias"])
    return build_part(settings, "optimizer", groups)


def run(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> float | None:
    """Train, test once, and leave the summary, whatever happens on the way."""
    from engine.signals import Interrupted

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
    run_command(train, run_job=run_job)
