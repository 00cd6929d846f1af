"""The lines that a run prints, and its summary.json."""

import logging
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from runs.build import plan_rates
from runs.overrides import flatten

if TYPE_CHECKING:
    from engine.trainer import Trainer
    from schedulers import Horizon

log = logging.getLogger(__name__)

GROUPS = ("dataset", "model", "optimizer", "scheduler")


def write_summary(
    trainer: "Trainer",
    config: DictConfig,
    horizon: "Horizon",
    status: str,
    test: dict[str, float],
) -> dict[str, Any]:
    """Write summary.json and the HParams tab; return it, with accuracies in percent or null."""
    from engine.process.machine import hardware, versions
    from engine.process.ranks import SIZE

    summary = {
        "status": status,
        **{group: choice(group, config) for group in ("scheduler", "model", "dataset")},
        "seed": config.seed,
        "epochs": config.epochs,
        "steps": trainer.step,
        "test_top1": test.get("top1"),
        "test_top5": test.get("top5"),
    }
    for name in (average.name for average in trainer.averages.each):
        summary[f"test_top1_{name}"] = test.get(f"{name}_top1")
        summary[f"test_top5_{name}"] = test.get(f"{name}_top5")
        summary[f"val_top1_last_{name}"] = trainer.last.get(f"{name}_top1")
    summary |= {
        "val_top1_last": trainer.last.get("top1"),
        "val_top1_best": trainer.best.get("top1"),
        "best_step": trainer.best.get("step"),
        "seconds": round(trainer.recorder.seconds, 3),
        "images_per_second": round(trainer.recorder.images_per_second, 1),
        "hardware": hardware(),
        "versions": versions(),
    }
    further = {"forked_from": trainer.about["forked_from"], "ranks": SIZE if SIZE > 1 else None}
    summary |= {key: value for key, value in further.items() if value}
    summary["lr_check"] = check_rates(trainer, config, horizon)
    trainer.recorder.summary(hparam_settings(config), summary)
    return summary


def check_rates(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> dict[str, int]:
    """Compare the rates that the run applied with the preview of its config, exactly."""
    planned = plan_rates(config, horizon, trainer.plateau_metrics)[trainer.first_step :]
    steps = enumerate(zip(trainer.applied, planned, strict=False), trainer.first_step)
    wrong, count = [step for step, (rates, plan) in steps if rates != plan], len(trainer.applied)
    if wrong:
        text = "%d of %d applied learning rates differ from the preview, the first at step %d."
        log.error(text, len(wrong), count, wrong[0])
    return {"steps": count, "mismatches": len(wrong)}


def introduction(trainer: "Trainer", config: DictConfig, horizon: "Horizon") -> str:
    """Return the first lines on the screen: what is about to run."""
    parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    names = {group: choice(group, config) for group in GROUPS}
    return (
        f"{names['dataset']} | {names['model']}, {parameters:,} parameters | {names['optimizer']}\n"
        f"scheduler={names['scheduler']}, base rate {config.optimizer.lr:g} | "
        f"{config.epochs} epochs of {horizon.steps_per_epoch} steps = {horizon.total_steps} steps"
    )


def hparam_settings(config: DictConfig) -> dict[str, Any]:
    """Return the settings for the HParams tab: no nulls, and group names in place of targets."""
    settings = flatten(OmegaConf.to_container(config, resolve=True))
    plain = {
        key: value if isinstance(value, bool | int | float | str) else str(value)
        for key, value in settings.items()
        if value is not None and not key.endswith("_target_")
    }
    return plain | {group: choice(group, config) for group in GROUPS}


def record_images(trainer: "Trainer") -> None:
    """Show up to 32 images of a new run's first batch in TensorBoard, as the model sees them."""
    from data import BatchLoader
    from data.images import restore_pixels, tile_images

    loader = trainer.train_loader
    if trainer.step == trainer.first_step and isinstance(loader, BatchLoader):
        images, _ = next(loader.epoch(*divmod(trainer.step, len(loader))))
        pixels = restore_pixels(images[:32].numpy(), loader.normalizer)
        trainer.recorder.picture("train/images", tile_images(pixels, columns=8), trainer.step)


def conclusion(trainer: "Trainer", summary: dict[str, Any]) -> str:
    """Return the last lines on the screen: what was reached and how to look at it."""
    folder = Path(os.path.relpath(trainer.recorder.folder))
    # Beside Python itself, where the environment is not activated, as after `make train`.
    beside = os.path.relpath(Path(sys.executable).with_name("tensorboard"))
    tensorboard = "tensorboard" if shutil.which("tensorboard") else beside
    steps, mismatches = summary["lr_check"].values()
    averaged = "".join(
        f"test top-1 with {name.upper()} weights {summary[f'test_top1_{name}']:.2f} %\n"
        for name in (average.name for average in trainer.averages.each)
        if summary[f"test_top1_{name}"] is not None
    )
    return (
        f"test top-1 {summary['test_top1']:.2f} %, top-5 {summary['test_top5']:.2f} % "
        f"after {summary['steps']} steps in {summary['seconds']:.0f} s\n{averaged}"
        f"learning rates as previewed: {steps - mismatches} of {steps} steps\n"
        f"everything is in {folder}\n"
        f"look at the curves: {tensorboard} --logdir {folder.parent}"
    )


def choice(group: str, config: DictConfig) -> str:
    """Return the name by which a group was chosen: its YAML, or the class of a given `_target_`."""
    overrides = HydraConfig.get().overrides.task
    if any(override.lstrip("+").startswith(f"{group}._target_=") for override in overrides):
        return str(config[group]._target_).rsplit(".", 1)[-1]
    return str(HydraConfig.get().runtime.choices[group])


def how_to_continue(trainer: "Trainer") -> str:
    """Return the sentence with the command that continues a run."""
    return f"Continue with: python train.py resume={os.path.relpath(trainer.recorder.folder)}"
