"""Fits what a YAML node says to what a constructor asks for.

The constructor's signature is the only schema: its annotations (or, without them, its defaults) say
where a whole number of steps, a number, text, a list or true/false belongs. A string where no text
is asked for must be a duration or a rate.
"""

import difflib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from oneflow.optim.optimizer import Optimizer

from schedulers.durations import LENGTHS, Horizon, to_step_factor, to_steps

# OneFlow leaves these without a useful annotation.
_HINTS = {"milestones": list[int], "min_lr": float | list[float], "schedulers": list[Any]}

# Whole numbers that are no lengths: what each one counts.
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
    """One argument of a constructor: its name, the types it accepts, whether it must be given."""

    name: str
    accepts: tuple[Any, ...]
    required: bool

    @property
    def takes_optimizer(self) -> bool:
        """True where the program's optimizer is to be handed in."""
        return self.name == "optimizer" or Optimizer in self.accepts


@dataclass(frozen=True)
class Signature:
    """The arguments of a constructor, and whether it also takes names that it does not list."""

    parameters: Mapping[str, Parameter]
    open_ended: bool

    def names_for_yaml(self) -> list[str]:
        """Names that a node may set: all but the optimizer and `last_step`."""
        return [name for name in self.parameters if name not in ("optimizer", "last_step")]


def read_signature(target: Callable[..., Any], key: str) -> Signature:
    """Arguments of a class or function, without `self`.

    Raises:
        ValueError: Python cannot tell them (some built-in functions).
    """
    try:
        found = inspect.signature(target).parameters.values()
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{key}._target_: Python cannot read the arguments of {target}."
        ) from error
    try:
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except Exception:  # an annotation that names something not imported at run time
        hints = {}
    parameters = {
        parameter.name: Parameter(
            parameter.name,
            _accepted_types(parameter, hints.get(parameter.name)),
            parameter.default is parameter.empty,
        )
        for parameter in found
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }
    return Signature(parameters, any(p.kind is p.VAR_KEYWORD for p in found))


def _accepted_types(parameter: inspect.Parameter, hint: Any) -> tuple[Any, ...]:
    hint = _HINTS.get(parameter.name, hint)
    if hint is None:  # no annotation: the default shows the type
        if parameter.default is parameter.empty or parameter.default is None:
            return (Any,)
        hint = type(parameter.default)
    members = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    return (*members, NoneType) if parameter.default is None else tuple(members)


def check_names(signature: Signature, given: Mapping[str, Any], owner: str, key: str) -> None:
    """Refuses arguments that the constructor does not have.

    Raises:
        ValueError: names the argument, the accepted ones and the nearest of them.
    """
    if given.get("last_step", -1) != -1:
        raise ValueError(
            f"{key}.last_step={given['last_step']!r} must stay -1: a run is continued from its "
            "saved state, not from a step number."
        )
    accepted = signature.names_for_yaml()
    for name in given:
        if name in accepted or name == "last_step" or (signature.open_ended and name[:1] != "_"):
            continue
        near = difflib.get_close_matches(str(name), accepted, n=1)
        hint = f"; did you mean {near[0]}?" if near else "."
        raise ValueError(
            f"{key}.{name} is not an argument of {owner}, which takes "
            f"{', '.join(accepted) or 'none'}{hint}"
        )


def check_complete(
    signature: Signature, given: Mapping[str, Any], owner: str, key: str, open_places: int = 0
) -> None:
    """Refuses a node that leaves out what the constructor must have.

    Args:
        signature: of the constructor.
        given: all arguments so far, the optimizer among them.
        owner: the constructor's name.
        key: dotted path of the node.
        open_places: 1 for a function that will be called with the step, else 0.

    Raises:
        ValueError: names what is missing.
    """
    missing = [p.name for p in signature.parameters.values() if p.required and p.name not in given]
    if len(missing) > open_places:
        names = " and ".join(f"{key}.{name}" for name in missing[open_places:])
        raise ValueError(f"{names} must be given: {owner} has no default.")


def fit(value: Any, accepts: Sequence[Any], horizon: Horizon, key: str) -> Any:
    """The value as the constructor wants it: durations in steps, rates per step.

    Args:
        value: from the YAML, or an object that was built from a nested node.
        accepts: types of the parameter.
        horizon: the run that lengths belong to.
        key: dotted path of the value.

    Raises:
        ValueError: the value is of another type, not finite or out of bounds.
    """
    anything = Any in accepts
    if isinstance(value, list):
        return _fit_list(value, accepts, horizon, key)
    if isinstance(value, str):
        return _fit_text(value, accepts, horizon, key)
    if value is None or isinstance(value, bool):
        if anything or type(value) in accepts:
            return value
    elif isinstance(value, int):
        if int in accepts or float in accepts or anything:
            return _check_bounds(value, float not in accepts and not anything, key)
    elif isinstance(value, float):
        if float in accepts or anything:
            return _check_bounds(value, False, key)
    else:
        return value  # built from a nested node; the constructor knows what it wants
    raise ValueError(f"{key}={_show(value)} is not accepted: give {_describe(accepts, key)}.")


def _fit_list(value: list[Any], accepts: Sequence[Any], horizon: Horizon, key: str) -> list[Any]:
    for hint in accepts:
        origin = get_origin(hint) or hint
        if hint is not Any and not (inspect.isclass(origin) and issubclass(origin, Sequence)):
            continue
        if origin is str:
            continue
        members = get_args(hint)
        if origin is tuple and members and members[-1] is not Ellipsis:
            if len(members) != len(value):
                raise ValueError(f"{key}={value!r} must have {len(members)} entries.")
        else:
            members = (members[0] if members else Any,) * len(value)
        return [
            fit(entry, _flatten(member), horizon, f"{key}[{index}]")
            for index, (entry, member) in enumerate(zip(value, members, strict=True))
        ]
    raise ValueError(f"{key}={value!r} is a list: give {_describe(accepts, key)}.")


def _flatten(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _fit_text(value: str, accepts: Sequence[Any], horizon: Horizon, key: str) -> Any:
    choices = [c for hint in accepts if get_origin(hint) is Literal for c in get_args(hint)]
    if str in accepts or value in choices:
        return value
    name = _argument_name(key)
    anything = Any in accepts
    if not choices and name not in COUNTS:
        if "/" in value and (anything or float in accepts):
            return to_step_factor(value, horizon, key)
        if anything or int in accepts:
            return _check_bounds(to_steps(value, horizon, key), True, key)
        if float in accepts:
            return to_step_factor(value, horizon, key)
    raise ValueError(f"{key}={value!r} is not accepted: give {_describe(accepts, key)}.")


def _check_bounds(value: float, whole: bool, key: str) -> float:
    name = _argument_name(key)
    if not math.isfinite(value):
        raise ValueError(f"{key}={_show(value)} must be a finite number.")
    if name in _ABOVE_ZERO and value <= 0:
        raise ValueError(f"{key}={value!r} must be above zero.")
    if value < 0 and (whole or name in _NOT_NEGATIVE):
        raise ValueError(f"{key}={value!r} must not be negative.")
    return value


def _argument_name(key: str) -> str:
    return key.rpartition(".")[2].partition("[")[0]


def _show(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    return repr(value)


def _describe(accepts: Sequence[Any], key: str) -> str:
    """What an argument takes, in words, for the end of an error sentence."""
    name, words = _argument_name(key), []
    for hint in accepts:
        origin = get_origin(hint)
        if origin is Literal:
            words.append(" or ".join(str(choice) for choice in get_args(hint)))
        elif hint is int and name in COUNTS:
            words.append(f"a whole number ({COUNTS[name]}, not a length)")
        elif hint is int:
            words.append(f"a whole number of {LENGTHS}")
        elif hint is float:
            words.append("a number, or a rate such as 0.95/ep or 0.01/run")
        elif hint in (bool, str, NoneType):
            words.append({bool: "true or false", str: "text", NoneType: "null"}[hint])
        elif origin is not None or hint in (list, tuple):
            words.append("a list")
    if Any in accepts:
        words.append(f"a number, a node with _target_, or a length: {LENGTHS}")
    return " or ".join(words) or "a node with _target_"
