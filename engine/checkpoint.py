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
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
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
_NAME = re.compile(r"step_(\d{8,})(?:\.(\d+))?")


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint folder."""

    folder: Path
    model: dict[str, np.ndarray]  # parameters and buffers, as `Module.load_state_dict` takes them
    applied: np.ndarray  # learning rates of the run's steps, (steps, parameter groups) float64
    state: dict[str, Any]  # the rest; `state["step"]` updates are made


def write_checkpoint(
    checkpoints: Path,
    model: Mapping[str, Any],
    applied: list[list[float]],
    state: Mapping[str, Any],
    *,
    best: bool = False,
    keep_last: int = 2,
) -> Path:
    """Write a checkpoint, point `last` (and `best`) to it, and return its folder.

    Args:
        checkpoints: the folder of all checkpoints; made where it is missing.
        model: tensors by name.
        applied: one list of learning rates per step.
        state: the rest, as `engine.state` can hold it; `state["step"]` updates are made.
        best: whether `best` points to it too.
        keep_last: how many of the newest to keep beside the best one.

    Raises:
        OSError: it could not be written; the older ones are as they were.
        TypeError: `state` holds something that cannot be saved.
    """
    files = encode_files(model, applied, state)
    clean(checkpoints)
    folder = free_name(checkpoints, state["step"])
    unfinished = checkpoints / (UNFINISHED + folder.name)
    try:
        write_files(unfinished, files)
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


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a new folder, and wait until they are on the disk."""
    folder.mkdir(parents=True)
    for name, content in files.items():
        with replacing(folder / name, durable=True) as file:
            file.write(content)
    sync(folder)


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
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    if link.is_dir() and not link.is_symlink():  # a copy that was made without links
        shutil.rmtree(link)
    fresh.replace(link)


def free_name(checkpoints: Path, step: int) -> Path:
    """Return a folder name for this step that is free: a checkpoint is never changed in place."""
    name = f"step_{step:08d}"
    paths = (checkpoints / f"{name}{suffix}" for suffix in ("", *(f".{n}" for n in range(1, 1000))))
    return next(path for path in paths if not path.exists())


def clean(checkpoints: Path) -> None:
    """Remove what a process left that was killed while it wrote."""
    for path in checkpoints.glob(f"{UNFINISHED}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def list_checkpoints(checkpoints: Path) -> list[Path]:
    """Return the checkpoint folders, newest first."""
    found = []
    for path in checkpoints.glob("step_*"):
        match = _NAME.fullmatch(path.name)
        if match and path.is_dir():
            found.append((int(match[1]), int(match[2] or 0), path))
    return [path for _, _, path in sorted(found, reverse=True)]


def step_of(folder: Path) -> int:
    """Return the number of updates in a checkpoint folder's name."""
    match = _NAME.fullmatch(folder.name)
    assert match
    return int(match[1])


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
            continue
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
        files = dict(read_files(folder))
        tensors = load(files[OPTIMIZER])
        applied = tensors.pop("applied")
        state = decode(json.loads(files[STATE]), tensors)
        model = load(files[MODEL])
        step, first_step = state["step"], state["first_step"]
        if not 0 <= first_step <= step or applied.shape[:1] != (step - first_step,):
            raise ValueError("its steps and its rates do not agree")
    except Exception as error:  # whatever a foreign file can bring about in json and safetensors
        raise ValueError(f"The checkpoint {folder} is damaged: {reason(error)}.") from error
    return Checkpoint(folder, model, applied, state)


def read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of a checkpoint's files, each compared with its checksum."""
    table = json.loads((folder / CHECKSUMS).read_bytes())
    for name in (MODEL, OPTIMIZER, STATE):
        if not (folder / name).is_file():  # a pipe or a device would be read for ever
            raise ValueError(f"{name} is missing")
        content = (folder / name).read_bytes()
        if checksum(content) != table[name]:
            raise ValueError(f"{name} is not as it was written")
        yield name, content


def reason(error: Exception) -> str:
    """Return an error's message on one line, without a full stop."""
    if isinstance(error, FileNotFoundError):
        return f"{Path(str(error.filename)).name} is missing"
    message = " ".join(str(error).split())
    return f"{type(error).__name__}: {message:.200}".removeprefix("ValueError: ").rstrip(".")
