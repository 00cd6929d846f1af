"""Arguments of a YAML node, checked and converted to what a constructor accepts.

The constructor's signature is the only schema: its annotations (or, without them, its defaults)
decide where an integer, a number, text, a list or true/false belongs. A string where no text is
accepted must be a duration or a factor with a unit.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from oneflow.optim.optimizer import Optimizer

from common.checks import refusal, suggest
from schedulers.durations import DURATION, Horizon, to_step_factor, to_steps

# Arguments that OneFlow leaves without a useful annotation.
_HINTS = {"milestones": list[int], "min_lr": float | list[float], "schedulers": list[Any]}

# Integers that are not durations, and their units.
COUNTS = {
    "T_mult": "times the previous cycle",
    "restart_limit": "cycles",
    "num_cycles": "cycles",
    "patience": "evaluations",
    "cooldown": "evaluations",
    "model_size": "features",
}

# OneFlow checks some of these by `assert` (gone under `python -O`), some late, some never.
_ABOVE_ZERO = {"step_size", "decay_batch", "decay_steps", "T_max", "T_0", "T_mult", "total_steps"}
_ABOVE_ZERO |= {"gamma", "decay_rate"}
_NOT_NEGATIVE = {"eta_min", "end_learning_rate", "alpha", "power", "min_lr", "factor", "threshold"}
_NOT_NEGATIVE |= {"eps"}


@dataclass(frozen=True)
class Parameter:
    """One argument of a constructor: its name, accepted types, and whether it is required."""

    name: str
    accepts: tuple[Any, ...]
    required: bool

    @property
    def takes_optimizer(self) -> bool:
        """Whether the optimizer is passed here."""
        return self.name == "optimizer" or Optimizer in self.accepts


@dataclass(frozen=True)
class Signature:
    """The arguments of a constructor, and whether it has `**kwargs`."""

    parameters: Mapping[str, Parameter]
    open_ended: bool

    def names_for_yaml(self) -> list[str]:
        """Return the names that a node may set: all but the optimizer and `last_step`."""
        return [name for name in self.parameters if name not in ("optimizer", "last_step")]


def read_signature(target: Callable[..., Any], key: str) -> Signature:
    """Return the arguments of a class or function, without `self`.

    Raises:
        ValueError: Python cannot find them (some built-in functions).
    """
    try:
        found = inspect.signature(target).parameters.values()
    except (TypeError, ValueError) as error:
        wanted = "a class or function whose arguments Python can read"
        raise refusal(f"{key}._target_", str(target), wanted) from error
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # an annotation whose name is not imported at run time
        hints = {}
    parameters = {
        p.name: Parameter(p.name, _accepted_types(p, hints.get(p.name)), p.default is p.empty)
        for p in found
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    return Signature(parameters, any(p.kind is p.VAR_KEYWORD for p in found))


def _accepted_types(parameter: inspect.Parameter, hint: Any) -> tuple[Any, ...]:
    hint = _HINTS.get(parameter.name, hint)
    if hint is None:  # no annotation: the default shows the type
        if parameter.default is parameter.empty or parameter.default is None:
            return (Any,)
        hint = type(parameter.default)
    return _alternatives(hint) + ((NoneType,) if parameter.default is None else ())


def _alternatives(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def check_names(signature: Signature, given: Mapping[str, Any], owner: str, key: str) -> None:
    """Refuse arguments that the constructor does not have.

    Raises:
        ValueError: lists the accepted arguments and suggests the nearest.
    """
    if given.get("last_step", -1) != -1:
        wanted = "-1, because a run continues from its saved state and not from a step number"
        raise refusal(f"{key}.last_step", given["last_step"], wanted)
    accepted = signature.names_for_yaml()
    for name, value in given.items():
        if name in accepted or name == "last_step" or (signature.open_ended and name[:1] != "_"):
            continue
        wanted = f"an argument of {owner} ({', '.join(accepted) or 'it has none'})"
        raise ValueError(f"{refusal(f'{key}.{name}', value, wanted)}{suggest(name, accepted)}")


def check_complete(
    signature: Signature, given: Mapping[str, Any], owner: str, key: str, open_places: int = 0
) -> None:
    """Refuse a node without a required argument; `given` includes the optimizer.

    `open_places` is 1 for a function that will be called with the step.

    Raises:
        ValueError: names the missing arguments.
    """
    missing = [p.name for p in signature.parameters.values() if p.required and p.name not in given]
    if len(missing) > open_places:
        names = " and ".join(f"{key}.{name}" for name in missing[open_places:])
        raise ValueError(f"{names}: expected a value, because {owner} has no default.")


def convert(value: Any, accepts: Sequence[Any], horizon: Horizon, key: str) -> Any:
    """Return the value as the constructor expects it: durations in steps, factors per step.

    Objects that were built from nested nodes pass as they are.

    Raises:
        ValueError: the value is of another type, not finite or out of bounds.
    """
    anything = Any in accepts
    if isinstance(value, list):
        return _convert_list(value, accepts, horizon, key)
    if isinstance(value, str):
        return _convert_text(value, accepts, horizon, key)
    if value is None or isinstance(value, bool):
        if anything or type(value) in accepts:
            return value
    elif isinstance(value, int | float):
        if anything or float in accepts or type(value) in accepts:
            return _check_bounds(value, not anything and float not in accepts, key)
    else:
        return value  # built from a nested node; checked in `compose` and by the constructor
    raise refusal(key, value, _describe(accepts, key))


def _convert_list(value: list[Any], accepts: Sequence[Any], horizon: Horizon, key: str) -> Any:
    for hint in accepts:
        origin = get_origin(hint) or hint
        is_sequence = inspect.isclass(origin) and issubclass(origin, Sequence)
        if hint is not Any and (not is_sequence or origin is str):
            continue
        members = get_args(hint)
        if origin is not tuple or not members or members[-1] is Ellipsis:
            members = (members[0] if members else Any,) * len(value)
        elif len(members) != len(value):
            raise refusal(key, value, f"a list of {len(members)} entries")
        return [
            convert(entry, _alternatives(member), horizon, f"{key}[{index}]")
            for index, (entry, member) in enumerate(zip(value, members, strict=True))
        ]
    raise refusal(key, value, _describe(accepts, key))


def _convert_text(value: str, accepts: Sequence[Any], horizon: Horizon, key: str) -> Any:
    choices = [c for hint in accepts if get_origin(hint) is Literal for c in get_args(hint)]
    if str in accepts or value in choices:
        return value
    anything = Any in accepts
    if not choices and _argument_name(key) not in COUNTS:
        if "/" in value and (anything or float in accepts):
            return to_step_factor(value, horizon, key)
        if anything or int in accepts:
            return _check_bounds(to_steps(value, horizon, key), True, key)
        if float in accepts:
            return to_step_factor(value, horizon, key)
    raise refusal(key, value, _describe(accepts, key))


def _check_bounds(value: float, integer: bool, key: str) -> float:
    name = _argument_name(key)
    if not math.isfinite(value):
        raise refusal(key, value, "a finite number")
    if name in _ABOVE_ZERO and value <= 0:
        raise refusal(key, value, "a number above 0")
    if value < 0 and (integer or name in _NOT_NEGATIVE):
        raise refusal(key, value, "a number of at least 0")
    return value


def _argument_name(key: str) -> str:
    return key.rpartition(".")[2].partition("[")[0]


def _describe(accepts: Sequence[Any], key: str) -> str:
    """Return in words what an argument accepts, for an error sentence."""
    count = COUNTS.get(_argument_name(key))
    names = {
        int: f"an integer ({count}, not a duration)" if count else DURATION,
        float: "a number or a factor such as 0.95/ep or 0.01/run",
        bool: "true or false",
        str: "text",
        NoneType: "null",
    }
    words: list[str] = []
    for hint in accepts:
        if get_origin(hint) is Literal:
            words += map(str, get_args(hint))
        elif hint in names:
            words.append(names[hint])
        elif get_origin(hint) is not None or hint in (list, tuple):
            words.append("a list")
    if Any in accepts:
        words.append(f"a number, a node with _target_ or {DURATION}")
    return " or ".join(words) or "a node with _target_"


def check_arguments(arguments: Mapping[str, Any], groups: int, horizon: Horizon, key: str) -> None:
    """Refuse arguments that OneFlow would accept and then fail on, or silently misread.

    Durations are in steps and nested nodes are built; `groups` parameter groups are scheduled.

    Raises:
        ValueError: names the argument and what is accepted.
    """
    if "milestones" in arguments:
        steps, total = arguments["milestones"], horizon.total_steps
        if steps != sorted({step for step in steps if 0 < step < total}):
            wanted = f"increasing steps, above 0 and below the run's {total}"
            raise refusal(f"{key}.milestones", steps, wanted)
    for name in ("min_lr", "lr_lambda"):
        value = arguments.get(name)
        if isinstance(value, list) and len(value) != groups:
            wanted = f"a list of length {groups}, with one entry per parameter group"
            raise ValueError(f"{key}.{name}: expected {wanted}, not of length {len(value)}.")
    functions = arguments.get("lr_lambda", [])
    for function in functions if isinstance(functions, list) else [functions]:
        if not callable(function):
            wanted = "a function of the step: a node with _target_ and _partial_: true"
            raise refusal(f"{key}.lr_lambda", function, wanted)
