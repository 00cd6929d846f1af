"""The scalars of TensorBoard's event files, read many times faster than by TensorBoard itself.

TensorBoard goes over every record byte by byte in Python to check it; tensorboardX has the package
crc32c for that.
"""

from collections.abc import Callable
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import masked_crc32c

MAX_BYTES = 2**28  # a step of a run takes about 120
MAX_RECORD = 2**18


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
