"""Train a model on CIFAR-100 with OneFlow under a learning-rate schedule that Hydra composes.

    python train.py --help
    python train.py experiment=quickstart
    python train.py scheduler=cosine_warm_restarts
    python train.py -m scheduler=step,cosine_annealing seed=0,1

This file composes the parts and hands them to `engine.trainer.Trainer`. It imports OneFlow only
when a run starts, so that help and completion stay quick.
"""

import logging
import os
import platform
import shutil
import sys
import time
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from scripts.command_line import run_command

if TYPE_CHECKING:
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)

GROUPS = ("dataset", "model", "optimizer", "scheduler")
PACKAGES = ("oneflow", "numpy", "hydra-core", "tensorboardX")


def train(config: DictConfig) -> float | None:
    """Run one training from a composed config; returns the last validation top-1 in percent.

    That is the objective for a sweeper: to be maximized, and from the held-out split. Without such
    a split there is none, and None is returned.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
        FloatingPointError: a training loss is not a finite number.
    """
    from engine.settings import check_settings

    check_settings(config)
    horizon = build_horizon(config)

    from engine.runtime import choose_device

    device = choose_device(config.device)
    check_schedule(config, horizon)
    trainer = build_trainer(config, horizon, device)
    log.info(introduction(trainer, config, horizon))
    with trainer.recorder:
        return run(trainer, config, horizon)


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


def build_trainer(config: DictConfig, horizon: "Horizon", device: str) -> "Trainer":
    """Build every part of a run, from the data to the trainer."""
    import oneflow as flow

    from data import BatchLoader, build_dataset
    from engine.recorder import Recorder
    from engine.trainer import Trainer
    from schedulers import build_scheduler

    cadence = read_cadence(config, horizon)
    flow.manual_seed(config.seed)
    model = build_part(config.model, "model").to(device)
    optimizer = build_optimizer(config.optimizer, model)
    scheduler = build_scheduler(config.scheduler, optimizer, horizon)
    dataset = build_dataset(config.dataset)
    shared = {"batch_size": config.batch_size, "mean": dataset.mean, "std": dataset.std}
    loaders = {
        "train": BatchLoader(
            dataset.train,
            **shared,
            seed=config.seed,
            augment=config.dataset.augment,
            shuffle=True,
            device=device,
        ),
        "val": BatchLoader(dataset.val, **shared, device=device),
        "test": BatchLoader(dataset.test, **shared, device=device),
    }
    folder = Path(HydraConfig.get().runtime.output_dir)
    stop_step = min(config.max_steps or horizon.total_steps, horizon.total_steps)
    return Trainer(
        model,
        optimizer,
        scheduler,
        loaders,
        Recorder(folder, stop_step, cadence["log_every"]),
        stop_step=stop_step,
        eval_every=cadence["eval_every"],
        checkpoint_every=cadence["checkpoint_every"],
        clip_grad_norm=config.trainer.clip_grad_norm,
        label_smoothing=config.trainer.label_smoothing,
        seed=config.seed,
    )


def read_cadence(config: DictConfig, horizon: "Horizon") -> dict[str, int]:
    """Steps between evaluations, fetches and checkpoints."""
    from schedulers import to_steps

    keys = ("eval_every", "log_every", "checkpoint_every")
    return {
        key: to_steps(config.trainer[key], horizon, f"trainer.{key}", minimum=1) for key in keys
    }


def build_part(node: DictConfig, key: str, *args: Any, **kwargs: Any) -> Any:
    """Instantiate a node; a target that is missing or refuses its arguments is a ValueError."""
    try:
        return hydra.utils.instantiate(node, *args, _convert_="all", **kwargs)
    except (InstantiationException, AssertionError) as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise ValueError(f"{key}: {node._target_} cannot be built: {reason}") from error


def base_lrs(node: DictConfig) -> list[float]:
    """The base rate of each parameter group that `build_optimizer` makes from this node."""
    return [float(node.lr)] * (1 if node.decay_norm_and_bias else 2)


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
    started, status, test = time.perf_counter(), "failed", {}
    try:
        trainer.fit()
        test = trainer.test()
        status = "completed"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        summary = summarize(trainer, config, status, test)
        summary["seconds"] = round(time.perf_counter() - started, 3)
        summary["lr_check"] = check_rates(trainer, config, horizon)
        settings = flatten(OmegaConf.to_container(config, resolve=True))
        settings |= {group: choice(group, config) for group in GROUPS}
        trainer.recorder.summary(settings, summary)
    log.info(conclusion(trainer, summary))
    return trainer.last.get("top1")


def summarize(
    trainer: "Trainer", config: DictConfig, status: str, test: dict[str, float]
) -> dict[str, Any]:
    """What summary.json says of a run; accuracies in percent, null where there is none."""
    return {
        "status": status,
        **{group: choice(group, config) for group in ("scheduler", "model", "dataset")},
        "seed": config.seed,
        "epochs": config.epochs,
        "steps": trainer.step,
        "test_top1": test.get("top1"),
        "test_top5": test.get("top5"),
        "val_top1_last": trainer.last.get("top1"),
        "val_top1_best": trainer.best.get("top1"),
        "best_step": trainer.best.get("step"),
        "images_per_second": round(trainer.recorder.images_per_second, 1),
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
    }


def check_rates(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> dict[str, int]:
    """Compare the rates that the run applied with the preview of its config, exactly."""
    from schedulers import trace_lr

    planned = trace_lr(
        config.scheduler, base_lrs(config.optimizer), horizon, metrics=trainer.plateau_metrics
    )
    steps = zip(trainer.applied, zip(*planned, strict=True), strict=False)
    mismatches = [step for step, (applied, plan) in enumerate(steps) if applied != list(plan)]
    if mismatches:
        log.error(
            "%d of %d applied learning rates differ from the preview, the first at step %d.",
            len(mismatches),
            len(trainer.applied),
            mismatches[0],
        )
    return {"steps": len(trainer.applied), "mismatches": len(mismatches)}


def introduction(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> str:
    """What is about to run, in the lines that the screen shows first."""
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    names = {group: choice(group, config) for group in GROUPS}
    return (
        f"{names['dataset']} | {names['model']}, {parameters:,} parameters | {names['optimizer']}\n"
        f"scheduler={names['scheduler']}, base rate {config.optimizer.lr:g} | "
        f"{config.epochs} epochs of {horizon.steps_per_epoch} steps = {horizon.total_steps} steps"
    )


def conclusion(trainer: "Trainer", summary: dict[str, Any]) -> str:
    """What was reached and how to look at it, in the lines that the screen shows last."""
    folder = Path(os.path.relpath(trainer.recorder.folder))
    # Beside Python itself, where the environment is not activated, as after `make train`.
    beside = os.path.relpath(Path(sys.executable).with_name("tensorboard"))
    tensorboard = "tensorboard" if shutil.which("tensorboard") else beside
    check = summary["lr_check"]
    matching = check["steps"] - check["mismatches"]
    return (
        f"test top-1 {summary['test_top1']:.2f} %, top-5 {summary['test_top5']:.2f} % "
        f"after {summary['steps']} steps in {summary['seconds']:.0f} s\n"
        f"learning rates as previewed: {matching} of {check['steps']} steps\n"
        f"everything is in {folder}\n"
        f"look at the curves: {tensorboard} --logdir {folder.parent}"
    )


def choice(group: str, config: DictConfig) -> str:
    """The name by which a group was chosen: its YAML's, or the class where `_target_` was given."""
    overrides = HydraConfig.get().overrides.task
    if any(override.lstrip("+").startswith(f"{group}._target_=") for override in overrides):
        return str(config[group]._target_).rsplit(".", 1)[-1]
    return str(HydraConfig.get().runtime.choices[group])


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A nested config as {"optimizer.lr": 0.1, ...}, as the HParams tab takes it; no nulls."""
    if isinstance(tree, dict):
        parts = [flatten(value, f"{prefix}{key}.") for key, value in tree.items()]
        return {key: value for part in parts for key, value in part.items()}
    if tree is None or prefix.endswith("_target_."):  # the groups' names say it shorter
        return {}
    return {prefix[:-1]: tree if isinstance(tree, bool | int | float | str) else str(tree)}


if __name__ == "__main__":
    run_command(train)
