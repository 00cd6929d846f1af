"""Changes to a scheduler node on the page: parts added, moved, removed; classes chosen."""

import pkgutil
import re
from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import Any

from schedulers import Horizon, is_plateau, to_steps
from schedulers.arguments import read_signature
from scripts.explorer.fields import Node, Path
from scripts.explorer.setups import shipped
from scripts.explorer.texts import read_guide

# The lists that have an entry for each change between two entries of another list.
_CHANGES = {"schedulers": ("milestones", "interval_rescaling"), "knots": ("join",)}


@cache
def templates() -> dict[str, str]:
    """Return each shipped class with the first schedule of the guide that has this class."""
    found: dict[str, str] = {}
    for name in read_guide("en"):
        found.setdefault(shipped(name)["_target_"], name)
    return found


def nestable() -> list[str]:
    """Return the classes that may stand inside a composite."""
    return [target for target in templates() if not is_plateau({"_target_": target})]


def class_defaults(target: str) -> Node:
    """Return a node with only the arguments for which its class has no default."""
    node = shipped(templates()[target])
    needed = {
        p.name
        for p in read_signature(pkgutil.resolve_name(target), "").parameters.values()
        if p.required
    }
    return {name: value for name, value in node.items() if name[0] == "_" or name in needed}


def value_at(node: Any, path: Path) -> Any:
    """Return what stands at a path."""
    for part in path:
        node = node[part]
    return node


def replaced(node: Node, path: Path, value: Any) -> Node:
    """Return a copy of the node with another value at a path."""
    if not path:
        return deepcopy(value)
    copy = deepcopy(node)
    value_at(copy, path[:-1])[path[-1]] = value
    return copy


def add_part(node: Node, target: str, horizon: Horizon) -> Node:
    """Return the composite with one more part; in a sequence it takes half of the last one."""
    part, composite = shipped(templates()[target]), deepcopy(node)
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
    """Return the place half-way from a length to the end of the run."""
    return f"{(_share(length, horizon) + 100) / 2:.4g}%"


def shortened(part: Node, share: float) -> Node:
    """Return the part with `share` percent of the run where it fills the whole run."""
    return {key: f"{share:g}%" if value == "100%" else value for key, value in part.items()}


def add_entry(node: Node, name: str, horizon: Horizon) -> Node:
    """Return the node with one more drop, or a knot before the last, half-way to the end."""
    entries, joins = node.get(name) or [], node.get("join")
    if name != "knots":
        return node | {name: [*entries, between(entries[-1] if entries else "0%", horizon)]}
    when, factor = entries[-2:][0]
    knots = [*entries[:-1], [between(when, horizon), factor], entries[-1]]
    more = {"join": [*joins, joins[-1]]} if isinstance(joins, list) and joins else {}
    return node | {name: knots} | more


def remove_entry(node: Node, name: str, index: int) -> Node:
    """Return the node without an entry of a list, and without the change to that entry."""
    copy, changes = deepcopy(node), max(index - 1, 0)
    del copy[name][index]
    for other in _CHANGES.get(name, ()):
        if isinstance(copy.get(other), list):
            del copy[other][changes : changes + 1]
    return copy


def swap_parts(node: Node, index: int) -> Node:
    """Return the composite with a part and the next one exchanged; the changes stay in place."""
    composite = deepcopy(node)
    parts = composite["schedulers"]
    parts[index : index + 2] = parts[index : index + 2][::-1]
    return composite


def wrapped(node: Node, how: str) -> Node:
    """Return a composite of a node and a `warmup` first, a line after it (`then`), or `times`."""
    linear = shipped("linear")
    if how == "times":
        target = shipped("chained")["_target_"]
        return {"_target_": target, "schedulers": [deepcopy(node), linear]}
    warmup = linear | {"start_factor": 0.1, "end_factor": 1.0, "total_iters": "8%"}
    parts, milestone = [warmup, shortened(node, 92)], "8%"
    if how == "then":
        parts, milestone = [deepcopy(node), shortened(linear, 50)], "50%"
    return {
        "_target_": shipped("sequential")["_target_"],
        "schedulers": parts,
        "milestones": [milestone],
        "interval_rescaling": True,
    }


def place_of(sentence: str, keys: Sequence[str]) -> str | None:
    """Return the control that an error sentence is about: the longest key that it begins with.

    A sentence about a whole node is about the first of its arguments that it names.
    """
    begin = [k for k in keys if re.match(re.escape(k) + r"(?![\w\[]|\.\w)", sentence)]
    longer = [k for k in keys if re.match(re.escape(k) + r"\b", sentence)]
    found = max(begin or longer, key=len, default=None)
    if found is None:
        return "epochs" if "lower epochs" in sentence else None
    inside = [k for k in keys if re.fullmatch(re.escape(found) + r"\.\w+", k)]
    words = re.findall(r"\w+", sentence.rpartition("refused:")[2])
    named = [k for word in words for k in inside if k.rpartition(".")[2] == word]
    return named[0] if named else found
