"""Checkpoints: a folder for each, whole or not there, and read without executing anything.

    checkpoints/step_00000352/model.safetensors       parameters and buffers by their names
                              optimizer.safetensors   the optimizer's tensors, and `applied`
                              state.json              all the rest, as `engine.state` writes it
                              checksums.json          SHA-256 of the three
    checkpoints/last, best                            relative links to two of the folders

A folder appears under its name when everything in it is on the disk, and is never changed; the
links are replaced in one move. So a process may be killed at any moment, and a run folder be moved.
"""

import hashlib
import itertools
import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import oneflow as flow
from safetensors.numpy import load, save

from common.files import replacing
from engine.state import decode, encode

log = logging.getLogger(__name__)

MODEL = "model.safetensors"
OPTIMIZER = "optimizer.safetensors"
STATE = "state.json"
CHECKSUMS = "checksums.json"
UNFINISHED = "unfinished_"  # prefix of a folder that is being written
_NAME = re.compile(r"step_\d{8,}(\.\d+)?")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint folder."""

    folder: Path
    model: dict[str, np.ndarray]  # parameters and buffers, as `Module.load_state_dict` takes them
    applied: np.ndarray  # learning rates of the run's steps, (steps, parameter groups) float64
    state: dict[str, Any]  # the rest; `state["step"]` updates are made


def write_checkpoint(
    checkpoints: Path,  # the folder of all checkpoints; made where it is missing
    model: Mapping[str, Any],  # tensors by name
    applied: list[list[float]],  # learning rates, a list per step
    state: Mapping[str, Any],  # the rest, as `engine.state` can hold it; `step` updates are made
    *,
    best: bool = False,  # whether `best` points to it too
    keep_last: int = 2,  # how many of the newest to keep beside the best one
) -> Path:
    """Write a checkpoint, point `last` (and `best`) to it, and return its folder.

    Raises:
        OSError: it could not be written; the older ones are as they were.
        TypeError: `state` holds something that cannot be saved.
    """
    files = encode_files(model, applied, state)
    clean(checkpoints)
    # A checkpoint is never changed in place: the same step again has a free name beside it.
    names = (f"step_{state['step']:08d}" + (f".{n}" if n else "") for n in itertools.count())
    folder = next(checkpoints / name for name in names if not (checkpoints / name).exists())
    unfinished = checkpoints / (UNFINISHED + folder.name)
    try:
        unfinished.mkdir(parents=True)
        for name, content in files.items():
            with replacing(unfinished / name, durable=True) as file:
                file.write(content)
        sync(unfinished)
        unfinished.rename(folder)
    except OSError:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    for link in ("last", "best") if best else ("last",):
        point(checkpoints / link, folder.name)
    sync(checkpoints)
    prune(checkpoints, folder, keep_last)
    return folder


def encode_files(
    model: Mapping[str, Any], applied: list[list[float]], state: Mapping[str, Any]
) -> dict[str, bytes]:
    """Return the files of a checkpoint by name."""
    tensors: dict[str, flow.Tensor] = {}
    text = json.dumps(encode(dict(state), tensors, "state"), indent=2, allow_nan=False)
    rates = np.array(applied, dtype="float64", ndmin=2)
    files = {
        MODEL: save(to_arrays(model)),
        OPTIMIZER: save(to_arrays(tensors) | {"applied": rates}),
        STATE: text.encode(),
    }
    sums = {name: checksum(content) for name, content in files.items()}
    return files | {CHECKSUMS: json.dumps(sums, indent=2).encode()}


def to_arrays(tensors: Mapping[str, flow.Tensor]) -> dict[str, np.ndarray]:
    """Return tensors as arrays in C order, the only one that `safetensors.numpy` writes right."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
    return {name: np.asarray(array, order="C") for name, array in arrays.items()}


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(content: bytes) -> str:
    """Return the SHA-256 of a file's content, as text."""
    return hashlib.sha256(content).hexdigest()


def point(link: Path, target: str) -> None:
    """Make `link` a relative link to its neighbor `target`, in one move."""
    fresh = link.with_name(f"{UNFINISHED}{link.name}")
    fresh.symlink_to(target)
    if link.is_dir() and not link.is_symlink():  # a copy that was made without links
        shutil.rmtree(link)
    fresh.replace(link)


def clean(checkpoints: Path) -> None:
    """Remove what a process left that was killed while it wrote: folders and links."""
    for path in checkpoints.glob(f"{UNFINISHED}*"):
        if path.is_symlink():
            path.unlink()
        shutil.rmtree(path, ignore_errors=True)


def list_checkpoints(checkpoints: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    folders = [p for p in checkpoints.glob("step_*") if _NAME.fullmatch(p.name) and p.is_dir()]
    order = lambda path: (step_of(path), len(path.name), path.name)  # noqa: E731 (.2 before .10)
    return sorted(folders, key=order, reverse=True)


def step_of(folder: Path) -> int:
    """Return the number of updates in a checkpoint folder's name."""
    return int(folder.name.removeprefix("step_").partition(".")[0])


def prune(checkpoints: Path, newest: Path, keep_last: int) -> None:
    """Remove all but the `keep_last` newest and the best.

    A folder of the same step as `newest` or of a later one was damaged or is superseded: it goes.
    """
    best = checkpoints / "best"
    older = [path for path in list_checkpoints(checkpoints) if step_of(path) < step_of(newest)]
    keep = {newest, *older[: keep_last - 1], best.resolve() if best.is_symlink() else newest}
    for path in list_checkpoints(checkpoints):
        if path not in keep and path.resolve() not in keep:
            shutil.rmtree(path, ignore_errors=True)


def read_newest(checkpoints: Path) -> Checkpoint | None:
    """Return the newest sound checkpoint of a folder; None where there is none at all.

    Raises:
        ValueError: there are checkpoints, and every one is damaged.
    """
    problems = []
    for folder in list_checkpoints(checkpoints):
        try:
            found = read_checkpoint(folder)
        except ValueError as error:
            problems.append(str(error))
        else:
            for problem in problems:
                log.warning("%s Going back to step %d.", problem, found.state["step"])
            return found
    if problems:
        raise ValueError(f"No checkpoint in {checkpoints} is sound: {' '.join(problems)}")
    return None


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read and check one checkpoint. Nothing in its files is executed.

    Raises:
        ValueError: it is damaged; names what is.
    """
    try:
        files = read_files(folder)
        tensors = load(files[OPTIMIZER])
        applied = tensors.pop("applied")
        state = decode(json.loads(files[STATE], parse_constant=refuse_constant), tensors)
        model = load(files[MODEL])
        step, first_step = state["step"], state["first_step"]
        if not 0 <= first_step <= step or applied.shape[:1] != (step - first_step,):
            raise ValueError("its steps and its rates do not agree")
    except Exception as error:  # whatever a foreign file can bring about in json and safetensors
        raise ValueError(f"The checkpoint {folder} is damaged: {reason(error)}.") from error
    return Checkpoint(folder, model, applied, state)


def read_files(folder: Path) -> dict[str, bytes]:
    """Return the content of a checkpoint's files by name, each compared with its checksum."""
    names = (MODEL, OPTIMIZER, STATE, CHECKSUMS)
    for name in names:
        if not (folder / name).is_file():  # a pipe or a device would be read for ever
            raise ValueError(f"{name} is missing")
    files = {name: (folder / name).read_bytes() for name in names}
    table = json.loads(files[CHECKSUMS])
    for name in names[:3]:
        if checksum(files[name]) != table[name]:
            raise ValueError(f"{name} is not as it was written")
    return files


def refuse_constant(name: str) -> None:
    """Refuse a bare NaN or Infinity, which strict JSON has not."""
    raise ValueError(f"{STATE} holds {name}, which is not JSON")


def reason(error: Exception) -> str:
    """Return an error's message on one line, without a full stop."""
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message:.200}".removeprefix("ValueError: ").rstrip(".")
