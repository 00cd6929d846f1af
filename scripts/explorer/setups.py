"""What decides a curve, and the curve: checked, bounded, and traced once.

Whatever a page shows goes through `check_setup`, wherever it came from.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from math import ceil
from typing import Any

import numpy as np
from omegaconf import OmegaConf

import engine  # noqa: F401  (prepares the process for OneFlow)
from common.checks import check_integer, is_number, refusal
from runs.command_line import CONF
from schedulers import Horizon, trace_lr
from schedulers.build import is_plateau, made_up_metrics
from scripts.explorer.node import check_node, count_targets

MAX_STEPS = 2_000_000  # of a curve; of one with n parts the n-th part of that
KEPT_RATES = 4_000_000  # in the cache of traces: 32 MB
TRAIN_SIZE = 45_000  # what val_size leaves of CIFAR-100
RUN_FIELDS = {  # what a command line may set besides scheduler.*, and the field of Setup that it is
    "optimizer.lr": "base_lr",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "dataset.train_size": "train_size",
}


@dataclass(frozen=True)
class Setup:
    """What decides a curve.

    Attributes:
        name: the file of conf/scheduler that the node started from.
        node: scheduler node as YAML would give it, durations as written (`30%`).
        base_lr: the optimizer's rate.
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

    @property
    def horizon(self) -> Horizon:
        """The run's length, as `train.build_horizon` finds it."""
        steps_per_epoch = ceil(self.train_size / self.batch_size)
        return Horizon(self.epochs * steps_per_epoch, steps_per_epoch)


def names() -> list[str]:
    """The schedules that are shipped: the files of conf/scheduler."""
    return list(_list_names())


@cache
def _list_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in (CONF / "scheduler").glob("*.yaml")))


def shipped(name: str) -> dict[str, Any]:
    """The node of conf/scheduler/NAME.yaml.

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
    """Return the setup if a run could be started from it.

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
    check_length(setup.node, setup.horizon)
    return setup


def check_length(node: dict[str, Any], horizon: Horizon) -> None:
    """Refuse a curve that would keep everybody waiting.

    Raises:
        ValueError: it has too many steps for its number of nodes.
    """
    parts = count_targets(node)
    if horizon.total_steps * parts > MAX_STEPS:
        raise ValueError(
            f"The run has {horizon.total_steps} steps: with {parts} scheduler nodes at most "
            f"{MAX_STEPS // parts} are drawn; lower epochs or raise batch_size."
        )


_kept: OrderedDict[str, np.ndarray] = OrderedDict()
# A page has a thread per visitor, and trace_lr redirects the one standard output of the process.
_one_at_a_time = threading.Lock()


def trace(setup: Setup) -> list[float]:
    """The rates of the first parameter group, from `trace_lr`, as `trace_array` keeps them."""
    rates: list[float] = trace_array(setup).tolist()
    return rates


def trace_array(setup: Setup) -> np.ndarray:
    """The rates of the first parameter group, from `trace_lr`; kept for the next time.

    ReduceLROnPlateau follows a made-up metric, looked at once per epoch as a run does by default:
    it gets a tenth better at each evaluation and no better after 40 % of the run.

    Raises:
        ValueError: one sentence that names the key, the value and what is accepted.
    """
    check_setup(setup)
    key = json.dumps(asdict(setup) | {"name": ""}, sort_keys=True)
    with _one_at_a_time:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    node, horizon, metrics = setup.node, setup.horizon, None
    if is_plateau(OmegaConf.create(node)):
        mode = str(node.get("mode", "min"))
        metrics = made_up_metrics(mode, horizon.total_steps, horizon.steps_per_epoch)
    rates = np.array(trace_node(node, float(setup.base_lr), horizon, metrics), dtype=float)
    rates.flags.writeable = False  # every visitor of the page gets this one
    with _one_at_a_time:
        _kept[key] = rates
        while len(_kept) > 1 and sum(map(len, _kept.values())) > KEPT_RATES:
            _kept.popitem(last=False)
    return rates


def trace_node(
    node: dict[str, Any],
    base_lr: float,
    horizon: Horizon,
    metrics: Mapping[int, float] | None = None,
) -> list[float]:
    """The rates of a parameter group with this base rate, from `trace_lr`, of a checked node.

    Raises:
        ValueError: the node is not allowed, too long, or not one that can be built.
    """
    check_node(node)
    check_length(node, horizon)
    with _one_at_a_time:
        return trace_lr(node, [base_lr], horizon, metrics)[0]
