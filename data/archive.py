"""Read the few files of a data set out of a tar.gz or a folder; nothing is unpacked to disk."""

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

# The official archives unpack to at most 186 MB. A file that goes on beyond this is no CIFAR, and a
# few kilobytes of gzip can go on for ever.
MAX_BYTES = 512 * 2**20


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
            with tarfile.open(fileobj=stream, mode="r|") as archive:
                for member in archive:
                    name = _check_member(member)
                    if name in found:
                        raise ValueError(f"it holds {name!r} twice")
                    if name in wanted:
                        found[name] = archive.extractfile(member).read()
            while stream.read(2**20):
                pass
    except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError) as error:
        raise ValueError(f"it is damaged or cut short ({error or 'end of file'})") from error
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


def _check_member(member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"it holds the name {member.name!r:.120}, which leads outside its folder")
    if not (member.isreg() or member.isdir()):
        raise ValueError(f"it holds {member.name!r:.120}, which is a link or a device, not a file")
    return str(path)


class _Limited:
    """A stream that ends in an error after MAX_BYTES, however far the compressed file goes on."""

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.left = MAX_BYTES

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.left -= len(content)
        if self.left < 0:
            raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
        return content
