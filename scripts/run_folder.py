"""What a run folder tells of its learning rates: the configuration, the metrics, the rates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scripts.event_files import read_scalars


def read_objects(path: Path, texts: Callable[[str], list[str]]) -> list[dict[str, Any]]:
    """The JSON objects of a file of a run, which may come from a stranger.

    Args:
        path: of the file.
        texts: takes the file's text apart into those of its objects.

    Raises:
        ValueError: the file is damaged, or holds something else than objects.
    """
    try:
        found = [json.loads(text) for text in texts(path.read_text())]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{path} is damaged: it holds something else than JSON objects.")
    return found


def read_metrics(folder: Path, mode: str) -> dict[int, float]:
    """What ReduceLROnPlateau saw: val/loss (mode min) or val/top1 (max) by updates made before.

    Raises:
        FileNotFoundError: the folder holds no evaluation.
        ValueError: the file is damaged.
    """
    name, path = "val/loss" if mode == "min" else "val/top1", folder / "metrics.jsonl"
    lines = read_objects(path, str.splitlines) if path.is_file() else []
    found = [(line.get("step"), line[name]) for line in lines if name in line]
    if not found:
        raise FileNotFoundError(f"{folder} has no evaluation with {name} in a metrics.jsonl.")
    if not all(type(step) is int and isinstance(value, int | float) for step, value in found):
        raise ValueError(f"{path} is damaged: a step or {name} is no number.")
    return dict(found)


def read_applied(folder: Path) -> list[dict[int, float]]:
    """The rates that updates used, by step, of each parameter group: TensorBoard's lr/group0, ...

    They were stored as 32-bit floats. Where a step was made again after a resumption, the last
    time counts.

    Raises:
        FileNotFoundError: the folder has no event file with such rates.
        ValueError: an event file is damaged.
    """
    curves = read_scalars(folder, lambda tag: tag.startswith("lr/group"))
    groups: list[dict[int, float]] = []
    while (tag := f"lr/group{len(groups)}") in curves:
        groups.append(curves[tag])
    if not groups:
        raise FileNotFoundError(f"{folder} has no event file with learning rates (lr/group0).")
    return groups


def read_summary(folder: Path) -> dict[str, Any]:
    """The run's summary.json; empty where it has not ended.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / "summary.json"
    return read_objects(path, lambda text: [text])[0] if path.is_file() else {}
