"""Scheduler nodes as plain data: what a stranger's may hold, and how Hydra writes a value.

A node is a mapping with `_target_` and that class's argument names, possibly nested.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

from common.checks import refusal
from runs.targets import ALLOWED, check_target, walk_targets

MAX_DEPTH = 10
MAX_VALUES = 1_000
MAX_LETTERS = 200
LARGEST = 1e15  # no rate, factor or number of steps is larger

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z_][\w.-]*|\d+(\.\d+)? ?(%|ep|epochs?)|\d+(\.\d+)?/(ep|run)", re.ASCII)
_WORDS = {"null", "true", "false", "inf", "nan", "yes", "no", "on", "off", "y", "n"}


def check_node(node: Any) -> dict[str, Any]:
    """Return the node if it is plain, bounded and names schedulers only; nothing is built.

    Raises:
        ValueError: one sentence that names the key, the value and what is accepted.
    """
    if not isinstance(node, dict) or "_target_" not in node:
        raise ValueError("A schedule is a mapping with _target_ and the arguments of that class.")
    for count, (key, value) in enumerate(_walk(node, "scheduler", 0)):
        if count > MAX_VALUES:
            raise ValueError(f"scheduler has more than {MAX_VALUES} values.")
        _check_value(key, value)
    for key, target in walk_targets({"scheduler": node}):
        try:
            check_target(key, target)
        except ValueError as error:
            raise ValueError(
                f"{key}={target!r:.200} is refused: here a schedule is made only of "
                f"{ALLOWED['scheduler']}."
            ) from error
    return node


def _walk(value: Any, key: str, depth: int) -> Iterator[tuple[str, Any]]:
    """Yield (dotted key, value) of everything in the node, itself first."""
    if depth > MAX_DEPTH:
        raise ValueError(f"{key:.200} is nested more than {MAX_DEPTH} deep.")
    yield key, value
    if isinstance(value, dict):
        for name, entry in value.items():
            if not (isinstance(name, str) and _NAME.fullmatch(name)) or name.lower() in _WORDS:
                raise ValueError(f"{key:.200}: {name!r:.80} is not the name of an argument.")
            yield from _walk(entry, f"{key}.{name}", depth + 1)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _walk(entry, f"{key}[{index}]", depth + 1)


def _check_value(key: str, value: Any) -> None:
    if key.endswith("._partial_") and not isinstance(value, bool):
        raise refusal(key, value, "true or false")
    if isinstance(value, str):
        if len(value) > MAX_LETTERS or not value.isprintable():
            raise refusal(key, value, f"at most {MAX_LETTERS} plain characters")
        if "${" in value or value == "???":
            raise refusal(key, value, "a value without interpolations (${...})")
    elif isinstance(value, int | float):
        if not -LARGEST <= value <= LARGEST:  # nor does a nan
            raise refusal(key, value, "a finite number between -1e15 and 1e15")
    elif value is not None and not isinstance(value, dict | list):
        raise refusal(key, value, "text, a number, a list or a mapping")


def same(first: Any, second: Any) -> bool:
    """Return whether two values are equal with equal types; the order of keys does not count.

    >>> same({"a": 1, "b": [True]}, {"b": [True], "a": 1}), same(1, 1.0), same(1, True)
    (True, False, False)
    """
    return json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True)


def to_hydra(value: Any) -> str:
    """Return a value as Hydra's command line writes it, without a shell's quotes.

    >>> print(to_hydra([{"_target_": "a.B", "length": "8%", "text": "1, 2"}, None, True, 1e-05]))
    [{_target_:a.B,length:8%,text:"1, 2"},null,true,1e-05]
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{to_hydra(entry)}" for name, entry in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(to_hydra, value)) + "]"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else QuotedString(value, Quote.double).with_quotes()
    return repr(value)
