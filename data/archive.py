"""Read the few files of a data set out of a tar.gz or a folder; nothing is unpacked to disk."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

# The official archives unpack to at most 186 MB. A file that goes on beyond this is no CIFAR, and a
# few kilobytes of gzip can go on for ever.
MAX_BYTES = 512 * 2**20

_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
# Notes on the member that follows: times, owners, a name of more than 100 bytes. CIFAR needs none.
_NOTES = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


def read_members(path: Path, folder: str, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of the files `names`, which lie in `folder` inside the tar.gz `path`.

    The archive is read once, front to back, and to its very end, because gzip's checksum stands
    there. Other ordinary files in it are passed over.

    Raises:
        ValueError: the archive is damaged or too large, a file is missing or in it twice, or it
            holds anything that a data set has no use for: a link, a device, a name with `..`, an
            absolute name.
    """
    wanted = {str(PurePosixPath(folder, name)): name for name in names}
    found: dict[str, bytes] = {}
    try:
        with gzip.open(path) as unzipped:
            stream = _Limited(unzipped)
            for name, content in _walk(stream):
                if name in found:
                    raise ValueError(f"it holds {name!r} twice")
                if name in wanted:
                    found[name] = content
            while stream.read(2**20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(f"it is damaged or cut short ({error})") from error
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        raise ValueError(f"it does not hold {missing[0]}")
    return {wanted[name]: content for name, content in found.items()}


def read_folder(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of the files `names` in `folder`.

    Raises:
        ValueError: a file is larger than any of CIFAR.
        OSError: a file cannot be read.
    """
    contents = {}
    for name in names:
        if (folder / name).stat().st_size > MAX_BYTES:
            raise ValueError(f"its file {name} is larger than {MAX_BYTES} bytes")
        contents[name] = (folder / name).read_bytes()
    return contents


def hash_file(path: Path) -> str:
    """Return the md5 of a file, in hexadecimal: the checksum that is published for CIFAR."""
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _walk(stream: "_Limited") -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files in a tar stream.

    The blocks are walked here, because `tarfile`'s own walk believes what it reads: a sparse file
    of no bytes becomes gigabytes, notes on notes recurse without end, a note of digits takes
    minutes. Only its reader of a single header is used.
    """
    while (block := stream.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
        member = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        name = None if member.type in _NOTES else _check_member(member)
        if member.isdir():
            continue  # its size, if it has one, counts nothing that follows
        content = stream.read(member.size)
        padding = stream.read(-member.size % tarfile.BLOCKSIZE)
        if (len(content) + len(padding)) % tarfile.BLOCKSIZE or len(content) < member.size:
            raise EOFError(f"{member.name!r:.120} ends early")
        if name is not None:
            yield name, content


def _check_member(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"it holds the name {member.name!r:.120}, which leads outside its folder")
    if not (member.type in _FILES or member.isdir()):
        raise ValueError(f"it holds {member.name!r:.120}, which is a link or a device, not a file")
    return str(path)


class _Limited:
    """A stream that ends in an error after MAX_BYTES, however far the compressed file goes on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.left = MAX_BYTES

    def read(self, size: int) -> bytes:
        if size < 0:
            raise ValueError(f"it holds a file of {size} bytes")
        content = self.stream.read(min(size, self.left + 1))
        self.left -= len(content)
        if self.left < 0:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        return content
