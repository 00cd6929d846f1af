"""Lock a run folder, and read what a run left in it, bounded: it may come from a stranger.

The config of a run is read by `runs.config`.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

from common.checks import is_integer
from common.files import lock

MAX_EVENTS = 2**28  # bytes of an event file; a step of a run takes about 120
MAX_RECORD = 2**18
MAX_TEXT = 2**26  # bytes of summary.json or metrics.jsonl


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold a run folder for this process within the block, or until the process is killed.

    Raises:
        ValueError: another process holds it.
        OSError: the folder cannot be written.
    """
    try:
        file = lock(folder / ".lock")
    except BlockingIOError as error:
        raise ValueError(
            f"Another process is training in {folder}: wait for it, or stop it."
        ) from error
    try:
        yield
    finally:
        os.close(file)


def read_bounded(path: Path, limit: int) -> bytes:
    """Return the content of a regular file; empty where there is none.

    Raises:
        ValueError: it is larger than any run writes it.
    """
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path} is larger than {limit} bytes.")
    return content


def read_summary(folder: Path) -> dict[str, Any]:
    """Return the run's summary.json; empty where it has not ended.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / "summary.json"
    return _read_objects(path, lambda text: [text])[0] if path.is_file() else {}


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
    """Return the JSON objects of a file, whose text `split` takes apart."""
    try:
        found = [json.loads(text) for text in split(read_bounded(path, MAX_TEXT).decode())]
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
    data, records, place = read_bounded(path, MAX_EVENTS), [], 0

    def take(size: int) -> bytes:
        """Return the next bytes, of which the checksum follows."""
        content, stored = data[place : place + size], data[place + size : place + size + 4]
        if masked_crc32c(content) != int.from_bytes(stored, "little"):
            raise ValueError(f"{path} is damaged: a checksum is wrong.")
        return content

    while place + 12 <= len(data):
        length = int.from_bytes(take(8), "little")
        if length > MAX_RECORD:
            raise ValueError(f"{path} has a record of more than {MAX_RECORD} bytes.")
        place += 12
        if place + length + 4 > len(data):  # cut off
            break
        records.append(take(length))
        place += length + 4
    return records
