"""Lock a run folder, and read what a run left in it, bounded: it may come from a stranger.

The config of a run is read by `runs.config`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from common.checks import is_integer
from common.files import lock
from runs.config import open_yaml

MAX_EVENTS = 2**28  # bytes of an event file; a step of a run takes about 120
MAX_RECORD = 2**18
MAX_TEXT = 2**26  # bytes of summary.json or metrics.jsonl


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


def read_bounded(path: Path, limit: int) -> bytes | None:
    """Return the content of a regular file; None where there is none.

    Raises:
        ValueError: it is larger than any run writes it.
    """
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes.")
    return content


def read_command(folder: Path) -> list[str]:
    """Return the overrides of a run's command line, to be shown; empty where they were not kept.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / ".hydra" / "overrides.yaml"
    if not path.is_file():
        return []
    with open_yaml(path, "the list of a run's overrides") as text:
        words = yaml.safe_load(text)
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("it is not a list of texts")
    return words


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the run's summary.json; empty where it has not ended.

    Raises:
        ValueError: the file is damaged.
    """
    objects = _read_objects(folder / "summary.json", lambda text: [text])
    return objects[0] if objects else {}


def read_evaluations(folder: Path, name: str) -> dict[int, float]:
    """Return a figure of metrics.jsonl (`val/loss`, `val/top1`, ...) by updates made before.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / "metrics.jsonl"
    lines = _read_objects(path, str.splitlines)
    found = [(line.get("step"), line[name]) for line in lines if name in line]
    if not all(is_integer(step, 0) and type(value) in (int, float) for step, value in found):
        raise ValueError(f"{path} is damaged: a step or {name} is no number.")
    return dict(found)


def read_metrics(folder: Path, mode: str) -> dict[int, float]:
    """Return what ReduceLROnPlateau used: val/loss (mode min) or val/top1 (max) by updates made.

    Raises:
        FileNotFoundError: the folder holds no evaluation.
        ValueError: the file is damaged.
    """
    name = "val/loss" if mode == "min" else "val/top1"
    found = read_evaluations(folder, name)
    if not found:
        raise FileNotFoundError(f"{folder} has no evaluation with {name} in a metrics.jsonl.")
    return found


def _read_objects(path: Path, split: Callable[[str], list[str]]) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, whose text `split` takes apart; none without the file."""
    content = read_bounded(path, MAX_TEXT)
    if content is None:
        return []
    try:
        found = [json.loads(text) for text in split(content.decode())]
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error
    if not all(isinstance(entry, dict) for entry in found):
        raise ValueError(f"{path} is damaged: it holds something else than JSON objects.")
    return found


def read_applied(folder: Path) -> list[dict[int, float]]:
    """Return the rates that updates used, by step, of each parameter group (`lr/group0`, ...).

    They are stored as 32-bit floats.

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


def read_scalars(folder: Path, wanted: Callable[[str], bool]) -> dict[str, dict[int, float]]:
    """Return the values by step of each wanted tag, from all event files directly in a folder.

    Of a step that was made again after a resumption, the last value counts. A record that was cut
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
    """Return the records of a file: length (8 bytes), its checksum (4), content, checksum (4).

    Raises:
        ValueError: a checksum is wrong, or something is larger than any run writes it.
    """
    data, records, place = read_bounded(path, MAX_EVENTS) or b"", [], 0
    while place + 12 <= len(data):
        start = place + 12
        _check_sum(data[place : start - 4], data[start - 4 : start], path)
        length = int.from_bytes(data[place : start - 4], "little")
        if length > MAX_RECORD:
            raise ValueError(f"{path} has a record of more than {MAX_RECORD} bytes.")
        place = start + length + 4
        if place > len(data):  # cut off
            break
        records.append(data[start : start + length])
        _check_sum(records[-1], data[start + length : place], path)
    return records


def _check_sum(content: bytes, stored: bytes, path: Path) -> None:
    if masked_crc32c(content) != int.from_bytes(stored, "little"):
        raise ValueError(f"{path} is damaged: a checksum is wrong.")
