"""What decides a curve, and the curve: checked, bounded, and traced once.

Whatever a page shows goes through `check_setup`, wherever it came from.
"""

import json
import threading
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from math import ceil
from typing import Any

import numpy as np
from omegaconf import OmegaConf

import engine  # noqa: F401  (prepares the process for OneFlow)
from common.checks import check_integer, is_number, refusal
from runs.command_line import CONF
from runs.targets import walk_targets
from schedulers import Horizon, is_plateau, trace_lr
from schedulers.build import made_up_metrics
from scripts.explorer.node import check_node

MAX_STEPS = 2_000_000  # of a curve; of one with n parts the n-th part of that
KEPT_CURVES = 16  # traces in memory, of at most 16 MB each
TRAIN_SIZE = 45_000  # what val_size leaves of CIFAR-100
RUN_FIELDS = {  # what a command line may set besides scheduler.*, and the field of Setup that it is
    "optimizer.lr": "base_lr",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "dataset.train_size": "train_size",
}
# A page has a thread per visitor, and trace_lr redirects the one standard output of the process.
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Setup:
    """What decides a curve.

    Attributes:
        name: the file of conf/scheduler that the node started from.
        node: scheduler node as YAML would give it, durations as written (`30%`).
        base_lr: the optimizer's learning rate.
        epochs: passes over the training set.
        batch_size: images per step.
        train_size: images that train.
    """

    name: str
    node: dict[str, Any]
    base_lr: float = 0.1
    epochs: int = 30
    batch_size: int = 128
    train_size: int = TRAIN_SIZE

    def __hash__(self) -> int:
        """Return a hash of the values and their types, for the caches of functions of a setup."""
        return hash(json.dumps(asdict(self), sort_keys=True))

    @property
    def horizon(self) -> Horizon:
        """The run's length, as `runs.build.build_horizon` finds it."""
        steps_per_epoch = ceil(self.train_size / self.batch_size)
        return Horizon(self.epochs * steps_per_epoch, steps_per_epoch)


@cache
def names() -> tuple[str, ...]:
    """Return the names of the shipped schedules: the files of conf/scheduler."""
    return tuple(sorted(path.stem for path in (CONF / "scheduler").glob("*.yaml")))


def shipped(name: str) -> dict[str, Any]:
    """Return the node of conf/scheduler/NAME.yaml.

    Raises:
        ValueError: there is no such schedule.
    """
    if name not in names():
        raise refusal("scheduler", name, f"one of {', '.join(names())}")
    return deepcopy(_read_shipped(name))


@cache
def _read_shipped(name: str) -> dict[str, Any]:
    node: Any = OmegaConf.to_container(OmegaConf.load(CONF / "scheduler" / f"{name}.yaml"))
    return node


def check_setup(setup: Setup) -> Setup:
    """Return the setup if a run could be started from it, and its curve can be drawn in time.

    Raises:
        ValueError: names the key, the value and what is accepted.
    """
    shipped(setup.name)
    if not is_number(setup.base_lr) or not 0 < setup.base_lr < 1e6:
        raise refusal("optimizer.lr", setup.base_lr, "a number above 0 and below 1e6")
    check_integer("epochs", setup.epochs, 1, 10**6)
    check_integer("batch_size", setup.batch_size, 1, 10**6)
    check_integer("dataset.train_size", setup.train_size, 1, TRAIN_SIZE)
    check_node(setup.node)
    steps, parts = setup.horizon.total_steps, len(list(walk_targets(setup.node)))
    if steps * parts > MAX_STEPS:
        raise ValueError(
            f"The run has {steps} steps: with {parts} scheduler nodes at most "
            f"{MAX_STEPS // parts} are drawn; lower epochs or raise batch_size."
        )
    return setup


def trace(setup: Setup) -> np.ndarray:
    """Return the learning rate of every step, from `trace_lr`: float64, read-only, kept in memory.

    ReduceLROnPlateau follows a made-up metric, seen once per epoch as in a run by default.

    Raises:
        ValueError: one sentence that names the key, the value and what is accepted.
    """
    return _trace(check_setup(setup))


@lru_cache(KEPT_CURVES)
def _trace(setup: Setup) -> np.ndarray:
    node, horizon, metrics = setup.node, setup.horizon, None
    if is_plateau(node):
        mode = str(node.get("mode", "min"))
        metrics = made_up_metrics(mode, horizon.total_steps, horizon.steps_per_epoch)
    with _one_at_a_time:
        rates = np.array(trace_lr(node, [float(setup.base_lr)], horizon, metrics)[0], dtype=float)
    rates.flags.writeable = False  # every visitor of the page gets this one
    return rates
