"""Find a learning rate: train with a rising one until the loss diverges.

    python -m scripts.lr_range_test model=resnet20 optimizer=adamw
    python -m scripts.lr_range_test optimizer=sgd range_test.start_lr=1e-4 range_test.steps=400

The ramp is a scheduler node, built as every other; the steps are the trainer's own. No evaluation
is made and no checkpoint is written: what is left is a new folder with range_test.json, .csv and
.png. Smith 2015, arXiv 1506.01186, section 3.3.
"""

import csv
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from tqdm import tqdm

from engine.process.machine import versions
from runs.build import build_horizon, build_trainer
from runs.command_line import run_command
from runs.summary import choice
from scripts.lr_range_test.suggestions import smooth, suggest

if TYPE_CHECKING:
    from engine.trainer import Trainer

# What the ramp decides, and what would change how it ends.
FIXED = ("optimizer.lr", "epochs", "max_steps", "resume", "fork", "fork_at", "scheduler")


@dataclass(frozen=True)
class RangeTest:
    """What a range test found.

    Attributes:
        title: what was trained.
        mode: `exponential` or `linear`.
        rates: of each step.
        losses: of each step's batch, before its update.
        smoothed: their average, as `suggestions.smooth` makes it.
        stopped: the sentence why the ramp was left before its end, or None.
        suggestions: per rule a rate, or the sentence why there is none.
    """

    title: str
    mode: str
    rates: list[float]
    losses: list[float]
    smoothed: list[float]
    stopped: str | None
    suggestions: dict[str, float | str]


class LossCurve:
    """Stands where the trainer has its recorder: keeps each loss, and says when to stop.

    Args:
        settings: the node `range_test`, whose `divergence` is looked at from the first tenth of the
            ramp on: before it an average has few values in it.
    """

    def __init__(self, settings: DictConfig) -> None:
        self.settings = settings
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.smoothed: list[float] = []
        self.stopped: str | None = None

    def train_step(
        self, step: int, rates: list[float], loss: Any, correct: Any, images: int
    ) -> None:
        """Take a step's values, and fetch the loss."""
        value = float(loss.numpy())
        where = f"stopped at step {step}, rate {rates[0]:.3g}"
        if not np.isfinite(value):
            self.stopped = f"{where}: the loss is not finite"
            return
        self.rates.append(rates[0])
        self.losses.append(value)
        self.smoothed = smooth(self.losses, self.settings.smoothing)
        seen = self.smoothed[self.settings.steps // 10 :]
        if seen and seen[-1] > self.settings.divergence * min(seen):
            times = self.settings.divergence
            self.stopped = f"{where}: smoothed loss above {times:g} times its lowest"

    def conclude(self, title: str) -> RangeTest:
        """What was found, with the rules' answers."""
        skip = self.settings.steps // 10
        suggestions = suggest(self.rates, self.losses, self.smoothed, skip)
        return RangeTest(
            title,
            self.settings.mode,
            self.rates,
            self.losses,
            self.smoothed,
            self.stopped,
            suggestions,
        )


def lr_range_test(config: DictConfig) -> None:
    """Run the test that `config.range_test` asks for.

    Raises:
        ValueError, OSError: a key's value cannot be used; the message is a sentence that names it.
    """
    from engine.process.runtime import choose_device
    from engine.process.signals import Interruption
    from runs.settings import check_settings

    settings, folder = config.range_test, Path(HydraConfig.get().runtime.output_dir)
    check_overrides(HydraConfig.get().overrides.task)
    check_range_test(settings, folder)
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
    follow(build_trainer(config, horizon, device, Interruption(), curve), curve)
    if not curve.losses:
        raise FloatingPointError(f"The range test {curve.stopped}.")
    found = curve.conclude(title)
    write(folder, found, config)
    tell(found, folder)


def check_overrides(overrides: Sequence[str]) -> None:
    """Refuse what a range test would have to ignore.

    Raises:
        ValueError: names the key and what to set instead.
    """
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if key in FIXED or key.startswith("scheduler."):
            raise ValueError(
                f"{override}: a range test has a schedule, a length and an end of its own; "
                "expected range_test.start_lr, end_lr, steps, mode or divergence."
            )


def check_range_test(settings: DictConfig, folder: Path) -> None:
    """Refuse what cannot be a range test, before any data is read.

    Raises:
        ValueError: names the key, the value and what is accepted.
    """
    from runs.settings import integer_from, is_number, one_of

    accepted: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
        ("start_lr", lambda v: is_number(v) and v > 0, "a number above 0"),
        ("end_lr", lambda v: is_number(v) and v > settings.start_lr, "a number above start_lr"),
        ("steps", integer_from(10), "an integer of at least 10"),
        ("mode", one_of("exponential", "linear"), "exponential or linear"),
        (
            "smoothing",
            lambda v: is_number(v) and 0 <= v < 1,
            "a number from 0 up to, not including, 1",
        ),
        ("divergence", lambda v: is_number(v) and v > 1, "a number above 1"),
    )
    for key, accepts, expected in accepted:
        if not accepts(settings[key]):
            raise ValueError(f"range_test.{key}={settings[key]!r}: expected {expected}.")
    if any(folder.iterdir()):
        raise ValueError(f"range_test.out={folder} is not empty: expected a new folder.")


def build_ramp(settings: DictConfig) -> dict[str, Any]:
    """The scheduler node that leads from start_lr, the base rate, to end_lr at the last step."""
    ratio, last = settings.end_lr / settings.start_lr, settings.steps - 1
    if settings.mode == "exponential":
        target = "oneflow.optim.lr_scheduler.ExponentialLR"
        return {"_target_": target, "gamma": ratio ** (1 / last)}
    target = "schedulers.piecewise.PiecewiseLR"
    return {"_target_": target, "knots": [[0, 1.0], [last, ratio]]}


def follow(trainer: "Trainer", curve: LossCurve) -> None:
    """Make the trainer's steps, without its evaluations and checkpoints, while the loss holds."""
    steps = trainer.stop_step
    batches = islice(chain.from_iterable(map(trainer.train_loader.epoch, count())), steps)
    trainer.model.train()
    for images, labels in tqdm(batches, total=steps, unit=" steps", disable=None, leave=False):
        trainer.train_step(images, labels)
        if curve.stopped:
            return


def tell(found: RangeTest, folder: Path) -> None:
    """Print the suggestions as overrides to paste."""
    if found.stopped:
        print(found.stopped)
    for name, answer in found.suggestions.items():
        told = f"optimizer.lr={answer:.2g}" if isinstance(answer, float) else f"none: {answer}"
        print(f"{name:<12}{told}")
    print(f"everything is in {os.path.relpath(folder)}")


def write(folder: Path, found: RangeTest, config: DictConfig) -> None:
    """Write range_test.json, .csv and .png."""
    from plots.pictures import write_range_test

    answers = found.suggestions.items()
    report = asdict(found) | {
        "suggestions": {name: None if isinstance(x, str) else x for name, x in answers},
        "no_answer": {name: x for name, x in answers if isinstance(x, str)},
        "config": OmegaConf.to_container(config, resolve=True),
        "versions": versions(),
    }
    (folder / "range_test.json").write_text(json.dumps(report, indent=2) + "\n")
    with (folder / "range_test.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["step", "lr", "loss", "smoothed"])
        rows.writerows(zip(count(), found.rates, found.losses, found.smoothed, strict=False))
    write_range_test(folder / "range_test.png", found)


if __name__ == "__main__":
    run_command(lr_range_test, "lr_range_test")
