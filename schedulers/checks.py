"""What OneFlow's composites do not check, or check too late: asked before anything is built."""

from collections.abc import Mapping
from typing import Any

from oneflow.optim.lr_scheduler import ReduceLROnPlateau, _LRScheduler

from schedulers.durations import Horizon


def check_arguments(
    arguments: Mapping[str, Any], optimizer: Any, horizon: Horizon, key: str
) -> None:
    """Refuses arguments that OneFlow would take and then fail on, or silently misread.

    Args:
        arguments: of the class that is about to be built: lengths in steps, nested nodes built.
        optimizer: the optimizer that will be scheduled.
        horizon: the run.
        key: dotted path of the node.

    Raises:
        ValueError: one sentence with the key path of what is wrong.
    """
    if "milestones" in arguments:
        _check_milestones(arguments["milestones"], horizon, f"{key}.milestones")
    if "schedulers" in arguments:
        schedulers = arguments["schedulers"]
        if not isinstance(schedulers, list) or not schedulers:
            raise ValueError(f"{key}.schedulers must be a list with at least one scheduler node.")
        _check_children({f"{key}.schedulers[{i}]": s for i, s in enumerate(schedulers)}, key)
        _check_lengths(arguments, key)
    child = arguments.get("scheduler_or_optimizer")
    if child is not None and child is not optimizer:
        _check_children({f"{key}.scheduler_or_optimizer": child}, key)
    for name in ("min_lr", "lr_lambda"):
        _check_one_per_group(arguments.get(name), len(optimizer.param_groups), f"{key}.{name}")
    if "lr_lambda" in arguments:
        _check_callable(arguments["lr_lambda"], f"{key}.lr_lambda")


def _check_milestones(milestones: list[int], horizon: Horizon, key: str) -> None:
    inside = all(0 < milestone < horizon.total_steps for milestone in milestones)
    if not inside or sorted(set(milestones)) != milestones:
        raise ValueError(
            f"{key} are the steps {milestones} of a run of {horizon.total_steps}: they must "
            "increase, begin above 0 and end before the run does."
        )


def _check_children(children: Mapping[str, Any], parent: str) -> None:
    """Every member of a composite must be able to say its rate at any step."""
    for key, child in children.items():
        if isinstance(child, ReduceLROnPlateau):
            raise ValueError(
                f"{key} is a ReduceLROnPlateau, which follows the evaluations and not the steps: "
                "it cannot stand inside a composite, only alone."
            )
        if not isinstance(child, _LRScheduler):
            raise ValueError(f"{key} must be a scheduler node: a mapping with _target_.")
        if type(child).get_lr is _LRScheduler.get_lr:
            raise ValueError(
                f"{key}: {type(child).__name__} has no get_lr(base_lr, step), so it cannot stand "
                f"inside {parent}."
            )
        if len({id(function) for function in getattr(child, "lr_lambdas", ())}) > 1:
            raise ValueError(
                f"{key}.lr_lambda is a list, one function per parameter group: inside a composite "
                "give one function for all groups."
            )


def _check_lengths(arguments: Mapping[str, Any], key: str) -> None:
    parts = len(arguments["schedulers"])
    for name in ("milestones", "interval_rescaling"):
        value = arguments.get(name)
        if isinstance(value, list) and len(value) != parts - 1:
            raise ValueError(
                f"{key}.{name}={value!r} is of length {len(value)}: for {parts} schedulers it must "
                f"be of length {parts - 1}, one for each change from a part to the next."
            )


def _check_one_per_group(value: Any, groups: int, key: str) -> None:
    if isinstance(value, list) and len(value) != groups:
        raise ValueError(
            f"{key} is a list of length {len(value)}: it must be of length {groups}, one for each "
            "parameter group of the optimizer."
        )


def _check_callable(value: Any, key: str) -> None:
    for function in value if isinstance(value, list) else [value]:
        if not callable(function):
            raise ValueError(
                f"{key} must be a function of the step: a node with _target_ and _partial_: true."
            )
