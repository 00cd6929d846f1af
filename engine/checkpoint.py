"""Checkpoints: a folder of safetensors and JSON, replaced as a whole."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import oneflow as flow
from safetensors.numpy import load_file, save_file

TENSORS = "model.safetensors"
STATE = "state.json"


def write_checkpoint(folder: Path, model: flow.nn.Module, state: Mapping[str, Any]) -> None:
    """Write a model's parameters and buffers, and `state`, to `folder`; it replaces an older one.

    It is written beside its place and moved there when whole, so a process that is killed while it
    writes leaves the older checkpoint as it was.
    """
    fresh, old = folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    # copy: `numpy()` is a view of the live tensor
    arrays = {
        name: numpy.array(tensor.numpy(), order="C", copy=True)
        for name, tensor in model.state_dict().items()
    }
    save_file(arrays, fresh / TENSORS)
    (fresh / STATE).write_text(json.dumps(dict(state), indent=2) + "\n")
    for path in (fresh / TENSORS, fresh / STATE):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def read_checkpoint(folder: Path, model: flow.nn.Module) -> dict[str, Any]:
    """Load a checkpoint's tensors into `model` and return its state.

    Nothing in the files is executed. Reads `<folder>.old` where a process was killed between the
    two moves of `write_checkpoint`.

    Raises:
        FileNotFoundError: there is no checkpoint.
        ValueError: the checkpoint is another model's.
    """
    old = folder.with_name(folder.name + ".old")
    if not folder.exists() and old.exists():
        folder = old
    if not (folder / TENSORS).exists():
        raise FileNotFoundError(f"There is no checkpoint in {folder} ({TENSORS} is missing).")
    arrays = load_file(folder / TENSORS)
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: array.shape for name, array in arrays.items()}
    if wanted != found:
        every = sorted(wanted.keys() | found.keys())
        name = next(name for name in every if wanted.get(name) != found.get(name))
        raise ValueError(f"{folder} is the checkpoint of another model: {name} differs.")
    model.load_state_dict(arrays)
    state: dict[str, Any] = json.loads((folder / STATE).read_text())
    return state
