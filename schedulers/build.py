"""From a YAML node to a scheduler, and from a scheduler to its curve.

Training, preview, pictures and tests all build a schedule here, so what is previewed is what is
trained.
"""

import difflib
import functools
import inspect
import pkgutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout, suppress
from io import StringIO
from typing import Any

import oneflow as flow
from omegaconf import OmegaConf
from oneflow.optim.lr_scheduler import ReduceLROnPlateau, _LRScheduler

from schedulers.arguments import check_complete, check_names, fit, read_signature
from schedulers.checks import check_arguments
from schedulers.compose import NESTING
from schedulers.durations import Horizon
from schedulers.shortcuts import rates_of

_OWN_KEYS = ("_target_", "_partial_")


def build_scheduler(node: Any, optimizer: Any, horizon: Horizon) -> Any:
    """Builds the scheduler that a node describes, children first.

    A node is a mapping: `_target_` (dotted path of a class) and that class's own argument names.
    Lengths become steps and rates become per-step factors (see `durations`). The optimizer goes to
    whichever constructor asks for one. A node with `_partial_: true` becomes a function that is
    still to be called, e.g. LambdaLR's `lr_lambda`. OneFlow's four composites are replaced by the
    subclasses in `compose`, which draw the same curves and may be nested.

    Args:
        node: dict or DictConfig.
        optimizer: its groups' rates become the base rates (of a group that had a scheduler before,
            OneFlow keeps the rate from then).
        horizon: the run's length.

    Returns:
        A OneFlow scheduler that has already set the rates of step 0. Call its `step()` after every
        optimizer update; a ReduceLROnPlateau instead after every evaluation, with the metric.

    Raises:
        ValueError: one sentence that names the key path, the value and what is accepted.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if not isinstance(node, Mapping):
        raise ValueError(f"scheduler={node!r} must be a mapping with _target_.")
    target = _find_target(node, "scheduler")
    if not (inspect.isclass(target) and issubclass(target, _LRScheduler | ReduceLROnPlateau)):
        raise ValueError(
            f"scheduler._target_={node['_target_']!r} is not a scheduler: give a class such as "
            "oneflow.optim.lr_scheduler.CosineAnnealingLR, or a subclass of "
            "oneflow.optim.lr_scheduler._LRScheduler of your own."
        )
    if node.get("_partial_"):
        raise ValueError(
            "scheduler._partial_=true is for functions inside a scheduler, not for it."
        )
    return _build(node, "scheduler", optimizer, horizon)


def _build(node: Mapping[str, Any], key: str, optimizer: Any, horizon: Horizon) -> Any:
    target = _find_target(node, key)
    owner = target.__name__
    signature = read_signature(target, key)
    given = {name: value for name, value in node.items() if name not in _OWN_KEYS}
    check_names(signature, given, owner, key)
    given.pop("last_step", None)  # -1, or `check_names` would have refused it
    arguments: dict[str, Any] = {}
    for name, value in given.items():
        path = f"{key}.{name}"
        accepts = signature.parameters[name].accepts if name in signature.parameters else (Any,)
        arguments[name] = fit(
            _build_children(value, path, optimizer, horizon), accepts, horizon, path
        )
    for parameter in signature.parameters.values():
        if parameter.takes_optimizer:
            arguments.setdefault(parameter.name, optimizer)
    if node.get("_partial_"):
        check_complete(signature, arguments, owner, key, open_places=1)
        return functools.partial(target, **arguments)
    if not inspect.isclass(target):
        owner += " (called now, and not at every step, for want of _partial_: true)"
    check_complete(signature, arguments, owner, key)
    check_arguments(arguments, optimizer, horizon, key)
    return _construct(target, arguments, key)


def _build_children(value: Any, key: str, optimizer: Any, horizon: Horizon) -> Any:
    """Replaces nested nodes, also in lists, by what they describe; leaves the rest as it is."""
    if isinstance(value, Mapping):
        return _build(value, key, optimizer, horizon)
    if isinstance(value, list | tuple):
        return [
            _build_children(entry, f"{key}[{index}]", optimizer, horizon)
            for index, entry in enumerate(value)
        ]
    return value


def _find_target(node: Mapping[str, Any], key: str) -> Any:
    path = node.get("_target_")
    if not isinstance(path, str):
        raise ValueError(f"{key} needs _target_, the dotted path of a class, as text.")
    try:
        target = pkgutil.resolve_name(path)
    except Exception as error:  # a module of the user's may raise anything while it is imported
        raise ValueError(
            f"{key}._target_={path!r} could not be imported: {error}{_near_name(path)}"
        ) from error
    if not callable(target):
        raise ValueError(f"{key}._target_={path!r} is neither a class nor a function.")
    return NESTING.get(target, target) if inspect.isclass(target) else target


def _near_name(path: str) -> str:
    module, _, name = path.rpartition(".")
    try:
        near = difflib.get_close_matches(name, dir(pkgutil.resolve_name(module)), n=1)
    except Exception:  # the module itself is what could not be imported
        return "."
    return f"; did you mean {module}.{near[0]}?" if near else "."


def _construct(target: Any, arguments: Mapping[str, Any], key: str) -> Any:
    try:
        return target(**arguments)
    except Exception as error:
        # OneFlow raises six kinds of exception here, some with an empty message.
        shown = {name: value for name, value in arguments.items() if _is_plain(value)}
        given = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        reason = str(error).rstrip(".!") or f"{type(error).__name__} without a message"
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
    """The learning rates that a node produces over a run, by stepping the real scheduler.

    Args:
        node: dict or DictConfig, as for `build_scheduler`.
        base_lrs: the optimizer's rate of each parameter group.
        horizon: the run's length.
        metrics: for ReduceLROnPlateau only: the metric of the evaluation that was made when n
            updates were done, by n. Without any, its rate stays constant.

    Returns:
        One list per parameter group with `total_steps` rates: number k is what update k (counted
        from 0) uses.

    Raises:
        ValueError: as `build_scheduler`; also when the schedule fails at a later step.
    """
    optimizer = flow.optim.SGD([{"params": [flow.zeros(1)], "lr": lr} for lr in base_lrs], lr=0.0)
    with redirect_stdout(StringIO()):  # a scheduler with `verbose: true` prints at every step
        scheduler = build_scheduler(node, optimizer, horizon)
        if isinstance(scheduler, ReduceLROnPlateau):
            return _trace_plateau(scheduler, horizon.total_steps, metrics or {})
        if _follows_get_lr(scheduler):
            # One function per group has no such rates; what else raises, the steps below explain.
            with suppress(Exception):
                return _trace_get_lr(scheduler, horizon.total_steps)
        return _trace_steps(scheduler, horizon.total_steps)


def _follows_get_lr(scheduler: Any) -> bool:
    """Whether `step()` is known to set what `get_lr(base_lr, step)` gives, and nothing more.

    So it is with OneFlow's classes and ours, unless one steps in its own way. A class from
    elsewhere may read its last rate or its count of steps, so it is stepped.
    """
    kind = type(scheduler)
    known = kind.__module__.startswith(("oneflow.", "schedulers."))
    plain = kind.step is _LRScheduler.step or kind in NESTING.values()
    members = getattr(scheduler, "schedulers", ())
    return (
        known
        and plain
        and kind.update_lrs is _LRScheduler.update_lrs
        and all(_follows_get_lr(member) for member in members)
    )


def _trace_get_lr(scheduler: Any, total_steps: int) -> list[list[float]]:
    """What `_trace_steps` gives, bit for bit, in a fraction of the time."""
    steps = range(1, total_steps + 1)  # the last `step()` asks for one rate more than is used
    return [
        [group["lr"], *rates_of(scheduler, base_lr, steps)[:-1]]
        for group, base_lr in zip(scheduler.optimizer.param_groups, scheduler.base_lrs, strict=True)
    ]


def _trace_steps(scheduler: Any, total_steps: int) -> list[list[float]]:
    """One list of rates per group: read, then step, as the trainer does."""
    groups = scheduler.optimizer.param_groups
    rates: list[list[float]] = [[] for _ in groups]
    try:
        for _ in range(total_steps):
            for group, trace in zip(groups, rates, strict=True):
                trace.append(group["lr"])
            scheduler.step()
    except Exception as error:
        name, step = type(scheduler).__name__, scheduler.last_step
        reason = error.args[-1] if error.args else type(error).__name__
        raise ValueError(f"scheduler: {name} fails at step {step}: {reason}.") from error
    return rates


def _trace_plateau(
    scheduler: Any, total_steps: int, metrics: Mapping[int, float]
) -> list[list[float]]:
    groups = scheduler.optimizer.param_groups
    rates: list[list[float]] = [[] for _ in groups]
    for step in range(total_steps):
        if step in metrics:
            scheduler.step(metrics[step])
        for group, trace in zip(groups, rates, strict=True):
            trace.append(group["lr"])
    return rates


def is_plateau(node: Mapping[str, Any]) -> bool:
    """Whether the rates follow a metric."""
    return str(node.get("_target_")).rpartition(".")[2] == "ReduceLROnPlateau"


def made_up_metrics(mode: str, total_steps: int, every: int) -> dict[int, float]:
    """A metric that improves by a tenth at each evaluation and stalls after 40 % of the run.

    >>> made_up_metrics("min", total_steps=100, every=20)
    {20: 0.9, 40: 0.81, 60: 0.81, 80: 0.81}
    """
    factor = 0.9 if mode == "min" else 1 / 0.9
    last_better = int(0.4 * total_steps) // every
    evaluations = range(1, (total_steps - 1) // every + 1)
    return {k * every: round(factor ** min(k, last_better), 12) for k in evaluations}
