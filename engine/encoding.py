"""State as strict JSON beside an archive of tensors: reading it back executes nothing.

JSON alone would lose what a state is made of: numbers that are not finite, tuples, keys that are
not text, tensors. Each of these becomes an object with one key that starts with `$`:

    inf              {"$float": "inf"}
    (0.9, 0.999)     {"$tuple": [0.9, 0.999]}
    {0: "a"}         {"$pairs": [[0, "a"]]}
    a tensor         {"$tensor": "state/0/momentum_buf"}, its name in the archive
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import oneflow as flow

Parts = Sequence[bytes | memoryview]  # of one file, in their order

FLOATS = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


def encode(value: Any, tensors: dict[str, flow.Tensor], name: str) -> Any:
    """`value` as strict JSON; its tensors go into `tensors`, named by their place.

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
    """What `encode` was given.

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


SMALL = 2**20  # numbers: 4 MB of weights


def fetch(tensors: Mapping[str, flow.Tensor]) -> dict[str, np.ndarray]:
    """Tensors as arrays. Large ones are not copied on a CPU: use the arrays before the next step.

    Each fetch waits for the device, which takes longer than to copy a small tensor. So the small
    ones, of which a net has hundreds, are joined there and fetched at once.
    """
    arrays = {}
    joined: dict[flow.dtype, list[str]] = {flow.float32: [], flow.int64: []}
    for name, tensor in tensors.items():
        if tensor.dtype in joined and tensor.numel() < SMALL:
            joined[tensor.dtype].append(name)
        else:
            arrays[name] = tensor.detach().cpu().numpy()
    for names in filter(None, joined.values()):
        numbers = flow.cat([tensors[name].detach().reshape(-1) for name in names]).numpy()
        ends = np.cumsum([tensors[name].numel() for name in names])
        for name, part in zip(names, np.split(numbers, ends[:-1]), strict=True):
            arrays[name] = part.reshape(tuple(tensors[name].shape))
    return arrays


# How safetensors calls the kinds of numbers that occur.
DTYPES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "int64": "I64",
    "int32": "I32",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
}


def pack(arrays: Mapping[str, np.ndarray]) -> Parts:
    """The parts of a safetensors file: its header, and the arrays where they lie, not copied.

    `safetensors.numpy.save` copies every array twice, which takes longer than writing them. The
    format: length of the header (8 bytes), header in JSON, then the arrays one after the other.
    """
    # The widest first: then each array starts at a multiple of its numbers' size.
    names = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {}
    parts: list[memoryview] = []
    end = 0
    for name in names:
        array = np.asarray(arrays[name], order="C")
        start, end = end, end + array.nbytes
        place = {"shape": array.shape, "data_offsets": [start, end]}
        header[name] = {"dtype": DTYPES[array.dtype.name], **place}
        parts.append(array.reshape(-1).view("uint8").data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return [len(text).to_bytes(8, "little"), text, *parts]
