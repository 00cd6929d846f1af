"""Files: written in one move, locked by one process, folders that can be written."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO


@contextlib.contextmanager
def replacing(path: Path, durable: bool = False) -> Iterator[IO[bytes]]:
    """Open a new file that takes the place of `path` when the block ends without an error.

    A reader sees the old file or the new one, never a part of it; after an error the old one is
    left and nothing else.

    Args:
        path: the file to write; its folder exists.
        durable: wait until the content is on the disk.

    Raises:
        OSError: it cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(descriptor, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(descriptor)
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in one move."""
    with replacing(path) as file:
        file.write(text.encode())


def _umask() -> int:
    """Return the permissions that new files do not get; they can only be read by setting them."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def lock(path: Path, wait: bool = False) -> int:
    """Return the descriptor of a lock file, held until it is closed or the process ends.

    A child process that inherits the descriptor holds the lock too.

    Args:
        path: the lock file; made if it is missing, never through a symbolic link.
        wait: wait for another holder to end.

    Raises:
        BlockingIOError: another process holds it.
        OSError: the file cannot be made.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        os.close(file)
        raise
    return file


def is_writable(folder: Path) -> bool:
    """Return whether files may be made in `folder`, or in the parents that it would need.

    A folder without any write permission counts as read-only for root too, who could write there:
    somebody took the permission away for a reason.
    """
    if not folder.exists():
        return folder != folder.parent and is_writable(folder.parent)
    mode = folder.stat().st_mode
    return stat.S_ISDIR(mode) and bool(mode & 0o222) and os.access(folder, os.W_OK | os.X_OK)
