"""The scalars of TensorBoard's event files, read many times faster than by TensorBoard itself.

TensorBoard checks every record byte by byte in Python. Here all records of a file are checked side
by side, so that the rates of 60 runs are read within seconds.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from tensorboardX.proto.event_pb2 import Event, SessionLog

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
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    heads, starts, lengths, place = [], [], [], 0
    while place + 12 <= len(data):
        heads.append(place)
        length = int(data[place : place + 8].view("<u8")[0])
        if place + 16 + length > len(data):  # cut off, unless its head says otherwise
            break
        starts.append(place + 12)
        lengths.append(length)
        place += 16 + length
    if max(lengths, default=0) > MAX_RECORD:
        raise ValueError(f"{path} has a record of more than {MAX_RECORD} bytes.")
    _check(data, np.array(heads, dtype=int), np.full(len(heads), 8), path)
    _check(data, np.array(starts, dtype=int), np.array(lengths, dtype=int), path)
    return [data[k : k + size].tobytes() for k, size in zip(starts, lengths, strict=True)]


def _check(data: np.ndarray, starts: np.ndarray, lengths: np.ndarray, path: Path) -> None:
    """Compare the CRC-32C of each part of the data with the 4 bytes behind it.

    The parts are gone through side by side, the longest first, so that those which have ended are
    the last ones.
    """
    order = np.argsort(-lengths, kind="stable")
    starts, lengths = starts[order], lengths[order]
    table, crc = _crc_table(), np.full(len(starts), 0xFFFFFFFF, dtype=np.uint32)
    for offset in range(lengths.max(initial=0)):
        going = int(np.searchsorted(-lengths, -offset))  # how many are longer than that
        part = crc[:going]
        crc[:going] = table[(part ^ data[starts[:going] + offset]) & 0xFF] ^ (part >> 8)
    crc = ~crc
    masked = ((crc >> 15) | (crc << 17)) + np.uint32(0xA282EAD8)  # as TFRecord stores it
    stored = data[(starts + lengths)[:, None] + np.arange(4)].copy().view("<u4")[:, 0]
    if (masked != stored).any():
        raise ValueError(f"{path} is damaged: a checksum is wrong.")


@cache
def _crc_table() -> np.ndarray:
    """The CRC-32C (Castagnoli) of every byte."""
    crc = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        crc = np.where(crc & 1, (crc >> 1) ^ np.uint32(0x82F63B78), crc >> 1)
    return crc
