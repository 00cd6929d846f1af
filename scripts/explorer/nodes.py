"""What may be done to a scheduler node on the page: parts added, moved, removed; classes chosen."""

import pkgutil
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from schedulers import Horizon, is_plateau, to_steps
from schedulers.arguments import read_signature
from scripts.explorer import bridge
from scripts.explorer.fields import Node, Path
from scripts.explorer.texts import read_guide


@cache
def templates() -> dict[str, str]:
    """Every class that is shipped, and the first schedule of the guide that is of this class."""
    found: dict[str, str] = {}
    for name in read_guide("en"):
        found.setdefault(bridge.shipped(name)["_target_"], name)
    return found


def nestable() -> list[str]:
    """The classes that may stand inside a composite."""
    return [target for target in templates() if not is_plateau({"_target_": target})]


def class_defaults(target: str) -> Node:
    """A node with nothing but what its class has no default for."""
    node = bridge.shipped(templates()[target])
    needed = {
        p.name
        for p in read_signature(pkgutil.resolve_name(target), "").parameters.values()
        if p.required
    }
    return {name: value for name, value in node.items() if name[0] == "_" or name in needed}


def value_at(node: Any, path: Path) -> Any:
    """What stands at a path."""
    for part in path:
        node = node[part]
    return node


def replaced(node: Node, path: Path, value: Any) -> Node:
    """A copy of the node with another value at a path."""
    if not path:
        return deepcopy(value)
    copy = deepcopy(node)
    value_at(copy, path[:-1])[path[-1]] = value
    return copy


def add_part(node: Node, target: str, horizon: Horizon) -> Node:
    """One more part at the end: of a sequence, from the middle of what the last one has."""
    part, composite = bridge.shipped(templates()[target]), deepcopy(node)
    if "milestones" in composite:
        shares = [_share(m, horizon) for m in composite["milestones"]]
        start = round(((shares or [0.0])[-1] + 100) / 2, 1)
        composite["milestones"].append(f"{start:g}%")
        part = shortened(part, 100 - start)
    composite["schedulers"].append(part)
    return composite


def _share(length: Any, horizon: Horizon) -> float:
    try:
        return 100 * to_steps(length, horizon, "length") / horizon.total_steps
    except (ValueError, ArithmeticError):  # 400 digits are a number, and no length
        return 0.0


def between(length: Any, horizon: Horizon) -> str:
    """Half-way from a length to the end of the run."""
    return f"{(_share(length, horizon) + 100) / 2:.4g}%"


def shortened(part: Node, share: float) -> Node:
    """The part with curves of this share of the run where they were to fill it."""
    return {key: f"{share:g}%" if value == "100%" else value for key, value in part.items()}


def remove_part(node: Node, index: int) -> Node:
    """Without a part, and without the change to it."""
    composite = deepcopy(node)
    del composite["schedulers"][index]
    for name in ("milestones", "interval_rescaling"):
        if isinstance(composite.get(name), list) and composite[name]:
            del composite[name][max(index - 1, 0)]
    return composite


def swap_parts(node: Node, index: int) -> Node:
    """A part and the next one in each other's places; the changes stay where they are."""
    composite = deepcopy(node)
    parts = composite["schedulers"]
    parts[index : index + 2] = parts[index : index + 2][::-1]
    return composite


def wrapped(node: Node, how: str) -> Node:
    """A composite around a node: `warmup` before it, something `then`, or `times` something."""
    linear = bridge.shipped("linear")
    if how == "times":
        target = bridge.shipped("chained")["_target_"]
        return {"_target_": target, "schedulers": [deepcopy(node), linear]}
    warmup = linear | {"start_factor": 0.1, "end_factor": 1.0, "total_iters": "8%"}
    parts, milestone = [warmup, shortened(node, 92)], "8%"
    if how == "then":
        parts, milestone = [deepcopy(node), shortened(linear, 50)], "50%"
    return {
        "_target_": bridge.shipped("sequential")["_target_"],
        "schedulers": parts,
        "milestones": [milestone],
        "interval_rescaling": True,
    }


def place_of(sentence: str, keys: Sequence[str]) -> str | None:
    """The control that an error sentence is about: the longest key that it begins with.

    A sentence about a whole node is about the first of its arguments that it names.
    """
    begin = [k for k in keys if re.match(re.escape(k) + r"(?![\w\[]|\.\w)", sentence)]
    longer = [k for k in keys if re.match(re.escape(k) + r"\b", sentence)]
    found = max(begin or longer, key=len, default=None)
    if found is None:
        return "epochs" if "lower epochs" in sentence else None
    own = [k for k in keys if re.fullmatch(re.escape(found) + r"\.\w+", k)]
    words = re.findall(r"\w+", sentence.rpartition("refused:")[2])
    named = [k for word in words for k in own if k.rpartition(".")[2] == word]
    return named[0] if named else found
