"""Files made to exhaust memory, time or Python's stack are refused at once."""

import gzip
import pickle
import struct
import tarfile

import numpy as np
import pytest

from data import archive, pickles
from data.archive import read_members
from data.cache import read_cache
from data.pickles import read_plain_pickle
from tests.data.fakes import emit, emit_name
from tests.helpers.sandbox import outcome

END = bytes(1024)


def header(name, size=0, kind=tarfile.REGTYPE):
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


def seal(block):
    """A header block with its checksum made right again."""
    block = bytearray(block)
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content):
    return content + bytes(-len(content) % 512)


def with_size(field):
    block = header("f/a")
    return seal(block[:124] + field + block[136:])


def sparse(size):
    block = header("f/a", kind=tarfile.GNUTYPE_SPARSE)
    return seal(block[:483] + b"%011o\0" % size + block[495:])


def note(content, kind=tarfile.XHDTYPE):
    return header("note", len(content), kind) + padded(content)


def read(tmp_path, tar):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(tar, 1))
    return read_members(path, "f", ["a"])


@pytest.mark.parametrize(
    ("tar", "told"),
    [
        (sparse(2**31), "a link or a device"),  # 2 GB of holes in no bytes at all
        (with_size(b"\xff" * 12), "a file of -1 bytes"),
        (with_size(b"\x80" + b"\x7f" * 11), "ends early"),
        (header("f/a", 10**9), "ends early"),
        (note(b"12 path=f/a\n", tarfile.BLKTYPE), "a link or a device"),
    ],
    ids=["sparse", "negative", "huge", "longer than the archive", "device"],
)
def test_archive_bombs(tmp_path, tar, told):
    with pytest.raises(ValueError, match=told):
        read(tmp_path, tar + END)


@pytest.mark.parametrize(
    "notes",
    [
        note(b"12 path=f/b\n") * 5000,  # tarfile calls itself for each
        note(b"f/b\0", tarfile.GNUTYPE_LONGNAME) * 5000,
        note(b"1" * 200_000),  # tarfile's search takes a minute for it
        note(b"22 GNU.sparse.size=99\n"),
    ],
    ids=["recursion", "long names", "digits", "sparse"],
)
def test_notes_in_an_archive_are_passed_over(tmp_path, notes):
    content = b"right"
    tar = notes + header("f/a", len(content)) + padded(content) + END
    assert outcome(tmp_path, lambda: read(tmp_path, tar)) == {"a": content}


def test_an_archive_that_goes_on_for_ever(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_BYTES", 2**20)
    with pytest.raises(ValueError, match="unpacks to more than 1048576 bytes"):
        read(tmp_path, header("f/a", 2**21) + bytes(2**21) + END)
    with pytest.raises(ValueError, match="unpacks to more than 1048576 bytes"):
        read(tmp_path, header("f/a") + END + bytes(2**21))


def test_a_pickle_of_many_parts(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_READS", 1000)
    content = pickle.PROTO + b"\x02" + pickle.EMPTY_LIST * 2000 + pickle.STOP
    with pytest.raises(ValueError, match="more than 1000 parts"):
        read_plain_pickle(content)


def test_a_text_that_is_encoded_again_and_again(monkeypatch):
    monkeypatch.setattr(pickles, "MAX_ENCODED", 1000)
    text = pickle.BINUNICODE + struct.pack("<I", 400) + b"x" * 400 + pickle.BINPUT + b"\0"
    again = emit_name("_codecs", "encode") + pickle.BINGET + b"\0" + emit("latin1")
    again += pickle.TUPLE2 + pickle.REDUCE
    with pytest.raises(ValueError, match="more than 1000 encoded bytes"):
        read_plain_pickle(pickle.PROTO + b"\x02" + text + again * 3 + pickle.STOP)


def test_a_compressed_cache_is_not_unpacked(tmp_path, caplog):
    path = tmp_path / "cache.npz"
    np.savez_compressed(path, fingerprint=np.array("x"), images=np.zeros(2**24, np.uint8))
    assert read_cache(path, "x", ["images"], lambda arrays: None) is None
    assert "it is compressed" in caplog.text
    np.savez(path, fingerprint=np.array("x"), images=np.zeros(4, np.uint8))
    assert read_cache(path, "x", ["images"], lambda arrays: None)["images"].shape == (4,)
