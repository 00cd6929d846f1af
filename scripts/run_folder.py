"""What a run folder tells of its learning rates: the configuration, the metrics, the rates."""

import json
import logging
from pathlib import Path
from typing import Any


def read_metrics(folder: Path, mode: str) -> dict[int, float]:
    """What ReduceLROnPlateau saw: val/loss (mode min) or val/top1 (max) by updates made before.

    Raises:
        FileNotFoundError: the folder holds no evaluation.
    """
    name, path = "val/loss" if mode == "min" else "val/top1", folder / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.is_file() else []
    metrics = {line["step"]: line[name] for line in map(json.loads, lines) if name in line}
    if not metrics:
        raise FileNotFoundError(f"{folder} has no evaluation with {name} in a metrics.jsonl.")
    return metrics


def read_applied(folder: Path) -> list[dict[int, float]]:
    """The rates that updates used, by step, of each parameter group: TensorBoard's lr/group0, ...

    They were stored as 32-bit floats. Where a step was made again after a resumption, the last
    time counts.

    Raises:
        FileNotFoundError: the folder has no event file with such rates.
    """
    # TensorBoard takes its time to be imported.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    logging.getLogger("tensorboard").setLevel(logging.WARNING)
    groups: list[dict[int, float]] = []
    if any(folder.glob("events.out.tfevents.*")):
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
        while (tag := f"lr/group{len(groups)}") in events.Tags()["scalars"]:
            groups.append({event.step: event.value for event in events.Scalars(tag)})
    if not groups:
        raise FileNotFoundError(f"{folder} has no event file with learning rates (lr/group0).")
    return groups


def read_summary(folder: Path) -> dict[str, Any]:
    """The run's summary.json; empty where it has not ended."""
    path = folder / "summary.json"
    summary: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    return summary
