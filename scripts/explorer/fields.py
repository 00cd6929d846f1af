"""Which control each argument of a scheduler node gets, and what it shows: without a page.

The constructor's signature and the value in the YAML decide the control. A value stays as it would
be written in a YAML (`30%`), also while it is wrong: building the schedule finds what is wrong.
"""

import inspect
import pkgutil
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from schedulers import Horizon, to_steps
from schedulers.arguments import COUNTS, Parameter, read_signature
from schedulers.durations import to_step_factor

Path = tuple[str | int, ...]
Node = dict[str, Any]

LENGTH_UNITS = ("%", "ep", "steps")
RATE_UNITS = ("per_step", "/ep", "/run")

# OneFlow annotates these as text; its documentation lists what it accepts.
_CHOICES = {
    "mode": ("min", "max"),
    "threshold_mode": ("rel", "abs"),
    "warmup_method": ("linear", "constant"),
}
_PER_STEP = {("ExponentialLR", "gamma"), ("CyclicLR", "gamma"), ("hold_then_decay", "gamma")}
_NODES = {"scheduler_or_optimizer", "lr_lambda"}
_LISTS = {"schedulers": "nodes", "milestones": "lengths", "knots": "knots", "join": "join"}

# What a slider spans: (lowest, highest, step), or two powers of ten for a logarithmic one.
_SPANS: dict[str, tuple[float, ...]] = {
    "power": (0, 5, 0.05),
    "k": (0.1, 6, 0.1),
    "lower": (-10, 0, 0.1),
    "upper": (0, 10, 0.1),
    "div_factor": (0, 3),
    "final_div_factor": (0, 7),
    "div_final": (0, 7),
    "eta_min": (0, 0.1, 0.001),
    "end_learning_rate": (0, 0.01, 0.0001),
    "infimum_lr": (-8, -1),
    "min_lr": (-8, -1),
    "eps": (-12, -3),
    "threshold": (0, 0.1, 0.001),
    "T_mult": (1, 6, 1),
    "restart_limit": (0, 12, 1),
    "num_cycles": (1, 12, 1),
    "patience": (0, 20, 1),
    "cooldown": (0, 20, 1),
    "model_size": (0, 2048, 64),
    "optimizer.lr": (-5, 1),
    "epochs": (1, 300, 1),
    "batch_size": (8, 2048, 8),
    "dataset.train_size": (500, 45_000, 500),
}
_UNIT_SPANS: dict[str, tuple[float, ...]] = {
    "%": (0, 100, 0.5),
    "/ep": (0.5, 1, 0.005),
    "/run": (-6, 0),
    "per_step": (0.99, 1, 0.0001),
}
_STEPS_OF_TEN = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_AMOUNT = re.compile(r"(.*?)\s*(%|epochs?|ep|/\s*(?:epoch|ep|run))?")


@dataclass(frozen=True)
class Field:
    """One argument of a node on the page.

    Attributes:
        path: from the scheduler node to the argument.
        kind: of control: length, number, count, switch, choice, text, or node, nodes, lengths,
            knots, join.
        value: as written; the constructor's default where the node leaves it out.
        choices: of a choice.
        units: of a length or a number that has any.
    """

    path: Path
    kind: str
    value: Any
    choices: tuple[str, ...] = ()
    units: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The argument."""
        return str(self.path[-1])


def key_of(path: Path) -> str:
    """Return the dotted path as the error sentences write it.

    >>> key_of(("schedulers", 0, "gamma"))
    'scheduler.schedulers[0].gamma'
    """
    return "scheduler" + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


def fields_of(node: Node, path: Path = ()) -> list[Field]:
    """Return the arguments of a node, in the constructor's order."""
    target = pkgutil.resolve_name(node["_target_"])
    signature = read_signature(target, key_of(path))
    defaults = inspect.signature(target).parameters
    first = "step" if node.get("_partial_") else ""  # what a function is called with later
    names = [n for n in signature.names_for_yaml() if n not in ("verbose", first)]
    return [
        _field(node, signature.parameters[name], defaults[name].default, (*path, name))
        for name in names
    ]


def _field(node: Node, parameter: Parameter, default: Any, path: Path) -> Field:
    name, accepts = parameter.name, parameter.accepts
    value = node.get(name, None if default is inspect.Parameter.empty else default)
    literals = [c for hint in accepts if get_origin(hint) is Literal for c in get_args(hint)]
    choices = tuple(literals) or _CHOICES.get(name, ())
    kind = _kind(name, accepts, value, bool(choices))
    units: tuple[str, ...] = ()
    if kind == "length":
        units = LENGTH_UNITS + (("null",) if type(None) in accepts else ())
    elif (last_word(node["_target_"]), name) in _PER_STEP:
        units = RATE_UNITS
    return Field(path, kind, value, choices, units)


def _kind(name: str, accepts: Sequence[Any], value: Any, has_choices: bool) -> str:
    if name in _NODES or name in _LISTS:
        return _LISTS.get(name, "node")
    if isinstance(value, list | dict):
        return "text"
    if bool in accepts or isinstance(value, bool):
        return "switch"
    if has_choices:
        return "choice"
    if name in COUNTS:
        return "count"
    if float in accepts:
        return "number"
    return "length" if int in accepts else "text"


def last_word(target: str) -> str:
    """Return the class or function in a dotted path."""
    return target.rpartition(".")[2]


# --- amounts ------------------------------------------------------------------------------------


def take_apart(value: Any, units: Sequence[str]) -> tuple[str, str]:
    """Return the number and the unit of a value, as its two controls show them.

    >>> take_apart("30%", LENGTH_UNITS), take_apart(500, LENGTH_UNITS), take_apart(0.1, ())
    (('30', '%'), ('500', 'steps'), ('0.1', ''))
    """
    if value is None:
        return "", "null"
    text = f"{value:.10g}" if isinstance(value, float) else str(value)
    number, unit = _split(text)
    if unit and unit in units:
        return number, unit
    plain = {LENGTH_UNITS[0]: "steps", RATE_UNITS[0]: "per_step"}.get(units[0] if units else "", "")
    return text, plain


def _split(text: str) -> tuple[str, str]:
    match = _AMOUNT.fullmatch(text.strip())
    assert match
    unit = (match[2] or "").replace(" ", "")
    return match[1], {"epochs": "ep", "epoch": "ep", "/epoch": "/ep"}.get(unit, unit)


def put_together(text: str, unit: str) -> Any:
    """Return the value of a number and a unit; a unit in the text itself counts more.

    >>> put_together("30", "%"), put_together("500", "steps"), put_together("9ep", "%")
    ('30%', 500, '9ep')
    >>> put_together("0.5", ""), put_together("null", ""), put_together("much", "ep")
    (0.5, None, 'much')
    """
    text = text.strip()
    if (unit == "null" and not text) or text == "null":
        return None
    number, typed = _split(text)
    for read in (int, float):
        try:
            plain = read(number)
        except ValueError:
            continue
        unit = typed or unit
        return f"{number}{unit}" if unit in ("%", "ep", "/ep", "/run") else plain
    return text


def change_unit(value: Any, units: Sequence[str], new: str, horizon: Horizon) -> Any:
    """Return the same length or factor in another unit, rounded as a person would write it."""
    number, _ = take_apart(value, units)
    if new == "null":
        return None
    try:
        if "steps" in units:
            steps = to_steps(value if value is not None else "10%", horizon, "value")
            per_unit = {"%": horizon.total_steps / 100, "ep": horizon.steps_per_epoch, "steps": 1}
            return put_together(f"{round(steps / per_unit[new], 2):.10g}", new)
        factor = (
            value if isinstance(value, float | int) else to_step_factor(value, horizon, "value")
        )
        powers = {"/ep": horizon.steps_per_epoch, "/run": horizon.total_steps, "per_step": 1}
        return put_together(f"{max(factor ** powers[new], 1e-12):.6g}", new)
    except ValueError:  # a wrong value has no other unit
        return put_together(number, new)


def slider_span(name: str, value: Any, units: Sequence[str], horizon: Horizon) -> list[float]:
    """Return the positions of an argument's slider, with the value; none where it is no number.

    >>> slider_span("power", 2.0, (), Horizon(10, 1))[:3]
    [0.0, 0.05, 0.1]
    """
    text, unit = take_apart(value, units)
    try:
        number = float(text)
    except ValueError:
        return []
    total, per_epoch = horizon.total_steps, horizon.steps_per_epoch
    epochs = total / per_epoch
    spans = {
        "ep": (0, epochs, 0.5 if epochs <= 100 else 1),
        "steps": (0, total, max(1, round(total / 400))),
    }
    span = spans.get(unit) or _UNIT_SPANS.get(unit) or _SPANS.get(name) or (0, 1, 0.01)
    if len(span) == 2:
        powers = range(round(span[0]), round(span[1]))
        marks = [float(f"{m}e{p}") for p in powers for m in _STEPS_OF_TEN] + [10.0 ** span[1]]
    else:
        low, high, step = span
        marks = [round(low + k * step, 10) for k in range(round((high - low) / step) + 1)]
    return sorted({*marks, number})
