"""State as strict JSON beside an archive of tensors: reading it back executes nothing.

JSON alone would lose numbers that are not finite, tuples, keys that are not text, and tensors. Each
of these becomes an object with one key that starts with `$`:

    inf              {"$float": "inf"}
    (0.9, 0.999)     {"$tuple": [0.9, 0.999]}
    {0: "a"}         {"$pairs": [[0, "a"]]}
    a tensor         {"$tensor": "state/0/momentum_buf"}, its name in the archive
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import oneflow as flow

FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def encode(value: Any, tensors: dict[str, flow.Tensor], name: str) -> Any:
    """Return `value` as strict JSON; put its tensors into `tensors`, named by their place.

    Raises:
        TypeError: a value of a kind that cannot be saved; says where.
    """
    if isinstance(value, flow.Tensor):
        tensors[name] = value
        return {"$tensor": name}
    if isinstance(value, Mapping):
        pairs = [(key, encode(entry, tensors, f"{name}/{key}")) for key, entry in value.items()]
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return dict(pairs)
        return {"$pairs": [[encode(key, tensors, name), entry] for key, entry in pairs]}
    if isinstance(value, list | tuple):
        entries = [encode(entry, tensors, f"{name}/{i}") for i, entry in enumerate(value)]
        return entries if isinstance(value, list) else {"$tuple": entries}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(float(value))}
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"{name} is a {type(value).__name__}, which a checkpoint cannot hold.")


def decode(value: Any, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return what `encode` was given.

    Raises:
        ValueError, KeyError, TypeError: this is not what `encode` makes.
    """
    if isinstance(value, list):
        return [decode(entry, tensors) for entry in value]
    if not isinstance(value, dict):
        return value
    if not any(key.startswith("$") for key in value):
        return {key: decode(entry, tensors) for key, entry in value.items()}
    ((kind, content),) = value.items()
    if kind == "$tensor":
        return flow.tensor(tensors[content])
    if kind == "$float":
        return FLOATS[content]
    if kind == "$tuple":
        return tuple(decode(entry, tensors) for entry in content)
    if kind == "$pairs":
        return {decode(key, tensors): decode(entry, tensors) for key, entry in content}
    raise ValueError(f"{kind!r} is not a kind of value.")
