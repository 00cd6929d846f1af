"""What a run folder tells of its learning rates: the configuration, the metrics, the rates."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from common.files import lock

MAX_BYTES = 2**28  # a step of a run takes about 120
MAX_RECORD = 2**18


class FolderLock:
    """A run folder held for this process, until the process ends, however it ends.

    Raises:
        ValueError: another process holds it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "FolderLock":
        try:
            self.file = lock(self.folder / ".lock")
        except BlockingIOError as error:
            raise ValueError(
                f"Another process is training in {self.folder}: wait for it, or stop it."
            ) from error
        except OSError as error:
            raise OSError(
                f"The run folder {self.folder} cannot be written: {error.strerror}."
            ) from error
        return self

    def __exit__(self, *exception: Any) -> None:
        os.close(self.file)


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


def read_scalars(folder: Path, wanted: Callable[[str], bool]) -> dict[str, dict[int, float]]:
    """The values by step of each wanted tag, of all event files directly in a folder.

    Where a step was made again after a resumption, the last time counts. A last record that was cut
    off, as where a run was killed, ends its file.

    Raises:
        ValueError: an event file is damaged, or larger than any run writes it.
    """
    curves: dict[str, dict[int, float]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for content in read_records(path):
            try:
                event = Event.FromString(content)
            except Exception as error:  # protobuf has several kinds; all mean the same
                raise ValueError(f"{path} is damaged: a record is no event.") from error
            if event.session_log.status == SessionLog.START:
                for tag, curve in curves.items():
                    curves[tag] = {k: value for k, value in curve.items() if k < event.step}
            for value in event.summary.value:
                if value.HasField("simple_value") and wanted(value.tag):
                    curves.setdefault(value.tag, {})[event.step] = value.simple_value
    return curves


def read_records(path: Path) -> list[bytes]:
    """The records of a file: each is length (8 bytes), its checksum (4), content, checksum (4).

    Raises:
        ValueError: a checksum is wrong, or something is larger than any run writes it.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes.")
    data, records, place = path.read_bytes(), [], 0
    while place + 12 <= len(data):
        start = place + 12
        _check(data[place : start - 4], data[start - 4 : start], path)
        length = int.from_bytes(data[place : start - 4], "little")
        if length > MAX_RECORD:
            raise ValueError(f"{path} has a record of more than {MAX_RECORD} bytes.")
        place = start + length + 4
        if place > len(data):  # cut off
            break
        records.append(data[start : start + length])
        _check(records[-1], data[start + length : place], path)
    return records


def _check(content: bytes, stored: bytes, path: Path) -> None:
    """Compare the checksum of a content with the one behind it."""
    if masked_crc32c(content) != int.from_bytes(stored, "little"):
        raise ValueError(f"{path} is damaged: a checksum is wrong.")
