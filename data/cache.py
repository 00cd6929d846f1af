"""Decoded images kept on disk, so that only the first start reads and checks the archive.

The cache is an uncompressed .npz: five arrays, each with the checksum of the zip format, read with
`allow_pickle=False`. It is a convenience. Whatever is wrong with it, the archive is read again.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from data.disk import is_writable

log = logging.getLogger(__name__)

_FORMAT = 1  # raise it when the arrays below change their meaning


def find_cache(root: Path, name: str) -> Path | None:
    """Return where the decoded form of the data in `root` belongs: there, or in the user's cache.

    The user's cache folder ($XDG_CACHE_HOME, else ~/.cache) serves where `root` is read-only. None
    if that is read-only too.
    """
    if is_writable(root):
        return root / f"{name}-decoded.npz"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = Path(home) / "oneflow-lr-lab"
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
    return folder / f"{name}-decoded-{place}.npz" if is_writable(folder) else None


def write_fingerprint(files: list[Path]) -> str:
    """Return a text that changes when one of the files does: name, size, time of change."""
    stats = [(file.name, file.stat()) for file in files]
    return f"{_FORMAT} " + " ".join(f"{n}:{s.st_size}:{s.st_mtime_ns}" for n, s in stats)


def read_cache(
    path: Path | None,
    fingerprint: str,
    keys: Iterable[str],
    check: Callable[[dict[str, np.ndarray]], None],
) -> dict[str, np.ndarray] | None:
    """Return the arrays named in `keys`, or None if there is no sound cache with this fingerprint.

    `check` is called with the arrays and raises an error where they are not what they should be.
    """
    if path is None or not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as cache:
            # `write_cache` does not compress, and a few compressed kilobytes can grow without end.
            if any(entry.compress_type for entry in cache.zip.infolist()):
                raise ValueError("it is compressed")
            if str(cache["fingerprint"]) != fingerprint:
                return None
            arrays = {key: cache[key] for key in keys}
        check(arrays)
        return arrays
    except Exception as error:  # a damaged zip file fails in a dozen ways; all mean the same
        log.warning("The decoded cache %s is damaged and is built again (%s).", path, error)
        return None


def write_cache(path: Path | None, fingerprint: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays under a temporary name and rename: a reader sees a whole file or none."""
    if path is None:
        return
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", delete=False) as file:
            temporary = Path(file.name)
            np.savez(file, fingerprint=np.array(fingerprint), **arrays)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:  # a full disk must not stop a run that has its data already
        log.warning("The decoded cache %s was not written (%s).", path, error)
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
