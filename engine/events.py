"""TensorBoard's event file, written by the process itself.

tensorboardX's FileWriter hands each event to a thread through a pipe: its `flush` does not wait for
what is under way, and the thread dies alone when the disk is full. A run that promises that every
step before a checkpoint is on the disk writes its events itself.
"""

import io
import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

_PREFIX = "events.out.tfevents."


class EventFile(RecordWriter):
    """A new event file in a run folder, which readers put after the older ones.

    Raises:
        OSError: it cannot be written; as every method.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Readers order a folder's files by name, and only the second of the start tells them apart.
        names = (re.match(re.escape(_PREFIX) + r"(\d+)\.", path.name) for path in folder.iterdir())
        older = [int(match[1]) for match in names if match]
        second = max([int(time.time()), *(start + 1 for start in older)])
        name = f"{_PREFIX}{second:010d}.{socket.gethostname()}.{os.getpid()}"
        super().__init__(str(folder / name))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def restart(self, step: int) -> None:
        """Make readers drop what older files hold of this step and of later ones."""
        log = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=step, session_log=log))

    def scalars(self, values: Mapping[str, float], step: int, when: float) -> None:
        """Add a value for each tag, in one event."""
        parts = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self.summary(Summary(value=parts), step, when)

    def picture(self, tag: str, image: np.ndarray, step: int, when: float) -> None:
        """Add a picture: (3, height, width) uint8."""
        from PIL import Image  # when it is needed: it takes long to import

        _, height, width = image.shape
        file = io.BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "PNG")
        png = file.getvalue()
        value = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=png)
        self.summary(Summary(value=[Summary.Value(tag=tag, image=value)]), step, when)

    def summary(self, summary: Summary, step: int, when: float) -> None:
        """Add a summary of any kind."""
        self._write(Event(wall_time=when, step=step, summary=summary))

    def _write(self, event: Event) -> None:
        self.write(event.SerializeToString())
