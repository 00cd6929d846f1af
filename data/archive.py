"""Read a data set's files without trusting them, and keep what they hold in a cache.

Nothing is unpacked to disk, nothing is called that a file names, and a file made to exhaust memory
or time is refused. Of a damaged cache nothing is used: the files are read again.
"""

import gzip
import hashlib
import io
import logging
import os
import pickle
import pickletools
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from common.files import is_writable, replacing

log = logging.getLogger(__name__)

# The official archives unpack to at most 186 MB. A few kilobytes of gzip can unpack for ever.
MAX_BYTES = 512 * 2**20
MAX_MEMBERS = 1000  # the official ones have 5 to 9
MAX_INSTRUCTIONS = 1_000_000  # the largest official pickle has 200,362
MAX_TUPLES = 1000  # it has 6; hashing a tuple of tuples of ... crashes Python

# The instructions of the official pickles (protocol 2 of Python 2), and their near relatives.
_INSTRUCTIONS = """
PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 BINSTRING SHORT_BINSTRING EMPTY_LIST
APPEND APPENDS EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT
BINGET LONG_BINGET GLOBAL REDUCE BUILD
"""
_NAMES = {("numpy.core.multiarray", "_reconstruct"), ("numpy", "ndarray"), ("numpy", "dtype")}

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
# Notes on the member that follows, as its times or a long name: passed over, CIFAR needs none.
_NOTES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_NOTES += (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)


def read_files(
    source: Path, folder: str, names: Iterable[str], limit: int = MAX_BYTES
) -> dict[str, bytes]:
    """Return the contents of the files `names` of a data set; other ordinary files are passed over.

    Args:
        source: the folder that holds the files, or a tar.gz with `folder`, which holds them.
        folder: where the files lie inside the tar.gz.
        names: the files that are wanted.
        limit: bytes that the tar.gz may unpack to, or that each file may have.

    Raises:
        ValueError: the archive is damaged, a file is too large, is missing or comes twice, or the
            archive holds a link, a device, a name with `..` or an absolute name.
        OSError: a file cannot be read.
    """
    if source.is_dir():
        return {name: _read(open, source / name, limit, f"its file {name} has") for name in names}
    wanted = {str(PurePosixPath(folder, name)): name for name in names}
    found: dict[str, bytes] = {}
    try:
        for name, content in _walk(_read(gzip.open, source, limit, "it unpacks to")):
            if name in found:
                raise ValueError(f"it holds {name!r} twice")
            if name in wanted:
                found[name] = content
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(f"it is damaged or cut short ({error})") from error
    if missing := sorted(wanted.keys() - found.keys()):
        raise ValueError(f"it does not hold {missing[0]}")
    return {wanted[name]: content for name, content in found.items()}


def hash_file(path: Path) -> str:
    """Return the md5 of a file, in hexadecimal: the checksum that is published for CIFAR."""
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _read(opens: Callable[..., Any], path: Path, limit: int, subject: str) -> bytes:
    with opens(path, "rb") as file:
        content: bytes = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{subject} more than {limit} bytes")
    return content


def _walk(tar: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a tar.

    `tarfile` reads single headers only. Its walk trusts the archive: a sparse file of no bytes
    becomes gigabytes, notes on notes recurse, a note of digits takes minutes.
    """
    place = 0
    for _ in range(MAX_MEMBERS):
        header = tar[place : place + tarfile.BLOCKSIZE]
        if header == bytes(tarfile.BLOCKSIZE):
            return
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        begin = place + tarfile.BLOCKSIZE
        size = 0 if member.isdir() else member.size
        place = begin + size + -size % tarfile.BLOCKSIZE
        if size < 0 or place > len(tar):
            raise EOFError(f"{member.name!r:.120} ends early")
        if member.type in _NOTES:
            continue
        path, shown = PurePosixPath(member.name), f"{member.name!r:.120}"
        if path.is_absolute() or ".." in path.parts:
            raise ValueError(f"it holds the name {shown}, which leads outside its folder")
        if member.type in _FILES:
            yield str(path), tar[begin : begin + size]
        elif not member.isdir():
            raise ValueError(f"it holds {shown}, which is a link or a device, not a file")
    raise ValueError(f"it has more than {MAX_MEMBERS} members")


class _Parts:
    """Stand-in for the three numpy names, which keeps what a pickle gives them and calls nothing.

    A pickle can set the flags of a real dtype so that the bytes of an array count as pointers.
    """

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> type[_Parts]:
        if (module, name) not in _NAMES:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}"[:200])
        return _Parts


def read_pickle(content: bytes, limit: int = MAX_INSTRUCTIONS) -> dict[str, Any]:
    """Return the dict that a CIFAR pickle holds: lists, numbers, bytes and read-only uint8 arrays.

    Args:
        content: the whole pickle, protocol 2.
        limit: instructions that it may have.

    Raises:
        ValueError: it is damaged or asks for anything else, which is neither imported nor called.

    >>> read_pickle(pickle.dumps({b"labels": print}, protocol=2))
    Traceback (most recent call last):
    ValueError: not a plain CIFAR pickle: instruction BINUNICODE is not allowed
    """
    try:
        _check_instructions(content, limit)
        # encoding="bytes" leaves Python 2's strings as bytes: the pixels are one of them.
        loaded = _Unpickler(io.BytesIO(content), fix_imports=False, encoding="bytes").load()
        return {
            key.decode("latin1"): _to_array(value) if isinstance(value, _Parts) else value
            for key, value in loaded.items()
        }
    except Exception as error:  # hostile bytes fail in any way they like; all mean the same
        raise ValueError(f"not a plain CIFAR pickle: {error!s:.200}") from error


def _check_instructions(content: bytes, limit: int) -> None:
    """Refuse a pickle whose instructions are not CIFAR's, or too many, before any is followed."""
    allowed, tuples = set(_INSTRUCTIONS.split()), 0
    for count, (instruction, argument, _) in enumerate(pickletools.genops(content)):
        if instruction.name not in allowed:
            raise ValueError(f"instruction {instruction.name} is not allowed")
        # The reader makes a table as long as the largest number of a LONG_BINPUT.
        largest = argument if instruction.name == "LONG_BINPUT" else count
        tuples += "TUPLE" in instruction.name
        if largest >= limit or tuples > MAX_TUPLES:
            raise ValueError("it has more instructions than a file of CIFAR")


def _to_array(parts: _Parts) -> np.ndarray:
    """Return the array of numpy's state (version, shape, type, Fortran order, bytes)."""
    _, shape, kind, fortran, content = parts.state
    if not isinstance(kind, _Parts) or kind.arguments[:1] != (b"u1",) or fortran:
        raise ValueError("an array that is not of unsigned bytes in C order")
    return np.frombuffer(content, np.uint8).reshape(shape)


def find_cache(root: Path, name: str) -> Path:
    """Return where the decoded data of `root` belongs: there, or if read-only with the user's."""
    if is_writable(root):
        return root / f"{name}-decoded.npz"
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    place = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]
    return Path(home, "oneflow-lr-lab", f"{name}-decoded-{place}.npz")


def read_cache(
    path: Path, fingerprint: str, check: Callable[[dict[str, np.ndarray]], None]
) -> dict[str, np.ndarray] | None:
    """Return the arrays of the cache; None if `check` raises, or with another fingerprint."""
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as cache:
            # `write_cache` does not compress, and a few compressed kilobytes can grow without end.
            if any(entry.compress_type for entry in cache.zip.infolist()):
                raise ValueError("it is compressed")
            if str(cache["fingerprint"]) != fingerprint:
                return None
            arrays = dict(cache)
        check(arrays)
        return arrays
    except Exception as error:  # a damaged zip file fails in a dozen ways
        log.warning("The decoded cache %s is damaged and is built again (%s).", path, error)
        return None


def write_cache(path: Path, fingerprint: str, arrays: dict[str, np.ndarray]) -> None:
    """Write the arrays to an .npz file, unless its folder is read-only."""
    if not is_writable(path.parent):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            np.savez(file, fingerprint=np.array(fingerprint), **arrays)
    except OSError as error:  # a full disk must not stop a run that has its data already
        log.warning("The decoded cache %s was not written (%s).", path, error)
