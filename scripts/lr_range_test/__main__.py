"""Find a learning rate: train with a rising one until the loss diverges.

    python -m scripts.lr_range_test model=resnet20 optimizer=adamw
    python -m scripts.lr_range_test optimizer=sgd range_test.start_lr=1e-4 range_test.steps=400

The ramp is a scheduler node, built as every other; the steps are the trainer's own. No evaluation
is made and no checkpoint is written: what is left is a new folder with range_test.json, .csv and
.png. Smith 2015, arXiv 1506.01186, section 3.3.
"""

import runs as runs  # before the packages: it says if one is missing

# isort: split
import csv
import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from common.checks import is_integer, is_number, refusal
from engine.process.machine import versions
from runs.build import build_horizon, build_trainer
from runs.command_line import run_command
from runs.summary import choice
from scripts.lr_range_test.losses import LossCurve
from scripts.lr_range_test.suggestions import suggest

if TYPE_CHECKING:
    from engine.trainer import Trainer

# What the ramp decides.
FIXED = ("optimizer.lr", "epochs", "max_steps", "resume", "fork", "fork_at", "scheduler")


def lr_range_test(config: DictConfig) -> None:
    """Run the test that `config.range_test` asks for.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
    """
    from engine.process.runtime import choose_device
    from engine.process.signals import Interruption
    from runs.settings import check_settings
    from scripts.lr_range_test.picture import write_range_test

    settings, folder = config.range_test, Path(HydraConfig.get().runtime.output_dir)
    check_range_test(settings, folder, HydraConfig.get().overrides.task)
    config.scheduler = build_ramp(settings)
    config.optimizer.lr = settings.start_lr
    check_settings(config)
    horizon = replace(build_horizon(config), total_steps=settings.steps)
    device = choose_device(config.device)
    title = " | ".join(choice(group, config) for group in ("dataset", "model", "optimizer"))
    print(
        f"{title}\n{settings.mode} ramp from {settings.start_lr:g} to {settings.end_lr:g} "
        f"in {settings.steps} steps of {config.batch_size} images",
        flush=True,
    )
    curve = LossCurve(settings)
    train(build_trainer(config, horizon, device, Interruption(), curve), curve)
    if not curve.losses:
        raise FloatingPointError(f"The range test {curve.stopped}.")
    answers = suggest(curve.rates, curve.losses, curve.smoothed, settings.steps // 10)
    write_numbers(folder / "range_test", title, curve, answers, config)
    write_range_test(folder / "range_test.png", title, curve, answers)
    if curve.stopped:
        print(curve.stopped)
    for name, lr in answers.items():
        print(f"{name:<12}{f'none: {lr}' if isinstance(lr, str) else f'optimizer.lr={lr:.2g}'}")
    print(f"everything is in {os.path.relpath(folder)}")


def check_range_test(settings: DictConfig, folder: Path, overrides: Sequence[str]) -> None:
    """Refuse what makes no range test, or has no effect in one, before any data is read."""
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in FIXED or key.startswith("scheduler."):
            raise ValueError(
                f"{override}: a range test sets its schedule, its length and its end; "
                "expected range_test.start_lr, end_lr, steps, mode or divergence."
            )
    keys = ("start_lr", "end_lr", "smoothing", "divergence")
    values = (settings[key] for key in keys)  # nothing is above or below nan
    start, end, smoothing, divergence = (v if is_number(v) else math.nan for v in values)
    accepted = {
        "start_lr": (start > 0, "a number above 0"),
        "end_lr": (end > start, "a number above start_lr"),
        "steps": (is_integer(settings.steps, 10), "an integer of at least 10"),
        "mode": (settings.mode in ("exponential", "linear"), "exponential or linear"),
        "smoothing": (0 <= smoothing < 1, "a number of at least 0 and below 1"),
        "divergence": (divergence > 1, "a number above 1"),
    }
    for key, (is_accepted, expected) in accepted.items():
        if not is_accepted:
            raise refusal(f"range_test.{key}", settings[key], expected)
    if any(folder.iterdir()):
        raise refusal("range_test.out", str(folder), "a new or an empty folder")


def build_ramp(settings: DictConfig) -> dict[str, Any]:
    """Return the scheduler node from start_lr, the base rate, to end_lr at the last step."""
    ratio, last = settings.end_lr / settings.start_lr, settings.steps - 1
    if settings.mode == "exponential":
        target = "oneflow.optim.lr_scheduler.ExponentialLR"
        return {"_target_": target, "gamma": ratio ** (1 / last)}
    return {"_target_": "schedulers.piecewise.PiecewiseLR", "knots": [[0, 1.0], [last, ratio]]}


def train(trainer: "Trainer", curve: LossCurve) -> None:
    """Make the trainer's steps until the loss diverges, without evaluations and checkpoints."""
    steps = trainer.stop_step
    batches = islice(chain.from_iterable(map(trainer.train_loader.epoch, count())), steps)
    trainer.model.train()
    for images, labels in tqdm(batches, total=steps, unit=" steps", disable=None, leave=False):
        trainer.train_step(images, labels)
        if curve.stopped:
            return


def write_numbers(
    path: Path, title: str, curve: LossCurve, answers: dict[str, float | str], config: DictConfig
) -> None:
    """Write range_test.json and .csv."""
    report = {
        **{"title": title, "mode": curve.settings.mode, "stopped": curve.stopped},
        **{"rates": curve.rates, "losses": curve.losses, "smoothed": curve.smoothed},
        "suggestions": {name: None if isinstance(x, str) else x for name, x in answers.items()},
        "no_answer": {name: x for name, x in answers.items() if isinstance(x, str)},
        "config": OmegaConf.to_container(config, resolve=True),
        "versions": versions(),
    }
    path.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n")
    with path.with_suffix(".csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "lr", "loss", "smoothed"])
        rows.writerows(zip(count(), curve.rates, curve.losses, curve.smoothed, strict=False))


if __name__ == "__main__":
    run_command(lr_range_test, "lr_range_test")
