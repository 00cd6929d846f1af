"""A run folder belongs to one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import Any


class FolderLock:
    """Holds a run folder for this process, until it ends, however it ends.

    Raises:
        ValueError: another process holds it.
        OSError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "FolderLock":
        try:
            self.file = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OSError(
                f"The run folder {self.folder} cannot be written: {error.strerror}."
            ) from error
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self.file)
            raise ValueError(
                f"Another process is training in {self.folder}: wait for it, or stop it."
            ) from error
        return self

    def __exit__(self, *exception: Any) -> None:
        os.close(self.file)
