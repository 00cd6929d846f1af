"""Schedulers from YAML nodes, and the learning rates that they produce.

Training, preview, pictures and tests all build a schedule here, so the preview equals the training.
"""

import functools
import inspect
import pkgutil
import re
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import oneflow as flow
from omegaconf import OmegaConf
from oneflow.optim.lr_scheduler import ReduceLROnPlateau, _LRScheduler

from common.checks import refusal, suggest
from schedulers.arguments import (
    check_arguments,
    check_complete,
    check_names,
    convert,
    read_signature,
)
from schedulers.compose import NESTING, check_parts
from schedulers.durations import Horizon


def build_scheduler(node: Any, optimizer: Any, horizon: Horizon) -> Any:
    """Build the scheduler that a node describes, children first.

    A node is a mapping: `_target_` (dotted path of a class) and the argument names of that class.
    Durations become steps and factors with a unit become factors per step (see `durations`). The
    optimizer is passed to every constructor that has an argument for it. A node with
    `_partial_: true` becomes a function to be called later, e.g. LambdaLR's `lr_lambda`. OneFlow's
    four composites are replaced by the subclasses in `compose`, which draw the same curves and may
    be nested.

    Args:
        node: dict or DictConfig.
        optimizer: the rates of its groups become the base rates (for a group that had a scheduler
            before, OneFlow keeps the rate from then).
        horizon: the run.

    Returns:
        A OneFlow scheduler that has already set the rates of step 0. Call its `step()` after every
        optimizer update; a ReduceLROnPlateau instead after every evaluation, with the metric.

    Raises:
        ValueError: one sentence with the key path, the value and what is accepted.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if not isinstance(node, Mapping):
        raise refusal("scheduler", node, "a mapping with _target_")
    target = _find_target(node, "scheduler")
    if not (inspect.isclass(target) and issubclass(target, _LRScheduler | ReduceLROnPlateau)):
        wanted = (
            "a scheduler class, such as oneflow.optim.lr_scheduler.CosineAnnealingLR or your "
            "subclass of oneflow.optim.lr_scheduler._LRScheduler"
        )
        raise refusal("scheduler._target_", node["_target_"], wanted)
    if node.get("_partial_"):
        wanted = "false: only a function inside a scheduler is partial"
        raise refusal("scheduler._partial_", True, wanted)
    return _build(node, "scheduler", optimizer, horizon)


def _build(node: Mapping[str, Any], key: str, optimizer: Any, horizon: Horizon) -> Any:
    target = _find_target(node, key)
    owner = target.__name__
    signature = read_signature(target, key)
    given = {name: value for name, value in node.items() if name not in ("_target_", "_partial_")}
    check_names(signature, given, owner, key)
    given.pop("last_step", None)  # -1, or `check_names` would have refused it
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        path = f"{key}.{name}"
        accepts = signature.parameters[name].accepts if name in signature.parameters else (Any,)
        value = _build_children(value, path, optimizer, horizon)
        arguments[name] = convert(value, accepts, horizon, path)
    for parameter in signature.parameters.values():
        if parameter.takes_optimizer:
            arguments.setdefault(parameter.name, optimizer)
    if node.get("_partial_"):
        check_complete(signature, arguments, owner, key, open_places=1)
        return functools.partial(target, **arguments)
    if not inspect.isclass(target):
        owner += " (called now and not at every step, because _partial_: true is missing)"
    check_complete(signature, arguments, owner, key)
    check_arguments(arguments, len(optimizer.param_groups), horizon, key)
    check_parts(arguments, optimizer, key)
    return _construct(target, arguments, key)


def _build_children(value: Any, key: str, optimizer: Any, horizon: Horizon) -> Any:
    """Return a value with nested nodes, also in lists, replaced by the objects they describe."""
    if isinstance(value, Mapping):
        return _build(value, key, optimizer, horizon)
    if isinstance(value, list | tuple):
        return [
            _build_children(entry, f"{key}[{index}]", optimizer, horizon)
            for index, entry in enumerate(value)
        ]
    return value


def _find_target(node: Mapping[str, Any], key: str) -> Any:
    path, key = node.get("_target_"), f"{key}._target_"
    if not isinstance(path, str):
        raise refusal(key, path, "the dotted path of a class")
    try:
        target = pkgutil.resolve_name(path)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        refused = refusal(key, path, "a class or function that can be imported")
        raise ValueError(f"{refused} {str(error).rstrip('.')}.{_near_name(path)}") from error
    if not callable(target):
        raise refusal(key, path, "a class or a function")
    return NESTING.get(target, target) if inspect.isclass(target) else target


def _near_name(path: str) -> str:
    module, _, name = path.rpartition(".")
    try:
        return suggest(name, dir(pkgutil.resolve_name(module)))
    except Exception:  # the module itself cannot be imported
        return ""


def _construct(target: Any, arguments: Mapping[str, Any], key: str) -> Any:
    try:
        return target(**arguments)
    except Exception as error:
        # OneFlow raises six kinds of exception here, some with an empty message.
        reason = str(error).rstrip(".!") or f"{type(error).__name__} without a message"
        named = re.match(r"(\w+)=.*: expected ", reason, re.S)
        if named and named[1] in inspect.signature(target).parameters:
            raise ValueError(f"{key}.{reason}.") from error
        shown = {name: value for name, value in arguments.items() if _is_plain(value)}
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        raise ValueError(f"{key}: {target.__name__}({given}) is refused: {reason}.") from error


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str | None) or (
        isinstance(value, list) and all(_is_plain(entry) for entry in value)
    )


def trace_lr(
    node: Any,
    base_lrs: Sequence[float],
    horizon: Horizon,
    metrics: Mapping[int, float] | None = None,
) -> list[list[float]]:
    """Return the learning rates that a node produces over a run, by stepping the real scheduler.

    There is one list per parameter group, of which `base_lrs` has the optimizer's rates. In a list
    number k is the rate of update k, counted from 0, up to the run's end. A ReduceLROnPlateau needs
    the metric of each evaluation, by the number of updates made before it, to move at all.

    Raises:
        ValueError: as `build_scheduler`; also when the schedule fails at a later step.
    """
    optimizer = flow.optim.SGD([{"params": [flow.zeros(1)], "lr": lr} for lr in base_lrs], lr=0.0)
    with redirect_stdout(StringIO()):  # a scheduler with `verbose: true` prints at every step
        scheduler = build_scheduler(node, optimizer, horizon)
        follows_metric = isinstance(scheduler, ReduceLROnPlateau)
        rates: list[list[float]] = [[] for _ in base_lrs]
        try:
            for step in range(horizon.total_steps):  # read, then step, as the trainer does
                if follows_metric and metrics and step in metrics:
                    scheduler.step(metrics[step])
                for group, trace in zip(optimizer.param_groups, rates, strict=True):
                    trace.append(group["lr"])
                if not follows_metric:
                    scheduler.step()
        except Exception as error:
            name, step = type(scheduler).__name__, scheduler.last_step
            reason = error.args[-1] if error.args else type(error).__name__
            raise ValueError(f"scheduler: {name} fails at step {step}: {reason}.") from error
    return rates


def is_plateau(node: Mapping[str, Any]) -> bool:
    """Return whether the rates follow a metric: the class, or a subclass named after it.

    >>> is_plateau({"_target_": "oneflow.optim.lr_scheduler.ReduceLROnPlateau"}), is_plateau({})
    (True, False)
    """
    return str(node.get("_target_")).endswith("ReduceLROnPlateau")


def made_up_metrics(mode: str, total_steps: int, every: int) -> dict[int, float]:
    """Return a metric that improves by a tenth per evaluation and stalls after 40 % of the run.

    >>> made_up_metrics("min", total_steps=100, every=20)
    {20: 0.9, 40: 0.81, 60: 0.81, 80: 0.81}
    """
    factor = 0.9 if mode == "min" else 1 / 0.9
    last_better = int(0.4 * total_steps) // every
    evaluations = range(1, (total_steps - 1) // every + 1)
    return {k * every: round(factor ** min(k, last_better), 12) for k in evaluations}
