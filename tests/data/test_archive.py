"""Archives and pickles that are hostile, damaged, or made to exhaust memory, time or the stack."""

import gzip
import pickle
import struct
import sys
import tarfile

import numpy as np
import pytest

from data.archive import MAX_MEMBERS, read_cache, read_files, read_pickle
from tests.data.fakes import dump, emit, emit_array, emit_name, expect_refusal, pack, place
from tests.helpers.sandbox import outcome


def member(name, content=b"", kind=tarfile.REGTYPE, size=None, link="", field=(0, b"")):
    """Return a member of a tar, whose header may have other bytes in one place, and its sum."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(content) if size is None else size, kind, link
    block, (at, value) = bytearray(info.tobuf(tarfile.GNU_FORMAT)), field
    block[at : at + len(value)] = value
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % 512)


TRAIN = "cifar-100-python/train"
OUTSIDE = "which leads outside its folder"
SPARSE, SIZE, HOLES = tarfile.GNUTYPE_SPARSE, 124, 483  # and places of fields in a header
MEMBERS = {
    "parent": (member("../evil", b"x"), f"'../evil', {OUTSIDE}"),
    "absolute": (member("/evil", b"x"), f"'/evil', {OUTSIDE}"),
    "folder": (member("..", kind=tarfile.DIRTYPE), OUTSIDE),
    "symbolic link": (member("a", kind=tarfile.SYMTYPE, link="/etc"), "'a', which is a link"),
    "hard link": (member(TRAIN, kind=tarfile.LNKTYPE, link="x"), "is a link"),
    "device": (member("a", kind=tarfile.CHRTYPE), "'a', which is a link or a device"),
    "pipe": (member("a", kind=tarfile.FIFOTYPE), "'a', which is a link or a device"),
    "twice": (member(TRAIN, b"x"), f"'{TRAIN}' twice"),
    "2 GB of holes": (member("a", kind=SPARSE, field=(HOLES, b"%011o\0" % 2**31)), "a link or a"),
    "negative size": (member("a", field=(SIZE, b"\xff" * 12)), "ends early"),
    "longer than a number": (member("a", field=(SIZE, b"\x80" + b"\x7f" * 11)), "ends early"),
    "longer than the archive": (member("a", size=10**9), "ends early"),
    "no tar": (b"x" * 512, "it is damaged or cut short"),
    "an empty tar": (bytes(1024), "it does not hold cifar-100-python/meta"),
    "many members": (member("a") * MAX_MEMBERS, "more than 1000 members"),
}


@pytest.mark.parametrize(("front", "message"), MEMBERS.values(), ids=MEMBERS)
def test_hostile_members_are_refused(tmp_path, front, message):
    (tmp_path / "a").mkdir()
    layout, path = place(tmp_path / "a", front=front)
    expect_refusal(layout, path, message)
    assert list(tmp_path.iterdir()) == [tmp_path / "a"]


NOTES = {
    "a file": member("cifar-100-python/README", b"hello"),
    "recursion": member("n", b"12 path=f/b\n", tarfile.XHDTYPE) * 900,  # tarfile calls itself
    "long names": member("n", b"f/b\0", tarfile.GNUTYPE_LONGNAME) * 900,
    "digits": member("n", b"1" * 200_000, tarfile.XHDTYPE),  # a minute for tarfile's search
    "sparse": member("n", b"22 GNU.sparse.size=99\n", tarfile.XHDTYPE),
}


@pytest.mark.parametrize("notes", NOTES.values(), ids=NOTES)
def test_notes_and_other_files_in_an_archive_are_passed_over(tmp_path, notes):
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(notes + pack("./f", {"a": b"right"})))  # as `tar czf x ./f` does
    assert outcome(tmp_path, lambda: read_files(path, "f", ["a"])) == {"a": b"right"}


def test_too_many_bytes_are_refused(tmp_path):
    path = tmp_path / "x.tar.gz"
    for tar in (pack("f", {"a": bytes(2**21)}), pack("f", {"a": b""}) + bytes(2**21)):
        path.write_bytes(gzip.compress(tar))
        with pytest.raises(ValueError, match="it unpacks to more than 1048576 bytes"):
            read_files(path, "f", ["a"], limit=2**20)
    (tmp_path / "a").write_bytes(bytes(11))
    with pytest.raises(ValueError, match="its file a has more than 10 bytes"):
        read_files(tmp_path, "f", ["a"], limit=10)
    assert read_files(tmp_path, "f", ["a"], limit=11) == {"a": bytes(11)}


def test_a_compressed_cache_is_not_unpacked(tmp_path, caplog):
    path = tmp_path / "cache.npz"
    np.savez_compressed(path, fingerprint=np.array("x"), images=np.zeros(2**24, np.uint8))
    assert read_cache(path, "x", lambda arrays: None) is None
    assert "it is compressed" in caplog.text


def wrap(instructions):
    """Return a pickle of {"data": what the instructions leave on the stack}."""
    head = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + emit("data")
    return head + instructions + pickle.SETITEM + pickle.STOP


def call(module, name, *arguments):
    return wrap(emit_name(module, name) + emit(arguments) + pickle.REDUCE)


DTYPE = emit_name("numpy", "dtype")
LAUGHS = emit([1]) + pickle.BINPUT + b"\0"
for i in range(40):  # each list holds the last one twice: its text would have 2**40 parts
    LAUGHS = pickle.EMPTY_LIST + LAUGHS + pickle.APPEND + pickle.BINGET + bytes([i])
    LAUGHS += pickle.APPEND + pickle.BINPUT + bytes([i + 1])
DEEP_KEY = pickle.PROTO + b"\x02" + pickle.EMPTY_DICT + emit(1) + pickle.TUPLE1 * 300_000 + emit(1)
HUGE = struct.pack("<i", 2**31 - 1)
HOSTILE = {  # pickles, and what is to be in the sentence
    "os.system": (call("os", "system", "touch boom"), "it asks for os.system"),
    "Python 2's eval": (call("__builtin__", "eval", "open('boom', 'w')"), "it asks for __builtin_"),
    "dotted name": (call("numpy", "ndarray.tofile", "boom"), "it asks for numpy.ndarray.tofile"),
    "our own module": (call("data.archive", "_Parts"), "it asks for data.archive._Parts"),
    "import": (call("this", "s"), "it asks for this.s"),  # prints the Zen of Python
    "call of a string": (wrap(emit("x") + pickle.EMPTY_TUPLE + pickle.REDUCE), "not callable"),
    "object of a class": (wrap(DTYPE + pickle.EMPTY_TUPLE + pickle.NEWOBJ), "NEWOBJ is not allow"),
    "INST": (wrap(pickle.MARK + pickle.INST + b"os\nsystem\n"), "instruction INST is not allowed"),
    "STACK_GLOBAL": (wrap(emit("os") + emit("system") + pickle.STACK_GLOBAL), "STACK_GLOBAL is no"),
    "persistent id": (wrap(emit("x") + pickle.BINPERSID), "instruction BINPERSID is not allowed"),
    "objects": (wrap(emit_array((1,), b"O8", bytes(8))), "not of unsigned bytes"),
    "Fortran": (wrap(emit_array((1,), b"u1", b"1").replace(b"\x89", b"\x88")), "in C order"),
    "other length": (wrap(emit_array((2, 3072), b"u1", bytes(3072))), "cannot reshape"),
    "counts without end": (wrap(emit_array((2**31 - 1,) * 4, b"u1", b"1234")), ""),
    "an array without state": (call("numpy", "dtype"), ""),
    "laughs": (wrap(emit_array((1,), b"u1", b"1").replace(emit(b"u1"), LAUGHS)), "not of unsig"),
    "key is a deep tuple": (DEEP_KEY + pickle.SETITEM + pickle.STOP, "more instructions than"),
    "a table of 32 GB": (wrap(emit(5) + pickle.LONG_BINPUT + HUGE), "more instructions than"),
    "a string without end": (wrap(pickle.BINSTRING + HUGE + b"x"), ""),
    "cut short": (dump({"labels": [1, 2, 3]})[:-3], ""),
    "no dict": (dump([1]), ""),
}


@pytest.mark.parametrize(("content", "message"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_pickles_are_refused_and_nothing_is_called(content, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    imported = set(sys.modules)
    with pytest.raises(ValueError, match="not a plain CIFAR pickle") as caught:
        read_pickle(content)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300
    assert not list(tmp_path.iterdir())
    assert set(sys.modules) == imported


def test_a_pickle_of_many_instructions_is_refused_and_deep_lists_are_harmless():
    content = pickle.PROTO + b"\x02" + pickle.EMPTY_LIST * 2000 + pickle.STOP
    with pytest.raises(ValueError, match="more instructions than a file of CIFAR"):
        read_pickle(content, limit=2000)
    deep = pickle.EMPTY_LIST * 100_000 + pickle.APPEND * 99_999
    assert len(read_pickle(wrap(deep))["data"]) == 1
    itself = pickle.EMPTY_LIST + pickle.BINPUT + b"\0" + pickle.BINGET + b"\0" + pickle.APPEND
    assert len(read_pickle(wrap(itself + LAUGHS + pickle.APPEND))["data"]) == 2
